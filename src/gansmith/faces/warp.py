"""An image turned, scaled and shifted, without moire or blur, and mirrored beyond its borders.

Taking points out of an image does not average, so shrinking in that way alone gives moire. When shrinking,
the image is therefore first reduced to about twice the result's resolution (Lanczos), turned there (Keys's
cubic, never shrinking), and reduced again (Lanczos). The turning is not left to Pillow's transform: its
cubic overshoots (its slope is twice the image's) and moves edges by up to a tenth of a pixel.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SAME_SCALE = 1.01  # Shrinking by less than this needs no anti-aliasing.
_FINE = 2  # When shrinking, the image is turned at this many times the result's resolution.
_CONTEXT = 8  # Pixels of a reduced image that the kernels look at beyond what is shown, and to spare.


def warped(
    picture: NDArray[np.uint8], matrix: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """The image [h, w, 3] seen through a similarity.

    Args:
        image: uint8 [height, width, 3].
        matrix: [2, 3], from places of the image to places of the result, in pixels; of full rank.
        size: (width, height) of the result.
    """
    shrinks = 1 / math.hypot(matrix[0, 0], matrix[1, 0])
    fine = _FINE if shrinks > _SAME_SCALE else 1
    back = inverse(matrix)
    back[:, :2] /= fine
    grid = (size[0] * fine, size[1] * fine)
    if shrinks > fine * _SAME_SCALE:
        picture, back = _reduced(picture, back, grid, fine / shrinks)
    turned = _turned(picture, back, grid)
    if fine > 1:
        channels = (Image.fromarray(turned[..., channel]) for channel in range(3))
        smaller = [np.asarray(c.resize(size, Image.Resampling.LANCZOS)) for c in channels]
        turned = np.stack(smaller, axis=2)
    pixels: NDArray[np.uint8] = (np.clip(turned, 0, 255) + 0.5).astype(np.uint8)
    return pixels


def covered(picture: NDArray[np.uint8], matrix: NDArray[np.float64], size: tuple[int, int]) -> float:
    """The share of the result's pixels, 0..1, whose middle lies inside the image."""
    inside = np.ones((size[1], size[0]), dtype=bool)
    for place, side in zip(_places(inverse(matrix), size), picture.shape[1::-1], strict=True):
        inside &= (place >= 0) & (place <= side)
    return float(inside.mean())


def inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The way back: [2, 3] from the result's places to the image's."""
    turn = np.linalg.inv(matrix[:, :2])
    return np.column_stack((turn, -turn @ matrix[:, 2]))


def _places(back: NDArray[np.float64], size: tuple[int, int]) -> list[NDArray[np.float64]]:
    """Where in the image the middle of each pixel of the result is: x [h, w] and y [h, w]."""
    across, down = np.arange(size[0]) + 0.5, np.arange(size[1])[:, None] + 0.5
    return [row[0] * across + row[1] * down + row[2] for row in back]


def _reduced(
    picture: NDArray[np.uint8], back: NDArray[np.float64], grid: tuple[int, int], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """What the result shows of the image, made smaller, and the way back to that."""
    corners = np.array([(0, 0), (grid[0], 0), (0, grid[1]), grid]) @ back[:, :2].T + back[:, 2]
    reach = _CONTEXT / scale
    height, width = picture.shape[:2]
    left, right = _span(corners[:, 0].min() - reach, corners[:, 0].max() + reach, width)
    top, bottom = _span(corners[:, 1].min() - reach, corners[:, 1].max() + reach, height)
    part = Image.fromarray(picture[top:bottom, left:right])
    size = (max(round(part.width * scale), 1), max(round(part.height * scale), 1))
    exact = np.array([[size[0] / part.width], [size[1] / part.height]])  # Sides are whole pixels.
    moved = np.column_stack((back[:, :2], back[:, 2] - (left, top))) * exact
    return np.asarray(part.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)), moved


def _span(first: float, last: float, side: int) -> tuple[int, int]:
    """The pixels of an axis that the range ``first`` to ``last`` and its mirror images at the ends touch."""
    low, high = first, last
    if first < 0:
        low, high = 0, max(high, -first)
    if last > side:
        low, high = min(low, 2 * side - last), side
    return max(math.floor(low), 0), min(math.ceil(high), side)


def _turned(
    picture: NDArray[np.uint8], back: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float32]:
    """The image resampled by Keys's cubic (1981), [h, w, 3], 0..255 and a little beyond."""
    x, y = (place - 0.5 for place in _places(back, size))
    left, top = np.floor(x).astype(int) - 1, np.floor(y).astype(int) - 1
    first = np.array([left.min(), top.min()])
    part = _mirrored(picture, first, np.array([left.max(), top.max()]) + 4)
    start = (top - first[1]) * part.shape[1] + left - first[0]
    flat = part.reshape(-1, 3)
    weights_x, weights_y = _cubic(x - left - 1), _cubic(y - top - 1)
    total = np.zeros((size[1], size[0], 3), dtype=np.float32)
    for row in range(4):
        for column in range(4):
            weight = weights_y[row] * weights_x[column]
            total += weight[..., None] * flat[start + (row * part.shape[1] + column)]
    return total


def _cubic(t: NDArray[np.float64]) -> NDArray[np.float32]:
    """The weights of four neighbours, [4, ...], for a place a share ``t`` of a pixel behind the second."""
    weights = (
        -0.5 * t * (1 - t) ** 2,
        1 + t * t * (1.5 * t - 2.5),
        t * (0.5 + t * (2 - 1.5 * t)),
        0.5 * t * t * (t - 1),
    )
    return np.array(weights, dtype=np.float32)


def _mirrored(
    picture: NDArray[np.uint8], first: NDArray[np.int_], last: NDArray[np.int_]
) -> NDArray[np.uint8]:
    """Columns and rows ``first`` to before ``last`` of an image mirrored at its borders, for ever."""
    pick = []
    for begin, end, side in zip(first, last, picture.shape[1::-1], strict=True):
        index = np.arange(begin, end) % (2 * side)
        pick.append(np.minimum(index, 2 * side - 1 - index))
    part: NDArray[np.uint8] = picture[pick[1][:, None], pick[0]]
    return part
