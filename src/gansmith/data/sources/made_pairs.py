"""Sources made of images, so that any set of images is a set of pairs: lines, grey, small, with holes.

Everything here is a function of an image (and, for random holes, of its row) and of nothing else.
"""

import importlib
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image

from gansmith.errors import DataError, MissingPackageError

MadeKind = Literal[
    "edges", "grey", "small:2", "small:4", "small:8", "hole:centre", "hole:inner", "hole:random", "sketch"
]
"""What a source is made by: `docs/data.md` shows each."""

MADE: tuple[str, ...] = MadeKind.__args__  # type: ignore[attr-defined]
"""All kinds."""

PREPARED = ("edges", "grey", "sketch")
"""Those whose sources are as large as the images and without a mask: a prepared set can hold them."""

Pixels = UInt8[np.ndarray, "channels height width"]

FILL = (117, 104, 123)
"""What a hole is filled with: the colour of the authors of context encoders (train.lua)."""

_SIGMA = 1.0  # Of the Gaussian before Canny's gradient, in pixels.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R 601.
_HOLES = 3  # Rectangles of a random hole, at most.
_SHARE = 0.25  # Of the image that a hole covers, about.
_CHAIN = (17, 22, 27, 31, 36, 42, 48, 60, 68)  # Where a line of the usual 68 landmarks ends.
_FAR = 8  # Sides of an image: a landmark that lies further away is unknown.
_CLOSED = (42, 48, 60, 68)  # The last points of those that are rings: eyes, lips.


def shrink_of(kind: str | None) -> int:
    """How many times smaller the sources of a kind of pairs are.

    Example:
        >>> shrink_of("small:4"), shrink_of("edges")
        (4, 1)
    """
    return int(kind.partition(":")[2]) if kind is not None and kind.startswith("small:") else 1


def grey(pixels: Pixels) -> UInt8[np.ndarray, "1 height width"]:
    """Luma (ITU-R 601) of an image."""
    if len(pixels) == 1:
        return pixels
    return (np.tensordot(_LUMA, pixels.astype(np.float32), axes=1) + 0.5).astype(np.uint8)[None]


def edges(pixels: Pixels) -> UInt8[np.ndarray, "1 height width"]:
    """Canny's edges (1986), black on white, by scikit-image: sigma 1, its usual thresholds.

    Raises:
        MissingPackageError: scikit-image is not installed.
    """
    try:
        feature = importlib.import_module("skimage.feature")
    except ModuleNotFoundError as error:
        raise MissingPackageError("scikit-image", "Making edges of pictures", "pairs") from error
    lines: NDArray[np.bool_] = feature.canny(grey(pixels)[0].astype(np.float32) / 255.0, sigma=_SIGMA)
    return np.where(lines, 0, 255).astype(np.uint8)[None]


def smaller(pixels: Pixels, times: int) -> UInt8[np.ndarray, "channels _ _"]:
    """Bicubic (a = -0.5), antialiased: what papers on super-resolution call bicubic.

    Raises:
        DataError: the sides are not multiples of ``times``.
    """
    channels, height, width = pixels.shape
    if height % times or width % times:
        raise DataError(
            f"Sources {times} times smaller need sides that are multiples of {times}. "
            f"Received: {width}x{height}. Try data.size={width // times * times}x{height // times * times}."
        )
    image = Image.fromarray(pixels[0] if channels == 1 else pixels.transpose(1, 2, 0))
    small = np.asarray(image.resize((width // times, height // times), Image.Resampling.BICUBIC))
    return small[None] if channels == 1 else np.ascontiguousarray(small.transpose(2, 0, 1))


def centre_hole(height: int, width: int) -> UInt8[np.ndarray, "1 height width"]:
    """A mask, 255 in the hole: the middle half of both sides."""
    mask = np.zeros((1, height, width), np.uint8)
    mask[:, height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2] = 255
    return mask


def inner_hole(height: int, width: int) -> UInt8[np.ndarray, "1 height width"]:
    """A mask, 255 in the hole: the middle half but for a band of a 32nd of each side, 4 px at 128 px.

    It is the hole of the authors of context encoders, who have the band predicted, too (overlapPred).
    """
    mask = np.zeros((1, height, width), np.uint8)
    top, left = height // 4 + height // 32, width // 4 + width // 32
    mask[:, top : height // 4 + height // 2 - height // 32, left : width // 4 + width // 2 - width // 32] = (
        255
    )
    return mask


def random_hole(height: int, width: int, row: int) -> UInt8[np.ndarray, "1 height width"]:
    """A mask, 255 in the hole: one to three rectangles, the same for a row each time."""
    chance = np.random.default_rng(row)
    mask = np.zeros((1, height, width), np.uint8)
    count = int(chance.integers(1, _HOLES + 1))
    for _ in range(count):
        shape = float(chance.uniform(0.6, 1.6))
        area = _SHARE * height * width / count
        high = int(np.clip(round((area * shape) ** 0.5), 1, height - 1))
        wide = int(np.clip(round((area / shape) ** 0.5), 1, width - 1))
        top, left = int(chance.integers(0, height - high + 1)), int(chance.integers(0, width - wide + 1))
        mask[:, top : top + high, left : left + wide] = 255
    return mask


def hole_of(kind: str, height: int, width: int, row: int) -> UInt8[np.ndarray, "1 height width"]:
    """The mask of a kind of holes, 255 in the hole, for a row of a set."""
    fixed = fixed_hole(kind, height, width)
    return random_hole(height, width, row) if fixed is None else fixed


def fixed_hole(kind: str | None, height: int, width: int) -> UInt8[np.ndarray, "1 height width"] | None:
    """The mask of holes that are the same in every image, 255 in the hole; None for another kind.

    Example:
        >>> fixed_hole("hole:centre", 4, 4)[0, 1]
        array([  0, 255, 255,   0], dtype=uint8)
    """
    made = {"hole:centre": centre_hole, "hole:inner": inner_hole}.get(kind or "")
    return None if made is None else made(height, width)


def with_hole(pixels: Pixels, mask: UInt8[np.ndarray, "1 height width"]) -> Pixels:
    """The image with the hole filled evenly."""
    colour = np.array(FILL, np.uint8)[:, None, None]
    return np.where(mask > 0, grey(colour) if len(pixels) == 1 else colour, pixels).astype(np.uint8)


def sketch(points: NDArray[np.float32], height: int, width: int) -> UInt8[np.ndarray, "1 height width"]:
    """Landmarks, x and y in pixels, drawn black on white: dots, and lines between the usual 68 of a face."""
    from PIL import ImageDraw

    canvas = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(canvas)
    # Far outside, Pillow draws for seconds; no face is so large.
    radius, known = max(height, width) / 96.0, (np.abs(points) <= _FAR * max(height, width)).all(axis=1)
    if len(points) == _CHAIN[-1] and bool(known.all()):
        start = 0
        for end in _CHAIN:
            chain = [tuple(point) for point in points[start:end].tolist()]
            pen.line(chain + chain[:1] if end in _CLOSED else chain, fill=0, width=max(1, round(radius)))
            start = end
    for x, y in points[known].tolist():
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    return np.asarray(canvas)[None]


def with_channels(pixels: Pixels, channels: int) -> UInt8[np.ndarray, "wanted height width"]:
    """Grey as three equal channels, or colour as luma."""
    if len(pixels) == channels:
        return pixels
    return grey(pixels) if channels == 1 else np.repeat(pixels, 3, axis=0)


def made_source(
    kind: str, pixels: Pixels, row: int = 0, points: NDArray[np.float32] | None = None
) -> NDArray[np.uint8]:
    """The source of an image: [channels, height, width], with one channel where the kind has no colours.

    Args:
        kind: what it is made by.
        pixels: the image.
        row: of the image in its set, for what is by chance.
        points: its landmarks, x and y in pixels, for ``sketch``.

    Raises:
        DataError: the size does not fit the kind.
        MissingPackageError: ``edges`` without scikit-image.

    Example:
        >>> made_source("small:4", np.zeros((3, 32, 32), np.uint8)).shape
        (3, 8, 8)
    """
    height, width = pixels.shape[1:]
    if kind.startswith("hole:"):
        return with_hole(pixels, hole_of(kind, height, width, row))
    if kind == "sketch":
        return sketch(np.zeros((0, 2), np.float32) if points is None else points, height, width)
    if shrink_of(kind) > 1:
        return smaller(pixels, shrink_of(kind))
    return edges(pixels) if kind == "edges" else grey(pixels)


def check_swap(kind: str, swap: bool) -> None:
    """Raise DataError where sides of this kind are to change places and cannot."""
    if swap and kind not in ("edges", "grey", "sketch"):
        raise DataError(
            f"data.swap is for pairs whose sides can change places. Received: data.pairs={kind}. "
            "Leave data.swap out."
        )


def lacks(kind: str, needed: tuple[str, ...], name: str, columns: tuple[str, ...]) -> DataError:
    """A set has not what the sources of a kind are made of."""
    return DataError(
        f"data.pairs={kind} makes sources of {' and '.join(needed)}. Received: {name}, "
        f"which has {', '.join(columns)}."
    )
