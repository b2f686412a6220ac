"""Patches of pictures at every scale, for the sliced Wasserstein distance.

A Laplacian pyramid (Burt and Adelson 1983) splits a picture into levels, each with the detail of one scale;
the last is the small picture that is left. Karras (2017, section 5) compares patches of 7 x 7 of each level.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gansmith.core.tensors import BytePictures
from gansmith.errors import DataError
from gansmith.metrics.features.extractor import check_pictures

Level = Float[Tensor, "batch channels _ _"]
"""Level of light, or differences of such, of one scale."""

PATCH = 7
SMALLEST = 16
PER_PICTURE = 128
BUDGET = 1 << 17
"""Patches of a level that are kept, however many pictures there are: 77 MB for RGB."""


def pyramid(pictures: Level) -> list[Level]:
    """The levels from full size down to the last whose shorter side is 16 or more, the low-pass rest last.

    Their sum, each enlarged by ``enlarge`` again and again, is the picture.
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
    """What is kept of a set of pictures.

    levels: shorter side of a level in pixels -> its patches, [pictures * per_picture, channels * 49], those
        of one picture together.
    per_picture: patches of a picture.
    pictures: how many pictures they are from.
    """

    levels: Mapping[int, Float[Tensor, "patches numbers"]]
    per_picture: int
    pictures: int


class PatchCollector:
    """Draws patches from a stream of pictures, in memory that does not grow with it.

    Where they lie depends on the seed and the place of a picture in the stream, not on the batches, and
    not on the content: a set compared with itself has distance 0.

    Args:
        count: of the pictures to come, at most.
        seed: of the places.
        budget: patches kept of each level; of up to 1,024 pictures 128 a picture, of more as many as
            the budget allows, and of more pictures than the budget one patch of every so many.
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
        """Take in pictures [n, 1 or 3, h, w], n at least 1.

        Raises:
            DataError: other sizes or channels than before, sides below 7 pixels, more than announced.
        """
        check_pictures(pictures)
        self._check(pictures)
        places = torch.arange(self._seen, self._seen + len(pictures))
        self._seen += len(pictures)
        # Evenly spread, where there are more pictures than patches to be kept.
        chosen = (places + 1) * self._most // self._count > places * self._most // self._count
        levels = pyramid(pictures[chosen].cpu().float())
        for level in levels:
            self._cut(level)
        self._kept += int(chosen.sum())

    def patches(self) -> Patches:
        """What has been kept. DataError where no pictures came."""
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
