"""What was found in a set of images: the numbers of a data report, before anyone puts them into words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansmith.core.image_size import Fit, Size
from gansmith.data.inspect.duplicates import exact, near
from gansmith.data.inspect.measure import FORMATS, MODES, SEEN
from gansmith.data.metadata.facts import Facts, Refused, is_repeated

BLURRED = 0.5
"""Sharpness below which an image is blurred at any size: faces after a Gaussian of a 64th of their side."""

TINY_SIDE = 32
"""Shorter side in pixels below which little can be learnt from an image."""

TINY_FACE = 32
"""Height of a face in pixels below which it is tiny, where the wanted size is not known."""

_FREQUENT = 5  # Sizes named.
_SOFTEST = 100  # Blurred images named.

Seen = NDArray[Any]
"""Rows of ``measure.SEEN``, [n]."""

Names = tuple[str, ...]
Counts = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Goal:
    """What is to be trained, as far as it is known.

    Example:
        >>> from gansmith.data.inspect.inspect import inspect
        >>> inspect("my_photos", Goal("dcgan64", 64, 64, images=200_000, channels=3)).report.advice
    """

    recipe: str | None
    width: int
    height: int
    images: int  # That the recipe will show, repeats included; 0 where that is not known.
    channels: int
    fit: Fit = "crop"


@dataclass(frozen=True, eq=False)
class Measured:
    """The images that were looked at, one row each.

    Example:
        >>> folder = PreparedFolder("faces64")
        >>> find("faces64", Measured(folder.names, folder.seen, folder.facts)).count
        40
    """

    names: Sequence[str]
    seen: Seen
    facts: Facts  # n rows, or a row for every image of the set where that is known without looking.
    pairs: bool = False

    def __post_init__(self) -> None:
        if self.seen.dtype != SEEN or len(self.names) != len(self.seen):
            raise ValueError(
                f"Received: {len(self.names)} names, {len(self.seen)} rows of {self.seen.dtype}."
            )


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of the originals; a size is (width, height) in pixels, a shape is width / height.

    Example:
        >>> from gansmith.data.inspect.inspect import inspect
        >>> inspect("my_photos").report.sizes.median
        (32, 32)
    """

    smallest: tuple[int, int]  # By area, as the next two.
    median: tuple[int, int]
    largest: tuple[int, int]
    frequent: tuple[tuple[int, int, int], ...]  # (width, height, images), most frequent first.
    different: int
    narrowest: float
    widest: float
    tiny: float  # Share of images whose shorter side is under TINY_SIDE.
    cut: float  # Mean share of an image that a centre crop to the wanted shape (else a square) cuts off.
    enlarged: float  # Share of images smaller than the wanted size; 0 where that is not known.


@dataclass(frozen=True)
class Faces:
    """Of the images in which a face was looked for.

    Example:
        >>> from gansmith.data.inspect.inspect import inspect
        >>> inspect("my_photos").report.faces  # None: faces are looked for by ``prepare --faces``.
    """

    looked_for: int
    tiny: int
    limit: int  # In pixels of height; smaller is tiny.


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything measured. Shares are of the images looked at, 0..1.

    Example:
        >>> from gansmith.data.inspect.inspect import inspect
        >>> found = inspect("my_photos").report
        >>> found.looked_at, found.copies
        (12, 0)
    """

    name: str
    count: int  # Images listed, refused ones included.
    looked_at: int  # Images measured; a sample where this and the refused are fewer than ``count``.
    refused: tuple[Refused, ...]
    notes: tuple[Refused, ...] = ()  # What was left out besides images: tables, folders, archives.
    others: Counts = ()  # Files that are no images, by their ending.
    repeated: tuple[Refused, ...] = ()  # Frames left out of videos, nearly the same as another one.
    bytes: int  # Of the files looked at.
    sizes: Sizes | None  # None where no image was looked at, as are faces where none was looked for.
    formats: Counts  # Most frequent first, as are modes.
    modes: Counts
    exact: tuple[Names, ...]  # Groups of equal files.
    near: tuple[Names, ...]  # Groups of files that differ and look alike; of equal files one is named.
    blurred: float
    softest: Names  # The blurred ones, the worst first; at most 100.
    faces: Faces | None
    labels: Counts  # In the order of their numbers.
    attributes: tuple[tuple[str, float], ...]  # Name -> share of images that have it.
    captions: tuple[int, int] | None  # Images with a caption, of how many; None where there are none.
    landmarks: bool
    pairs: bool
    split: tuple[int, int, int] | None  # Training, held out, seed; a seed under 0: parted by the owner.
    licence: str | None = None  # In words; None where nobody said.

    @property
    def sampled(self) -> bool:
        """Whether only a part of the images was looked at."""
        return self._tried < self.count

    @property
    def usable(self) -> int:
        """Images that can be trained on, estimated from the sample where there is one."""
        return round(self.count * self.looked_at / self._tried) if self._tried else 0

    @property
    def _tried(self) -> int:
        return self.looked_at + len(self.refused) + len(self.repeated)

    @property
    def copies(self) -> int:
        """Files that equal another one, the first of each group not counted."""
        return sum(len(group) - 1 for group in self.exact)

    @property
    def look_alikes(self) -> int:
        """Images that look like another one, the first of each group and equal files not counted."""
        return sum(len(group) - 1 for group in self.near)


def find(
    name: str,
    measured: Measured,
    *,
    count: int | None = None,
    refused: Sequence[Refused] = (),
    split: tuple[int, int, int] | None = None,
    goal: Goal | None = None,
    others: Sequence[str] = (),
) -> Findings:
    """Put together what was measured; see ``report.build`` for the arguments."""
    names, seen, facts = measured.names, measured.seen, measured.facts
    equal, alike = _duplicates(seen)
    order = np.argsort(seen["sharpness"], kind="stable")
    soft = order[seen["sharpness"][order] < BLURRED]
    return Findings(
        name=name,
        count=len(names) + sum(item.picture for item in refused) if count is None else count,
        looked_at=len(names),
        refused=tuple(item for item in refused if item.picture and not is_repeated(item)),
        notes=tuple(item for item in refused if not item.picture),
        others=_endings(others),
        repeated=tuple(item for item in refused if is_repeated(item)),
        bytes=int(seen["bytes"].sum()),
        sizes=_sizes(seen, goal) if len(seen) else None,
        formats=_counts(seen["format"], FORMATS),
        modes=_counts(seen["mode"], MODES),
        exact=tuple(tuple(names[row] for row in group) for group in equal),
        near=tuple(tuple(names[row] for row in group) for group in alike),
        blurred=len(soft) / max(len(seen), 1),
        softest=tuple(names[row] for row in soft[:_SOFTEST]),
        faces=_faces(seen, goal),
        labels=_labels(facts),
        attributes=_attributes(facts),
        captions=_captions(facts),
        landmarks=facts.landmarks is not None,
        pairs=measured.pairs,
        split=split,
        licence=facts.licence,
    )


def _duplicates(seen: Seen) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Groups of equal files, and groups of look-alikes in which equal files count once."""
    _, first = np.unique(seen["digest"], return_index=True)
    first.sort()
    alike = near(seen["phash"][first])
    return exact(seen["digest"]), [tuple(first[list(group)].tolist()) for group in alike]


def _endings(names: Sequence[str]) -> Counts:
    """How many files there are of each ending, the most first."""
    counts = Counter(PurePosixPath(name).suffix.lower() or "without ending" for name in names)
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _counts(numbers: NDArray[np.uint8], names: Names) -> Counts:
    counts = np.bincount(numbers, minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    return tuple((names[number], int(counts[number])) for number in order if counts[number])


def _sizes(seen: Seen, goal: Goal | None) -> Sizes:
    width, height = seen["width"].astype(np.int64), seen["height"].astype(np.int64)
    wanted = Size(goal.width, goal.height) if goal else Size(64, 64)
    order = np.argsort(width * height, kind="stable")
    smallest, median, largest = (
        (int(width[order[place]]), int(height[order[place]])) for place in (0, len(order) // 2, -1)
    )
    kinds, counts = np.unique(np.stack([width, height], axis=1), axis=0, return_counts=True)
    often = np.argsort(-counts, kind="stable")[:_FREQUENT]
    shape = width / height
    ratio = shape * wanted.height / wanted.width
    smaller = (width < wanted.width) | (height < wanted.height)
    return Sizes(
        smallest=smallest,
        median=median,
        largest=largest,
        frequent=tuple((int(kinds[k][0]), int(kinds[k][1]), int(counts[k])) for k in often),
        different=len(kinds),
        narrowest=float(shape.min()),
        widest=float(shape.max()),
        tiny=float(np.mean(np.minimum(width, height) < TINY_SIDE)),
        cut=float(np.mean(1 - np.minimum(ratio, 1 / ratio))),
        enlarged=float(np.mean(smaller)) if goal else 0.0,
    )


def _faces(seen: Seen, goal: Goal | None) -> Faces | None:
    heights = seen["face"][~np.isnan(seen["face"])]
    if not len(heights):
        return None
    # In an aligned image the face takes about half of the height; a smaller one would be enlarged.
    limit = TINY_FACE if goal is None else goal.height // 2
    return Faces(len(heights), int((heights < limit).sum()), limit)


def _labels(facts: Facts) -> Counts:
    if facts.labels is None:
        return ()
    counts = np.bincount(facts.labels[facts.labels >= 0], minlength=len(facts.label_names))
    names = [*facts.label_names, *map(str, range(len(facts.label_names), len(counts)))]
    return tuple(zip(names, counts.tolist(), strict=True))


def _attributes(facts: Facts) -> tuple[tuple[str, float], ...]:
    if facts.attributes is None or not len(facts.attributes):
        return ()
    shares = (facts.attributes != 0).mean(axis=0)
    names = facts.attribute_names or tuple(map(str, range(len(shares))))
    return tuple(zip(names, shares.tolist(), strict=True))


def _captions(facts: Facts) -> tuple[int, int] | None:
    if facts.captions is None:
        return None
    return sum(bool(caption.strip()) for caption in facts.captions), len(facts.captions)
