"""Where a hole is, and the part of an image that a model is shown to fill it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from PIL import Image

from gansmith.data.decode.reading import in_mode, read
from gansmith.data.sources.made_pairs import with_hole
from gansmith.errors import DataError, SettingError

Pixels = UInt8[np.ndarray, "channels height width"]
Hole = Bool[np.ndarray, "height width"]
Reach = tuple[int, int, int, int]
"""(top, left, height, width) of the pixels a model can fill, in an image of its own size."""

_RIM = 2  # Pixels beside a hole that mix with it as an image is reduced.
_WHITE = 128  # A mask's levels from here on are the hole.


@dataclass(frozen=True)
class HoleAsked:
    """What a user says of where the hole is; with neither it is where an image is transparent.

    Raises:
        SettingError: both are given, or the box is none.
        DataError: the mask is no picture.

    Example:
        >>> HoleAsked(box=(10, 20, 30, 30)).note
        'hole 10,20,30,30'
    """

    mask: str | None = None  # An image file: white is the hole.
    box: tuple[int, int, int, int] | None = None  # x, y, width and height in pixels.

    def __post_init__(self) -> None:
        if self.mask is not None and self.box is not None:
            raise SettingError("A hole is told by --mask or by --hole. Received: both. Leave one out.")
        if self.box is not None and (min(self.box[:2]) < 0 or min(self.box[2:]) < 1):
            raise SettingError(
                "--hole is X,Y,WIDTH,HEIGHT in pixels from the top left, with a width and a height of 1 or "
                f"more. Received: {','.join(map(str, self.box))}."
            )
        if self.mask is not None:
            self._mask  # noqa: B018  # A file that is none is told before any picture is looked at.

    @cached_property
    def _mask(self) -> tuple[Hole, str]:
        assert self.mask is not None
        path = Path(self.mask).expanduser()
        try:
            raw = path.read_bytes()
            levels = np.asarray(in_mode(read(raw).image, "L"))
        except (OSError, DataError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise DataError(
                f"A mask is a picture, white where the hole is. Received: {path} ({why})."
            ) from error
        return levels >= _WHITE, hashlib.sha256(raw).hexdigest()[:16]

    @property
    def note(self) -> str:
        """For the mark: results of another hole are other results."""
        if self.box is not None:
            return f"hole {','.join(map(str, self.box))}"
        return "transparent pixels" if self.mask is None else f"mask {self._mask[1]}"

    def of(self, pixels: Pixels, alpha: NDArray[np.uint8] | None) -> Hole:
        """Where the hole of an image is.

        Raises:
            DataError: the mask has another size, the box lies outside, there is no hole, or nothing but it.
        """
        height, width = pixels.shape[1:]
        hole = np.zeros((height, width), bool)
        if self.box is not None:
            x, y, wide, high = self.box
            hole[y : y + high, x : x + wide] = True
            if x + wide > width or y + high > height:
                raise DataError(
                    f"A hole lies inside its picture. Received: --hole {','.join(map(str, self.box))} for a "
                    f"picture of {width}x{height}."
                )
        elif self.mask is not None:
            hole = self._mask[0]
            if hole.shape != (height, width):
                raise DataError(
                    "A mask is as large as its picture. Received: a mask of "
                    f"{hole.shape[1]}x{hole.shape[0]} for a picture of {width}x{height}."
                )
        elif alpha is not None:
            hole = alpha < 255
        if not hole.any():
            raise DataError(
                "Nothing is to be filled: the mask has no white pixel."
                if self.mask is not None
                else "Nothing is to be filled: the picture has no transparent pixels. Say where the hole is "
                "with --mask FILE or --hole X,Y,WIDTH,HEIGHT."
            )
        if hole.all():
            raise DataError(
                "The hole covers the whole picture, so there is nothing to fill it from. Make it smaller."
            )
        return hole


def fill(
    pixels: Pixels,
    hole: Hole,
    reach: Reach,
    size: tuple[int, int],
    make: Callable[[Pixels, UInt8[np.ndarray, "1 _ _"]], Float[np.ndarray, "_ _ _"]],
    fixed: UInt8[np.ndarray, "1 _ _"] | None = None,
) -> Pixels:
    """The image with its hole filled, each other pixel as it was.

    The model is shown the hole and at least as much around it: a window of its own size, or one as many
    times as large as it takes, reduced to it. Where that is larger than the image the image is mirrored.
    A model that has seen one hole alone is shown that one, around what is to be filled.

    Args:
        pixels: the image.
        hole: of its height and width.
        reach: what the model can fill.
        size: (height, width) of the model's images.
        make: an image of the model's size and its mask, 255 in the hole -> the result in levels 0..255.
        fixed: the mask of the only hole the model has seen, a rectangle, in an image of its size.
    """
    top, left, high, wide = _box(hole)
    if fixed is not None:
        reach = _box(fixed[0] > 0)
        if high > reach[2] or wide > reach[3]:  # What is reduced has a rim, which is to lie within, too.
            reach = reach[0] + _RIM, reach[1] + _RIM, reach[2] - 2 * _RIM, reach[3] - 2 * _RIM
    spans = (top, top + high), (left, left + wide)
    # The hole fits into the reach, and into the middle half of a model that reaches everywhere.
    room = tuple(min(reach[2 + axis], size[axis] // 2) for axis in (0, 1))
    times = max(1.0, *((stop - start) / room[axis] for axis, (start, stop) in enumerate(spans)))
    window = [int(np.ceil(times * side)) for side in size]
    before = [
        _start(pixels.shape[1 + axis], window[axis], spans[axis], _share(reach, size, axis))
        for axis in (0, 1)
    ]
    torn, mask = with_hole(pixels, 255 * hole[None].astype(np.uint8)), 255 * hole.astype(np.uint8)
    places = [_mirrored(before[axis], window[axis], pixels.shape[1 + axis]) for axis in (0, 1)]
    shown, shown_mask = torn[:, places[0]][:, :, places[1]], mask[places[0]][:, places[1]]
    if times > 1.0:
        shown = np.stack([_sized(channel, size) for channel in shown.astype(np.float32)])
        shown = np.clip(shown + 0.5, 0.0, 255.0).astype(np.uint8)
        shown_mask = np.where(_sized(shown_mask.astype(np.float32), size) > 1.0, 255, 0).astype(np.uint8)
    if fixed is not None:
        shown_mask = np.maximum(shown_mask, fixed[0])
    shown = with_hole(shown, shown_mask[None])
    levels = make(shown, shown_mask[None])
    if times > 1.0:
        levels = np.stack([_sized(channel, (window[0], window[1])) for channel in levels.astype(np.float32)])
    made = np.clip(levels + 0.5, 0.0, 255.0).astype(np.uint8)
    result = pixels.copy()
    bottom, right = top + high, left + wide
    part = made[:, top - before[0] : bottom - before[0], left - before[1] : right - before[1]]
    inside = hole[top:bottom, left:right]
    result[:, top:bottom, left:right][:, inside] = part[:, inside]
    return result


def _box(hole: Hole) -> Reach:
    """(top, left, height, width) of the rectangle around it."""
    rows, columns = np.nonzero(hole.any(axis=1))[0], np.nonzero(hole.any(axis=0))[0]
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left


def _share(reach: Reach, size: tuple[int, int], axis: int) -> tuple[float, float]:
    """Where the reach begins and ends along a side, as shares of it."""
    return reach[axis] / size[axis], (reach[axis] + reach[2 + axis]) / size[axis]


def _start(length: int, window: int, span: tuple[int, int], share: tuple[float, float]) -> int:
    """Where the window begins along a side: inside the image if it can, with the hole within reach."""
    middle = (span[0] + span[1] - window) // 2
    start = (length - window) // 2 if window >= length else min(max(middle, 0), length - window)
    least, most = span[1] - int(window * share[1]), span[0] - int(np.ceil(window * share[0]))
    return min(max(start, least), most) if least <= most else middle


def _mirrored(start: int, count: int, length: int) -> NDArray[np.int64]:
    """Places along a side, mirrored where they lie outside."""
    places = np.arange(start, start + count) % (2 * length)
    return np.where(places < length, places, 2 * length - 1 - places)


def _sized(channel: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    image = Image.fromarray(channel).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(image)
