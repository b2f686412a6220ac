"""Which pixels of a file mean what: forms that are certain are read, others are refused with what to do.

Pillow reads more than it understands: numbers of 12, 16 and 32 bits as if all had 16, those whose zero is
white as their negative, planes of some kinds as noise. Each form let through here is compared with files
written by hand in ``tests/data/decode/test_true_pixels.py``.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from gansmith.errors import DataError

_MODES = frozenset(
    (
        *("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB"),
        *("I", "I;16", "I;16B", "I;16L", "F"),
    )
)
_BITS, _COMPRESSION, _PHOTOMETRIC, _PLANAR = 258, 259, 262, 284  # Tags of TIFF 6.0.
_COLOUR_MAP, _EXTRA, _FORMAT, _SUBSAMPLING, _BLACK_WHITE = 320, 338, 339, 530, 532
_UNSIGNED = 1
_USUAL_RANGE = (0, 255, 128, 255, 128, 255)
_HIGH_RANGE = (16, 18)  # Transfer functions PQ and HLG of ITU-T H.273.
_AS_SRGB = 0.05  # A gAMA that is nearer to 1 / 2.2 than this share is how files say sRGB.
_COLOURS = {2: 3, 3: 1}  # Photometric kinds with colours or a colour map: samples that are no alpha.
# libtiff hands on numbers in the machine's order; Pillow (13.0) still asks for the file's.
_IN_MACHINE_ORDER = {"F;32BF": "F;32NF", "I;32BS": "I;32NS", "I;16BS": "I;16NS"}


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a file mean, as far as Pillow does not see to it.

    Example:
        >>> raw = Path("my_photos/0.png").read_bytes()
        >>> meaning(raw, Image.open(io.BytesIO(raw))).top
        65535.0
    """

    top: float = 65535.0  # The largest number; white, or black where ``inverted``.
    inverted: bool = False  # Zero is white, and Pillow leaves it so.
    alpha: bool = True  # Whether a fourth channel is said to be one; else it must not matter.
    unsigned: bool = False  # Numbers of 32 bits whose sign Pillow misreads.
    sure: bool = False  # Whether ``top`` is known where numbers have 32 bits.
    clear: int | None = None  # The number that is transparent, of 16 bits.
    gamma: float = 0.0  # Exponent with which numbers go as light does, as the file says; 0: as sRGB has it.


def meaning(raw: bytes, picture: ImageFile.ImageFile) -> Meaning:
    """What the numbers of an image mean; read from its header, before it is loaded.

    Raises:
        DataError: they are of a form whose meaning is not certain.
    """
    if picture.mode not in _MODES:
        raise DataError(f"its pixels are {picture.mode}, which is not read; save it as RGB")
    if picture.format == "PNG":
        return _of_png(raw, picture)
    if picture.mode == "CMYK" and picture.format in ("JPEG", "MPO") and "adobe" not in picture.info:
        raise DataError("it has four inks and does not say whether 0 is none or all of one; save it as RGB")
    if picture.format == "PPM":
        return Meaning(sure=picture.mode == "I")  # Scaled by the largest number it names.
    return _of_tiff(picture) if picture.format == "TIFF" else Meaning()


def _of_png(raw: bytes, picture: ImageFile.ImageFile) -> Meaning:
    chunks = dict(_chunks(raw))
    head = chunks.get(b"IHDR", bytes(13))
    bits, clear = head[8], picture.info.get("transparency")
    if bits == 16 and isinstance(clear, tuple):
        raise DataError("one colour of 16 bits is transparent, which is not read; save it with 8 bits")
    if (
        bits < 8 and isinstance(clear, int) and picture.mode == "L"
    ):  # Pillow scales the numbers, not this one.
        picture.info["transparency"] = (clear & (2**bits - 1)) * 255 // (2**bits - 1)
    if len(said := chunks.get(b"cICP", b"")) == 4 and said[1] in _HIGH_RANGE:
        raise DataError("its colours have a high dynamic range (HDR), which is not read; save it as sRGB")
    told = chunks.keys() & {b"iCCP", b"sRGB", b"cICP"}
    given = chunks.get(b"gAMA", b"")
    power = struct.unpack(">I", given)[0] / 100_000 if len(given) == 4 and not told else 0.0
    return Meaning(
        clear=clear if isinstance(clear, int) and picture.mode.startswith("I") else None,
        gamma=power if 0.01 < power < 10 and abs(power * 2.2 - 1) > _AS_SRGB else 0.0,
    )


def _chunks(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG before its pixels."""
    at = 8
    while at + 8 <= len(raw) and (name := raw[at + 4 : at + 8]) != b"IDAT":
        (size,) = struct.unpack(">I", raw[at : at + 4])
        yield name, raw[at + 8 : at + 8 + size]
        at += 12 + size


def in_srgb_tones(image: Image.Image, known: Meaning) -> Image.Image:
    """The image with the tones a file's gAMA means (PNG 13.13), in those of sRGB; mode L or RGB."""
    if not known.gamma:
        return image
    light = (np.arange(256) / 255) ** (1 / known.gamma)
    tones = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return image.point((255 * tones + 0.5).astype(np.uint8).tolist() * len(image.getbands()))


def _of_tiff(picture: Any) -> Meaning:
    tags = picture.tag_v2
    why = next((why for wrong, why in _doubts(picture, tags) if wrong), None)
    if why is not None:
        raise DataError(why)
    bits, extra, kind = tags.get(_BITS, (1,)), tags.get(_EXTRA, ()), tags[_PHOTOMETRIC]
    if tags.get(_COMPRESSION, 1) != 1:
        picture.tile = [_in_machine_order(tile) for tile in picture.tile]
    more = len(bits) > _COLOURS.get(kind, len(bits))
    return Meaning(
        top=float(2 ** bits[0] - 1) if picture.mode.startswith("I;") else 65535.0,
        inverted=kind == 0 and (picture.mode == "F" or picture.mode.startswith("I")),
        alpha=not more or bool({1, 2} & {*extra[:1]}),
        unsigned=picture.mode == "I" and _numbers(tags) == {_UNSIGNED},
    )


def _doubts(picture: Any, tags: Any) -> Iterator[tuple[bool, str]]:
    """What may be unclear of a TIFF: whether it is, and what to say then."""
    bits, kind, numbers = tags.get(_BITS, (1,)), tags.get(_PHOTOMETRIC), _numbers(tags)
    plain = tags.get(_COMPRESSION, 1) == 1
    yield kind is None, "it does not say whether zero is black or white (tag 262); save it again as PNG"
    signed = numbers != {_UNSIGNED} and bits[0] < 32
    yield signed, "its numbers have signs, so that nobody knows which is black or white; save it as PNG"
    planes = tags.get(_PLANAR, 1) == 2 and len(bits) > 1
    yield (
        planes and not _planes_are_read(picture, kind, bits, not plain),
        "its channels lie one after the other in a way that is not read; save it as PNG",
    )
    yield (
        kind == 6 and len(bits) > 1 and plain and tuple(tags.get(_SUBSAMPLING, (2, 2))) != (1, 1),
        "its colours have fewer pixels than its brightness, uncompressed; save it as PNG",
    )
    ranges = tuple(map(float, tags.get(_BLACK_WHITE, _USUAL_RANGE)))
    yield (
        kind == 6
        and ranges != _USUAL_RANGE
        and tags.get(_COMPRESSION, 1) in (1, 6, 7),  # Else libtiff minds it.
        "its brightness has a range of its own (tag 532), which is not read; save it as PNG",
    )
    yield (
        kind == 3 and 0 < max(tags.get(_COLOUR_MAP, ()), default=0) < 256,
        "its colour map has 8 bits where TIFF has 16, so it would be black; save it as PNG",
    )


def _numbers(tags: Any) -> set[int]:
    return set(tags.get(_FORMAT, (_UNSIGNED,)))


def _planes_are_read(picture: Any, kind: int, bits: Sequence[int], compressed: bool) -> bool:
    plain = picture.mode in ("RGB", "RGBA", "CMYK") and kind in (2, 5) and picture.tag_v2.get(266, 1) == 1
    return plain and (set(bits) == {8} or (set(bits) == {16} and compressed))


def _in_machine_order(tile: Any) -> Any:
    first, *others = tile.args
    return tile._replace(args=(_IN_MACHINE_ORDER.get(first, first), *others))


def eight_bit(picture: Image.Image, known: Meaning) -> tuple[Image.Image, str]:
    """Grey numbers of more than eight bits as 0..255, and their pixel mode, with white where it is a guess.

    Raises:
        DataError: neither the file nor the range of the numbers says what is black and what is white.
    """
    values = np.asarray(picture)
    if known.unsigned:
        values = values.view(np.uint32)
    if not np.isfinite(values).all():
        raise DataError("some of its numbers are NaN or infinite; save it as 8-bit or 16-bit grey")
    low, high = values.min(), values.max()
    top, mode = known.top, picture.mode
    if picture.mode in ("F", "I") and not known.sure:
        tops = (1.0, 255.0, 65535.0) if picture.mode == "F" else (65535.0,)
        guess = next((top for top in tops if 0 <= low and high <= top), None)
        if known.unsigned and high >= 2**24:  # So many bits are not used by chance.
            guess = 2.0**32 - 1
        if guess is None:
            raise DataError(
                f"its numbers go from {low:.6g} to {high:.6g}, and nothing says which of them is white; save "
                "it as 8-bit or 16-bit grey"
            )
        top, mode = guess, f"{picture.mode} to {guess:.0f}"
    scaled = values.astype(np.float32) * np.float32(255.0 / top)
    if known.inverted:
        scaled = 255 - scaled
    if known.clear is not None:
        scaled[values == known.clear] = 255
    return Image.fromarray(np.clip(scaled + 0.5, 0, 255).astype(np.uint8)), mode


def check_alpha(picture: Image.Image, known: Meaning) -> None:
    """See to it that transparency means what it will be taken for.

    Args:
        picture: in mode RGBA.
        known: what its file says.

    Raises:
        DataError: nothing of it can be seen, or its fourth channel may be anything.
    """
    low, high = picture.getchannel("A").getextrema()
    if not known.alpha and low != 255:
        raise DataError("it does not say what its fourth channel is (tag 338); save it as PNG")
    if high == 0:
        raise DataError("every pixel of it is transparent, so there is nothing to be seen")
