"""Rating without a browser: a numbered sheet of images, and a line of answers to it."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.tensors import BytePictures
from gansmith.errors import SettingError
from gansmith.images.grid import grid, to_bytes, with_caption
from gansmith.images.provenance import write_picture
from gansmith.models.generator import Generator

_SIDE = 96  # Pixels that an image has at least on a sheet.
_ACROSS = 8  # Columns.
_NUMBERS = "Answer with the numbers of what you like, such as 1,4-6; or all, or none."
_LETTERS = "Answer with a number and a or b for each pair, such as 1a,2b; what is left out is not counted."


def write_thumb_sheet(generator: Generator, seeds: Sequence[int], path: Path) -> None:
    """A sheet of these images, each with its number from 1 on below it.

    Raises:
        StorageError: the disk refuses.
    """
    _write(generator, seeds, [str(place) for place in range(1, len(seeds) + 1)], path)


def write_pair_sheet(generator: Generator, pairs: Sequence[tuple[int, int]], path: Path) -> None:
    """A sheet of these pairs, 1a beside 1b and so on.

    Raises:
        StorageError: the disk refuses.
    """
    seeds = [seed for pair in pairs for seed in pair]
    _write(generator, seeds, [f"{place // 2 + 1}{'ab'[place % 2]}" for place in range(len(seeds))], path)


def parse_thumbs(text: str, count: int) -> list[bool]:
    """Which of ``count`` images are liked, of a line such as ``1,4-6``, ``all`` or ``none``.

    Raises:
        SettingError: something else, or a number that no image has.

    Example:
        >>> parse_thumbs("1, 3-4", 5)
        [True, False, True, True, False]
    """
    word = text.strip().lower()
    if word in ("all", "none"):
        return [word == "all"] * count
    liked: set[int] = set()
    for part in re.split(r"[\s,]+", re.sub(r"\s*-\s*", "-", word)):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= count:
            raise SettingError(
                f"{_NUMBERS} The sheet has 1 to {count}. Received: {part or text.strip()!r:.40}."
            )
        liked |= set(range(first, last + 1))
    return [place in liked for place in range(1, count + 1)]


def parse_pairs(text: str, count: int) -> dict[int, bool]:
    """Pair, from 0 on -> whether its first image won, of a line such as ``1a,2b``.

    Raises:
        SettingError: something else, a number that no pair has, or one twice.

    Example:
        >>> parse_pairs("1a 3b", 3)
        {0: True, 2: False}
    """
    found: dict[int, bool] = {}
    for part in re.split(r"[\s,]+", text.strip().lower()):
        match = re.fullmatch(r"(\d{1,9})([ab])", part, re.ASCII)
        place = int(match[1]) - 1 if match else -1
        if match is None or not 0 <= place < count or place in found:
            again = ", which was said before" if place in found else ""
            raise SettingError(f"{_LETTERS} The sheet has 1 to {count}. Received: {part!r:.40}{again}.")
        found[place] = match[2] == "a"
    return found


def _write(generator: Generator, seeds: Sequence[int], labels: Sequence[str], path: Path) -> None:
    images = _enlarged(to_bytes(generator.make(Noise.of(*seeds))))
    captioned = [with_caption(image, label) for image, label in zip(images, labels, strict=True)]
    write_picture(grid(torch.stack(captioned), _ACROSS, gap=4), path, generator.provenance())


def _enlarged(images: BytePictures) -> Tensor:
    """Small images some whole number of times as large, pixel by pixel."""
    times = max(1, -(-_SIDE // min(images.shape[2:])))
    return F.interpolate(images.float(), scale_factor=float(times), mode="nearest").to(torch.uint8)
