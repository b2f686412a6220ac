"""Files that are either wholly there or not there at all."""

import os
from collections.abc import Callable
from pathlib import Path

from gansmith.errors import StorageError


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it into place.

    Whoever reads ``path`` at any moment, a power cut included, finds the old file or the new one.

    Raises:
        StorageError: the disk is full or refuses; what was at ``path`` before is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        write(temporary)
        _to_disk(temporary)
        os.replace(temporary, path)
        _to_disk(path.parent)
    except OSError as error:
        raise StorageError(f"Could not write {path}: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """``write_whole`` for text."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _to_disk(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open directories, and renames there are durable by other means.
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
