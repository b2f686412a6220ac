"""Columns on disk: NumPy files that grow while a set is prepared, and are mapped when it is read."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BufferedRandom
from pathlib import Path
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from gansmith.core.json_files import parse_json
from gansmith.errors import DataError

_PIECE = 2**20  # Bytes of a column looked at in one go.


class ArrayWriter:
    """Appends rows to ``path``, a NumPy .npy file; opened again it goes on where it was told to.

    Args:
        path: the file, made or continued.
        dtype: of the numbers.
        shape: of one row.
        rows: how many rows are kept of a file that is there already.

    Raises:
        DataError: the file holds fewer rows than are to be kept.
        OSError: the disk refuses.

    Example:
        >>> column = ArrayWriter(Path("ages.npy"), np.int64, ())
        >>> column.append(np.array([31, 7])); column.close()
        >>> np.load("ages.npy")
        array([31,  7])
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...], rows: int = 0) -> None:
        self.path, self.rows = path, rows
        self._dtype, self._shape = np.dtype(dtype), shape
        self._file = _opened(path)
        try:
            self._header()
            self._start = self._file.tell()
            _cut(path, self._file, self._start + rows * self._row_bytes, rows > 0)
        except BaseException:
            _let_go(self._file)
            raise

    def append(self, values: NDArray[Any]) -> None:
        """Rows at the end, [n, *shape]."""
        assert values.shape[1:] == self._shape, (values.shape, self._shape)
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype).data)
        self.rows += len(values)

    def flush(self) -> None:
        """Hand everything to the system."""
        self._file.flush()

    def close(self) -> None:
        """Write the number of rows into the header, and close."""
        try:
            self._file.seek(0)
            self._header()
            assert self._file.tell() == self._start  # NumPy leaves room in the header for a growing side.
        finally:
            self._file.close()

    @property
    def _row_bytes(self) -> int:
        return int(np.prod(self._shape, dtype=np.int64)) * self._dtype.itemsize

    def _header(self) -> None:
        described = {
            "descr": npy.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.rows, *self._shape),
        }
        npy.write_array_header_1_0(self._file, described)


class TextWriter:
    """Appends texts: all bytes one after the other in ``NAME.utf8``, and in ``NAME.npy`` where each ends.

    Args:
        folder: where the two files are.
        name: of the column.
        rows: how many texts are kept of files that are there already.

    Raises:
        DataError: the files hold fewer texts than are to be kept.
        OSError: the disk refuses.

    Example:
        >>> column = TextWriter(Path("."), "captions")
        >>> column.append(["a cat", "a dog"]); column.close()
        >>> list(Texts(Path("."), "captions"))
        ['a cat', 'a dog']
    """

    def __init__(self, folder: Path, name: str, rows: int = 0) -> None:
        self._ends = ArrayWriter(folder / f"{name}.npy", np.int64, (), rows)
        self.path = folder / f"{name}.utf8"
        self._end = int(mapped(self._ends.path)[rows - 1]) if rows else 0
        self._file = _opened(self.path)
        try:
            _cut(self.path, self._file, self._end, rows > 0)
        except BaseException:
            _let_go(self._file)
            self._ends.close()
            raise

    def append(self, texts: Sequence[str]) -> None:
        """Texts at the end; what is no valid Unicode (odd file names) is kept byte by byte."""
        raw = [_encoded(text) for text in texts]
        ends = self._end + np.cumsum([len(text) for text in raw], dtype=np.int64)
        self._file.write(b"".join(raw))
        self._ends.append(ends)
        self._end = int(ends[-1]) if len(ends) else self._end

    def flush(self) -> None:
        """Hand everything to the system."""
        self._file.flush()
        self._ends.flush()

    def close(self) -> None:
        """Finish both files."""
        try:
            self._file.close()
        finally:
            self._ends.close()


def _opened(path: Path) -> BufferedRandom:
    path.touch()
    return open(path, "r+b")


def _cut(path: Path, file: BufferedRandom, end: int, kept: bool) -> None:
    """Keep what lies before ``end``, and go on there."""
    if kept and path.stat().st_size < end:
        raise DataError(f"{path} is shorter than its journal says. Delete its folder and prepare again.")
    file.truncate(end)
    file.seek(end)


def _let_go(file: BufferedRandom) -> None:
    with suppress(OSError):
        file.close()


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # Half a letter, as JSON may have it: no text, and no file name either.
        return text.encode("utf-8", "replace")


class Texts(Sequence[str]):
    """The texts of a column on disk; each is read when it is asked for.

    Raises:
        DataError: a file is missing or damaged.

    Example:
        >>> Texts(Path("faces64"), "names")[0]
        '00000000'
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._ends = mapped(folder / f"{name}.npy")
        path = folder / f"{name}.utf8"
        try:
            size = path.stat().st_size
            self._raw = np.memmap(path, np.uint8, "r") if size else np.zeros(0, np.uint8)
        except OSError as error:
            raise damaged(folder, f"{name}.utf8 cannot be read ({error})") from error
        if str(self._ends.dtype) != "int64" or self._ends.ndim != 1:
            raise damaged(folder, f"{name}.npy does not say where texts end")
        if len(self._ends) and self._ends[-1] > size:
            raise damaged(path, "it is shorter than it should be")
        before = 0
        for piece in pieces(self._ends):
            if piece[0] < before or (piece[1:] < piece[:-1]).any():
                raise damaged(folder, f"{name}.npy has texts that end before they begin")
            before = piece[-1]

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self[row] for row in range(*index.indices(len(self))))
        row = range(len(self))[index]
        start = int(self._ends[row - 1]) if row else 0
        return bytes(self._raw[start : int(self._ends[row])]).decode("utf-8", "surrogateescape")


def mapped(path: Path) -> NDArray[Any]:
    """The array of a .npy file, mapped: opening costs nothing, and rows are read when they are touched.

    Raises:
        DataError: it is not there, damaged, or holds Python objects.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy's reader of damaged headers raises nearly anything.
        reason = " ".join(str(error).split())[:160]
        raise damaged(path.parent, f"{path.name} cannot be read ({reason})") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise damaged(path.parent, f"{path.name} is not one array")
    return array


def pieces(column: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The rows of a whole column, some at a time; of a mapped file nothing stays in memory."""
    each = column.nbytes // max(1, len(column))
    rows = max(1, _PIECE // max(1, each))
    if not isinstance(column, np.memmap) or not column.flags.c_contiguous:
        yield from (column[start : start + rows] for start in range(0, len(column), rows))
        return
    with open(str(column.filename), "rb") as file:
        file.seek(column.offset)
        for start in range(0, len(column), rows):
            count = min(rows, len(column) - start)
            raw = file.read(count * each)
            yield np.frombuffer(raw, column.dtype).reshape(count, *column.shape[1:])


def damaged(place: Path, why: str) -> DataError:
    """What is said of a set that is not as it was made."""
    return DataError(f"{place} is damaged: {why}. Prepare the set again.")


class Journal:
    """What a long job has done so far, one JSON line for each stretch; a torn last line does not count.

    Args:
        path: the file; its first line is the plan.

    Example:
        >>> journal = Journal(Path("done.jsonl"))
        >>> journal.start({"plan": "all"}); journal.add({"done": 64})
        >>> journal.read()
        [{'plan': 'all'}, {'done': 64}]
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[dict[str, Any]]:
        """The whole lines, or none where there is no journal."""
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        lines = []
        for line in text.split("\n")[:-1]:
            try:
                lines.append(parse_json(line))
            except ValueError:
                break
        return [line for line in lines if isinstance(line, dict)]

    def start(self, *lines: dict[str, Any]) -> None:
        """Begin a new one; the old one stays until the new one is whole."""
        part = self._path.with_name(f".{self._path.name}.part")
        with open(part, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self._path)

    def add(self, line: dict[str, Any]) -> None:
        """One more stretch is done."""
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
