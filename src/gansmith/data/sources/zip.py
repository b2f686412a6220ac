"""Images in a zip file, read where they lie."""

import errno
import lzma
import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from gansmith.data.sources.base import Files, Listing, inside, note_leavings, unwrapped
from gansmith.data.sources.leavings import sift
from gansmith.errors import DataError

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    OSError,
)
"""What reading an entry of a damaged or encrypted zip may raise."""


class ZipReader:
    r"""Reads the entries of a zip by their names as `ZipSource` tells them; opens it on first use.

    Args:
        path: the zip file.

    Example:
        >>> reader = ZipReader(Path("photos.zip"))
        >>> reader.read(next(iter(reader.entries())))[:4]
        b'\x89PNG'
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()  # ZipFile counts its open entries without one.
        self._open: zipfile.ZipFile | None = None
        self._found: Mapping[str, zipfile.ZipInfo] = {}
        self.leavings: Mapping[str, tuple[str, str]] = {}
        """What `gansmith.data.sources.leavings.sift` found, once `entries` was called; as ``twice``."""
        self.twice: list[str] = []  # Names of which an earlier file was met: the last one is used.

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        ZipReader.__init__(self, path)

    def entries(self) -> Mapping[str, zipfile.ZipInfo]:
        """The files inside that count, by name.

        Raises:
            DataError: it is not a zip, or damaged.
        """
        if self._open is None:
            try:
                self._open = zipfile.ZipFile(self.path)
            except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
                raise DataError(
                    f"A zip of pictures was expected. Received: {self.path} ({error})."
                ) from error
            files: dict[str, zipfile.ZipInfo] = {}
            for info in self._open.infolist():
                name = inside(_name(info))
                if not name or info.filename.endswith(("/", "\\")):
                    continue
                if name in files:
                    self.twice.append(name)
                files[name] = info
            self.leavings = sift(files)
            self._found = unwrapped({name: info for name, info in files.items() if name not in self.leavings})
        return self._found

    def read(self, key: str) -> bytes:
        """The bytes of an entry."""
        with self._lock:
            entry = self._entry(key)
            assert self._open is not None
            try:
                return self._open.read(entry)
            except _DAMAGED as error:
                raise DataError(f"damaged inside the zip: {error}") from error

    def _entry(self, key: str) -> zipfile.ZipInfo:
        if self._open is None and not self.path.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        found = self.entries().get(key)
        if found is None:
            raise FileNotFoundError(
                errno.ENOENT, os.strerror(errno.ENOENT), key
            )  # Another zip lies there now.
        return found

    def part(self, key: str, start: int, length: int) -> bytes:
        """Some bytes of an entry; they are read where they lie, where nothing is packed.

        No more is unpacked than is asked for, whatever the archive says of the size.
        """
        entry = self._entry(key)
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            return self._unpacked(entry, start, length)
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(entry.header_offset)
                behind = entry.header_offset + _LOCAL.size + sum(_LOCAL.unpack(file.read(_LOCAL.size)))
                file.seek(behind + start)
                return file.read(min(length, entry.file_size - start))
        except _DAMAGED as error:
            raise DataError(f"damaged inside the zip: {error}") from error

    def _unpacked(self, entry: zipfile.ZipInfo, start: int, length: int) -> bytes:
        with self._lock:
            assert self._open is not None
            try:
                with self._open.open(entry) as file:
                    while start > 0 and (passed := file.read(min(start, _PIECE))):
                        start -= len(passed)
                    pieces = []
                    while length > 0 and (piece := file.read(min(length, _PIECE))):
                        pieces.append(piece)
                        length -= len(piece)
            except _DAMAGED as error:
                raise DataError(f"damaged inside the zip: {error}") from error
        return b"".join(pieces)


_PIECE = 2**20  # Bytes unpacked at a time.
_LOCAL = struct.Struct("<26xHH")  # A local header, up to the lengths of what lies behind it; APPNOTE, 4.3.7.
_UTF8 = 0x800  # The flag of names in UTF-8; APPNOTE 6.3.10, appendix D.
_UNICODE_PATH = 0x7075  # The extra field with the name in UTF-8; APPNOTE, 4.6.9.


def _name(info: zipfile.ZipInfo) -> str:
    """The name of an entry: in UTF-8 where its bytes are that, whatever the flag says; else in code page 437.

    Archive Utility of macOS, among others, writes UTF-8 and does not say so.
    """
    if info.flag_bits & _UTF8 or info.orig_filename.isascii():
        return info.filename
    raw = info.orig_filename.encode("cp437", "replace")
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        part, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and part[:1] == b"\1" and part[1:5] == struct.pack("<I", zlib.crc32(raw)):
            raw = part[5:]
    try:
        return raw.decode("utf-8").partition("\0")[0]
    except UnicodeDecodeError:
        return info.filename


class ZipSource(Files):
    r"""The images in a zip; nothing is extracted, so names inside may be anything.

    A single folder around everything is left out of the names: a zip of a folder is that folder.

    Args:
        path: the zip file.
        label: see `Files`.
        around: see `Files`.

    Raises:
        DataError: it is not a zip, or damaged.

    Example:
        >>> source = ZipSource("photos.zip")
        >>> source.names[0], source.read(0)[:4]
        ('0.png', b'\x89PNG')
    """

    def __init__(self, path: Path | str, label: str | None = None, around: Files | None = None) -> None:
        reader = ZipReader(Path(path))
        listing = Listing()
        for name, info in reader.entries().items():
            if info.flag_bits & 1:
                listing.refuse(name, "encrypted; unpack the zip with its password first")
            else:
                listing.add(name, info.file_size)
        note_leavings(listing, reader.leavings, reader.twice)
        super().__init__(str(path), listing, reader, label, around)
