"""Where picture files keep an XMP packet: found without decoding a pixel, and put where Pillow cannot put it.

Every reader here walks the parts of a file by their lengths, holds no more than one packet, and stops after
so many parts: a file may say anything of itself.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, cast

from PIL import Image

MOST_BYTES = 2**20
"""Of a packet that is read; ours have two thousand."""

_MOST_PARTS = 2_000_000
_PNG, _JPEG, _GIF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8"
_XAP = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_KEY = b"XML:com.adobe.xmp"
# XMP part 3: section 1.1.2 (GIF) and section 2.1.5 (MPEG-4).
_GIF_KEY, _GIF_END = b"XMP DataXMP", bytes((1, *range(255, -1, -1), 0))
_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_OTHERS = ("TIFF", "AVIF", "BMP", "PPM", "ICO", "JPEG2000", "QOI", "SGI")
# What Pillow's readers of headers raise on bad bytes; Warning for runs under -W error.
_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError, Warning,
)  # fmt: skip


class MarkError(ValueError):
    """There is a packet, and it is not read; says why.

    Example:
        >>> raise MarkError("it is compressed and damaged")
    """


@dataclass(frozen=True)
class Found:
    """What a file keeps about itself.

    Example:
        >>> with open("grid.png", "rb") as file:
        ...     find(file).kind
        'png'
    """

    kind: str  # png, jpeg, webp, gif, mp4, or as Pillow calls it, in small letters.
    xmp: bytes | None  # The first packet.
    own: bytes | None = None  # The JSON of a PNG's chunk "gansmith".


def find(file: io.BufferedIOBase) -> Found | None:
    """The XMP packet of an open picture or film; None where it is neither.

    Raises:
        MarkError: there is one, longer than ``MOST_BYTES``, or packed in a way that cannot be undone.
        OSError: the file cannot be read.
    """
    head = file.read(16)
    kinds = {
        "png": head.startswith(_PNG),
        "jpeg": head.startswith(_JPEG),
        "gif": head.startswith(_GIF),
        "webp": head[:4] == b"RIFF" and head[8:12] == b"WEBP",
        "mp4": head[4:8] == b"ftyp" and head[8:12] not in (b"avif", b"avis"),
    }
    kind = next((kind for kind, fits in kinds.items() if fits), None)
    if kind is None:
        return _by_pillow(file)
    if kind == "png":
        texts = dict(reversed(list(islice(_png(file), 16))))
        return Found(kind, texts.get(_PNG_KEY), texts.get(b"gansmith"))
    readers = {"jpeg": _jpeg, "gif": _gif, "webp": _webp, "mp4": _mp4}
    return Found(kind, next(readers[kind](file), None))


def _by_pillow(file: io.BufferedIOBase) -> Found | None:
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(cast(IO[bytes], file), formats=_OTHERS) as image:
                kind, packet = (image.format or "").lower(), image.info.get("xmp")
    except _ERRORS:
        return None
    if isinstance(packet, str):
        packet = packet.encode()
    return Found(kind, _short(packet) if isinstance(packet, bytes) else None)


def _short(packet: bytes) -> bytes:
    if len(packet) > MOST_BYTES:
        raise MarkError(f"it is longer than {MOST_BYTES:,} bytes")
    return packet


def _part(file: io.BufferedIOBase, size: int) -> bytes:
    """The bytes of a part that is a packet."""
    return _short(file.read(min(size, MOST_BYTES + 1)))


def _png(file: io.BufferedIOBase) -> Iterator[tuple[bytes, bytes]]:
    """Keywords of text chunks that are ours to read, and their texts."""
    place = len(_PNG)
    for _ in range(_MOST_PARTS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head)
        place += 12 + size
        if kind in (b"iTXt", b"tEXt"):
            begin = file.read(min(size, 32))
            keyword = begin.partition(b"\0")[0]
            if keyword in (_PNG_KEY, b"gansmith"):
                text = (begin + _part(file, size - len(begin)))[len(keyword) + 1 :]
                yield keyword, _international(text) if kind == b"iTXt" else text


def _international(text: bytes) -> bytes:
    """What is said in an iTXt chunk after its keyword."""
    packed, rest = text[:1] == b"\1", text[2:]
    words = rest.partition(b"\0")[2].partition(b"\0")[2]  # After the language and the keyword in it.
    if not packed:
        return words
    try:
        return _short(zlib.decompressobj().decompress(words, MOST_BYTES + 1))
    except zlib.error as error:
        raise MarkError("it is compressed and damaged") from error


def _jpeg(file: io.BufferedIOBase) -> Iterator[bytes]:
    place = 2
    for _ in range(_MOST_PARTS):
        file.seek(place)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xD9, 0xDA):  # The pixels, or their end.
            return
        if head[1] in (0xFF, 0x01, *range(0xD0, 0xD9)):  # Filling, or a marker with nothing behind it.
            place += 1 if head[1] == 0xFF else 2
            continue
        size = int.from_bytes(head[2:], "big")
        if head[1] == 0xE1 and file.read(len(_XAP)) == _XAP:
            yield file.read(max(size - 2 - len(_XAP), 0))
        place += 2 + max(size, 2)


def _webp(file: io.BufferedIOBase) -> Iterator[bytes]:
    place = 12
    for _ in range(_MOST_PARTS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        kind, size = struct.unpack("<4sI", head)
        if kind == b"XMP ":
            yield _part(file, size)
        place += 8 + size + size % 2


def _gif(file: io.BufferedIOBase) -> Iterator[bytes]:
    file.seek(10)
    flags = file.read(1)
    file.seek(13)
    _skip_table(file, flags)
    for _ in range(_MOST_PARTS):
        kind = file.read(1)
        if kind == b"\x2c":  # An image: its place, its colours, and a byte before its pixels.
            _skip_table(file, file.read(9)[-1:])
            file.read(1)
        elif kind != b"\x21":  # No extension: the end.
            return
        elif file.read(1) == b"\xff":
            length = file.read(1)
            if file.read(length[0] if length else 0) == _GIF_KEY:
                start = file.tell()
                _skip_blocks(file)
                size = file.tell() - start
                file.seek(start)
                yield _part(file, size).removesuffix(_GIF_END)
                return
        _skip_blocks(file)


def _skip_table(file: io.BufferedIOBase, flags: bytes) -> None:
    if flags and flags[0] & 0x80:
        file.seek(3 * 2 ** ((flags[0] & 7) + 1), io.SEEK_CUR)


def _skip_blocks(file: io.BufferedIOBase) -> None:
    for _ in range(_MOST_PARTS):
        length = file.read(1)
        if length in (b"", b"\0"):
            return
        file.seek(length[0], io.SEEK_CUR)


def _mp4(file: io.BufferedIOBase) -> Iterator[bytes]:
    place = 0
    for _ in range(_MOST_PARTS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        size, kind = struct.unpack(">I4s", head)
        begin = 8
        if size == 1:  # Too large for four bytes.
            size, begin = int.from_bytes(file.read(8), "big"), 16
        if kind == b"uuid" and file.read(16) == _UUID:
            yield _part(file, size - begin - 16 if size else MOST_BYTES + 1)
        if size < begin:  # 0: up to the end of the file.
            return
        place += size


def append_to_gif(path: Path, packet: bytes) -> None:
    """Put an XMP packet at the end of a GIF, in an extension for applications; its images stay as they are.

    Raises:
        OSError: the disk refuses.
        ValueError: the file does not end as a GIF does.
    """
    with path.open("r+b") as file:
        file.seek(-1, io.SEEK_END)
        if file.read(1) != b";":
            raise ValueError("A GIF ends in a semicolon.")
        file.seek(-1, io.SEEK_END)
        # Readers who count blocks take letters for lengths; wherever that leads, the end brings them out.
        file.write(b"\x21\xff\x0b" + _GIF_KEY + packet + _GIF_END + b";")


def append_to_mp4(path: Path, packet: bytes) -> None:
    """Put an XMP packet behind a whole MP4, in a box of its own; what is before it stays as it is.

    Raises:
        OSError: the disk refuses.
    """
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", 24 + len(packet), b"uuid") + _UUID + packet)
