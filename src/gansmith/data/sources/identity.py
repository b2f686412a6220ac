"""Whether images are the same as before: told from samples of their bytes, whatever their names and dates.

Of up to `FILES` images, evenly spread over all, the beginning, the middle and the end are read; names and
sizes of all count, too. So a set whose images were exchanged is noticed, and one file among thousands that
was exchanged for another of the same name and size may not be.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gansmith.errors import DataError

SCHEME = "contents-1:"
"""What fingerprints of this kind begin with; older ones were of names and sizes alone."""

FILES = 2048
"""Images of which samples are read."""

_WINDOW = 2**14  # Bytes read at a place.
_WINDOWS = 64  # Places in a file that holds many images.
_WHOLE = 2**22  # Bytes up to which such a file is read as a whole.
_THREADS = 8  # Waiting for a disk takes longer than reading from it.

Part = Callable[[int, int, int], bytes]
"""(image, start, length in bytes) -> bytes."""


def of_pictures(names: Sequence[str], sizes: Sequence[int], part: Part) -> str:
    """The fingerprint of image files.

    Args:
        names: of the images.
        sizes: theirs, in bytes.
        part: reads some bytes of one.
    """
    digest = hashlib.sha256()
    for name, size in zip(names, sizes, strict=True):
        digest.update(f"{name}\0{size}\n".encode("utf-8", "surrogateescape"))
    count = min(len(names), FILES)
    rows = [place * len(names) // count for place in range(count)]
    with ThreadPoolExecutor(_THREADS) as pool:
        for sample in pool.map(lambda row: _sample(row, sizes[row], part), rows):
            digest.update(sample)
    return SCHEME + digest.hexdigest()


def _sample(row: int, size: int, part: Part) -> bytes:
    digest = hashlib.sha256()
    try:
        for start, length in _windows(size, 3):
            digest.update(part(row, start, length))
    except (DataError, OSError, ValueError):  # It will be refused, with the reason.
        return b"unreadable"
    return digest.digest()


def of_files(files: Iterable[tuple[str, Path]], *also: str) -> str:
    """The fingerprint of files that hold many images each.

    Args:
        files: (what a file is called, where it is).
        also: what else counts, such as which of the images are taken.
    """
    digest = hashlib.sha256(repr(also).encode("utf-8", "surrogateescape"))
    for name, path in files:
        digest.update(f"{name}\0".encode("utf-8", "surrogateescape"))
        try:
            size = path.stat().st_size
            digest.update(f"{size}\n".encode())
            with path.open("rb", buffering=0) as file:
                windows = [(0, size)] if size <= _WHOLE else _windows(size, _WINDOWS)
                for start, length in windows:
                    file.seek(start)
                    digest.update(file.read(length))
        except OSError:
            digest.update(b"unreadable")
    return SCHEME + digest.hexdigest()


def _windows(size: int, count: int) -> list[tuple[int, int]]:
    """(start, length) of parts spread evenly from the beginning to the end."""
    if size <= count * _WINDOW:
        return [(0, size)]
    return [(place * (size - _WINDOW) // (count - 1), _WINDOW) for place in range(count)]


def is_same(before: object, now: object) -> bool:
    """Whether two fingerprints speak of the same images; one of an older scheme cannot tell, and passes."""
    older = isinstance(before, str) and isinstance(now, str) and not before.startswith(SCHEME)
    return before == now or (older and str(now).startswith(SCHEME))
