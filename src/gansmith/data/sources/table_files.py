"""Parquet and Arrow files, read in a process of their own: a damaged one ends that process, not its user's.

The library that reads them trusts what stands in them: of ten files with a few bytes changed three made it
write where it must not. So ``serve`` runs in a child, which is asked over a pipe and holds no more memory
than `_MOST_MEMORY`; see `gansmith.data.sources.table_process` for the other end.

Formats: https://parquet.apache.org/docs/ and https://arrow.apache.org/docs/format/Columnar.html.
"""

import importlib
import json
import os
import signal
import struct
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from gansmith.errors import DataError

CACHED = 2**28
"""Bytes of images kept decoded from tables, for each reader."""

MOST_FACTS = 2**28
"""Bytes of the facts in a table, as JSON."""

_PIECE = 2**26  # Bytes decoded at once at most, were every value as long as all of them together.
_MOST_ROWS = 1024  # Decoded at once.
_MOST_MEMORY = 2**32  # Bytes of this process, what is mapped from files not counted.
_LONGEST_FACT = 2**12  # Letters; captions are cut much earlier.

ANSWER = struct.Struct(">cQ")
"""Kind and length of an answer: c a cell's bytes, j JSON, d what is wrong with the data."""

QUESTION = struct.Struct(">I")
"""Length of a question, which is JSON."""


class Table:
    """A file of rows in groups: the row groups of Parquet."""

    def __init__(self, path: Path) -> None:
        # Buffered, so that a large group is not read as a whole; no threads, so that memory is bounded.
        parquet = importlib.import_module("pyarrow.parquet")
        self.path = path
        self._file = parquet.ParquetFile(path, buffer_size=2**20, pre_buffer=False)
        self.schema = self._file.schema_arrow
        data = self._file.metadata
        self.counts = [data.row_group(group).num_rows for group in range(data.num_row_groups)]

    def size(self, group: int, column: str) -> int:
        """Bytes of a column in a group, unpacked, as the file says; a value named twice counts once."""
        chunks = self._file.metadata.row_group(group)
        parts = (chunks.column(place) for place in range(chunks.num_columns))
        return sum(part.total_uncompressed_size for part in parts if _top(part.path_in_schema) == column)

    def batches(self, group: int, column: str) -> Iterator[Any]:
        """A column of a group, a few rows at a time."""
        # No value is longer than all together, but each row may be the longest one.
        rows = min(max(_PIECE // max(self.size(group, column), 1), 1), _MOST_ROWS)
        every = self._file.iter_batches(rows, row_groups=[group], columns=[column], use_threads=False)
        return (batch.column(0) for batch in every)


class Stream(Table):
    """An Arrow file, mapped into memory; its groups are the record batches."""

    def __init__(self, path: Path) -> None:
        arrow = importlib.import_module("pyarrow")
        self.path = path
        ipc = importlib.import_module("pyarrow.ipc")
        mapped = arrow.memory_map(str(path))
        try:
            reader = ipc.open_stream(mapped)
            self._batches = list(reader)
        except arrow.ArrowInvalid:  # The other of Arrow's two formats.
            reader = ipc.open_file(mapped)
            self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        self.schema = reader.schema
        self.counts = [batch.num_rows for batch in self._batches]

    def size(self, group: int, column: str) -> int:
        """Nothing: it is mapped, not read."""
        return 0

    def batches(self, group: int, column: str) -> Iterator[Any]:
        """A column of a group, as it lies in the file."""
        whole = self._batches[group].column(column)
        whole.validate(full=True)
        yield whole


def open_table(path: Path) -> Table:
    """The table in a file, by its ending."""
    return Stream(path) if path.suffix.lower() == ".arrow" else Table(path)


class Cells:
    """Cells of one column of some tables by (path, group, row); groups are kept while few and small.

    Reading in order is fast for every table. Reading at random is slow where a row group has more bytes
    than `CACHED`: it is then passed through from its start, a few pages at a time.
    """

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        self.groups: OrderedDict[tuple[str, int, str], tuple[Any, int]] = OrderedDict()
        self.windows: dict[tuple[str, int, str], Window] = {}

    def table(self, path: str) -> Table:
        """The table at a path, opened once."""
        if path not in self.tables:
            self.tables[path] = open_table(Path(path))
        return self.tables[path]

    def cell(self, path: str, group: int, column: str, row: int) -> Any:
        """One value."""
        place = (path, group, column)
        if place not in self.groups and place not in self.windows:
            self._take_in(place)
        if place in self.windows:
            return self.windows[place].cell(row)
        self.groups.move_to_end(place)
        return self.groups[place][0][row].as_py()

    def _take_in(self, place: tuple[str, int, str]) -> None:
        """Keep a group, or, where it turns out to be too large, a window into it."""
        path, group, column = place
        table, parts, size = self.table(path), list[Any](), 0
        for batch in table.batches(group, column):
            parts.append(batch)
            size += 0 if isinstance(table, Stream) else batch.nbytes
            if size > CACHED:
                self.windows = {place: Window(table, group, column)}
                return
        while self.groups and size + sum(kept for _, kept in self.groups.values()) > CACHED:
            self.groups.popitem(last=False)
        arrow: Any = importlib.import_module("pyarrow")
        self.groups[place] = arrow.chunked_array(parts), size


class Window:
    """Some rows of a group too large to be kept, moving forward; a step back starts anew."""

    def __init__(self, table: Table, group: int, column: str) -> None:
        self._place = table, group, column
        self._rewind()

    def _rewind(self) -> None:
        table, group, column = self._place
        self._batches = table.batches(group, column)
        self._first = 0
        self._batch: Any = next(self._batches)

    def cell(self, row: int) -> Any:
        """The value of a row."""
        if row < self._first:
            self._rewind()
        while row >= self._first + len(self._batch):
            self._first += len(self._batch)
            self._batch = ()  # Not two of them at once.
            self._batch = next(self._batches)
        return self._batch[row - self._first].as_py()


# --- Answers ------------------------------------------------------------------------------------------


def _described(cells: Cells, path: str) -> dict[str, Any]:
    table = cells.table(path)
    said = (table.schema.metadata or {}).get(b"huggingface", b"")
    return {
        "kinds": {field.name: str(field.type)[:_LONGEST_FACT] for field in table.schema},
        "said": said.decode("utf-8", "replace"),
        "counts": table.counts,
    }


def _facts(cells: Cells, path: str, names: list[str]) -> dict[str, list[Any]]:
    """Whole columns as lists."""
    table, every, size = cells.table(path), dict[str, list[Any]](), 0
    for name in names:
        every[name] = []
        for group in range(len(table.counts)):
            for batch in table.batches(group, name):
                values = [_plain(value) for value in batch.to_pylist()]
                size += len(json.dumps(values))
                if size > MOST_FACTS:
                    raise DataError(f"what it says of images has more than {MOST_FACTS:,} bytes")
                every[name] += values
    return every


def _plain(value: Any) -> Any:
    """A fact as JSON has it; of a list of captions the first counts."""
    if isinstance(value, list):
        return [_plain(each) for each in value[:1]]
    if isinstance(value, str):
        return value[:_LONGEST_FACT]
    return value if value is None or isinstance(value, bool | int | float) else None


def _bytes_of(cells: Cells, path: str, group: int, column: str, row: int) -> bytes:
    cell = cells.cell(path, group, column, row)
    raw = cell.get("bytes") if isinstance(cell, dict) else cell
    if raw is None:
        named = cell.get("path") if isinstance(cell, dict) else None
        raise DataError(f"only the name of a file is stored: {named}" if named else "no picture is stored")
    return bytes(raw)


def answer(cells: Cells, question: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Kind and contents of an answer; nothing that a damaged table makes its reader raise gets out."""
    asked = {key: value for key, value in question.items() if key != "do"}
    try:
        if question["do"] == "cell":
            return b"c", _bytes_of(cells, **asked)
        if question["do"] == "facts":
            return b"j", json.dumps(_facts(cells, **asked)).encode()
        return b"j", json.dumps(_described(cells, **asked)).encode()
    except DataError as error:
        return b"d", str(error).encode("utf-8", "replace")
    except Exception as error:  # The library's own kinds, and whatever damage makes of its answers.
        within = "damaged inside the table" if question["do"] == "cell" else "it cannot be read"
        line = " ".join(str(error).split())[:160] or type(error).__name__
        return b"d", f"{within}: {line}".encode("utf-8", "replace")


def serve(most: int = _MOST_MEMORY) -> None:
    """Answer questions from stdin until it ends; what the library prints goes nowhere.

    Args:
        most: bytes of memory this process may have, what is mapped from files not counted.
    """
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all of a terminal; the user of this one ends it.
    out: BinaryIO = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _bound_memory(most)
    cells = Cells()
    while len(head := sys.stdin.buffer.read(QUESTION.size)) == QUESTION.size:
        question = json.loads(sys.stdin.buffer.read(*QUESTION.unpack(head)))
        kind, contents = answer(cells, question)
        out.write(ANSWER.pack(kind, len(contents)))
        out.write(contents)
        out.flush()


def _bound_memory(most: int) -> None:
    """Let an allocation beyond the limit fail, which the library says in words."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limits.
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    with suppress(Exception):  # Pools of its own reserve much and give it back late.
        arrow = importlib.import_module("pyarrow")
        arrow.set_memory_pool(arrow.system_memory_pool())


def _top(path: str) -> str:
    return path.partition(".")[0]
