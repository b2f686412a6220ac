"""A decoded video frame -> the image a player would show: RGB, opaque, upright, with square pixels.

What is done to every frame, in this order:

* Colour is converted to 8-bit RGB by the matrix and the range the video names. Where it names no matrix
  it is BT.709 for images wider than 1279 or higher than 576 pixels and BT.601 below, as players do.
* Transparency is laid on white. (VP8 and VP9 keep it in a second stream that FFmpeg's own decoders leave
  out: such videos come without.)
* Of interlaced frames one field is taken, so that nothing that moves has combs.
* Pixels that are not square are made so by enlarging the shorter direction.
* The rotation and mirroring a phone writes beside the video is applied.
"""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""RGB, [height, width, 3]."""

_NO_MATRIX, _BT709 = 2, 1  # As ITU-T H.273 numbers matrices; FFmpeg has the same numbers.


class Converter:
    """Makes images of the frames of one video.

    Args:
        av: the package PyAV.

    Example:
        >>> import av
        >>> frame = next(av.open("clip.mp4").decode(video=0))
        >>> Converter(av).pixels(frame).shape
        (64, 64, 3)
    """

    def __init__(self, av: Any) -> None:
        kinds = av.video.reformatter.Interpolation
        # Without the two flags FFmpeg is off by up to two levels, always in the same direction.
        self._exact = int(kinds.BICUBIC | kinds.ACCURATE_RND | kinds.FULL_CHR_H_INT)
        self._reformatter: Any = av.video.reformatter.VideoReformatter()

    def pixels(self, frame: Any, aspect: Fraction | None = None) -> Pixels:
        """The image of a frame; ``aspect`` is the width of a stored pixel by its height.

        Raises:
            av.FFmpegError: colours of a kind that cannot be converted.
        """
        pixels = self._opaque(frame)
        if frame.interlaced_frame:
            pixels = pixels[::2]
        size = _square(frame.width, frame.height, aspect)
        if size != (pixels.shape[1], pixels.shape[0]):
            image = Image.fromarray(np.ascontiguousarray(pixels))
            pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
        matrix = frame.side_data.get("DISPLAYMATRIX")
        return pixels if matrix is None else upright(pixels, np.frombuffer(bytes(matrix), np.int32))

    def _opaque(self, frame: Any) -> Pixels:
        """The pixels of a frame as they are stored."""
        if not any(component.is_alpha for component in frame.format.components):
            return self._as(frame, "rgb24")
        pixels = self._as(frame, "rgba").astype(np.uint16)
        alpha = pixels[..., 3:]
        laid: Pixels = ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        return laid

    def _as(self, frame: Any, kind: str) -> Pixels:
        wide = frame.width >= 1280 or frame.height > 576
        matrix = _BT709 if frame.colorspace == _NO_MATRIX and wide else None
        made = self._reformatter.reformat(
            frame, format=kind, src_colorspace=matrix, interpolation=self._exact
        )
        pixels: Pixels = made.to_ndarray()
        return pixels


def _square(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """The size at which pixels are square; ``aspect`` is the width of a stored one by its height."""
    if not aspect or not Fraction(1, 4) <= aspect <= 4:  # Beyond is a broken header, not a lens.
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))


def upright(pixels: Pixels, matrix: NDArray[np.int32]) -> Pixels:
    """Pixels turned and mirrored by a display matrix of 9 numbers.

    A point moves to x' = m0 x + m3 y, y' = m1 x + m4 y (ISO/IEC 14496-12). Of angles between, the
    nearest right one is taken.
    """
    across, down = int(matrix[0]), int(matrix[4])
    if abs(int(matrix[1])) > abs(across):
        pixels = pixels.swapaxes(0, 1)
        across, down = int(matrix[3]), int(matrix[1])
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def ppm(pixels: Pixels) -> bytes:
    """RGB pixels [height, width, 3] as a binary PPM file."""
    return b"P6\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()
