"""Turn, scale and shift an image so that the points of its face land where a template wants them.

Everywhere a place in an image is (x, y) in pixels from its top left corner, x to the right and y
down, so the middle of the first pixel is (0.5, 0.5). Left is the viewer's left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gansmith.errors import DataError, SettingError, nearest
from gansmith.faces.warp import covered, warped

Points = NDArray[np.float32] | NDArray[np.float64]

_CLOSEST = 1e-3  # Pixels. Points nearer to each other than this say nothing about an angle.
_FARTHEST = 1e7  # Pixels. No image is that wide.
_OUTSIDE = 10  # Longer sides of the image. A landmark that far outside it is a mistake.

# The mean face, in eye distances from the middle between the eyes. Eyes, nose tip and mouth corners
# are the means of aligned CelebA (Liu 2015), in whole pixels (69, 111), (108, 111), (88, 136),
# (72, 152), (105, 152). The nose base is where dlib's model puts it: 0.72 in 142 London faces (DeBruine
# and Jones 2017), 0.76 in 296 of UTKFace (Zhang 2017).
_MEAN_FACE = (
    ("left_eye", -0.5, 0.0),
    ("right_eye", 0.5, 0.0),
    ("nose", 0.0, 0.64),
    ("nose_base", 0.0, 0.74),
    ("left_mouth", -0.42, 1.05),
    ("right_mouth", 0.42, 1.05),
)


@dataclass(frozen=True, kw_only=True)
class Template:
    """The places that the named points of a face are brought to.

    Args:
        points: (name, x, y), at least two; x and y are shares of the frame's width and height.
        shape: width : height of the frame the shares belong to. In a result of another shape the whole
            frame is kept, in the middle, and more of the image is shown beside it.
        margin: zooms out: more hair and background all round. 0.2 adds a fifth of the frame's width on the
            left and right, and of its height above and below. Below zero zooms in. Above -0.4, at most 3.

    Raises:
        SettingError: a value breaks one of these rules.

    Example:
        >>> Template(points=(("left_eye", 0.25, 0.5), ("right_eye", 0.75, 0.5))).places((64, 64))
        {'left_eye': (16.0, 32.0), 'right_eye': (48.0, 32.0)}
    """

    points: tuple[tuple[str, float, float], ...]
    shape: tuple[float, float] = (1.0, 1.0)
    margin: float = 0.0

    def __post_init__(self) -> None:
        names = [name for name, _, _ in self.points]
        if len(names) < 2 or len(set(names)) < len(names):
            raise SettingError(
                "A template needs two or more points of different names. "
                f"Received: {', '.join(names) or 'none'}."
            )
        if not all(math.isfinite(x) and math.isfinite(y) for _, x, y in self.points):
            raise SettingError(f"A template's points must be finite numbers. Received: {self.points}.")
        if not all(0 < side < math.inf for side in self.shape):
            raise SettingError(f"A template's shape must be two positive numbers. Received: {self.shape}.")
        if not -0.4 < self.margin <= 3:
            raise SettingError(f"The margin must be above -0.4 and at most 3. Received: {self.margin}.")

    def places(self, size: tuple[int, int]) -> dict[str, tuple[float, float]]:
        """Name -> (x, y) in the pixels of a result of that (width, height)."""
        unit = min(size[0] / self.shape[0], size[1] / self.shape[1]) / (1 + 2 * self.margin)
        wide, tall = unit * self.shape[0], unit * self.shape[1]
        left, top = (size[0] - wide) / 2, (size[1] - tall) / 2
        return {name: (left + x * wide, top + y * tall) for name, x, y in self.points}


def _mean_face(distance: float, level: float, shape: tuple[float, float] = (1.0, 1.0)) -> Template:
    """The mean face upright, its eyes this far apart (of the width) at this level (of the height)."""
    across, down = distance, distance * shape[0] / shape[1]
    points = tuple((name, 0.5 + x * across, level + y * down) for name, x, y in _MEAN_FACE)
    return Template(points=points, shape=shape)


TEMPLATES = {
    # Karras 2019: the frame is four eye distances wide, and its middle lies below the eyes by a tenth of
    # the way to the mouth.
    "ffhq": _mean_face(0.25, 0.5 - 0.1 * 1.05 * 0.25),
    # Liu 2015: the mean of the aligned images of 178 x 218; half a pixel makes whole pixels places.
    "celeba": _mean_face(39 / 178, 111.5 / 218, (178.0, 218.0)),
    # From the forehead to the chin: for small images, where every pixel should be face.
    "close": _mean_face(0.32, 0.38),
}
"""Templates by name; ``ffhq`` shows the whole head and is the usual choice."""


def named_template(name: str = "ffhq", margin: float = 0.0) -> Template:
    """The template of that name, with a margin.

    Raises:
        SettingError: the name is not known, or the margin is out of its range.
    """
    if name not in TEMPLATES:
        raise SettingError(f"There is no face template {name!r}.{nearest(name, TEMPLATES)}")
    return replace(TEMPLATES[name], margin=margin)


@dataclass(frozen=True)
class Aligned:
    """An image with its face in place.

    pixels: [height, width, 3], uint8.
    landmarks: every landmark given, [n, 2], in the result's pixels.
    matrix: [2, 3], float64; a place (x, y) of the image lands at ``matrix @ (x, y, 1)``.
    covered: share of the result, 0..1, that lies inside the image; the rest is its mirror image.

    Example:
        >>> landmarks = np.array([[40.0, 50.0], [60.0, 50.0]])
        >>> face = align(picture, landmarks, ("left_eye", "right_eye"), (64, 64), named_template("ffhq"))
        >>> face.pixels.shape
        (64, 64, 3)
    """

    pixels: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    matrix: NDArray[np.float64]
    covered: float


def similarity(source: Points, target: Points) -> NDArray[np.float64]:
    """The turn, scale and shift that brings the points of ``source`` closest to those of ``target``.

    The sum of squared distances is least, and nothing is mirrored (Umeyama 1991). In the plane the
    solution is one division of complex numbers.

    Args:
        source: [n, 2], n at least 2.
        target: [n, 2].

    Returns: float64 [2, 3]; ``target`` is near ``source @ matrix[:, :2].T + matrix[:, 2]``.

    Raises:
        DataError: fewer than two points, unequal numbers, values that are not finite, points that all lie
            in one place, or two sets so different that the best scale is nought.
    """
    _check_points(source, "source")
    _check_points(target, "target")
    if len(source) != len(target):
        raise DataError(
            f"Each source point needs a target point. Received: {len(source)} source, {len(target)} target."
        )
    start, end = (points[:, 0] + 1j * points[:, 1] for points in (source.astype(float), target.astype(float)))
    here, there = start - start.mean(), end - end.mean()
    spread = float(np.vdot(here, here).real)
    factor = complex(np.vdot(here, there)) / spread
    if abs(factor) * math.sqrt(spread / len(start)) < _CLOSEST:
        raise DataError(
            "The face's points do not resemble the template's (they may be mirrored, or named wrongly). "
            f"Received: {source.tolist()}. Leave this picture out."
        )
    shift = complex(end.mean() - factor * start.mean())
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def _check_points(points: Points, which: str) -> None:
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2:
        raise DataError(
            f"An alignment needs two or more {which} points, [n, 2]. Received: {list(points.shape)}."
        )
    if not np.isfinite(points).all() or np.abs(points).max() > _FARTHEST:
        raise DataError(f"The {which} points must be places in pixels. Received: {points.tolist()}.")
    if float(np.ptp(points, axis=0).max()) < _CLOSEST:
        raise DataError(f"The {which} points all lie in one place. Received: {points.tolist()}.")


def align(
    picture: NDArray[np.uint8],
    landmarks: Points,
    names: Sequence[str],
    size: tuple[int, int],
    template: Template,
) -> Aligned:
    """Bring a face to its template. What lies beyond the image's border is its mirror image.

    Args:
        image: [height, width, 3], RGB.
        landmarks: [n, 2], x and y in pixels.
        names: what the n landmarks are; those that the template names too decide, at least two.
        size: (width, height) of the result, in pixels.
        template: where the points go.

    Raises:
        DataError: the image or the landmarks cannot be used.
        SettingError: the size is not positive.
    """
    check_picture(picture)
    if min(size) < 1:
        raise SettingError(f"The size must be 1x1 or more. Received: {size[0]}x{size[1]}.")
    if landmarks.shape != (len(names), 2) or len(set(names)) < len(names):
        raise DataError(
            f"There must be one place for each of the names {', '.join(names)}. "
            f"Received: landmarks of shape {list(landmarks.shape)}."
        )
    if np.abs(landmarks[np.isfinite(landmarks)]).max(initial=0) > _OUTSIDE * max(picture.shape):
        raise DataError(
            f"The landmarks lie far outside the picture of {picture.shape[1]}x{picture.shape[0]} pixels. "
            f"Received: {landmarks.tolist()}. They may belong to another picture or size."
        )
    places = template.places(size)
    shared = [index for index, name in enumerate(names) if name in places]
    if len(shared) < 2:
        raise DataError(
            "An alignment needs two points that both the face and the template name. "
            f"Received: {', '.join(names) or 'none'}; the template has {', '.join(places)}."
        )
    target = np.array([places[names[index]] for index in shared])
    matrix = similarity(landmarks[shared], target)
    moved = landmarks.astype(float) @ matrix[:, :2].T + matrix[:, 2]
    return Aligned(
        pixels=warped(picture, matrix, size),
        landmarks=moved.astype(np.float32),
        matrix=matrix,
        covered=covered(picture, matrix, size),
    )


def check_picture(picture: NDArray[np.uint8]) -> None:
    """Raise DataError unless it is uint8 [height, width, 3] with at least one pixel."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise DataError(
            "A picture must be uint8 [height, width, 3]. "
            f"Received: {picture.dtype} {list(picture.shape)}. Convert it to RGB first."
        )
