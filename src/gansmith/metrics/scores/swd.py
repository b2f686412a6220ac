"""The sliced Wasserstein distance of Laplacian pyramids: images as they are, without a network."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from gansmith.core.tensors import BytePictures
from gansmith.errors import DataError, SettingError
from gansmith.metrics.features.base import check_pictures
from gansmith.metrics.math.intervals import Result, Value, few, sentences, student

Level = Float[Tensor, "batch channels _ _"]
"""Level of light, or differences of such, of one scale."""

PATCH = 7
SMALLEST = 16
PER_PICTURE = 128
BUDGET = 1 << 17
"""Patches of a level that are kept, however many images there are: 77 MB for RGB."""


def pyramid(pictures: Level) -> list[Level]:
    """The levels from full size down to the last whose shorter side is 16 or more, the low-pass rest last.

    Their sum, each enlarged by ``enlarge`` again and again, is the image.
    """
    levels = []
    while min(pictures.shape[2:]) >= 2 * SMALLEST:
        small = _blurred(pictures)[:, :, ::2, ::2]
        levels.append(pictures - enlarge(small, pictures.shape[2], pictures.shape[3]))
        pictures = small
    return [*levels, pictures]


def enlarge(small: Level, height: int, width: int) -> Level:
    """Twice the size, or one pixel less where the size was odd."""
    spread = small.new_zeros(*small.shape[:2], height, width)
    spread[:, :, ::2, ::2] = small
    return 4.0 * _blurred(spread)


def _blurred(pictures: Level) -> Level:
    """With the binomial kernel of five; edges are mirrored."""
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
    channels = pictures.shape[1]
    padded = F.pad(pictures, (2, 2, 2, 2), mode="reflect")
    across = F.conv2d(padded, row[None, None, None].repeat(channels, 1, 1, 1), groups=channels)
    return F.conv2d(across, row[None, None, :, None].repeat(channels, 1, 1, 1), groups=channels)


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of a set of images, at several sizes.

    levels: shorter side of a level in pixels -> its patches, [images * per_picture, channels * 49], those
        of one image together.
    per_picture: patches of an image.
    images: how many images they are from.

    Example:
        >>> collector = PatchCollector(count=4)
        >>> collector.add(torch.zeros(4, 3, 32, 32, dtype=torch.uint8))
        >>> collector.patches().levels[32].shape
    """

    levels: Mapping[int, Float[Tensor, "patches numbers"]]
    per_picture: int
    pictures: int


class PatchCollector:
    """Draws patches from a stream of images, in memory that does not grow with it.

    Where they lie depends on the seed and the place of an image in the stream, not on the batches, and
    not on the content: a set compared with itself has distance 0.

    Args:
        count: of the images to come, at most.
        seed: of the places.
        budget: patches kept of each level; of up to 1,024 images 128 an image, of more as many as
            the budget allows, and of more images than the budget one patch of every so many.

    Example:
        >>> collector = PatchCollector(count=4)
        >>> collector.add(torch.zeros(4, 3, 32, 32, dtype=torch.uint8))
        >>> collector.patches().pictures
        4
    """

    def __init__(self, count: int, *, seed: int = 0, budget: int = BUDGET) -> None:
        if count < 1:
            raise DataError("Patches need pictures to be cut from. Received: none.")
        self._count, self._most = count, min(count, budget)
        self._per_picture = min(PER_PICTURE, max(1, budget // count))
        self._seed = seed
        self._shape: torch.Size | None = None
        self._stores: dict[int, Tensor] = {}
        self._draws: dict[int, np.random.Generator] = {}
        self._seen = self._kept = 0

    def add(self, pictures: BytePictures) -> None:
        """Take in images [n, 1 or 3, h, w], n at least 1.

        Raises:
            DataError: other sizes or channels than before, sides below 7 pixels, more than announced.
        """
        check_pictures(pictures)
        self._check(pictures)
        places = torch.arange(self._seen, self._seen + len(pictures))
        self._seen += len(pictures)
        # Evenly spread, where there are more images than patches to be kept.
        chosen = (places + 1) * self._most // self._count > places * self._most // self._count
        levels = pyramid(pictures[chosen].cpu().float())
        for level in levels:
            self._cut(level)
        self._kept += int(chosen.sum())

    def patches(self) -> Patches:
        """What has been kept. DataError where no images came."""
        if not self._kept:
            raise DataError("Patches need pictures to be cut from. Received: none.")
        rows = self._kept * self._per_picture
        levels = {side: store[:rows] for side, store in self._stores.items()}
        return Patches(levels, self._per_picture, self._kept)

    def _check(self, pictures: Tensor) -> None:
        shape = pictures.shape[1:]
        if min(shape[1:]) < PATCH:
            raise DataError(f"Patches are {PATCH}x{PATCH} pixels. Received: pictures of {_size(shape)}.")
        if self._shape is not None and shape != self._shape:
            raise DataError(
                f"Pictures compared by their patches are all of one size, here {_size(self._shape)}. "
                f"Received: {_size(shape)}. Bring them to one size first, with gansmith prepare."
            )
        if self._seen + len(pictures) > self._count:
            raise DataError(
                f"At most the {self._count} pictures that were announced can be taken in. "
                f"Received: {self._seen + len(pictures)}."
            )
        self._shape = shape

    def _cut(self, level: Level) -> None:
        side = min(level.shape[2:])
        count, _, height, width = level.shape
        draws = self._draws.setdefault(side, np.random.default_rng((self._seed, side)))
        reach = np.array([height - PATCH + 1, width - PATCH + 1])[:, None]
        corners = draws.integers(0, reach, (count * self._per_picture, 2, 1))[:, :, 0]
        owner = torch.arange(count).repeat_interleave(self._per_picture)
        every = level.unfold(2, PATCH, 1).unfold(3, PATCH, 1)  # A view of all patches there are.
        top, left = torch.from_numpy(corners).T
        cut = every[owner, :, top, left].flatten(1)
        if side not in self._stores:
            self._stores[side] = torch.empty(self._most * self._per_picture, cut.shape[1])
        first = self._kept * self._per_picture
        self._stores[side][first : first + len(cut)] = cut


def _size(shape: torch.Size) -> str:
    kind = "grey" if shape[0] == 1 else "RGB"
    return f"{shape[2]}x{shape[1]} {kind}"


_GROUPS = 8
_AT_ONCE = 32  # Directions: a few hundred megabytes of projections at most.
_FACTOR = 1000.0
_FLAT = 1e-3  # Levels: a spread that is rounding.


def swd(fake: Patches, real: Patches, *, seed: int = 0, directions: int = 512) -> Result:
    """The sliced Wasserstein distance of each level and their mean, x 1000 (Karras 2017, section 5).

    Patches are normalized, each set by the mean and spread of each channel. Along a random direction the
    Wasserstein distance of two sets is the mean distance of their sorted projections; the result is the mean
    over ``directions``. Coarse levels tell of the layout, fine ones of texture. Smaller is better, and two
    sets of real images do not reach 0: fewer patches, larger distances, so that only equal numbers of
    images compare.

    The 95 % interval lies around the value of all images. Its width comes from the scatter of eight
    groups of images, each measured alone, and from that of the directions.

    Args:
        made: from a ``PatchCollector``.
        real: from one with the same seed.
        seed: of the directions.
        directions: how many, at least 8.

    Returns: ``swd``, and ``swd_64`` for the level whose shorter side is 64 pixels, ...

    Raises:
        DataError: images of different sizes or channels.
        SettingError: too few directions.
    """
    if directions < _GROUPS:
        raise SettingError(f"directions must be at least {_GROUPS}. Received: directions={directions}.")
    _check_levels(fake, real)
    draws = torch.Generator().manual_seed(seed)
    found, flat = [], []
    for side in fake.levels:
        sets = [_Rows(patches.levels[side], patches.per_picture) for patches in (fake, real)]
        flat += [side] if any(rows.is_flat() for rows in sets) else []
        found.append(_level(sets, draws, directions))
    note = sentences(few(fake.pictures, real.pictures), _flat(flat))
    levels = {f"swd_{side}": level for side, level in zip(fake.levels, found, strict=True)}
    enough = min(fake.pictures, real.pictures) >= 2 * _GROUPS
    return {name: level.to_value(enough, note) for name, level in {"swd": _mean(found), **levels}.items()}


def _check_levels(fake: Patches, real: Patches) -> None:
    first, second = (
        {side: rows.shape[1] // PATCH**2 for side, rows in patches.levels.items()} for patches in (fake, real)
    )
    if first != second:
        raise DataError(
            "Generated and real pictures must be of one size, and both grey or both RGB. Received: "
            f"shorter sides of {max(first)} and {max(second)} pixels, "
            f"{next(iter(first.values()))} and {next(iter(second.values()))} channels."
        )


@dataclass(frozen=True, eq=False)
class _Rows:
    """Patches of one level, those of an image together."""

    patches: Tensor
    per_picture: int

    def __len__(self) -> int:
        return len(self.patches)

    def is_flat(self) -> bool:
        return bool((self._by_channel().std((0, 2), correction=0) < _FLAT).any())

    def normalized(self) -> Tensor:
        """Each channel with mean 0 and spread 1; one without a spread is 0."""
        channels = self._by_channel()
        mean = channels.mean((0, 2), keepdim=True)
        spread = channels.std((0, 2), correction=0, keepdim=True)
        return ((channels - mean) / spread.masked_fill(spread < _FLAT, torch.inf)).flatten(1)

    def group(self, number: int) -> "_Rows":
        """The patches of every eighth image; all, where there are too few images."""
        chosen = torch.arange(len(self)) // self.per_picture % _GROUPS == number
        return _Rows(self.patches[chosen], self.per_picture) if bool(chosen.any()) else self

    def thinned(self, max_count: int, draws: torch.Generator) -> "_Rows":
        if len(self) <= max_count:
            return self
        return _Rows(self.patches[torch.randperm(len(self), generator=draws)[:max_count]], 1)

    def _by_channel(self) -> Tensor:
        return self.patches.view(len(self), -1, PATCH**2)


@dataclass(frozen=True, eq=False)
class _Level:
    value: float
    groups: NDArray[np.float64]  # The value of each group of images alone.
    direction_error: float  # Standard error, of the choice of directions.

    def to_value(self, enough: bool, note: str) -> Value:
        if not enough:
            return Value(self.value, note=sentences("Too few pictures for an interval.", note))
        error = math.hypot(float(self.groups.std(ddof=1)) / _GROUPS**0.5, self.direction_error)
        half = student(_GROUPS - 1) * error
        return Value(self.value, max(0.0, self.value - half), self.value + half, note)


def _mean(levels: list[_Level]) -> _Level:
    count = len(levels)
    error = math.hypot(*(level.direction_error for level in levels)) / count
    groups = np.mean([level.groups for level in levels], axis=0)
    return _Level(sum(level.value for level in levels) / count, groups, error)


def _level(sets: list[_Rows], draws: torch.Generator, directions: int) -> _Level:
    ways = torch.randn(directions, sets[0].patches.shape[1], generator=draws)
    ways = ways / ways.norm(dim=1, keepdim=True)
    every = _distances(sets, ways, draws)
    some = ways[: directions // _GROUPS]
    groups = [
        float(_distances([rows.group(number) for rows in sets], some, draws).mean())
        for number in range(_GROUPS)
    ]
    return _Level(float(every.mean()), np.array(groups), float(every.std(ddof=1)) / directions**0.5)


def _distances(sets: list[_Rows], ways: Tensor, draws: torch.Generator) -> NDArray[np.float64]:
    """Along each direction the mean distance of sorted projections, x 1000."""
    least = min(map(len, sets))
    ours, theirs = (rows.thinned(least, draws).normalized() for rows in sets)
    found = []
    for some in torch.split(ways, _AT_ONCE):
        first, second = (np.sort((some @ rows.T).numpy(), axis=1) for rows in (ours, theirs))
        found.append(np.abs(first - second).mean(1, dtype=np.float64))
    return np.concatenate(found) * _FACTOR


def _flat(sides: list[int]) -> str:
    if not sides:
        return ""
    names = ", ".join(map(str, sides))
    return f"A channel of one of the sets does not vary at all at the levels {names}."
