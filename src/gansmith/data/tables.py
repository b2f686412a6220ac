"""Tables that users write beside their pictures: csv, tsv, jsonl, json and CelebA's text files as columns.

Columns keep every distinct text once and a number per row, so that 200,000 rows of 40 attributes take
32 MB, and whatever is asked of a column is asked of a few texts.
"""

import codecs
import csv
import io
import json
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import islice, zip_longest
from pathlib import PurePosixPath
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gansmith.data.reading import suffixes
from gansmith.errors import DataError

Points = NDArray[np.float32]
"""[points, 2]: x and y."""

FILE_COLUMNS = (
    *("file", "filename", "file_name", "image", "image_id", "name", "path"),
    *("file_path", "filepath", "image_path", "image_name"),
)
"""What the column with the pictures' names may be called, the surest first."""

STEMS = ("labels", "captions", "attributes", "landmarks", "metadata")
"""What a table can be called so that it is missed where it cannot be used."""

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".json")
CELEBA = (
    *("list_attr_celeba.txt", "list_landmarks_align_celeba.txt", "list_eval_partition.txt"),
    "identity_celeba.txt",
)
"""CelebA's own tables, in lower case."""

SIDECAR_ENDINGS = (".txt", ".cls", ".json")
UNREADABLE = (DataError, OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError)
"""What reading a damaged table may raise."""

_CHUNK = 256  # Rows held as Python strings at a time; few enough for a processor's cache.
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_POINTS = ("landmarks", "keypoints", "points", "face_landmarks")


@dataclass(frozen=True, eq=False)
class Column:
    """Texts in rows; every distinct one is kept once."""

    name: str  # As written.
    kinds: tuple[str, ...]  # Without spaces around them; none is empty.
    codes: NDArray[np.int32]  # [rows], into ``kinds``; -1 where the cell is blank.


@dataclass(frozen=True, eq=False)
class Table:
    """Rows that say something about pictures."""

    columns: tuple[Column, ...]
    files: tuple[Column, ...]  # Those that may hold the pictures' names, the likeliest first.
    lines: NDArray[np.int64]  # [rows]: where in its file each row ends, from 1; 0 where unknown.
    points: Mapping[int, Points] = field(default_factory=dict)  # By row.
    notes: tuple[str, ...] = ()
    sure: bool = True  # Whether it is about pictures for certain: names without a picture are worth telling.


def read_table(file: str, raw: bytes) -> Table | None:
    """The table in a file, or None where the file is something else.

    Args:
        file: its name; the ending says how it is written, and some names say what it holds.
        raw: its bytes: UTF-8, or UTF-16 with a byte-order mark.

    Raises:
        DataError: it is damaged, or not written as text; the reason names the line.
        ValueError: it is not written as its name promises.
    """
    path = PurePosixPath(file.lower())
    if path.name in CELEBA:
        return _celeba(path.name, raw)
    if path.suffix in (".csv", ".tsv"):
        return _delimited(_stem(file), raw)
    if path.suffix in (".jsonl", ".ndjson"):
        return _json_lines(_stem(file), raw)
    value = _parsed(open_text(raw).read())
    if path.name == "dataset.json":
        return _stylegan(value)
    if path.name.startswith("ffhq-dataset"):
        return _ffhq(value)
    return _json_object(_stem(file), value)


def known_stem(file: str) -> bool:
    """Whether a file's name says that it is meant as a table about pictures."""
    return _stem(file) in STEMS


def _stem(file: str) -> str:
    """The first word of a file's name: ``landmarks`` for ``landmarks_189.json``."""
    return re.split(r"[^a-z]", PurePosixPath(file).name.lower(), maxsplit=1)[0]


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


@runtime_checkable
class _Reader(Protocol):  # What csv.reader returns; its class has no public name in Python 3.11.
    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


class _Codes(dict[str, int]):
    """Numbers texts in the order they are first asked for."""

    def __missing__(self, text: str) -> int:
        self[text] = code = len(self)
        return code


def _column(name: str, codes: Iterable[str], raw: NDArray[np.int32]) -> Column:
    """A column from its distinct texts as written and their numbers by row."""
    kinds = _Codes()
    stripped = np.array([kinds[text] if (text := cell.strip()) else -1 for cell in codes], dtype=np.int32)
    return Column(name.strip(), tuple(kinds), stripped[raw])


def _delimited(stem: str, raw: bytes) -> Table | None:
    lines, skipped = open_text(raw), 0
    for head in lines:
        skipped += 1
        if head.strip(" ,;\t\r\n"):
            break
    else:
        return _without_files(stem)
    delimiter = max(",;\t", key=head.count)
    header = next(csv.reader([head], delimiter=delimiter, skipinitialspace=True))
    if not any(_is_file_column(name) for name in header):
        return _without_files(stem)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    return _gathered(header, reader, skipped)


def _without_files(stem: str) -> Table | None:
    return _foreign(stem, f"it must say which file is meant: a column {FILE_COLUMNS[0]} is missing")


def _foreign(stem: str, reason: str) -> Table | None:
    """A file may be about anything; only one with a telling name is missed."""
    if stem in STEMS:
        raise ValueError(reason)
    return None


def _is_file_column(name: str) -> bool:
    return name.strip().lower() in FILE_COLUMNS


def _celeba(file: str, raw: bytes) -> Table:
    """CelebA's layout: a count, the columns' names, rows of words; or rows alone."""
    lines, skipped = open_text(raw), 0
    header = {"list_eval_partition.txt": ["file", "partition"], "identity_celeba.txt": ["file", "identity"]}
    if file in header:
        names = header[file]
    else:
        if not next(lines, "").strip().isdigit():
            raise ValueError("its first line must be the number of pictures")
        names, skipped = ["file", *next(lines, "").split()], 2
    reader = csv.reader(lines, delimiter=" ", skipinitialspace=True, quoting=csv.QUOTE_NONE)
    return _gathered(names, reader, skipped)


def _gathered(header: Sequence[str], reader: _Reader, skipped: int) -> Table:
    """All rows of a reader; rows with more cells than the header are left out and noted."""
    width = len(header)
    codes, parts = [_Codes() for _ in header], [[np.zeros(0, dtype=np.int32)] for _ in header]
    lines, wide = array("q"), array("q")

    def rows() -> Iterator[list[str]]:
        for row in reader:
            if len(row) > width and any(cell.strip() for cell in row[width:]):
                wide.append(reader.line_num + skipped)
            elif any(row):
                lines.append(reader.line_num + skipped)
                yield row[:width]

    try:
        source = rows()
        while chunk := list(islice(source, _CHUNK)):
            across = list(zip_longest(*chunk, fillvalue=""))
            across += [("",) * len(chunk)] * (width - len(across))
            for place, cells in enumerate(across):
                numbers = map(codes[place].__getitem__, cells)
                parts[place].append(np.fromiter(numbers, np.int32, len(chunk)))
    except csv.Error as error:
        raise DataError(f"line {reader.line_num + skipped}: {error}") from error
    columns = [_column(*each) for each in zip(header, codes, map(np.concatenate, parts), strict=True)]
    return _table(columns, np.array(lines, dtype=np.int64), notes=_too_wide(wide))


def _too_wide(lines: Sequence[int]) -> tuple[str, ...]:
    if not lines:
        return ()
    which = f"line {lines[0]} has" if len(lines) == 1 else f"line {lines[0]} and {len(lines) - 1:,} more have"
    return (f"{which} more cells than the first line names; put text with commas in double quotes",)


def _table(columns: Sequence[Column], lines: NDArray[np.int64], notes: tuple[str, ...] = ()) -> Table:
    """A table whose file columns are told by their names; a name that comes again is left out."""
    by_name = {column.name.lower(): column for column in reversed(columns) if column.name}
    files = tuple(by_name[name] for name in FILE_COLUMNS if name in by_name)
    return Table(tuple(column for column in columns if column in by_name.values()), files, lines, notes=notes)


class _Records:
    """Gathers rows whose cells are found one by one, by name."""

    def __init__(self) -> None:
        self._rows, self._nested = 0, set[str]()
        self._lines = array("q")
        self._cells: dict[str, dict[int, str]] = {}
        self._points: dict[int, Points] = {}

    def add(self, values: Mapping[str, object], line: int = 0) -> None:
        """One row."""
        self._spread(values)
        self._lines.append(line)
        self._rows += 1

    def _spread(self, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            points = as_points(value) if name.lower() in _POINTS else None
            if points is not None:
                self._points[self._rows] = points
            elif isinstance(value, dict) and name.lower() == "attributes":
                self._spread(value)
            elif isinstance(value, dict) and name.lower() in _POINTS:
                self._spread(_named_points(value))
            elif (text := _as_text(value)) is not None:
                self._cells.setdefault(name, {})[self._rows] = text
            else:
                self._nested.add(name)

    @property
    def empty(self) -> bool:
        """Whether there is no row yet."""
        return self._rows == 0

    def table(self, file: str | None = None, sure: bool = True) -> Table:
        """What was gathered; ``file`` is the column with the pictures' names, where that is certain."""
        made = _table([self._as_column(name) for name in self._cells], np.array(self._lines, dtype=np.int64))
        files = tuple(column for column in made.files if file in (None, column.name))
        notes = (f"lists and objects are not used: {_few(sorted(self._nested))}",) if self._nested else ()
        return replace(made, files=files, points=self._points, notes=notes, sure=sure)

    def _as_column(self, name: str) -> Column:
        codes, cells = _Codes(), self._cells[name]
        raw = np.full(self._rows, codes[""], dtype=np.int32)
        raw[list(cells)] = [codes[text] for text in cells.values()]
        return _column(name, codes, raw)


def _few(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _as_text(value: object) -> str | None:
    """What a csv would say for a JSON value; None for lists and objects."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return str(value[0])  # Several captions of one picture, as in COCO.
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    return str(value) if isinstance(value, str | int | float) else None


def as_points(value: object) -> Points | None:
    """``[[x, y], ...]`` as an array, NaN where a number is missing; None for anything else."""
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, list) or not value:
        return None
    if not all(isinstance(point, list) and len(point) == 2 for point in value):
        return None
    try:
        with np.errstate(over="ignore"):
            points = np.array(value, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        return None
    return np.where(np.isfinite(points), points, np.float32("nan"))


def _named_points(points: Mapping[str, object]) -> dict[str, object]:
    """``{"nose": [x, y]}`` as the columns a csv would have: ``nose_x`` and ``nose_y``."""
    pairs = {name: value for name, value in points.items() if isinstance(value, list) and len(value) == 2}
    return {f"{name}_{axis}": pairs[name][place] for name in pairs for place, axis in enumerate("xy")}


def _parsed(text: str) -> object:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object; landmarks become arrays at once, being nearly all of FFHQ's 255 MB."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice!r} is given twice")
    for name in _POINTS:
        if name in made and (points := as_points(made[name])) is not None:
            made[name] = points
    return made


def _json_lines(stem: str, raw: bytes) -> Table | None:
    records = _Records()
    for number, line in enumerate(open_text(raw), 1):
        if not line.strip():
            continue
        try:
            value = _parsed(line)
        except ValueError as error:
            raise DataError(f"line {number}: {error}") from error
        if not isinstance(value, dict):
            raise DataError(f'line {number} is not written {{"file_name": ..., ...}}')
        if records.empty and not any(map(_is_file_column, value)):
            return _without_files(stem)
        records.add(value, number)
    return _without_files(stem) if records.empty else records.table()


def _stylegan(value: object) -> Table | None:
    """``dataset.json`` of StyleGAN: a list of [file, label], or null where there are no labels."""
    if not isinstance(value, dict):
        raise ValueError('it must be written {"labels": [[file, label], ...]}')
    if (pairs := value.get("labels")) is None:
        return None
    records = _Records()
    for file, label in pairs:
        records.add({"file": file, "label": _label(label)})
    return records.table()


def _label(value: object) -> int | str:
    if type(value) is int or isinstance(value, str):
        return value
    raise ValueError("labels must be integers or strings")


def _ffhq(value: object) -> Table:
    """``ffhq-dataset-v2.json`` (Karras et al. 2019): 68 landmarks of each picture, aligned and as found."""
    if not isinstance(value, dict):
        raise ValueError("it is not written as FFHQ's is")
    records = _Records()
    for entry in value.values():
        for kind in ("image", "thumbnail", "in_the_wild"):
            part = entry.get(kind, {})
            points = {"landmarks": part["face_landmarks"]} if "face_landmarks" in part else {}
            records.add({"file": part.get("file_path"), "split": entry.get("category"), **points})
    return records.table(sure=False)


def _json_object(stem: str, value: object) -> Table | None:
    """``{"file": facts}``, where facts are an object, points, or what the name of the JSON file says."""
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return _json_rows(stem, value)
    records = _Records()
    for file, facts in value.items() if isinstance(value, dict) else ():
        if (made := _facts(stem, facts)) is None:
            return _foreign(stem, f"{str(facts)[:40]!r} is said of {file}, which is not understood")
        records.add({**made, "file": file})
    if records.empty:
        return _foreign(stem, 'it must be written {"file": ...}')
    return records.table("file", sure=stem in STEMS)


def _json_rows(stem: str, rows: Sequence[Mapping[str, object]]) -> Table | None:
    """A list of objects, each of which names its file."""
    if not any(map(_is_file_column, rows[0])):
        return _without_files(stem)
    records = _Records()
    for row in rows:
        records.add(row)
    return records.table()


def _facts(stem: str, facts: object) -> dict[str, object] | None:
    if isinstance(facts, dict):
        return facts
    if as_points(facts) is not None:
        return {"landmarks": facts}
    if stem == "labels":
        return {"label": _label(facts)}
    if stem == "captions" and _as_text(facts) is not None:
        return {"caption": facts}
    return {"split": facts} if stem == "splits" else None


def read_sidecars(
    names: Sequence[str], others: Sequence[str], ending: str, read: Callable[[str], bytes]
) -> Table | None:
    """Files beside the pictures with their names and another ending: a caption, a class or JSON each.

    Args:
        names: of the pictures.
        others: files that are not pictures.
        ending: one of `SIDECAR_ENDINGS`.
        read: name of a file -> its bytes.

    Returns: None where no picture has one; a table without rows where fewer than half have.
    """
    there = {other[: -len(ending)]: other for other in others if other.lower().endswith(ending)}
    pairs = [(name, there[stem]) for name in names if (stem := name.rpartition(".")[0]) in there]
    if not pairs:
        return None
    if 2 * len(pairs) < len(names):
        note = f"{len(pairs):,} of {len(names):,} pictures have one; they are used where half of them have"
        return Table((), (), np.zeros(0, dtype=np.int64), notes=(note,))
    records, bad = _Records(), list[str]()
    for name, file in pairs:
        try:
            records.add({**_SIDECARS[ending](open_text(read(file)).read()), "file": name})
        except UNREADABLE as error:
            bad.append(f"{file} cannot be read ({error})")
    notes = (bad[0] + (f"; nor can {len(bad) - 1:,} more" if len(bad) > 1 else ""),) if bad else ()
    made = records.table("file")
    return replace(made, notes=(*notes, *made.notes))


def _sidecar_object(text: str) -> dict[str, object]:
    value = _parsed(text)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


_SIDECARS: dict[str, Callable[[str], dict[str, object]]] = {
    ".txt": lambda text: {"caption": text},
    ".cls": lambda text: {"label": text},
    ".json": _sidecar_object,
}


class Pictures:
    """Finds pictures by what tables call them.

    A name is a picture's where it is equal, but for back-slashes and a leading ``./``. Else it may lack the
    ending or have another picture ending, have fewer or more folders in front, or other upper and lower
    case, as long as no other picture fits as well, and no other name fits that picture as well.

    Args:
        names: of the pictures, relative, with forward slashes.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._exact = {name: index for index, name in enumerate(names)}
        self._last: tuple[Sequence[str], NDArray[np.int64]] = ((), np.zeros(0, dtype=np.int64))

    def find(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The number of the picture each text means, [texts]; -1 where there is none, -2 for several."""
        if self._last[0] == texts:  # CelebA's tables name the same pictures four times.
            return self._last[1]
        plain = [plain_name(text) for text in texts]
        found = np.array([self._exact.get(name, -1) for name in plain], dtype=np.int64)
        taken = set(found.tolist())
        claims: dict[int, list[tuple[int, str, int]]] = {}  # By picture: (how far, the name, its place).
        for place in np.flatnonzero(found < 0).tolist():
            how_far, index = self._nearest(plain[place])
            found[place] = min(index, -1)
            if index >= 0 and index not in taken:
                claims.setdefault(index, []).append((how_far, plain[place], place))
        for index, claimed in claims.items():
            nearest = min(how_far for how_far, _, _ in claimed)
            rivals = {name for how_far, name, _ in claimed if how_far == nearest}
            for _, name, place in claimed:
                if name in rivals:
                    found[place] = index if len(rivals) == 1 else -2
        self._last = (texts, found)
        return found

    def _nearest(self, name: str) -> tuple[int, int]:
        """How unlike ``name`` the likest picture's name is, and its number; -1 for none, -2 for several."""
        stem = _without_ending(name)
        parts = stem.casefold().split("/")
        near = self._wholes.get("/".join(parts))
        if near is None:  # Folders in front of it were left out, or there are more than here.
            near = next((self._wholes[key] for key in _tails(parts) if key in self._wholes), [])
            near = near + [index for index in self._bases.get(parts[-1], ()) if self._ends_with(index, parts)]
        ranked = sorted({(self._distance(name, stem, index), index) for index in near})
        if not ranked:
            return 0, -1
        return (0, -2) if len(ranked) > 1 and ranked[0][0] == ranked[1][0] else ranked[0]

    def _ends_with(self, index: int, parts: Sequence[str]) -> bool:
        return _without_ending(self.names[index]).casefold().split("/")[-len(parts) :] == parts

    def _distance(self, name: str, stem: str, index: int) -> int:
        """Another case weighs more than other folders, and those more than another ending."""
        picture = self.names[index]
        other = _without_ending(picture)
        short, long = sorted((stem, other), key=len)
        ending = name.removeprefix(stem) != picture.removeprefix(other)
        return 4 * (not long.endswith(short)) + 2 * (len(stem) != len(other)) + ending

    @cached_property
    def _wholes(self) -> dict[str, list[int]]:
        return self._index(lambda stem: stem)

    @cached_property
    def _bases(self) -> dict[str, list[int]]:
        return self._index(lambda stem: stem.rpartition("/")[2])

    def _index(self, key: Callable[[str], str]) -> dict[str, list[int]]:
        made: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            made.setdefault(key(_without_ending(name).casefold()), []).append(index)
        return made


def plain_name(text: str) -> str:
    """A file name with forward slashes and nothing needless in front."""
    name = text.replace("\\", "/")
    while name.startswith(("./", "/")):
        name = name.removeprefix(".").lstrip("/")
    return name


def _tails(parts: Sequence[str]) -> Iterator[str]:
    """For the parts of ``a/b/c``: ``b/c``, ``c``."""
    return ("/".join(parts[start:]) for start in range(1, len(parts)))


def _without_ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return stem if stem and f"{dot}{ending}".lower() in _endings() else name


@cache
def _endings() -> frozenset[str]:
    return suffixes()
