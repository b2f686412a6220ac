"""Images in tables: Parquet and Arrow files as Hugging Face data sets have them.

Read are a folder of ``*.parquet``, a folder written by ``save_to_disk`` (``*.arrow``), or one such file.
The image is a struct of bytes and path, or plain bytes; labels are integers with the names that the
schema's metadata gives, captions are texts. Only the facts are read at once; images are read by row
group, so a table may be larger than the memory.

Formats: https://parquet.apache.org/docs/, https://arrow.apache.org/docs/format/Columnar.html, and
https://huggingface.co/docs/datasets/about_arrow.
"""

import importlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gansmith.data.metadata.facts import Facts, Refused
from gansmith.data.metadata.samples import numbered
from gansmith.data.metadata.splits import held_out_rows
from gansmith.data.sources.base import Reader, packed
from gansmith.data.sources.folder import files_below
from gansmith.data.sources.identity import of_files
from gansmith.data.sources.table_layout import Layout, layout_of
from gansmith.errors import DataError, MissingPackageError

TABLE_ENDINGS = (".parquet", ".arrow")
"""Endings of tables, in lower case."""

CACHED = 2**28  # Bytes of images kept decoded from tables, for each reader.
_WINDOW = 2**25  # Bytes read at once where a row group is too large to be kept.
_SCRATCH = ("cache-", "tmp")  # What the library leaves beside a data set: results of functions.


class TableReader:
    r"""Reads images by (file, row group, row); whole row groups are kept while they are few and small.

    Reading in order is fast for every table. Reading at random is slow where a row group has more bytes
    than `CACHED`: it is then passed through from its start, a few pages at a time.

    Args:
        paths: the tables.
        column: the one that holds the images.

    Example:
        >>> reader = TableReader([Path("faces.parquet")], column="image")
        >>> reader.read((0, 0, 3))[:4]  # File 0, row group 0, row 3.
        b'\x89PNG'
    """

    def __init__(self, paths: Sequence[Path], column: str) -> None:
        self.paths, self.column = tuple(paths), column
        self._lock = threading.Lock()
        self._tables: dict[int, _Table] = {}
        self._groups: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._windows: dict[tuple[int, int], _Window] = {}

    def __getstate__(self) -> tuple[tuple[Path, ...], str]:
        return self.paths, self.column

    def __setstate__(self, state: tuple[tuple[Path, ...], str]) -> None:
        TableReader.__init__(self, *state)

    def read(self, key: tuple[int, int, int]) -> bytes:
        """The bytes of an image file.

        Raises:
            DataError: the table is damaged there, or names a file instead of holding it.
        """
        file, group, row = key
        trouble = _trouble()
        with self._lock:
            try:
                cell = self._cell(file, group, row)
            except trouble as error:
                raise DataError(f"damaged inside the table: {_line(error)}") from error
        raw = cell.get("bytes") if isinstance(cell, dict) else cell
        if raw is None:
            path = cell.get("path") if isinstance(cell, dict) else None
            raise DataError(f"only the name of a file is stored: {path}" if path else "no picture is stored")
        return bytes(raw)

    def _cell(self, file: int, group: int, row: int) -> Any:
        if file not in self._tables:
            self._tables[file] = _open_table(self.paths[file])
        table = self._tables[file]
        size = table.size(group, self.column)
        if size > CACHED:
            if (file, group) not in self._windows:
                self._windows = {(file, group): _Window(table, group, self.column)}
            return self._windows[file, group].cell(row)
        if (file, group) not in self._groups:
            while self._groups and size + self._kept() > CACHED:
                self._groups.popitem(last=False)
            self._groups[file, group] = table.group(group, self.column)
        self._groups.move_to_end((file, group))
        return self._groups[file, group][row].as_py()

    def _kept(self) -> int:
        return sum(self._tables[file].size(group, self.column) for file, group in self._groups)


class TableSource:
    """The images of Parquet or Arrow files; a key is (file, row group, row).

    Files called validation or test are held out where there are others.

    Args:
        path: one file, or a folder with such files at any depth.
        label: the column that is the class; else the first of classes, or one called label.

    Raises:
        DataError: there is none, or none that can be read and holds images; none has ``label``.
        MissingPackageError: pyarrow is not installed.

    Example:
        >>> source = TableSource("faces.parquet", label="age")
        >>> len(source.names), source.facts.labels[:3].tolist()
        (12, [0, 1, 2])
    """

    def __init__(self, path: Path | str, *, label: str | None = None) -> None:
        self.name = str(path)
        refused: list[Refused] = []
        others: list[str] = []
        tables, layout = _usable(Path(path), refused, label, others)
        self.others: tuple[str, ...] = tuple(others)
        self.reader: Reader = TableReader([table.path for _, table in tables], layout.image)
        self._counts = [table.counts for _, table in tables]
        stems = [name.rpartition(".")[0] for name, _ in tables]
        rows = [sum(counts) for counts in self._counts]
        self.names: Sequence[str] = tuple(
            f"{stem}/{row:06d}" for stem, count in zip(stems, rows, strict=True) for row in range(count)
        )
        self._ends = np.cumsum([0, *(count for counts in self._counts for count in counts)])
        self._groups = [
            (file, group) for file, counts in enumerate(self._counts) for group in range(len(counts))
        ]
        self._files = [(name, table.path) for name, table in tables]
        self.facts = _facts([table for _, table in tables], layout, stems, rows, refused)
        self.refused: tuple[Refused, ...] = (*refused, *packed(self.others))

    @cached_property
    def fingerprint(self) -> str:
        """Of names, sizes and samples of the contents; where the files lie does not matter."""
        return of_files(self._files)

    def key(self, index: int) -> tuple[int, int, int]:
        """(file, row group, row in the group) of image ``index``."""
        place = int(np.searchsorted(self._ends, index, side="right")) - 1
        return (*self._groups[place], index - int(self._ends[place]))

    def read(self, index: int) -> bytes:
        """The bytes of image ``index``."""
        return self.reader.read(self.key(index))


def is_table(name: str) -> bool:
    """Whether a file is a table of images, by its ending."""
    return name.lower().endswith(TABLE_ENDINGS)


def _usable(
    path: Path, refused: list[Refused], label: str | None, others: list[str]
) -> tuple[list[tuple[str, "_Table"]], Layout]:
    """The tables that hold images, by name, and how they are laid out; a first one decides."""
    tables: list[tuple[str, _Table]] = []
    layout: Layout | None = None
    trouble = _trouble()
    for name, file in _files(path, refused, others):
        try:
            table = _open_table(file)
            layout = layout or layout_of(table.schema, label)
            if layout.image not in table.schema.names:
                raise DataError(f"it has no column {layout.image}, which holds the pictures of the others")
            tables.append((name, table))
        except DataError as error:
            refused.append(Refused(name, str(error), False))
        except trouble as error:
            refused.append(Refused(name, f"it cannot be read: {_line(error)}", False))
    if layout is not None and tables:
        return tables, layout
    reasons = "; ".join(f"{entry.name}: {entry.reason}" for entry in refused[:3])
    rule = "A Parquet or Arrow file, or a folder of them, with pictures inside was expected"
    raise DataError(f"{rule}. Received: {path} ({reasons or 'it holds none'}).")


def _files(path: Path, refused: list[Refused], others: list[str]) -> list[tuple[str, Path]]:
    if path.is_file():
        return [(path.name, path)]
    below = files_below(path)
    refused += [*below.refused, *below.passed_over]
    found = []
    for name in sorted(below.sizes):
        if not is_table(name):
            others.append(name)
        elif name.rpartition("/")[2].startswith(_SCRATCH):
            refused.append(Refused(name, "results of functions, not the data set", False))
        else:
            found.append((name, path / name))
    return found


def _facts(
    tables: Sequence["_Table"],
    layout: Layout,
    stems: Sequence[str],
    rows: Sequence[int],
    refused: list[Refused],
) -> Facts:
    wanted = [name for name in (layout.label, layout.caption, *layout.attributes) if name]
    values: dict[str, list[Any]] = {name: [] for name in wanted}
    for table, count in zip(tables, rows, strict=True):
        there = [name for name in wanted if name in table.schema.names]
        columns = table.columns(there)
        for name in wanted:
            values[name] += columns.get(name) or [None] * count
    parts: dict[str, Any] = {"held_out": held_out_rows(stems, rows)}
    try:
        labels, names = numbered(values.get(layout.label, ()), layout.label_names)
        parts |= {"labels": labels, "label_names": names}
    except ValueError as error:
        refused.append(Refused(layout.label, f"{error}; labels are not used", False))
    said = tuple(_sentence(value) for value in values.get(layout.caption, ()))
    if any(said):
        parts["captions"] = said
    flags = [values[name] for name in layout.attributes]
    if flags and not any(None in column for column in flags):
        parts |= {"attributes": np.array(flags, dtype=np.uint8).T, "attribute_names": layout.attributes}
    return Facts(**parts)


def _sentence(value: Any) -> str:
    """A caption; of several the first."""
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, str) else ""


# --- Files --------------------------------------------------------------------------------------------


class _Table:
    """A file of rows in groups: the row groups of Parquet."""

    def __init__(self, path: Path) -> None:
        # Buffered, so that a large group is not read as a whole; no threads, so that processes may fork.
        parquet = importlib.import_module("pyarrow.parquet")
        self.path = path
        self._file = parquet.ParquetFile(path, buffer_size=2**20, pre_buffer=False)
        self.schema = self._file.schema_arrow
        data = self._file.metadata
        self.counts = [data.row_group(group).num_rows for group in range(data.num_row_groups)]

    def size(self, group: int, column: str) -> int:
        """Bytes of a column in a group, unpacked."""
        chunks = self._file.metadata.row_group(group)
        parts = (chunks.column(place) for place in range(chunks.num_columns))
        return sum(part.total_uncompressed_size for part in parts if _top(part.path_in_schema) == column)

    def group(self, group: int, column: str) -> Any:
        """A column of a group."""
        return self._file.read_row_group(group, columns=[column], use_threads=False).column(0)

    def batches(self, group: int, column: str, rows: int) -> Iterator[Any]:
        """A column of a group, so many rows at a time."""
        every = self._file.iter_batches(rows, row_groups=[group], columns=[column], use_threads=False)
        return (batch.column(0) for batch in every)

    def columns(self, names: list[str]) -> dict[str, list[Any]]:
        """Whole columns as lists."""
        return dict(self._file.read(columns=names, use_threads=False).to_pydict()) if names else {}


class _Stream(_Table):
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
        return 0  # Mapped, not read.

    def group(self, group: int, column: str) -> Any:
        return self._batches[group].column(column)

    def columns(self, names: list[str]) -> dict[str, list[Any]]:
        every: dict[str, list[Any]] = {name: [] for name in names}
        for batch in self._batches:
            for name in names:
                every[name] += batch.column(name).to_pylist()
        return every


class _Window:
    """Some rows of a group too large to be kept, moving forward; a step back starts anew."""

    def __init__(self, table: _Table, group: int, column: str) -> None:
        self._table, self._group, self._column = table, group, column
        size = table.size(group, column) // max(table.counts[group], 1)
        self._rows = max(_WINDOW // max(size, 1), 1)
        self._rewind()

    def _rewind(self) -> None:
        self._batches = self._table.batches(self._group, self._column, self._rows)
        self._first, self._batch = 0, next(self._batches)

    def cell(self, row: int) -> Any:
        if row < self._first:
            self._rewind()
        while row >= self._first + len(self._batch):
            self._first += len(self._batch)
            self._batch = next(self._batches)
        return self._batch[row - self._first].as_py()


def _open_table(path: Path) -> _Table:
    return _Stream(path) if path.suffix.lower() == ".arrow" else _Table(path)


def _trouble() -> tuple[type[Exception], ...]:
    """What reading a damaged table may raise.

    Raises:
        MissingPackageError: nothing can be read without pyarrow.
    """
    try:
        arrow = importlib.import_module("pyarrow")
    except ModuleNotFoundError as error:
        raise MissingPackageError("pyarrow", "Reading Parquet and Arrow files", "datasets") from error
    return (arrow.ArrowException, OSError, ValueError, StopIteration, LookupError, MemoryError)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def _top(path: str) -> str:
    return path.partition(".")[0]
