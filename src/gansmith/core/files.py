"""Files that are either wholly there or not there at all."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from gansmith.errors import GansmithError, SettingError, StorageError


def storage_error(path: Path, problem: OSError, so_far: str = "") -> StorageError:
    """What the disk refused, in words: full, forbidden, or what the system said."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = "the disk is full. Free some space, or write to another disk"
    elif problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = "writing is not permitted there. Choose a folder that is yours"
    else:
        reason = problem.strerror or str(problem)
    return StorageError(f"Cannot write {path}: {reason}.{' ' if so_far else ''}{so_far}")


def check_outside_data(path: Path, *places: str) -> None:
    """Raise where a file to be written is, or lies in, what images are read from.

    Args:
        path: of the file or folder to be written.
        places: what the user named as data; names that are no paths do not count.

    Raises:
        SettingError: it would change the data.
    """
    for place in places:
        data = Path(place).expanduser()
        if data.exists() and path.resolve().is_relative_to(data.resolve()):
            raise SettingError(
                f"Data are never written to. Received: {path} to be written, in {data}. Choose another place."
            )


@contextmanager
def alone(lock_file: Path, busy: GansmithError) -> Iterator[None]:
    """Hold a folder alone; the system lets go when this process ends, however it ends.

    Args:
        lock_file: in that folder, which is made where it is missing.
        busy: raised where another process holds it.

    Raises:
        StorageError: the disk refuses.
    """
    lock = FileLock(lock_file)
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise busy from error
    except OSError as error:
        raise StorageError(f"Could not lock {lock_file.parent}: {error.strerror or error}.") from error
    try:
        yield
    finally:
        lock.release()


def is_held(lock_file: Path) -> bool:
    """Whether a process holds a folder by `alone`; False where that cannot be told."""
    if not lock_file.is_file():
        return False
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


@contextmanager
def whole_file(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A temporary path beside ``path`` that becomes ``path`` when the block ends well, else is removed.

    Whoever reads ``path`` at any moment finds the old file or the new one. With ``durable`` that holds
    through a power cut, too, at the price of waiting for the disk.

    Raises:
        StorageError: the disk is full or refuses; ``path`` is as it was before.
    """
    # A name of its own for every write: two threads may be at the same file.
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    whole = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if durable:
            _to_disk(part)
        os.replace(part, path)
        whole = True
        if durable:
            _to_disk(path.parent)
    except OSError as problem:
        raise storage_error(path, problem) from problem
    finally:
        if not whole:
            with suppress(OSError):  # The folder itself may be what is wrong.
                part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """``whole_file`` for text, durable."""
    with whole_file(path, durable=True) as part:
        part.write_text(text, encoding="utf-8")


def _to_disk(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open directories, and renames there are durable by other means.
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
