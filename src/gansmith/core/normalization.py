"""Images with mean 0 and variance 1 in each channel, as networks may want them, and back again."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from gansmith.core.tensors import Images
from gansmith.errors import DataError

Group = UInt8[Tensor, "_ _ _ _"]
"""Some images, bytes [n, channels, height, width]; other groups may have other sizes."""

_LEVELS = 256
_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class Scale:
    """An affine scale for each channel: ``network = (picture - mean) / std``, images in [-1, 1].

    Raises:
        DataError: the two do not have one finite number for each channel, or a std is not positive.

    Example:
        >>> Scale(mean=(0.5,), std=(0.25,)).to_network(torch.ones(1, 1, 1, 1))
        tensor([[[[2.]]]])
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        finite = all(math.isfinite(number) for number in (*self.mean, *self.std))
        if not (self.mean and len(self.mean) == len(self.std) and finite and min(self.std) > 0.0):
            raise DataError(
                "A scale has a mean and a positive standard deviation for each channel, all finite. "
                f"Received: mean={self.mean}, std={self.std}."
            )

    def to_network(self, images: Images) -> Images:
        """Images in [-1, 1] -> numbers of mean 0 and variance 1, which reach beyond -1 and 1."""
        mean, std = self._tensors(images)
        return (images - mean) / std

    def to_picture(self, images: Images) -> Images:
        """The inverse of ``to_network``, up to float rounding far below one of 256 levels; not clamped."""
        mean, std = self._tensors(images)
        return images * std + mean

    def to_json(self) -> dict[str, list[float]]:
        """``{"mean": [...], "std": [...]}``; JSON keeps every bit of both."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, tree: Any) -> "Scale":
        """What ``to_json`` wrote.

        Raises:
            DataError: it is something else.
        """
        known = isinstance(tree, Mapping) and set(tree) == {"mean", "std"}
        if not known or not all(_is_numbers(numbers) for numbers in tree.values()):
            raise DataError(
                'A scale is written {"mean": [...], "std": [...]} with a number for each channel. '
                f"Received: {tree!r}."
            )
        return cls(tuple(map(float, tree["mean"])), tuple(map(float, tree["std"])))

    def _tensors(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if images.shape[1] != len(self.mean):
            raise DataError(
                f"This scale was measured on pictures with {len(self.mean)} channels. "
                f"Received: pictures with {images.shape[1]}."
            )
        return _row(self.mean, images), _row(self.std, images)


def measure(pictures: Iterable[Group]) -> Scale:
    """The scale of these images, over all pixels of each channel, in one pass and constant memory.

    Levels are counted, so the result is exact and does not depend on how the images are grouped or
    ordered. Measure training images only: what is held out must not leak.

    Args:
        images: groups of images, all with the same number of channels.

    Raises:
        DataError: no images, groups of unlike channels, or a channel that never varies.
    """
    counts: Tensor | None = None
    for group in pictures:
        found = torch.stack([torch.bincount(c.flatten(), minlength=_LEVELS) for c in group.unbind(1)]).cpu()
        if counts is not None and len(counts) != len(found):
            raise DataError(
                "Pictures of one scale have the same number of channels. "
                f"Received: {len(counts)} and {len(found)}."
            )
        counts = found if counts is None else counts + found
    if counts is None or not counts.sum():
        raise DataError("A mean and a variance need training pictures. Received: none.")
    moments = [_moments(row, _name(channel, len(counts))) for channel, row in enumerate(counts)]
    return Scale(mean=tuple(mean for mean, _ in moments), std=tuple(std for _, std in moments))


def _moments(counts: Tensor, name: str) -> tuple[float, float]:
    """Mean and standard deviation of a channel in [-1, 1], from how often each level occurs."""
    shares = counts.double() / counts.sum()
    levels = torch.arange(_LEVELS, dtype=torch.float64)
    mean = float(shares @ levels)
    variance = float(shares @ (levels - mean).square())
    if int((counts > 0).sum()) == 1:
        raise DataError(
            f"Standardizing divides by how much a channel varies, and the {name} channel of the training "
            f"pictures does not vary. Received: {round(mean)} for each pixel. Use pictures in which it "
            "varies, or leave pictures in [-1, 1]: --set data.standardize=false."
        )
    return mean / 127.5 - 1.0, math.sqrt(variance) / 127.5


def _name(channel: int, channels: int) -> str:
    if channels == 1:
        return "grey"
    return _COLOURS[channel] if channels == len(_COLOURS) else str(channel)


def _row(numbers: tuple[float, ...], images: Tensor) -> Tensor:
    """[channels, 1, 1] beside ``images``, filled there: sending a list to a device would wait for it."""
    return torch.cat([images.new_full((1, 1, 1), number) for number in numbers])


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) in (int, float) for number in value)
