"""The largest face of a photo, brought to where a model wants it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gansmith.data.decode.reading import in_mode, read
from gansmith.errors import DataError
from gansmith.faces.align import align as align_face
from gansmith.faces.align import named_template


def aligner(template: str, size: tuple[int, int], channels: int) -> Callable[[bytes], NDArray[np.uint8]]:
    """A function from the bytes of a photo to its largest face, uint8 [channels, height, width].

    Args:
        template: where eyes and nose go: ffhq, celeba or close.
        size: (width, height) of the result.
        channels: 1 (grey) or 3.

    Raises:
        SettingError: there is no such template.
        MissingPackageError: the package that finds faces is not installed.

    The function raises DataError where a photo cannot be read or has no face.

    Example:
        >>> aligner("ffhq", (64, 64), 3)(Path("photo.jpg").read_bytes()).shape
        (3, 64, 64)
    """
    wanted = named_template(template)
    from gansmith.faces.detect import open_detector  # Its package is an extra.

    detector = open_detector(every_face=False)

    def face_of(raw: bytes) -> NDArray[np.uint8]:
        photo = read(raw)
        rgb = np.asarray(in_mode(photo.in_srgb(photo.image), "RGB"))
        found = detector.find(rgb)
        if not found:
            raise DataError(
                "no face was found, and --align needs one. Take a photo in which a face is 40 pixels wide or "
                "more, or leave --align out."
            )
        pixels = align_face(rgb, found[0].landmarks, detector.points, size, wanted).pixels
        shown = pixels if channels == 3 else pixels.mean(axis=2, keepdims=True).round().astype(np.uint8)
        return np.ascontiguousarray(shown.transpose(2, 0, 1))

    return face_of
