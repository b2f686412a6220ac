"""Metrics of pictures as they are, which need no network: sliced Wasserstein distance and MS-SSIM."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from gansmith.core.tensors import BytePictures
from gansmith.errors import DataError, SettingError
from gansmith.metrics.features.extractor import check_pictures
from gansmith.metrics.features.packages import start
from gansmith.metrics.math.intervals import few, sentences, student
from gansmith.metrics.math.resampling import mean_value
from gansmith.metrics.math.values import Result, Value
from gansmith.metrics.scores.laplacian import PATCH, Patches

_GROUPS = 8
_AT_ONCE = 32  # Directions: a few hundred megabytes of projections at most.
_FACTOR = 1000.0
_FLAT = 1e-3  # Levels: a spread that is rounding.

_BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_LEAST_SIDES = {5: 176, 4: 99, 3: 44, 2: 22, 1: 11}
"""Scales -> the shorter side they need, so that the window of 11 fits into the smallest."""
_PAIRS_AT_ONCE = 32


def swd(fake: Patches, real: Patches, *, seed: int = 0, directions: int = 512) -> Result:
    """The sliced Wasserstein distance of each level and their mean, x 1000 (Karras 2017, section 5).

    Patches are normalized, each set by the mean and spread of each channel. Along a random direction the
    Wasserstein distance of two sets is the mean distance of their sorted projections; the result is the mean
    over ``directions``. Coarse levels tell of the layout, fine ones of texture. Smaller is better, and two
    sets of real pictures do not reach 0: fewer patches, larger distances, so that only equal numbers of
    pictures compare.

    The 95 % interval lies around the value of all pictures. Its width comes from the scatter of eight
    groups of pictures, each measured alone, and from that of the directions.

    Args:
        made: from a ``PatchCollector``.
        real: from one with the same seed.
        seed: of the directions.
        directions: how many, at least 8.

    Returns: ``swd``, and ``swd_64`` for the level whose shorter side is 64 pixels, ...

    Raises:
        DataError: pictures of different sizes or channels.
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
    """Patches of one level, those of a picture together."""

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
        """The patches of every eighth picture; all, where there are too few pictures."""
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
    groups: NDArray[np.float64]  # The value of each group of pictures alone.
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


def ms_ssim(pictures: BytePictures, *, pairs: int = 1000, seed: int = 0) -> Value:
    """How alike generated pictures are: the mean MS-SSIM of random pairs (Odena 2017, section 4.2).

    Multi-scale structural similarity (Wang 2003) is 1 for equal pictures and about 0 for unrelated ones.
    Compare with the same number of real pictures: a larger value means less diversity. With classes,
    measure each class alone. No picture is in two pairs, so that the bootstrap interval holds.

    Args:
        pictures: made ones, uint8 [n, 1 or 3, h, w]; 2 * pairs of them are used, where there are so many.
        pairs: how many, at least 1.
        seed: of the choice.

    Returns: a value from 0 to 1; a note where the pictures are too small for the five scales of the paper.

    Raises:
        DataError: fewer than two pictures, or sides below 11 pixels.
        SettingError: no pairs.
        MissingPackageError: torchmetrics is not installed.
    """
    if pairs < 1:
        raise SettingError(f"pairs must be at least 1. Received: pairs={pairs}.")
    check_pictures(pictures)
    if len(pictures) < 2:
        raise DataError("Diversity is measured on pairs of pictures. Received: 1 picture.")
    scales, note = _scales(min(pictures.shape[2:]))
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))
    count = min(pairs, len(pictures) // 2)
    if count < pairs:
        note = sentences(f"From {count} pairs instead of {pairs}: there are no more pictures.", note)
    chosen = order[: 2 * count].view(2, count)
    scores = torch.cat(list(_similarities(pictures, chosen, scales)))
    return mean_value(scores, seed, note)


def _scales(side: int) -> tuple[int, str]:
    scales = next((scales for scales, least in _LEAST_SIDES.items() if side >= least), 0)
    if not scales:
        raise DataError(
            f"MS-SSIM needs pictures of {_LEAST_SIDES[1]} pixels or more a side. Received: {side}. "
            "For smaller pictures use swd."
        )
    if scales == len(_BETAS):
        return scales, ""
    return scales, (
        f"{scales} of 5 scales: pictures of {side} pixels are too small for more. "
        "Compare with pictures of the same size only."
    )


def _similarities(
    pictures: BytePictures, chosen: Tensor, scales: int
) -> Iterator[Float[Tensor, " pictures"]]:
    library = start("torchmetrics.functional.image", "torchmetrics", "MS-SSIM")
    total = sum(_BETAS[:scales])
    betas = tuple(beta / total for beta in _BETAS[:scales])
    for part in torch.split(chosen, _PAIRS_AT_ONCE, dim=1):
        first, second = (pictures[rows].cpu().float() for rows in part)
        yield library.multiscale_structural_similarity_index_measure(
            first, second, data_range=255.0, betas=betas, reduction="none"
        )
