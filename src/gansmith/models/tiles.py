"""A large image in overlapping tiles, and back into one, a row of tiles in memory at a time."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

_OVERLAP = 4  # A tile shares a quarter of its side with its neighbour, or more.


def starts(length: int, tile: int) -> list[int]:
    """Where tiles begin along a side, evenly spread, the last one at its end.

    Example:
        >>> starts(100, 64)
        [0, 36]
    """
    if length <= tile:
        return [0]
    overlap = tile // _OVERLAP
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(place * (length - tile) / (count - 1)) for place in range(count)]


def ramp(tile: int) -> NDArray[np.float32]:
    """The weight of each pixel along a tile's side: full inside, less and less towards its ends, never 0."""
    place = np.arange(tile, dtype=np.float32)
    from_end = np.minimum(place, tile - 1 - place) + 1.0
    share = np.minimum(from_end / max(tile // _OVERLAP, 1), 1.0)
    weights: NDArray[np.float32] = (0.5 - 0.5 * np.cos(np.pi * share)).astype(np.float32)
    return weights


def blend(
    size: tuple[int, int],
    tile: tuple[int, int],
    tops: Sequence[int],
    lefts: Sequence[int],
    row: Callable[[int], Sequence[Float[np.ndarray, "channels tile_height tile_width"]]],
) -> UInt8[np.ndarray, "channels height width"]:
    """One image of many tiles; where they overlap each counts the less the nearer its edge is.

    Args:
        size: (height, width) of the image.
        tile: of each tile.
        tops: where the rows of tiles begin, ascending, each overlapping or touching the next.
        lefts: where the tiles of a row begin.
        row: number of a row -> its tiles from left to right, in levels 0..255.
    """
    (height, width), (high, wide) = size, tile
    weights = ramp(high)[:, None] * ramp(wide)
    picture = sums = None
    counted = np.zeros((high, width), np.float32)
    for number, top in enumerate(tops):
        for left, levels in zip(lefts, row(number), strict=True):
            if sums is None or picture is None:
                sums = np.zeros((len(levels), high, width), np.float32)
                picture = np.empty((len(levels), height, width), np.uint8)
            sums[:, :, left : left + wide] += levels * weights
            counted[:, left : left + wide] += weights
        assert sums is not None and picture is not None
        done = (tops[number + 1] if number + 1 < len(tops) else top + high) - top
        finished = sums[:, :done] / counted[:done]
        picture[:, top : top + done] = np.clip(finished + 0.5, 0.0, 255.0).astype(np.uint8)
        for buffer in (sums, counted):  # What the next row of tiles adds to moves up.
            buffer[..., : high - done, :] = buffer[..., done:, :].copy()
            buffer[..., high - done :, :] = 0.0
    assert picture is not None
    return picture
