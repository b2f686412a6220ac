"""Pictures in a zip file, read where they lie."""

import lzma
import struct
import threading
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from gansmith.data.metadata.facts import Refused
from gansmith.data.sources.base import Files, Listing, hidden, inside
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
    """Reads the entries of a zip by their names as `ZipSource` tells them; opens it on first use.

    Args:
        path: the zip file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()  # ZipFile counts its open entries without one.
        self._open: zipfile.ZipFile | None = None
        self._found: dict[str, zipfile.ZipInfo] = {}

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
            files = {inside(info.filename): info for info in self._open.infolist() if not info.is_dir()}
            self._found = _unwrapped({name: info for name, info in files.items() if not hidden(name)})
        return self._found

    def read(self, key: str) -> bytes:
        """The bytes of an entry."""
        with self._lock:
            entry = self.entries()[key]
            assert self._open is not None
            try:
                return self._open.read(entry)
            except _DAMAGED as error:
                raise DataError(f"damaged inside the zip: {error}") from error


class ZipSource(Files):
    """The pictures in a zip; nothing is extracted, so names inside may be anything.

    A single folder around everything is left out of the names: a zip of a folder is that folder.

    Args:
        path: the zip file.
        label: see `Files`.

    Raises:
        DataError: it is not a zip, or damaged.
    """

    def __init__(self, path: Path | str, label: str | None = None) -> None:
        reader = ZipReader(Path(path))
        listing = Listing()
        for name, info in reader.entries().items():
            if info.flag_bits & 1:
                listing.refused.append(Refused(name, "encrypted; unpack the zip with its password first"))
            else:
                listing.add(name, info.file_size)
        super().__init__(str(path), listing, reader, label)


def _unwrapped(entries: Mapping[str, zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    tops = {name.partition("/")[0] for name in entries}
    if len(tops) != 1 or any("/" not in name for name in entries):
        return dict(entries)
    return {name.partition("/")[2]: info for name, info in entries.items()}
