"""JSON files, and small files beside each image, read as tables with a row for each image they name."""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from gansmith.core import json_files
from gansmith.core.text import folded
from gansmith.data.metadata.cells import (
    MOST_BYTES,
    MOST_CELLS,
    STEMS,
    UNREADABLE,
    Codes,
    Column,
    Points,
    Table,
    check_size,
    foreign,
    is_file_column,
    make_column,
    make_table,
    open_text,
    without_files,
)
from gansmith.errors import DataError

_LONGEST_CELL = 2**12  # In letters; what is behind that is cut off, as captions are much earlier.
_LARGEST_SIDECAR = 2**20  # In bytes.
SIDECAR_ENDINGS = (".txt", ".cls", ".json")
_POINTS = ("landmarks", "keypoints", "points", "face_landmarks")


class _Records:
    """Gathers rows whose cells are found one by one, by name."""

    def __init__(self) -> None:
        self._rows, self._count, self._nested = 0, 0, set[str]()
        self._lines = array("q")
        self._cells: dict[str, dict[int, str]] = {}
        self._points: dict[int, Points] = {}

    def add(self, values: Mapping[str, object], line: int = 0) -> None:
        """One row."""
        self._count += len(values)
        check_size("cells", self._count, MOST_CELLS)
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
        """What was gathered; ``file`` is the column with the images' names, where that is certain."""
        made = make_table(
            [self._as_column(name) for name in self._cells], np.array(self._lines, dtype=np.int64)
        )
        files = tuple(column for column in made.files if file in (None, column.name))
        notes = (f"lists and objects are not used: {_few(sorted(self._nested))}",) if self._nested else ()
        return replace(made, files=files, points=self._points, notes=notes, sure=sure)

    def _as_column(self, name: str) -> Column:
        codes, cells = Codes(), self._cells[name]
        raw = np.full(self._rows, codes[""], dtype=np.int32)
        raw[list(cells)] = [codes[text] for text in cells.values()]
        return make_column(name, codes, raw)


def _few(names: Sequence[str], max_count: int = 8) -> str:
    return ", ".join(names[:max_count]) + (
        f" and {len(names) - max_count} more" if len(names) > max_count else ""
    )


def _as_text(value: object) -> str | None:
    """What a csv would say for a JSON value; None for lists and objects."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return str(value[0])[:_LONGEST_CELL]  # Several captions of one image, as in COCO.
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    return str(value)[:_LONGEST_CELL] if isinstance(value, str | int | float) else None


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


def parse_json(text: str) -> object:
    """The value of a JSON text; an object that gives one name twice is a ValueError."""
    return json_files.parse_json(text, MOST_BYTES, _object)


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


def read_json_lines(stem: str, raw: bytes) -> Table | None:
    """A JSON object in each line that is not blank."""
    records = _Records()
    for number, line in enumerate(open_text(raw), 1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            raise DataError(f"line {number}: {error}") from error
        if not isinstance(value, dict):
            raise DataError(f'line {number} is not written {{"file_name": ..., ...}}')
        if records.empty and not any(map(is_file_column, value)):
            return without_files(stem)
        records.add(value, number)
    return without_files(stem) if records.empty else records.table()


def read_stylegan(value: object) -> Table | None:
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
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError("labels must be integers or strings")


def read_ffhq(value: object) -> Table:
    """``ffhq-dataset-v2.json`` (Karras et al. 2019): 68 landmarks of each image, aligned and as found."""
    if not isinstance(value, dict):
        raise ValueError("it is not written as FFHQ's is")
    records = _Records()
    for entry in value.values():
        for kind in ("image", "thumbnail", "in_the_wild"):
            part = entry.get(kind, {})
            points = {"landmarks": part["face_landmarks"]} if "face_landmarks" in part else {}
            records.add({"file": part.get("file_path"), "split": entry.get("category"), **points})
    return records.table(sure=False)


def read_json_object(stem: str, value: object) -> Table | None:
    """``{"file": facts}``, where facts are an object, points, or what the name of the JSON file says."""
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return _json_rows(stem, value)
    records = _Records()
    for file, facts in value.items() if isinstance(value, dict) else ():
        if (made := _facts(stem, facts)) is None:
            return foreign(stem, f"{str(facts)[:40]!r} is said of {file}, which is not understood")
        records.add({**made, "file": file})
    if records.empty:
        return foreign(stem, 'it must be written {"file": ...}')
    return records.table("file", sure=stem in STEMS)


def _json_rows(stem: str, rows: Sequence[Mapping[str, object]]) -> Table | None:
    """A list of objects, each of which names its file."""
    if not any(map(is_file_column, rows[0])):
        return without_files(stem)
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
    """Files beside the images with their names and another ending: a caption, a class or JSON each.

    Args:
        names: of the images.
        others: files that are not images.
        ending: one of `SIDECAR_ENDINGS`.
        read: name of a file -> its bytes.

    Returns: None where no image has one; a table without rows where fewer than half have.
    """
    there = {other[: -len(ending)]: other for other in others if other.lower().endswith(ending)}
    alike = Counter(map(folded, there))
    loose = {folded(stem): other for stem, other in there.items() if alike[folded(stem)] == 1}
    stems = [name.rpartition(".")[0] for name in names]
    rivals = Counter(map(folded, stems))
    found = [
        there.get(stem) or (loose.get(folded(stem)) if rivals[folded(stem)] == 1 else None) for stem in stems
    ]
    pairs = [(name, file) for name, file in zip(names, found, strict=True) if file is not None]
    if not pairs:
        return None
    if 2 * len(pairs) < len(names):
        note = f"{len(pairs):,} of {len(names):,} pictures have one; they are used where half of them have"
        return Table((), (), np.zeros(0, dtype=np.int64), notes=(note,))
    records, bad = _Records(), list[str]()
    for name, file in pairs:
        try:
            raw = read(file)
            check_size("bytes", len(raw), _LARGEST_SIDECAR)
            records.add({**_SIDECARS[ending](open_text(raw).read()), "file": name})
        except UNREADABLE as error:
            bad.append(f"{file} cannot be read ({error})")
    notes = (bad[0] + (f"; nor can {len(bad) - 1:,} more" if len(bad) > 1 else ""),) if bad else ()
    made = records.table("file")
    return replace(made, notes=(*notes, *made.notes))


def _sidecar_object(text: str) -> dict[str, object]:
    value = parse_json(text)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


_SIDECARS: dict[str, Callable[[str], dict[str, object]]] = {
    ".txt": lambda text: {"caption": text},
    ".cls": lambda text: {"label": text},
    ".json": _sidecar_object,
}
