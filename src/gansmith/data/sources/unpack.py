"""Compressed files as plain ones: unpacked once per process into a temporary folder that goes at exit.

Worker processes are given the path of the plain file and read it, too; only the process that unpacked it
removes it. Nothing is ever written beside the user's own files.
"""

import atexit
import bz2
import gzip
import lzma
import os
import shutil
import tempfile
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gansmith.core.files import storage_error
from gansmith.errors import DataError

_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)
_CHUNK = 2**18  # In bytes.
_ALWAYS = 2**30  # Bytes any file may unpack to, however small it is.
_RATIO = 300  # Beyond that, unpacked to packed. Even drawings stored without compression stay below.


@dataclass(frozen=True)
class Plain:
    """A file without compression.

    Example:
        >>> unpacked = plain(Path("photos.tar.gz"))  # The copy goes when the process ends.
        >>> unpacked.path.stat().st_size % 512, unpacked.damage
        (0, '')
    """

    path: Path
    damage: str = ""  # Why the rest could not be unpacked; the part before the damage is in ``path``.


def plain(path: Path) -> Plain:
    """The file itself, or, where it is packed with gzip, bzip2 or xz, its unpacked copy.

    What a file is packed with is seen from its first bytes, not from its name.

    Raises:
        DataError: it cannot be read, is packed with zstandard, or unpacks to absurdly much.
        StorageError: the disk for temporary files is full.
    """
    try:
        with path.open("rb") as file:
            start = file.read(6)
        status = path.stat()
    except OSError as error:
        raise DataError(f"A file of pictures was expected. Received: {path} ({error.strerror}).") from error
    if start.startswith(_ZSTANDARD):
        raise DataError(
            f"Archives packed with gzip, bzip2 or xz are read. Received: {path}, packed with zstandard. "
            f"Unpack it first: zstd -d {path.name}"
        )
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
    if opener is None:
        return Plain(path)
    known = (str(path.resolve()), status.st_size, status.st_mtime_ns)
    with _lock:
        if known not in _unpacked or not _unpacked[known].path.exists():  # Somebody may tidy up /tmp.
            _unpacked[known] = _unpack(path, opener, status.st_size)
        return _unpacked[known]


def temporary(name: str) -> Path:
    """A path for a new file that lives as long as this process; ``name`` is for people who look there."""
    global _folder, _owner
    if _folder is None or _owner != os.getpid():  # A forked child has a folder of its own.
        _folder, _owner = Path(tempfile.mkdtemp(prefix="gansmith-")), os.getpid()
        atexit.register(_remove, _folder, _owner)
    handle, path = tempfile.mkstemp(prefix=f"{name[:64]}-", dir=_folder)
    os.close(handle)
    return Path(path)


_lock = threading.Lock()
_unpacked: dict[tuple[str, int, int], Plain] = {}
_folder: Path | None = None
_owner = 0  # The process whose folder it is.


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(path: Path, opener: Callable[[Path], Any], packed: int) -> Plain:
    target = temporary("".join(letter if letter.isalnum() else "_" for letter in path.name))
    free = shutil.disk_usage(target.parent).free // 2
    limit = min(free, max(_ALWAYS, _RATIO * packed))
    try:
        with target.open("wb") as out, opener(path) as packed_file:
            damage = _copied(packed_file, out, limit)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise storage_error(target, error) from error
    if damage is None:
        target.unlink(missing_ok=True)
        raise _too_much(path, packed, limit, target.parent.parent, full=limit == free)
    return Plain(target, damage)


def _copied(packed: Any, out: BinaryIO, limit: int) -> str | None:
    """What was wrong with the packed file; nothing where all went well; None beyond the limit."""
    done = 0
    while True:
        try:
            chunk = packed.read1(_CHUNK)  # Unlike read, it hands out all that lies before the damage.
        except _DAMAGED as error:
            return f"it is damaged or cut short ({str(error) or type(error).__name__})"
        if not chunk:
            return ""
        done += len(chunk)
        if done > limit:
            return None
        out.write(chunk)


def _too_much(path: Path, packed: int, limit: int, place: Path, *, full: bool) -> DataError:
    if full:
        return DataError(
            f"{path} unpacks to more than {limit:,} bytes, half of what is free in {place}. "
            "Unpack it yourself and give the folder, or set TMPDIR to a folder on a larger disk."
        )
    return DataError(
        f"{path} has {packed:,} bytes and unpacks to more than {limit:,}: pictures do not shrink so much. "
        "If you trust it, unpack it yourself and give the folder."
    )
