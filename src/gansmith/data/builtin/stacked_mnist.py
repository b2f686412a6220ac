"""Stacked MNIST: images whose red, green and blue are three digits, which makes 1,000 kinds of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gansmith.core.noise import Noise, mix_seeds
from gansmith.core.tensors import Labels
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DatasetInfo
from gansmith.data.load import fitted, with_channels
from gansmith.data.metadata.facts import Refused

COUNT = 128_000
"""Images of the set as Lin (2018, PacGAN) train on it; their published configuration says so, too."""

_CHOICE = 28  # Tells the seeds of the choice of digits from those of other things.


@dataclass(frozen=True, eq=False)
class Digits:
    """Grey images of digits.

    images: uint8 [n, height, width].
    labels: what they show, int64 [n], 0 to 9.

    Example:
        >>> Digits(images=torch.zeros(10, 28, 28, dtype=torch.uint8), labels=torch.arange(10))
    """

    images: Tensor
    labels: Labels


class StackedDigits:
    """Three digits as the channels of an image, put together when it is fetched (Metz 2017, section 3.3).

    Which digits image i shows is a function of (seed, i): the same whatever the count. Columns: ``images``
    uint8 [n, channels, height, width] and ``labels`` int64 [n], 100 red + 10 green + blue.

    Args:
        name: what the user called it.
        digits: the digits that are chosen from; all that is kept in memory.
        count: how many images.
        config: size, channels and fit.
        seed: another seed, other images.

    Example:
        >>> from gansmith.data.builtin.sets import mnist
        >>> stacked = StackedDigits("stacked-mnist", mnist(), 1000, DataConfig(size=Size(32, 32)))
        >>> stacked.fetch(torch.tensor([0]))["images"].shape
        torch.Size([1, 3, 32, 32])
    """

    refused: tuple[Refused, ...] = ()
    in_arrays = True
    columns: tuple[str, ...] = ("images", "labels")

    def __init__(self, name: str, digits: Digits, count: int, config: DataConfig, seed: int = 0) -> None:
        self.name, self._count = name, count
        self.fingerprint = f"stacked-mnist:{count} of {len(digits.labels)} seed {seed}"
        self.info = DatasetInfo(label_names=tuple(f"{number:03d}" for number in range(1000)))
        self._digits, self._config = digits, config
        self._first = mix_seeds(seed, _CHOICE) // 2

    def __len__(self) -> int:
        return self._count

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """The rows of some columns (None: of all), in the order asked for; ``rows`` is int64 [n]."""
        chosen = self._chosen(rows)
        make = {"images": self._images, "labels": self._labels}
        return {name: make[name](chosen) for name in columns or self.columns}

    def _chosen(self, rows: Tensor) -> Tensor:
        """Which digits, [n, 3]."""
        return (Noise(rows + self._first).uniform(3).double() * len(self._digits.labels)).long()

    def _images(self, chosen: Tensor) -> Tensor:
        digits = self._digits.images
        pictures = digits.index_select(0, chosen.flatten()).view(len(chosen), 3, *digits.shape[1:])
        config = self._config
        return fitted(with_channels(pictures, config.channels or 3), config.size, config.fit, config.box)

    def _labels(self, chosen: Tensor) -> Tensor:
        return self._digits.labels[chosen] @ torch.tensor([100, 10, 1])
