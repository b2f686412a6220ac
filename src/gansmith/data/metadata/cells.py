"""Columns and tables in memory: what every way of writing facts about images is read into.

Columns keep every distinct text once and a number per row, so that 200,000 rows of 40 attributes take
32 MB, and whatever is asked of a column is asked of a few texts.
"""

import codecs
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gansmith.core.text import composed
from gansmith.errors import DataError

Points = NDArray[np.float32]
"""[points, 2]: x and y."""

FILE_COLUMNS = (
    *("file", "filename", "file_name", "image", "image_id", "name", "path"),
    *("file_path", "filepath", "image_path", "image_name"),
)
"""What the column with the images' names may be called, the surest first."""

STEMS = ("labels", "captions", "attributes", "landmarks", "metadata")
"""What a table can be called so that it is missed where it cannot be used."""

UNREADABLE = (DataError, OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError)
"""What reading a damaged table may raise."""

MOST_BYTES = 2**28
"""Of one table, unpacked; of a million labels it has fifty million."""

MOST_COLUMNS = 10_000
MOST_CELLS = 2**23
"""Different texts of a table, or cells of one that is JSON: a hundred bytes of memory each, or two."""

MOST_ROWS = 2**24
LONGEST_LINE = 2**22
"""In letters."""

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True, eq=False)
class Column:
    """Texts in rows; every distinct one is kept once.

    Example:
        >>> column = make_column("age", ["31", "7"], np.array([0, 1, 0], np.int32))
        >>> column.kinds, column.codes.tolist()
        (('31', '7'), [0, 1, 0])
    """

    name: str  # As written.
    kinds: tuple[str, ...]  # Without spaces around them; none is empty.
    codes: NDArray[np.int32]  # [rows], into ``kinds``; -1 where the cell is blank.


@dataclass(frozen=True, eq=False)
class Table:
    r"""Rows that say something about images.

    Example:
        >>> from gansmith.data.metadata.tables import read_table
        >>> [column.name for column in read_table("labels.csv", b"file,age\n0.png,31\n1.png,7\n").columns]
        ['file', 'age']
    """

    columns: tuple[Column, ...]
    files: tuple[Column, ...]  # Those that may hold the images' names, the likeliest first.
    lines: NDArray[np.int64]  # [rows]: where in its file each row ends, from 1; 0 where unknown.
    points: Mapping[int, Points] = field(default_factory=dict)  # By row.
    notes: tuple[str, ...] = ()
    sure: bool = True  # Whether it is about images for certain: names without an image are worth telling.


def open_text(raw: bytes) -> io.TextIOWrapper:
    """The lines of a text file.

    Raises:
        DataError: it is neither UTF-8 nor UTF-16 with a byte-order mark; the line is named.
    """
    encoding = next((encoding for mark, encoding in _MARKS.items() if raw.startswith(mark)), "utf-8")
    try:
        raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"line {line} is not {encoding.upper().removesuffix('-SIG')}; a spreadsheet may have saved it as "
            "Windows-1252: save it as 'CSV UTF-8'"
        ) from error
    if encoding != "utf-16" and b"\0" in raw:
        raise DataError("it has zero bytes, so it is no UTF-8 text; save it as UTF-8")
    return io.TextIOWrapper(io.BytesIO(raw), encoding, newline="")


class Codes(dict[str, int]):
    """Numbers texts in the order they are first asked for.

    Example:
        >>> codes = Codes()
        >>> [codes[text] for text in ("cat", "dog", "cat")]
        [0, 1, 0]
    """

    def __missing__(self, text: str) -> int:
        self[text] = code = len(self)
        return code


def check_size(what: str, count: int, most: int) -> None:
    """Raise DataError where a table has more of something than can be meant."""
    if count > most:
        raise DataError(f"more than {most:,} {what}; keep the columns and rows that are about these images")


def make_column(name: str, codes: Iterable[str], raw: NDArray[np.int32]) -> Column:
    """A column from its distinct texts as written and their numbers by row."""
    kinds = Codes()
    stripped = np.array(
        [kinds[text] if (text := composed(cell.strip())) else -1 for cell in codes], dtype=np.int32
    )
    return Column(composed(name.strip()), tuple(kinds), stripped[raw])


def make_table(columns: Sequence[Column], lines: NDArray[np.int64], notes: tuple[str, ...] = ()) -> Table:
    """A table whose columns are found by their names; of a repeated name the first counts."""
    by_name = {column.name.lower(): column for column in reversed(columns) if column.name}
    files = tuple(by_name[name] for name in FILE_COLUMNS if name in by_name)
    return Table(tuple(column for column in columns if column in by_name.values()), files, lines, notes=notes)


def without_files(stem: str) -> Table | None:
    """What a file without a column of names is: see `foreign`."""
    return foreign(stem, f"it must say which file is meant: a column {FILE_COLUMNS[0]} is missing")


def foreign(stem: str, reason: str) -> Table | None:
    """A file may be about anything; only one with a telling name is missed.

    Args:
        stem: the first word of the file's name.
        reason: why it is no table about images.

    Returns: None.

    Raises:
        ValueError: the name is one of `STEMS`.
    """
    if stem in STEMS:
        raise ValueError(reason)
    return None


def is_file_column(name: str) -> bool:
    """Whether a column's name, in any case, says that it holds the images' names."""
    return name.strip().lower() in FILE_COLUMNS
