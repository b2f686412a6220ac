"""Outlines for flat drawings: each is an array of complex numbers, x + y j, with y pointing down."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gansmith.data.builtin.demo_faces.traits import Colour

# With complex numbers, turning, scaling and moving an outline is one product and one sum: quick.
Path = NDArray[np.complex128]

_ANGLES = np.linspace(0, 2 * np.pi, 40, endpoint=False)
_COS, _SIN = np.cos(_ANGLES), 1j * np.sin(_ANGLES)
_CAP = np.exp(1j * np.linspace(0, np.pi, 7))[1:-1]
_T = np.linspace(0, 1, 13)
_BEZIER = np.stack([(1 - _T) ** 2, 2 * _T * (1 - _T), _T**2], axis=1).astype(np.complex128)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour `share` (0 .. 1) of the way from `first` to `second`."""
    keep = 1 - share
    return (
        int(first[0] * keep + second[0] * share + 0.5),
        int(first[1] * keep + second[1] * share + 0.5),
        int(first[2] * keep + second[2] * share + 0.5),
    )


def shade(colour: Colour, share: float = 0.16) -> Colour:
    """A warm, darker second tone of a colour."""
    return mix(colour, (70, 20, 50), share)


def ellipse(centre: complex, rx: float, ry: float) -> Path:
    """An ellipse of the two radii."""
    path: Path = _COS * rx + _SIN * ry + centre
    return path


def curve(start: complex, pull: complex, end: complex) -> Path:
    """A quadratic curve from `start` to `end`, drawn towards `pull`."""
    path: Path = _BEZIER @ np.array((start, pull, end))
    return path


def mirror(path: Path) -> Path:
    """The same outline with left and right exchanged."""
    return -path.conj()


def both(half: list[complex]) -> list[complex]:
    """A symmetric outline from its right half, which runs from the middle line back to the middle line."""
    return half + [-point.conjugate() for point in reversed(half)]


def smooth(points: list[complex]) -> Path:
    """A closed, smooth outline through the points (a Catmull-Rom spline)."""
    path: Path = _spline(len(points)) @ np.array(points)
    return path


@cache
def _spline(count: int, steps: int = 6) -> Path:
    matrix = np.zeros((count * steps, count), dtype=np.complex128)
    for row in range(count * steps):
        i, t = row // steps, (row % steps) / steps
        weights = (
            (-t + 2 * t**2 - t**3) / 2,
            (2 - 5 * t**2 + 3 * t**3) / 2,
            (t + 4 * t**2 - 3 * t**3) / 2,
            (t**3 - t**2) / 2,
        )
        for k, weight in enumerate(weights):
            matrix[row, (i + k - 1) % count] += weight
    return matrix


def ring(path: Path, width: float) -> Path:
    """The outline of a line along the closed `path`, meeting itself without a seam."""
    closed = np.concatenate((path[-1:], path, path[:2]))
    along = closed[2:] - closed[:-2]
    across = 1j * along / np.abs(along) * (width / 2)
    return np.concatenate((closed[1:-1] + across, (closed[1:-1] - across)[::-1]))


def stroke(path: Path, width: float, end_width: float | None = None) -> Path:
    """The outline of a line with round ends along `path`, its width going from `width` to `end_width`."""
    along = np.empty_like(path)
    along[1:-1] = path[2:] - path[:-2]
    along[0], along[-1] = path[1] - path[0], path[-1] - path[-2]
    across: Path = 1j * along / np.abs(along)
    last = width if end_width is None else end_width
    across *= np.linspace(width / 2, last / 2, len(path)) if last != width else width / 2
    start, end = across[0] * _CAP + path[0], across[-1] * -_CAP + path[-1]
    return np.concatenate((start, (path - across), end, (path + across)[::-1]))


class Pen:
    """Fills outlines in one frame of a Pillow image: each point z lands at pixel z * turn + origin.

    `flip` scales the conjugate of z, which is how one frame can be wider than high. `tint` says which colour
    is painted in place of the one asked for.

    Example:
        >>> image = Image.new("L", (64, 64))
        >>> Pen(image, turn=32, origin=32 + 32j).fill(ellipse(0, 0.5, 0.5), 255)
    """

    def __init__(
        self,
        image: Image.Image,
        turn: complex,
        origin: complex,
        flip: complex = 0,
        tint: Callable[[Colour], Colour] | None = None,
    ) -> None:
        self._image = image
        self._draw = ImageDraw.Draw(image)
        self._turn = turn
        self._origin = origin
        self._flip = flip
        self._tint = tint

    def stretched(self, x: float, y: float) -> "Pen":
        """A pen for the same place whose units are `x` across and `y` down."""
        return Pen(self._image, self._turn * (x + y) / 2, self._origin, self._turn * (x - y) / 2, self._tint)

    def fill(self, path: Path, colour: Colour) -> None:
        """Paint the inside of a closed outline."""
        placed: Path = path * self._turn + self._origin
        if self._flip:
            placed += path.conj() * self._flip
        painted = colour if self._tint is None else self._tint(colour)
        self._draw.polygon(placed.view(np.float64).tolist(), fill=painted)

    def fill_both(self, path: Path, colour: Colour) -> None:
        """Paint an outline and its mirror image."""
        self.fill(path, colour)
        self.fill(mirror(path), colour)
