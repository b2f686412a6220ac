"""Whole pictures of any size, beside what a model that enlarges and bicubic make of small copies of them."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gansmith.core.distributed import SINGLE_PROCESS, World
from gansmith.core.image_size import Box
from gansmith.data.builtin.names import is_builtin
from gansmith.data.metadata.facts import Refused
from gansmith.data.sources.base import Source, none_usable
from gansmith.data.sources.made_pairs import smaller, with_channels
from gansmith.data.sources.open import open_source
from gansmith.errors import DataError
from gansmith.metrics.image_sets import DataPictures
from gansmith.metrics.math.intervals import Value
from gansmith.metrics.registry import pair_score, pair_value
from gansmith.models.generator import Generator
from gansmith.models.translate import translate_pixels, whole_picture
from gansmith.models.write import collected

Pixels = UInt8[np.ndarray, "channels height width"]

WHOLE = ("l1", "psnr", "ssim", "psnr_y", "ssim_y")
"""Metrics of pairs that can be measured of pictures of any size."""


@dataclass(frozen=True, eq=False)
class Enlarged:
    """A picture, its small copy, and what two ways of enlarging make of that; all uint8, channels first.

    Example:
        >>> one = next(WholePictures(rows, 3, 4).enlarged(generator))
        >>> one.large.shape, one.small.shape, one.made.shape
        ((3, 256, 228), (3, 64, 57), (3, 256, 228))
    """

    index: int  # Of the picture in its set.
    large: Pixels
    small: UInt8[np.ndarray, "channels small_height small_width"]
    made: Pixels  # By the model, as `gansmith translate` makes it.
    bicubic: Pixels


@dataclass(frozen=True, eq=False)
class WholePictures:
    """Rows of a data set as pictures of their own sizes, cut at the right and below to multiples of a scale.

    Rows of a set that has no files, such as a built-in one, have the size they were opened at.

    Args:
        rows: which pictures; their data know the names of their files.
        channels: 1 for luma, 3 for colour.
        times: how many times smaller the copies are.
        box: what is cut out of every picture first.

    Example:
        >>> pictures = WholePictures(open_rows("Set5", config), 3, 4)
        >>> pictures.read(0).shape, pictures.name(0)
        ((3, 512, 512), 'baby.png')
    """

    rows: DataPictures
    channels: int
    times: int
    box: Box | None = None
    refused: list[tuple[int, str]] = field(default_factory=list)  # Index, and why it was left out.

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def _files(self) -> tuple[Source, Sequence[int]] | None:
        """Where the files are, and the number there of each row; None where rows are no files."""
        names = self.rows.data.info.names
        if not names or is_builtin(self.rows.name):
            return None
        source = open_source(self.rows.name)
        places = {name: place for place, name in enumerate(source.names)}
        return source, [places[names[row]] for row in self.rows.rows.tolist()]

    def name(self, index: int) -> str:
        """The name of a picture's file; its number where there is none."""
        if self._files is None:
            return f"picture {int(self.rows.rows[index])}"
        source, places = self._files
        return source.names[places[index]]

    def read(self, index: int) -> Pixels:
        """A picture.

        Raises:
            DataError, OSError: its file holds none, or it is smaller than the scale.
        """
        if self._files is None:
            pixels = np.asarray(self.rows.some(index, index + 1)[0].cpu())
        else:
            source, places = self._files
            pixels = whole_picture(source.read(places[index]), self.channels, self.box)
        high, wide = pixels.shape[1:]
        height, width = (side // self.times * self.times for side in (high, wide))
        if not height or not width:
            raise DataError(f"{wide}x{high} pixels, and nothing is left {self.times} times smaller")
        return np.ascontiguousarray(pixels[:, :height, :width])

    def enlarged(self, generator: Generator, world: World = SINGLE_PROCESS) -> Iterator[Enlarged]:
        """Each picture that can be read, its small copy enlarged again; of several processes a share."""
        waiting: deque[tuple[int, Pixels, Pixels]] = deque()
        sources = generator.spec.source[0]

        def small() -> Iterator[Pixels]:
            for index in range(world.rank, len(self), world.size):
                try:
                    large = self.read(index)
                except (DataError, OSError) as error:
                    self._refuse(index, error)
                    continue
                waiting.append((index, large, smaller(large, self.times)))
                yield with_channels(waiting[-1][2], sources)

        for made in translate_pixels(generator, small()):
            index, large, little = waiting.popleft()
            yield Enlarged(index, large, little, made, bicubic(little, self.times))

    def _refuse(self, index: int, error: Exception) -> None:
        self.refused.append((index, (error.strerror if isinstance(error, OSError) else None) or str(error)))

    def measure(
        self,
        generator: Generator,
        metrics: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        world: World = SINGLE_PROCESS,
    ) -> "Measured | None":
        """Numbers of the model and of bicubic, each picture counting alike; all processes call it.

        Args:
            generator: enlarges as many times as copies are smaller.
            metrics: some of ``WHOLE``.
            progress: told (pictures done, pictures in all).
            world: the processes that share the pictures.

        Returns: None at processes other than the main one.

        Raises:
            DataError: no picture can be used.
            MissingPackageError: torchmetrics is not installed, and PSNR or SSIM is asked for.
        """
        tell, rows = progress or (lambda done, total: None), list[Any]()
        for one in self.enlarged(generator, world):
            try:
                scores = [_scores(metrics, made, one.large) for made in (one.made, one.bicubic)]
            except DataError as error:  # Too small for the border or for SSIM's window.
                self._refuse(one.index, error)
                continue
            rows.append([one.index, one.large.shape[1:][::-1], *scores])
            tell(min(world.size * (len(rows) + len(self.refused)), len(self)), len(self))
        every = collected(world, [json.dumps([rows, self.refused]).encode()])
        if not world.is_main:
            return None
        parts = [json.loads(part) for part in every]
        bad = sorted(row for _, some in parts for row in some)
        before = [one for one in self.rows.data.refused if one.picture]
        refused = (*before, *(Refused(self.name(index), reason) for index, reason in bad))
        found = sorted(row for some, _ in parts for row in some)
        if not found:
            raise none_usable(self.rows.name, refused)
        values: dict[str, Value] = {}
        for place, name in enumerate(metrics):
            for way, column in (("", 2), ("_bicubic", 3)):
                each = torch.tensor([row[column][place] for row in found], dtype=torch.float64)
                values[name + way] = pair_value(name, each)
        sizes = sorted((row[1] for row in found), key=lambda size: size[0] * size[1])
        return Measured(values, len(found), self.times, (sizes[0], sizes[-1]), refused)


@dataclass(frozen=True)
class Measured:
    """Numbers of whole pictures: of a metric's name the model's, of ``NAME_bicubic`` that of bicubic.

    Example:
        >>> found = pictures.measure(generator, ["psnr_y"])
        >>> found.values["psnr_y"].value - found.values["psnr_y_bicubic"].value
        1.1
    """

    values: dict[str, Value]
    count: int  # Pictures.
    times: int
    sizes: tuple[Sequence[int], Sequence[int]]  # Width and height of the smallest and of the largest.
    refused: tuple[Refused, ...]  # Left out.

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that were measured."""
        return tuple(name for name in self.values if not name.endswith("_bicubic"))

    def as_json(self) -> dict[str, Any]:
        """What the numbers depend on, as plain JSON."""
        return {
            "metrics": list(self.metrics),
            "pictures": self.count,
            "times_smaller": self.times,
            "smallest": list(self.sizes[0]),
            "largest": list(self.sizes[1]),
            "left_out": {bad.name: bad.reason for bad in self.refused},
        }

    def as_text(self) -> str:
        """The same in words."""
        sizes = dict.fromkeys(f"{width}x{height}" for width, height in self.sizes)
        pictures = f"{self.count:,} whole picture{'s' * (self.count != 1)}, {' to '.join(sizes)}"
        return f"{pictures}, each made {self.times} times smaller and enlarged again"


def bicubic(pixels: Pixels, times: int) -> NDArray[np.uint8]:
    """An image enlarged by Pillow's bicubic, a = -0.5: uint8 [channels, times * height, times * width].

    Example:
        >>> bicubic(np.zeros((3, 8, 8), np.uint8), 4).shape
        (3, 32, 32)
    """
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    large = np.asarray(image.resize((times * image.width, times * image.height), Image.Resampling.BICUBIC))
    return large[None] if large.ndim == 2 else np.ascontiguousarray(large.transpose(2, 0, 1))


def _scores(metrics: Sequence[str], made: Pixels, large: Pixels) -> list[float]:
    pair: list[Tensor] = [torch.from_numpy(np.ascontiguousarray(pixels))[None] for pixels in (made, large)]
    return [float(pair_score(name)(*pair)) for name in metrics]
