"""Data sets that the app shows: which there are, their pictures page by page, what was measured of them."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gansmith.app.shelf import NoSuchModelError, Shelf
from gansmith.core.image_size import Form, Size
from gansmith.core.json_files import MOST_LISTED, read_json
from gansmith.core.text import clipped
from gansmith.data.builtin.names import is_builtin
from gansmith.data.builtin.sets import is_here
from gansmith.data.decode.resize import fit
from gansmith.data.inspect.inspect import inspect
from gansmith.data.inspect.report import Report
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.prepare.schema import PICTURE_COLUMNS
from gansmith.data.sources.base import Source, nothing_found
from gansmith.data.sources.huggingface import hub_name
from gansmith.data.sources.named import named_source
from gansmith.data.sources.pairs import photos
from gansmith.errors import DataError, GansmithError, nearest

_SIDE = 96  # In pixels: of a picture on the sheet; smaller ones keep their size.
_LARGE = 768  # Of one that is looked at alone.
_KEPT = 2000  # Pictures of the sheet that stay decoded.
_OPEN = 2  # Sets that stay open.
_MEASURED = 1000  # Pictures that are measured of a set that was not prepared.

Rows = NDArray[np.int64]
Pixels = NDArray[np.uint8]
"""[channels, height, width]."""
Show = Literal["all", "copies", "alike", "blurred"]


class Offered(NamedTuple):
    """A set that can be looked at: what requests call it, what opens it, and who was trained on it.

    Example:
        >>> Offered("faces64", "/data/faces64", ("first", "second")).id
        'faces64'
    """

    id: str
    place: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Chosen:
    """Rows of a set, and for each the group of copies or look-alikes it belongs to (None: all of no group).

    Example:
        >>> Chosen(np.array([4, 9]), np.array([0, 0]))
    """

    rows: Rows
    groups: Rows | None = None


class Sets:
    """The sets there are; opened when they are first looked at.

    Args:
        shelf: whose runs' sets are offered.
        data: the one set that is offered; None for those of the runs.

    Raises:
        DataError: there is nothing called ``data``.

    Example:
        >>> Sets(Shelf(Path("runs")), None).offered()[0].id
        'demo-faces'
    """

    def __init__(self, shelf: Shelf, data: Path | None) -> None:
        if data is not None and not _is_there(str(data)) and hub_name(str(data)) is None:
            named_source(str(data))  # Says what is wrong, and what has a similar name.
        self._shelf, self._data = shelf, data
        self._open: OrderedDict[str, OpenSet] = OrderedDict()
        self._known: dict[str, Offered] = {}
        self._lock = threading.Lock()

    def offered(self) -> list[Offered]:
        """All, by id. Sets of runs that are not there any more, or would be downloaded, are left out."""
        if self._data is not None:
            return [Offered(_last(str(self._data)), str(self._data), ())]
        trained: dict[str, list[str]] = {}
        for one in self._shelf.listed():
            trained.setdefault(_trained_on(one.path), []).append(one.id)
        found: dict[str, Offered] = {}
        for place, runs in sorted(trained.items()):
            if place and _is_there(place):
                name, number = _last(place), 2
                while name in found:
                    name, number = f"{_last(place)} ({number})", number + 1
                found[name] = Offered(name, place, tuple(runs))
        return sorted(found.values())

    def get(self, name: str) -> "OpenSet":
        """The set of an id, opened.

        Raises:
            NoSuchModelError: none is offered under it.
            DataError: it cannot be opened, or has no image.
        """
        known = self._known if name in self._known else {one.id: one for one in self.offered()}
        self._known = known
        if name not in known:
            shown = clipped(name, 300)
            raise NoSuchModelError(f"There is no data set {shown!r} here.{nearest(shown, known)}")
        place = known[name].place
        with self._lock:
            held = self._open.pop(place, None) or OpenSet(place)
            self._open[place] = held
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)
        return held


class OpenSet:
    """A set of images that is looked at.

    Args:
        place: a built-in name, or a path.

    Raises:
        DataError: there is nothing, or no image in it.

    Example:
        >>> OpenSet("demo-faces:12").thumbnail(0).shape
        (3, 64, 64)
    """

    def __init__(self, place: str) -> None:
        self._place = place
        try:
            self.source: Source = named_source(place)
            if not len(self.source.names):
                raise nothing_found(self.source)
        except GansmithError as error:
            raise type(error)(self.plain(error)) from error
        self.facts = self.source.facts
        self.problem: str | None = None  # Why it could not be measured.
        self.report: Report | None = None  # None until it is measured.
        self._thread: threading.Thread | None = None
        self._by_name: dict[str, int] = {}
        self._lock = threading.Lock()
        self._small: OrderedDict[int, Pixels | str] = OrderedDict()

    def __len__(self) -> int:
        return len(self.source.names)

    def plain(self, error: object) -> str:
        """A message without where the set lies."""
        return str(error).replace(self._place, _last(self._place))

    def measure(self) -> bool:
        """Begin to measure, once; whether that is done."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._measure, name="inspect", daemon=True)
                self._thread.start()
        return self.report is not None or self.problem is not None

    def _measure(self) -> None:
        try:
            self.report = inspect(self.source, max_pictures=_MEASURED, workers=1).report
        except (GansmithError, OSError, MemoryError) as error:
            self.problem = self.plain(error)

    def choose(
        self, show: Show = "all", label: str | None = None, have: Sequence[str] = (), lack: Sequence[str] = ()
    ) -> Chosen:
        """The rows that are asked for.

        Args:
            show: all, equal files, look-alikes, or blurred ones; the last three need what was measured.
            label: of this class alone.
            have: attributes they have.
            lack: attributes they have not.

        Raises:
            DataError: there is no such class or attribute, or it is not measured yet.
        """
        kept = np.ones(len(self), dtype=bool)
        if label is not None:
            kept &= self._labels() == _number(label, self.facts.label_names, "label")
        for names, value in ((have, 1), (lack, 0)):
            for name in names:
                number = _number(name, self.facts.attribute_names, "attribute")
                assert self.facts.attributes is not None  # It has names.
                kept &= (self.facts.attributes[:, number] != 0) == bool(value)
        if show == "all":
            return Chosen(np.flatnonzero(kept).astype(np.int64))
        return self._found(show, kept)

    def _found(self, show: Show, kept: NDArray[np.bool_]) -> Chosen:
        report = self.report
        if report is None:
            raise DataError(self.problem or "The pictures are still being measured. Try again in a moment.")
        if show == "blurred":
            places = self._rows(report.softest)
            return Chosen(np.array([row for row in places if kept[row]], dtype=np.int64))
        groups = report.exact if show == "copies" else report.near
        pairs = [(row, number) for number, names in enumerate(groups) for row in self._rows(names)]
        pairs = [(row, number) for row, number in pairs if kept[row]]
        table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return Chosen(table[:, 0], table[:, 1])

    def _rows(self, names: Sequence[str]) -> list[int]:
        with self._lock:
            if not self._by_name:
                self._by_name = {name: row for row, name in enumerate(self.source.names)}
        return [self._by_name[name] for name in names if name in self._by_name]

    def _labels(self) -> Rows:
        return np.full(len(self), -1, dtype=np.int64) if self.facts.labels is None else self.facts.labels

    def label(self, row: int) -> str | None:
        """The class of an image, by name."""
        number = int(self._labels()[row])
        if number < 0:
            return None
        return self.facts.label_names[number] if number < len(self.facts.label_names) else str(number)

    def label_counts(self) -> list[tuple[str, int]]:
        """How many images each class has."""
        labels, names = self._labels(), self.facts.label_names
        counts = np.bincount(labels[labels >= 0], minlength=len(names))
        return [
            (names[place] if place < len(names) else str(place), int(count))
            for place, count in enumerate(counts)
        ]

    def attribute_counts(self) -> list[tuple[str, int]]:
        """How many images have each attribute."""
        table, names = self.facts.attributes, self.facts.attribute_names
        if table is None or not names:
            return []
        return [(name, int(count)) for name, count in zip(names, (table != 0).sum(axis=0), strict=True)]

    def thumbnail(self, row: int) -> Pixels | str:
        """An image small enough for a sheet, or why there is none."""
        with self._lock:
            if row in self._small:
                self._small.move_to_end(row)
                return self._small[row]
        try:
            made: Pixels | str = self.picture(row, _SIDE)[0]
        except DataError as error:
            made = self.plain(error)
        with self._lock:
            self._small[row] = made
            while len(self._small) > _KEPT:
                self._small.popitem(last=False)
        return made

    def picture(self, row: int, side: int = _LARGE) -> tuple[Pixels, int, int]:
        """An image of at most ``side`` pixels a side, with the width and height that it has itself.

        Raises:
            DataError: it cannot be read.
        """
        if isinstance(self.source, PreparedFolder):
            arrays = self.source.arrays
            parts = [np.asarray(arrays[name][row]) for name in PICTURE_COLUMNS if name in arrays]
            whole = np.concatenate(parts, axis=1).transpose(2, 0, 1)  # Pairs side by side.
            step = max(1, -(-max(whole.shape[1:]) // side))
            return whole[:, ::step, ::step], whole.shape[2], whole.shape[1]
        form = Form(size=Size(side, side), channels=3, fit="pad")
        try:
            photo = photos(self.source.reader, self.source.key(row), form)[1][0]
        except OSError as error:
            raise DataError(f"it cannot be read: {error.strerror or 'the file is gone'}") from error
        longest = min(side, max(photo.width, photo.height))
        made = fit(photo, Form(size=Size(longest, longest), channels=3, fit="pad"))
        left, top, right, bottom = made.placement.at
        return made.pixels[:, top:bottom, left:right], photo.width, photo.height


def _number(name: str, names: Sequence[str], what: str) -> int:
    if name in names:
        return names.index(name)
    shown = clipped(name)
    raise DataError(f"The images have no {what} {shown!r}.{nearest(shown, names)}")


def _trained_on(run: Path) -> str:
    """What a run calls its data; empty where that cannot be read."""
    try:
        told = read_json(run / "data.json", MOST_LISTED)
    except (OSError, ValueError):
        return ""
    name = told.get("name") if isinstance(told, dict) else None
    return name if isinstance(name, str) else ""


def _last(place: str) -> str:
    return place.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or place


def _is_there(place: str) -> bool:
    if is_builtin(place):
        return is_here(place)
    try:
        return Path(place).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def sheet(pictures: Sequence[Pixels | str], columns: int) -> tuple[NDArray[np.uint8], int]:
    """Pictures in square cells on one clear sheet, uint8 [height, width, 4], and the side of a cell.

    Example:
        >>> sheet([np.zeros((3, 8, 4), np.uint8)], columns=2)[0].shape
        (8, 16, 4)
    """
    drawn = [one for one in pictures if not isinstance(one, str)]
    side = max((max(one.shape[1:]) for one in drawn), default=1)
    canvas = np.zeros((-(-len(pictures) // columns) * side, columns * side, 4), dtype=np.uint8)
    for place, one in enumerate(pictures):
        if isinstance(one, str):
            continue
        height, width = one.shape[1:]
        top = place // columns * side + (side - height) // 2
        left = place % columns * side + (side - width) // 2
        canvas[top : top + height, left : left + width, :3] = one.transpose(1, 2, 0)
        canvas[top : top + height, left : left + width, 3] = 255
    return canvas, side
