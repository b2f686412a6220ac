"""Bytes of an image file -> the image a viewer would show: upright, opaque, eight bits, sRGB.

What is done to every image, in this order:

* The first frame is taken of animations (GIF, WebP, APNG), the largest image of an icon.
* JPEGs are decoded at 1/2, 1/4 or 1/8 where that leaves at least twice the size wanted.
* EXIF orientation is applied; damaged EXIF is ignored.
* Transparency (RGBA, LA, palettes, a transparent colour) is laid on white.
* 16-bit grey is divided by 257. Float is read as 0..1, else 0..255, else 0..65535, and 32-bit grey as
  0..65535 or its whole range, by its numbers; reports count these apart. Other ranges are refused, as is
  every form whose meaning is not certain: see `gansmith.data.decode.certain`.
* CMYK (Adobe's inverted kind too) becomes RGB. A colour profile that is not sRGB is converted to it
  (relative colorimetric), so that images from phones and cameras keep their colours.

Reading is safe in threads, and Pillow leaves Python's lock free for most of it.
"""

import io
import re
import struct
import threading
import warnings
import zlib
from dataclasses import dataclass
from functools import cache, lru_cache
from math import ceil
from typing import Any

from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from gansmith.core.image_size import Form
from gansmith.data.decode.certain import Meaning, check_alpha, eight_bit, in_srgb_tones, meaning
from gansmith.errors import DataError

SHORTEST_SIDE = 4  # In pixels. Smaller files are tracking pixels and spacers, not training images.

# Pixel formats only: Pillow also "reads" EPS by starting Ghostscript, and TGA or PCX have no signature
# that would keep junk from being taken for an image.
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
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
# What Pillow's format readers have been seen to raise on bad bytes; Warning for runs under -W error.
PICTURE_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AssertionError,
    AttributeError, EOFError, MemoryError, RuntimeError, SystemError, struct.error, zlib.error,
    Image.DecompressionBombError, Warning,
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a file says of its image before it is decoded; width and height as a viewer shows them.

    Example:
        >>> probe(Path("my_photos/0.png").read_bytes())
        Header(width=32, height=32, grey=False)
    """

    width: int
    height: int
    grey: bool


@dataclass(frozen=True)
class Photo:
    """An image as a viewer shows it; ``image`` is smaller than width x height where it was reduced.

    Example:
        >>> photo = read(Path("my_photos/0.png").read_bytes())
        >>> photo.format, photo.width, photo.height
        ('PNG', 32, 32)
    """

    image: Image.Image  # Mode L, RGB or CMYK (with a profile); opaque.
    width: int  # Of the whole image, upright, in pixels.
    height: int
    format: str  # "JPEG", "PNG", ...: as Pillow names it.
    mode: str  # Pixel mode in the file: "RGB", "L", "P", "CMYK", ...
    profile: bytes  # The colour profile still to be converted, or nothing.

    def in_srgb(self, image: Image.Image) -> Image.Image:
        """An image cut or resized from ``image``, in sRGB; what has no usable profile is taken as it is."""
        transform = _to_srgb(self.profile, image.mode) if self.profile else None
        if transform is not None:
            try:
                return ImageCms.applyTransform(image, transform) or image
            except ImageCms.PyCMSError:
                return image.convert("RGB")
        return image.convert("RGB") if image.mode == "CMYK" else image


def read(raw: bytes, form: Form | None = None) -> Photo:
    """The image of a file.

    Args:
        raw: the bytes of the file.
        form: what it will become; a JPEG is decoded at reduced scale where that leaves at least twice
            the pixels a side. None: at full scale.

    Raises:
        DataError: a reason of one line: truncated, not an image, too small, too large.
    """
    _hush()
    try:
        return _read(raw, form)
    except PICTURE_ERRORS as error:
        raise DataError(damage(error)) from error


def _read(raw: bytes, form: Form | None) -> Photo:
    picture = _header(raw)
    kind, mode, (width, height) = picture.format or "", picture.mode, picture.size
    known = meaning(raw, picture)
    _load(raw, picture, form)
    turn = _orientation(picture)
    if turn >= 5:
        width, height = height, width
    profile = picture.info.get("icc_profile") or b""
    opaque, profile, mode = _flattened(picture, profile if isinstance(profile, bytes) else b"", known)
    opaque = in_srgb_tones(opaque, known)
    upright = opaque.transpose(_TURNS[turn]) if turn in _TURNS else opaque
    return Photo(upright, width, height, kind, mode, profile)


def probe(raw: bytes) -> Header:
    """Width, height and greyness from the header, without decoding.

    Raises:
        DataError: it is not an image.
    """
    _hush()
    try:
        picture = _header(raw)
        width, height = picture.size
        # A PNG's orientation may stand behind its pixels: to look there would be to decode it.
        told = picture.format != "PNG" or "exif" in picture.info
        if told and _orientation(picture) >= 5:
            width, height = height, width
        grey = picture.mode in ("1", "L", "LA", "La", "F") or picture.mode.startswith("I")
        return Header(width=width, height=height, grey=grey)
    except PICTURE_ERRORS as error:
        raise DataError(damage(error)) from error


@cache
def suffixes() -> frozenset[str]:
    """The endings of files this Pillow can decode, in lower case with the dot."""
    return frozenset(end for end, kind in Image.registered_extensions().items() if kind in _formats())


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.ID if name in _FORMATS)  # In Pillow's order of trying.


# Pillow warns about damaged EXIF and large images. Here both are dealt with, so the warnings are noise.
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


def _load(raw: bytes, picture: ImageFile.ImageFile, form: Form | None) -> None:
    """Decode the pixels, reduced where that is allowed, unless there are too few or too many."""
    width, height = picture.size
    if min(width, height) < SHORTEST_SIDE:
        raise DataError(f"{width}x{height} pixels; the shorter side must be at least {SHORTEST_SIDE}")
    if form is not None:
        picture.draft(None, _least(width, height, form))
    limit = 2 * (Image.MAX_IMAGE_PIXELS or width * height)
    if width * height > limit and (
        picture.size[0] * picture.size[1] > limit or not _in_one_scan(raw, picture)
    ):
        raise DataError(f"{width}x{height} is {width * height:,} pixels; at most {limit:,} are decoded")
    picture.load()


def _least(width: int, height: int, form: Form) -> tuple[int, int]:
    """The size that is enough; the longer side of the form for both, as orientation is not known yet."""
    side = 2 * max(form.size.width, form.size.height)
    if form.box is None:
        return side, side
    part = min(form.box[2] - form.box[0], form.box[3] - form.box[1])
    return ceil(side * width / part), ceil(side * height / part)


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
    except PICTURE_ERRORS:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def in_mode(picture: Image.Image, mode: str) -> Image.Image:
    """The image in another mode; itself where it is in that mode (Pillow would copy it)."""
    return picture if picture.mode == mode else picture.convert(mode)


def _flattened(picture: Image.Image, profile: bytes, known: Meaning) -> tuple[Image.Image, bytes, str]:
    """The image in mode L, RGB or CMYK, opaque, eight bits; the profile it is to be read by; its mode."""
    mode = picture.mode
    if mode == "F" or mode.startswith("I"):
        grey, mode = eight_bit(picture, known)
        return grey, b"", mode
    if picture.has_transparency_data:
        if mode in _PREMULTIPLIED:
            picture = picture.convert(_PREMULTIPLIED[mode])
        picture = picture.convert("RGBA")
        check_alpha(picture, known)
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB"), profile, mode
    if mode == "CMYK" and profile:
        return picture, profile, mode
    kept = profile if mode in ("L", "RGB", "P") else b""
    return in_mode(picture, "L" if mode in ("1", "L") else "RGB"), kept, mode


def damage(error: BaseException) -> str:
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


@lru_cache(maxsize=64)
def _to_srgb(profile: bytes, mode: str) -> Any:
    """The conversion of a profile; None where it is sRGB already, of another kind of pixel, or damaged."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space != {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}.get(mode):
            return None
        if space == "RGB" and "srgb" in (source.profile.profile_description or "").lower():
            return None
        return ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
