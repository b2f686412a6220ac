"""Where picture files come from: a folder or a zip, listed once in a fixed order and read file by file."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from gansmith.data.metadata.facts import Refused
from gansmith.data.sources.base import Files, Listing, hidden
from gansmith.errors import DataError


@dataclass(frozen=True)
class FolderReader:
    """Reads the files of a folder by their relative names."""

    root: Path

    def read(self, key: str) -> bytes:
        """The bytes of a file."""
        return (self.root / key).read_bytes()


class FolderSource(Files):
    """The pictures of a folder and its sub-folders, links followed; hidden files do not count.

    Args:
        path: the folder.
        label: see `Files`.

    Raises:
        DataError: there is no such folder, or it cannot be listed.
    """

    def __init__(self, path: Path | str, label: str | None = None) -> None:
        root = Path(path)
        if not root.is_dir():
            raise DataError(f"A folder of pictures was expected. Received: {path}, which is not a folder.")
        listing = Listing()
        walk(root, listing)
        super().__init__(str(path), listing, FolderReader(root), label)


def walk(root: Path, listing: Listing) -> None:
    """List every file below ``root``; a folder reached twice through links counts once, so loops end."""
    seen: set[tuple[int, int]] = set()
    folders, links = [""], list[str]()
    while folders or links:  # Links last, so that a real folder keeps its own name.
        folder = folders.pop() if folders else links.pop(0)
        try:
            status = os.stat(root / folder)
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError as error:
            listing.refused.append(Refused(folder or str(root), f"it cannot be listed: {error.strerror}"))
            continue
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if not hidden(name) and _is_folder(entry, name, listing):
                    (links if entry.is_symlink() else folders).append(name)


def _is_folder(entry: "os.DirEntry[str]", name: str, listing: Listing) -> bool:
    """Whether it is one; a file goes into the listing at once."""
    try:
        if entry.is_dir():
            return True
        status = entry.stat()
        if stat.S_ISREG(status.st_mode):  # Reading a pipe would wait for ever.
            listing.add(name, status.st_size)
    except OSError as error:  # A link that leads nowhere or to itself.
        listing.refused.append(Refused(name, f"it cannot be opened: {error.strerror}"))
    return False
