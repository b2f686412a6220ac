"""What can be said of images before anyone trains on them, in seconds: a fair sample is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansmith.core.files import whole_file
from gansmith.core.image_size import Form, Size
from gansmith.data.inspect.findings import Goal, Measured
from gansmith.data.inspect.measure import SEEN
from gansmith.data.inspect.report import Report, build
from gansmith.data.metadata.facts import Facts, Refused
from gansmith.data.prepare.finish import small, split_of
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.prepare.schema import PICTURE_COLUMNS
from gansmith.data.prepare.worker import Job, blocks, cores
from gansmith.data.sources.base import Reader, Source, nothing_found
from gansmith.data.sources.named import named_source
from gansmith.data.sources.pairs import PAIR, picture_columns
from gansmith.errors import SettingError
from gansmith.images.sheet import contact_sheet

_SIDE = 64  # In pixels: images are measured at this size.
_SHOWN = 64  # Images on the contact sheet.
_POOL = 300  # Images from which on starting worker processes pays.


@dataclass(frozen=True)
class Inspected:
    """A report, and some of the images it is about: uint8 [channels, height, width].

    Example:
        >>> found = inspect("my_photos")
        >>> write_sheet(found, Path("sheet.png"))
    """

    report: Report
    pictures: tuple[NDArray[np.uint8], ...]


class SampleSource:
    """Some rows of a source, in order.

    Args:
        source: all of them.
        rows: which.

    Example:
        >>> len(SampleSource(open_source("my_photos"), rows=[0, 6]).names)
        2
    """

    def __init__(self, source: Source, rows: Sequence[int]) -> None:
        self.name, self._source, self._rows = source.name, source, rows
        self.reader: Reader = source.reader
        self.names: Sequence[str] = [source.names[row] for row in rows]
        # Landmarks need not be moved to be counted; of a sketch they are what is shown.
        sketched = getattr(source, "asked", {}).get("pairs") == "sketch"
        self.facts: Facts = source.facts.take(rows) if sketched else Facts()
        self.refused: tuple[Refused, ...] = ()
        self.others: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Of all of them."""
        return self._source.fingerprint

    def key(self, index: int) -> Any:
        """What the reader calls image ``index``."""
        return self._source.key(self._rows[index])

    def read(self, index: int) -> bytes:
        """The bytes of image ``index``."""
        return self._source.read(self._rows[index])


def inspect(
    source: Source | str, goal: Goal | None = None, *, max_pictures: int = 2000, workers: int | None = None
) -> Inspected:
    """Look at up to ``max_pictures`` images, evenly spread, and report.

    Args:
        source: what to look at, or its name: a folder, an archive, a built-in set.
        goal: what the images are for, for advice; None for none.
        max_pictures: of those there are.
        workers: processes; None: one for each core where that pays.

    Raises:
        DataError: there is no image at all.

    Example:
        >>> inspect("my_photos").report
    """
    if isinstance(source, str):
        source = named_source(source)
    if not len(source.names):
        raise nothing_found(source)
    if isinstance(source, PreparedFolder):
        return _prepared(source, goal)
    count = min(len(source.names), max_pictures)
    rows = [place * len(source.names) // count for place in range(count)]
    size = Size(_SIDE, _SIDE)
    job = Job(reader=source.reader, form=Form(size=size, channels=3, fit="pad"))
    names: list[str] = []
    seen: list[Any] = []
    shown: list[NDArray[np.uint8]] = []
    refused = list(source.refused)
    if workers is not None and workers < 1:
        raise SettingError(f"At least one worker is needed. Received: {workers}. Leave --workers out.")
    if workers is None:
        workers = cores() if count > _POOL else 1
    for _, block in blocks(SampleSource(source, rows), job, 0, workers):
        names += block.names
        seen += block.seen
        shown += [_beside(pixels) for pixels in block.pixels]
        refused += block.refused
    report = build(
        source.name,
        Measured(names, np.array(seen, dtype=SEEN), source.facts, picture_columns(source) == PAIR),
        count=len(source.names) + sum(item.picture for item in source.refused),
        refused=refused,
        others=source.others,
        split=split_of(source.facts, len(source.names)),
        goal=goal,
    )
    return Inspected(report, tuple(small(pixels) for pixels in _some(shown)))


def write_sheet(found: Inspected, path: Path) -> None:
    """The contact sheet of what was inspected.

    Raises:
        SettingError: the name does not end in .png, or there is no image to show.
        StorageError: the disk refuses.
    """
    if path.suffix.lower() != ".png" or not found.pictures:
        reason = "which has no picture to show" if path.suffix.lower() == ".png" else "of another kind"
        raise SettingError(
            f"A contact sheet is a .png file of one picture or more. Received: {path}, {reason}."
        )
    with whole_file(path) as part:
        contact_sheet(found.pictures).save(part, format="PNG")


def _prepared(folder: PreparedFolder, goal: Goal | None) -> Inspected:
    """Everything was measured when it was prepared; nothing is decoded."""
    report = build(
        folder.name,
        Measured(folder.names, folder.seen, folder.facts, "source" in folder.arrays),
        count=len(folder.names) + sum(item.picture for item in folder.refused),
        refused=folder.refused,
        split=split_of(folder.facts, len(folder.names)),
        goal=goal,
    )
    columns = [folder.arrays[name] for name in PICTURE_COLUMNS if name in folder.arrays]
    rows = _some(range(len(folder)))
    shown = [np.concatenate([column[row] for column in columns], axis=1) for row in rows]
    return Inspected(report, tuple(small(pixels) for pixels in shown))


def _beside(pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The images of a row side by side, a smaller one in larger pixels: [height, width, channels]."""
    height = max(len(one) for one in pixels)
    grown = [one.repeat(height // len(one), axis=0).repeat(height // len(one), axis=1) for one in pixels]
    return np.concatenate(grown, axis=1)


def _some(items: Sequence[Any]) -> list[Any]:
    count = min(len(items), _SHOWN)
    return [items[place * len(items) // count] for place in range(count)]
