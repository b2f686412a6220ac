"""What is known of pictures besides their pixels, and the files beside them that say it."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from gansmith.errors import DataError

_CLASSES_AT_MOST = 100_000


@dataclass(frozen=True)
class Refused:
    """A file, or a part of one, that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of n pictures, one row each; None where nothing is known."""

    labels: NDArray[np.int64] | None = None  # [n], from 0.
    label_names: tuple[str, ...] = ()  # What label 0, 1, ... is called.
    attributes: NDArray[np.uint8] | None = None  # [n, attributes], 0 or 1.
    attribute_names: tuple[str, ...] = ()
    captions: tuple[str, ...] | None = None
    landmarks: NDArray[np.float32] | None = None
    """[n, points, 2]: x, y in pixels of the upright picture; the first pixel's middle is (0.5, 0.5)."""
    held_out: NDArray[np.bool_] | None = None  # [n]: the owner's own split, where there is one.

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> "Facts":
        """The facts of some pictures, in the order asked for."""
        chosen = np.asarray(rows, dtype=np.int64)
        taken: dict[str, object] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                value = value[chosen]
            elif item.name == "captions" and value is not None:
                value = tuple(value[row] for row in chosen)
            taken[item.name] = value
        return Facts(**taken)  # type: ignore[arg-type]


_NOT_LABELS = (DataError, OSError, ValueError, TypeError, AttributeError, csv.Error, RecursionError)
_Found = tuple[Facts, list[Refused]]


def find_facts(names: Sequence[str], others: Sequence[str], read: Callable[[str], bytes]) -> _Found:
    """Facts of the pictures, and what could not be used: from a file at the root, else from class folders.

    Args:
        names: of the pictures, relative, with forward slashes.
        others: files that are not pictures; those at the root with a known name are read.
        read: name of a file -> its bytes.
    """
    for file, parse in _LABEL_FILES.items():
        if file not in others:
            continue
        try:
            given = parse(read(file).decode("utf-8-sig"))
            if given is None:
                continue
            numbers, label_names = _numbered(given)
        except _NOT_LABELS as error:
            return Facts(), [Refused(file, f"it cannot be read as labels ({error}); labels are not used")]
        return _matched(file, names, numbers, label_names)
    if "dataset.json" in others:  # Its folders are shards (00000, 00001, ...), not classes.
        return Facts(), []
    return _class_folders(names)


def _class_folders(names: Sequence[str]) -> _Found:
    tops = sorted({name.partition("/")[0] for name in names})
    if len(tops) < 2 or not all("/" in name for name in names):
        return Facts(), []
    number = {top: index for index, top in enumerate(tops)}
    labels = np.array([number[name.partition("/")[0]] for name in names], dtype=np.int64)
    return Facts(labels=labels, label_names=tuple(tops)), []


def _matched(
    file: str, names: Sequence[str], numbers: Mapping[str, int], label_names: tuple[str, ...]
) -> _Found:
    known = set(names)
    refused = [
        Refused(name, f"{file} names it, but there is no such picture")
        for name in sorted(numbers.keys() - known)
    ]
    missing = sum(name not in numbers for name in names)
    if missing:
        have = "1 picture has" if missing == 1 else f"{missing} pictures have"
        return Facts(), [*refused, Refused(file, f"{have} no label; labels are not used")]
    labels = np.array([numbers[name] for name in names], dtype=np.int64)
    return Facts(labels=labels, label_names=label_names), refused


def _numbered(given: Mapping[str, object]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Labels as numbers from 0: integers as they are, strings in sorted order."""
    labels = {_plain(name): label for name, label in given.items()}
    whole = {name: label for name, label in labels.items() if type(label) is int}
    if len(whole) == len(labels):
        if whole and not 0 <= min(whole.values()) <= max(whole.values()) < _CLASSES_AT_MOST:
            raise ValueError(f"labels count from 0 and stay below {_CLASSES_AT_MOST:,}")
        return whole, tuple(str(number) for number in range(max(whole.values(), default=-1) + 1))
    if not all(type(label) in (int, str) for label in labels.values()):
        raise ValueError("labels must be integers or strings")
    kinds = tuple(sorted({str(label) for label in labels.values()}))
    number = {kind: index for index, kind in enumerate(kinds)}
    return {name: number[str(label)] for name, label in labels.items()}, kinds


def _plain(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _from_dataset_json(text: str) -> dict[str, object] | None:
    pairs = json.loads(text).get("labels")  # StyleGAN writes null where there are none.
    return None if pairs is None else {str(name): label for name, label in pairs}


def _from_json(text: str) -> dict[str, object] | None:
    given = json.loads(text)
    if not isinstance(given, dict):
        raise ValueError('labels.json must be written {"file": label}')
    return given


def _from_csv(text: str) -> dict[str, object] | None:
    header = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count))
    columns = {str(field).strip().lower(): field for field in rows.fieldnames or ()}
    files = [columns[key] for key in ("file", "filename", "name", "image", "path") if key in columns]
    labels = [columns[key] for key in ("label", "class", "target") if key in columns]
    if not files or not labels:
        return None
    cells = {row[files[0]].strip(): (row[labels[0]] or "").strip() for row in rows if row[files[0]]}
    whole = all(re.fullmatch(r"[+-]?\d+", cell) for cell in cells.values() if cell)
    return {name: int(cell) if whole else cell for name, cell in cells.items() if cell}


_LABEL_FILES: dict[str, Callable[[str], dict[str, object] | None]] = {
    "dataset.json": _from_dataset_json,
    "labels.json": _from_json,
    "labels.csv": _from_csv,
}
