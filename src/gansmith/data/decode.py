"""Bytes of a picture file -> uint8 tensor of one size, whatever the format, mode or shape of the file.

What is done to every picture, in this order:

* The first frame is taken of animations (GIF, WebP, APNG), the largest picture of an icon.
* JPEGs are decoded at 1/2, 1/4 or 1/8 where that leaves at least twice the wanted size.
* EXIF orientation is applied; damaged EXIF is ignored. Colour profiles are ignored.
* Transparency (RGBA, LA, palettes, a transparent colour) is laid on white.
* 16-bit and 32-bit grey in 0..65535 is divided by 257; float is read as 0..1, else 0..255, else
  0..65535, by its range. Values outside all of these are stretched from least..greatest to 0..255.
* CMYK (Adobe's inverted kind too) becomes RGB, grey becomes RGB where 3 channels are wanted, and
  colour becomes luma (ITU-R 601) where 1 is.
* Another shape is made to fit: ``crop`` cuts the centre, ``pad`` keeps the whole picture and repeats
  its edge pixels outwards, ``stretch`` ignores the proportions. Resizing is Lanczos with
  anti-aliasing; enlarging is bicubic.

Decoding is safe in threads, and Pillow leaves Python's lock free for most of it.
"""

import io
import re
import struct
import threading
import warnings
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from gansmith.errors import DataError
from gansmith.recipe import Fit, Size

SHORTEST_SIDE = 4  # In pixels. Smaller files are tracking pixels and spacers, not training pictures.

# Pixel formats only: Pillow also "reads" EPS by starting Ghostscript, and TGA or PCX have no signature
# that would keep junk from being taken for a picture.
_FORMATS = frozenset(
    (
        "JPEG",
        "MPO",
        "PNG",
        "WEBP",
        "AVIF",
        "BMP",
        "DIB",
        "GIF",
        "TIFF",
        "PPM",
        "ICO",
        "JPEG2000",
        "QOI",
        "SGI",
    )
)
_ORIENTATION = 0x0112  # The EXIF tag.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's format readers have been seen to raise on bad bytes; Warning for runs under -W error.
_BAD = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AssertionError,
    AttributeError, EOFError, MemoryError, RuntimeError, SystemError, struct.error, zlib.error,
    Image.DecompressionBombError, Warning,
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a file says of its picture before it is decoded; width and height as a viewer shows them."""

    width: int
    height: int
    grey: bool


def decode(raw: bytes, size: Size, channels: int, fit: Fit) -> UInt8[Tensor, "channels height width"]:
    """The picture of a file, brought to one size.

    Args:
        raw: the bytes of the file.
        size: what is wanted.
        channels: 1 for luma, 3 for RGB.
        fit: how another shape becomes this one.

    Returns: uint8 [channels, size.height, size.width], 0..255.

    Raises:
        DataError: a reason of one line: truncated, not a picture, too small, too large.
    """
    _hush()
    try:
        picture = _turned(_opened(raw, size))
        return _to_tensor(_resized(_flattened(picture, channels), size, fit), size)
    except _BAD as error:
        raise DataError(_reason(error)) from error


def probe(raw: bytes) -> Header:
    """Width, height and greyness from the header, without decoding.

    Raises:
        DataError: it is not a picture.
    """
    _hush()
    try:
        picture = _header(raw)
        width, height = picture.size
        if _orientation(picture) >= 5:
            width, height = height, width
        grey = picture.mode in ("1", "L", "LA", "La", "F") or picture.mode.startswith("I")
        return Header(width=width, height=height, grey=grey)
    except _BAD as error:
        raise DataError(_reason(error)) from error


def is_grey(raw: bytes) -> bool:
    """Whether the header promises one channel (with or without alpha); palettes count as colour."""
    return probe(raw).grey


@cache
def suffixes() -> frozenset[str]:
    """The endings of files this Pillow can decode, in lower case with the dot."""
    return frozenset(end for end, kind in Image.registered_extensions().items() if kind in _formats())


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.ID if name in _FORMATS)  # In Pillow's order of trying.


# Pillow warns about damaged EXIF and large pictures. Here both are dealt with, so the warnings are noise.
# warnings.catch_warnings is not safe in threads; a filter for Pillow's own modules, put in front, is.
_SILENCE = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_silence_lock = threading.Lock()


def _hush() -> None:
    if tuple(warnings.filters[:1]) != (_SILENCE,):
        with _silence_lock:
            warnings.filterwarnings("ignore", module=r"PIL\.")


def _header(raw: bytes) -> ImageFile.ImageFile:
    if not raw:
        raise DataError("the file is empty")
    try:
        return Image.open(io.BytesIO(raw), formats=_formats())
    except Image.DecompressionBombError:
        if not raw.startswith(b"\xff\xd8\xff"):
            raise
        return JpegImageFile(io.BytesIO(raw))  # It may be decoded at 1/8, so the size is judged later.


def _opened(raw: bytes, size: Size) -> ImageFile.ImageFile:
    picture = _header(raw)
    width, height = picture.size
    if min(width, height) < SHORTEST_SIDE:
        raise DataError(f"{width}x{height} pixels; the shorter side must be at least {SHORTEST_SIDE}")
    side = 2 * max(size.width, size.height)  # The longer side for both: orientation is not known yet.
    picture.draft(None, (side, side))
    limit = 2 * (Image.MAX_IMAGE_PIXELS or width * height)
    if width * height > limit and (
        picture.size[0] * picture.size[1] > limit or not _in_one_scan(raw, picture)
    ):
        raise DataError(f"{width}x{height} is {width * height:,} pixels; at most {limit:,} are decoded")
    picture.load()
    return picture


def _in_one_scan(raw: bytes, picture: ImageFile.ImageFile) -> bool:
    """Whether a JPEG can be decoded row by row; several scans make libjpeg hold all of it at full size."""
    start_of_scan = b"\xff\xda"  # Inside coded data 0xff is followed by 0x00 or a restart marker.
    if raw.count(start_of_scan) != 1 or not isinstance(picture, JpegImageFile):
        return False
    return raw[raw.index(start_of_scan) + 4] == picture.layers


def _orientation(picture: ImageFile.ImageFile) -> int:
    if picture.format == "TIFF":  # Pillow turns these itself.
        return 1
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except _BAD:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _turned(picture: ImageFile.ImageFile) -> Image.Image:
    turn = _TURNS.get(_orientation(picture))
    return picture if turn is None else picture.transpose(turn)


def _flattened(picture: Image.Image, channels: int) -> Image.Image:
    """Mode L or RGB, opaque, eight bits."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        picture = _eight_bit(picture)
    elif picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    elif picture.mode == "CMYK":
        picture = picture.convert("RGB")  # Pillow has no direct way from CMYK to L.
    return picture.convert("L" if channels == 1 else "RGB")


def _eight_bit(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture).astype(np.float32)
    values = np.where(np.isfinite(values), values, np.float32(0))
    low, high = float(values.min()), float(values.max())
    tops = (1.0, 255.0, 65535.0) if picture.mode == "F" else (65535.0,)
    top = next((top for top in tops if low >= 0.0 and high <= top), None)
    if top is None:
        low, top = low, max(high - low, 1e-12)
    else:
        low = 0.0
    scaled = (values - np.float32(low)) * np.float32(255.0 / top)
    return Image.fromarray(np.clip(scaled + 0.5, 0, 255).astype(np.uint8))


def _resized(picture: Image.Image, size: Size, fit: Fit) -> Image.Image:
    """The size wanted, or, for ``pad``, the largest that fits inside it."""
    width, height = picture.size
    box = (0.0, 0.0, float(width), float(height))
    target = (size.width, size.height)
    wider = width * size.height > height * size.width
    if fit == "crop" and wider:
        spare = (width - height * size.width / size.height) / 2
        box = (spare, 0.0, width - spare, float(height))
    elif fit == "crop":
        spare = (height - width * size.height / size.width) / 2
        box = (0.0, spare, float(width), height - spare)
    elif fit == "pad" and wider:
        target = (size.width, max(round(size.width * height / width), 1))
    elif fit == "pad":
        target = (max(round(size.height * width / height), 1), size.height)
    grows = target[0] >= box[2] - box[0] and target[1] >= box[3] - box[1]
    kernel = Image.Resampling.BICUBIC if grows else Image.Resampling.LANCZOS
    return picture.resize(target, kernel, box=box, reducing_gap=3.0)


def _to_tensor(picture: Image.Image, size: Size) -> Tensor:
    array = np.array(picture)
    array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    down, right = size.height - picture.height, size.width - picture.width
    if down or right:
        spare = ((0, 0), (down // 2, down - down // 2), (right // 2, right - right // 2))
        array = np.pad(array, spare, mode="edge")
    return torch.from_numpy(np.ascontiguousarray(array))


def _reason(error: BaseException) -> str:
    """One line for a list of refused files."""
    text = " ".join(str(error).split())[:160]
    if isinstance(error, UnidentifiedImageError):
        return "not a picture, or damaged from its first bytes on"
    if isinstance(error, Image.DecompressionBombError):
        return f"too large to decode: {text.split(',')[0]}"
    if isinstance(error, MemoryError):
        return "there is not enough memory to decode it"
    if isinstance(error, EOFError) or "truncated" in text.lower():
        return "the file is truncated"
    return f"damaged: {text or type(error).__name__}"
