"""Where image files come from: a folder or a zip, listed once in a fixed order and read file by file."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from gansmith.data.metadata.facts import Refused
from gansmith.data.sources.base import Files, Listing
from gansmith.data.sources.leavings import by_contents, by_name
from gansmith.errors import DataError


@dataclass(frozen=True)
class FolderReader:
    r"""Reads the files of a folder by their relative names.

    Example:
        >>> FolderReader(Path("my_photos")).read("0.png")[:4]
        b'\x89PNG'
    """

    root: Path

    def read(self, key: str) -> bytes:
        """The bytes of a file."""
        return (self.root / key).read_bytes()

    def part(self, key: str, start: int, length: int) -> bytes:
        """Some bytes of a file."""
        with (self.root / key).open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(min(length, max(os.fstat(file.fileno()).st_size - start, 0)))


class FolderSource(Files):
    """The images of a folder and its sub-folders, links followed; hidden files do not count.

    Args:
        path: the folder.
        label: see `Files`.

    Raises:
        DataError: there is no such folder, or it cannot be listed.

    Example:
        >>> source = FolderSource("my_photos")
        >>> source.names[0], source.facts.labels
        ('0.png', None)
    """

    def __init__(self, path: Path | str, label: str | None = None) -> None:
        root = Path(path)
        if not root.is_dir():
            raise DataError(f"A folder of pictures was expected. Received: {path}, which is not a folder.")
        listing = Listing()
        walk(root, listing)
        super().__init__(str(path), listing, FolderReader(root), label)


def walk(root: Path, listing: Listing) -> None:
    """List every file below ``root``; a folder reached twice through links counts once, so loops end.

    What tools leave among images is passed over; see `gansmith.data.sources.leavings`.
    """
    seen: set[tuple[int, int]] = set()
    folders, links = [""], list[str]()
    while folders or links:  # Links last, so that a real folder keeps its own name.
        folder = folders.pop() if folders else links.pop(0)
        try:
            status = os.stat(root / folder)
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError as error:
            reason = f"it cannot be listed: {error.strerror}"
            listing.refused.append(Refused(folder or str(root), reason, False))
            continue
        if folder and (why := by_contents([entry.name for entry in entries])):
            listing.pass_over(folder, why, folder=True)
            continue
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if _is_folder(entry, name, listing):
                    (links if entry.is_symlink() else folders).append(name)


def _is_folder(entry: "os.DirEntry[str]", name: str, listing: Listing) -> bool:
    """Whether it is one that may be the user's; a file goes into the listing at once."""
    why = by_name(name)
    try:
        folder = entry.is_dir()
        if why is not None:
            listing.pass_over(name, why, folder=folder)
            return False
        if folder:
            return True
        status = entry.stat()
        if stat.S_ISREG(status.st_mode):
            listing.add(name, status.st_size)
        else:  # Reading a pipe would wait for ever.
            listing.refuse(name, "no plain file")
    except OSError as error:  # A link that leads nowhere or to itself.
        listing.refuse(name, f"it cannot be opened: {error.strerror}")
    return False


def files_below(root: Path) -> Listing:
    """Every file below a folder, for sources that look for other files than images.

    Returns: all of them in ``sizes``, whatever their ending.
    """
    listing = _Everything()
    walk(root, listing)
    return listing


class _Everything(Listing):
    def add(self, name: str, size: int) -> None:
        self.sizes[name] = size
