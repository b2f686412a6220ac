"""Find the faces of a photograph, and on each the eyes and the nose.

The faces and points come from dlib's frontal face detector (histograms of gradients, Felzenszwalb 2010)
and its models of five or 68 points (cascades of regression trees, Kazemi and Sullivan 2014). Everything
else, from the scale at which to look to what is passed on, is decided here and works for any detector.
"""

import importlib
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gansmith.errors import MissingPackageError, SettingError, nearest
from gansmith.faces.align import check_picture
from gansmith.faces.models import model_file

LEAST_SCORE = 0.0
"""dlib's own threshold: real faces mostly score 0.3 to 3, and few other things score above 0."""
LEAST_FACE = 40
"""Pixels. A smaller face holds too little to learn from."""

_SMALLEST = 20  # Pixels. Below this enlarging an image shows the detector nothing.
_WINDOW = 80  # Pixels. dlib looks for faces of this size and larger.
_QUICK_SIDE = 480  # Pixels: a face a quarter as high is half as large again as the window.
_MOST_PIXELS = 32_000_000  # Of the copy looked at: about 3 s.

_PURPOSE = "Finding faces"
_POINTS_FILE = "models/shape_predictor_{}_face_landmarks.dat"


@dataclass(frozen=True)
class FoundFace:
    """A face in an image.

    box: left, top, right, bottom in pixels; it may reach beyond the image.
    score: the detector's confidence; larger is surer.
    landmarks: [n, 2], x and y in pixels, in the order of the detector's ``points``; the middle of the first
        pixel is (0.5, 0.5).

    Example:
        >>> FoundFace((10.0, 20.0, 50.0, 70.0), score=1.2, landmarks=np.zeros((3, 2), np.float32)).side
        40.0
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: NDArray[np.float32]

    @property
    def side(self) -> float:
        """The shorter side of the box, in pixels."""
        return min(self.box[2] - self.box[0], self.box[3] - self.box[1])


@runtime_checkable
class Detector(Protocol):
    """Anything that finds faces and their landmarks; left is the viewer's left.

    Example:
        >>> detector = open_detector("dlib")
        >>> [face.box for face in detector.find(picture)]
    """

    @property
    def points(self) -> tuple[str, ...]:
        """The names of the landmarks."""
        ...

    def find(self, picture: NDArray[np.uint8]) -> list[FoundFace]:
        """The faces of an RGB image [height, width, 3], largest first."""
        ...


Look = Callable[[NDArray[np.uint8]], list[FoundFace]]
"""An image as it is -> the faces in it, of ``window`` pixels or more, in any order."""


@dataclass(frozen=True)
class ScaledDetector:
    """Shows each image at several scales to a detector that only finds faces from some size on.

    Args:
        points: names of the landmarks.
        look: finds faces of ``window`` pixels and more.
        window: pixels.
        min_score: fainter faces are dropped.
        min_face: faces whose box is narrower or lower than this many pixels are dropped.
        every_face: whether all faces are wanted. If not, small copies of the image are looked at first, and
            the search ends where a face is found.

    Example:
        >>> detector = ScaledDetector((), lambda picture: [], 80, min_score=0.0, min_face=40, every_face=True)
        >>> detector.find(np.zeros((64, 64, 3), np.uint8))
        []
    """

    points: tuple[str, ...]
    look: Look
    window: int
    min_score: float
    min_face: int
    every_face: bool

    def find(self, picture: NDArray[np.uint8]) -> list[FoundFace]:
        """The faces of an RGB image [height, width, 3], largest first.

        Raises:
            DataError: it is not such an image.
        """
        check_picture(picture)
        for scale in self._scales(*picture.shape[:2]):
            copy, ratio = _resized(picture, scale)
            faces = [_mapped_back(face, ratio) for face in self.look(copy)]
            kept = [f for f in faces if f.score >= self.min_score and f.side >= self.min_face]
            if kept:
                return sorted(kept, key=lambda face: face.side, reverse=True)
        return []

    def _scales(self, height: int, width: int) -> list[float]:
        """From the quickest that is of use to the one that shows the smallest face wanted."""
        full = min(self.window / self.min_face, math.sqrt(_MOST_PIXELS / (height * width)))
        scale = full if self.every_face else _QUICK_SIDE / min(height, width)
        scales = []
        while scale * 2 < full:
            scales.append(scale)
            scale *= 3
        return [*scales, full]


def _resized(picture: NDArray[np.uint8], scale: float) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """A copy, and the exact scale of x and y: sides are whole pixels."""
    height, width = picture.shape[:2]
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    if size == (width, height):
        return np.ascontiguousarray(picture), (1.0, 1.0)
    kernel = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    copy = Image.fromarray(picture).resize(size, kernel, reducing_gap=3.0)
    return np.array(copy), (size[0] / width, size[1] / height)


def _mapped_back(face: FoundFace, ratio: tuple[float, float]) -> FoundFace:
    """The face in the pixels of the image, from those of a copy of ``ratio`` times its size."""
    left, top, right, bottom = face.box
    x, y = ratio
    box = (left / x, top / y, right / x, bottom / y)
    return FoundFace(box, face.score, (face.landmarks / np.array(ratio)).astype(np.float32))


def open_detector(
    name: str = "dlib",
    *,
    min_score: float = LEAST_SCORE,
    min_face: int = LEAST_FACE,
    every_face: bool = True,
) -> Detector:
    """A detector, its models loaded. Open one in each process that needs one: it cannot be sent to another.

    Args:
        name: ``dlib``, with eyes and nose; ``dlib68``, with the usual 68 points (jaw, brows, nose, eyes,
            lips) for tables of landmarks; its model was trained on 300-W, which is for research alone.
        min_score: the least confidence; dlib's lies between -1 and 4, and 0 is its own threshold.
        min_face: the least size of a face, in pixels of the shorter side of its box, 20 or more. The
            smaller it is, the longer a large image takes. The copy that is looked at has 32 million pixels
            at most, so that in one of 12 million, faces below 49 pixels may be missed.
        every_face: False where only the largest face is wanted: far quicker in large images.

    Raises:
        SettingError: the name is not known or a number is out of its range.
        MissingPackageError: the detector's package is not installed.
    """
    if name not in _OPENERS:
        raise SettingError(f"There is no face detector {name!r}.{nearest(name, _OPENERS)}")
    if not math.isfinite(min_score):
        raise SettingError(f"The least score of a face must be a number. Received: {min_score}.")
    if min_face < _SMALLEST:
        raise SettingError(
            f"The least size of a face must be {_SMALLEST} pixels or more. Received: {min_face}."
        )
    points, look, window = _OPENERS[name](min_score)
    return ScaledDetector(points, look, window, min_score, min_face, every_face)


# ------------------------------------------------------------------------------
# dlib

_POINTS = ("left_eye", "right_eye", "nose_base")
# dlib gives the right eye's outer and inner corner, the left eye's, and the nose base.
_CORNERS_TO_POINTS = np.array([[0, 0, 0.5, 0.5, 0], [0.5, 0.5, 0, 0, 0], [0, 0, 0, 0, 1]])


def _open_dlib(min_score: float) -> tuple[tuple[str, ...], Look, int]:
    return _POINTS, *_dlib(min_score, 5, lambda corners: _CORNERS_TO_POINTS @ corners)


def _open_dlib68(min_score: float) -> tuple[tuple[str, ...], Look, int]:
    return tuple(map(str, range(68))), *_dlib(min_score, 68, lambda points: points)


def _dlib(min_score: float, count: int, wanted: Callable[[Any], Any]) -> tuple[Look, int]:
    """How to look with a model of this many points, and the least face; ``wanted`` of them is passed on."""
    try:
        dlib = importlib.import_module("dlib")
    except ImportError as error:
        raise MissingPackageError("dlib-bin", _PURPOSE, "faces") from error
    boxes: Any = dlib.get_frontal_face_detector()
    points: Any = dlib.shape_predictor(str(model_file(_POINTS_FILE.format(count), _PURPOSE)))

    def look(picture: NDArray[np.uint8]) -> list[FoundFace]:
        found, scores, _ = boxes.run(picture, 0, min_score)
        return [
            FoundFace(
                (float(box.left()), float(box.top()), box.right() + 1.0, box.bottom() + 1.0),
                float(score),
                wanted(_places(points(picture, box).parts())).astype(np.float32),
            )
            for box, score in zip(found, scores, strict=True)
        ]

    return look, _WINDOW


def _places(parts: Any) -> NDArray[np.float64]:
    """[n, 2]; dlib counts from the middle of the first pixel."""
    return np.array([(part.x + 0.5, part.y + 0.5) for part in parts])


_OPENERS = {"dlib": _open_dlib, "dlib68": _open_dlib68}
