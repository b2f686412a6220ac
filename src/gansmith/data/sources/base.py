"""What a source of pictures is: names, facts, and a reader of bytes."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Protocol, runtime_checkable

from gansmith.data.decode.reading import suffixes
from gansmith.data.metadata.facts import Facts, Refused, find_facts
from gansmith.errors import DataError

LARGEST_FILE = 2**30  # In bytes. Beyond this a "picture" is a mistake or a zip bomb.
# Pictures a camera or a designer makes and Pillow does not read; saying so beats silence.
_FOREIGN = frozenset((".heic", ".heif", ".jxl", ".psd", ".svg", ".cr2", ".cr3", ".nef", ".arw", ".dng"))
_SHOWN = 5  # Names or reasons in a message.
_IGNORED = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))


@runtime_checkable
class Reader(Protocol):
    """Gives the bytes of pictures by key; pickled small, so that every worker process can have its own."""

    def read(self, key: Any) -> bytes:
        """The bytes of one picture file. Raises DataError or OSError where they cannot be had."""
        ...


@runtime_checkable
class Source(Protocol):
    """Picture files with a fixed order."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Relative, with forward slashes; one per picture."""
        ...

    @property
    def facts(self) -> Facts:
        """What is known of the pictures, one row per name."""
        ...

    @property
    def reader(self) -> Reader:
        """Gives the bytes of pictures."""
        ...

    @property
    def refused(self) -> tuple[Refused, ...]:
        """What was left out while listing."""
        ...

    @property
    def others(self) -> tuple[str, ...]:
        """Files that are not pictures, for messages."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of names and sizes; the place does not matter."""
        ...

    def key(self, index: int) -> Any:
        """What the reader calls picture ``index``; small, and pickled well."""
        ...

    def read(self, index: int) -> bytes:
        """The bytes of picture ``index``. Raises DataError or OSError where they cannot be had."""
        ...


def with_licence(source: Source, licence: str | None) -> Source:
    """The source, now with these words about the licence of its pictures; None changes nothing."""
    if licence is not None:
        source.facts = replace(source.facts, licence=licence)  # type: ignore[misc]
    return source


class Listing:
    """What was found so far: sizes of picture files by name, other files, and what cannot be used."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.others: list[str] = []
        self.refused: list[Refused] = []

    def add(self, name: str, size: int) -> None:
        """Sort one file in by its ending; ``name`` is relative and has forward slashes."""
        ending = PurePosixPath(name).suffix.lower()
        if ending in _FOREIGN:
            self.refused.append(Refused(name, f"{ending} files cannot be read; convert to PNG or JPEG"))
        elif ending not in suffixes():
            self.others.append(name)
        elif size > LARGEST_FILE:
            self.refused.append(Refused(name, f"{size:,} bytes; at most {LARGEST_FILE:,} are read"))
        else:
            self.sizes[name] = size


class Files:
    """What sources of named files have in common: order, fingerprint, facts; a key is a name.

    Args:
        name: what the user called it.
        listing: the files found.
        reader: gives the bytes of a file by its name.
        label: the column of a table beside the pictures that is the class; None: the usual names.
    """

    def __init__(self, name: str, listing: Listing, reader: Reader, label: str | None = None) -> None:
        self.name, self.reader = name, reader
        self.names: Sequence[str] = tuple(sorted(listing.sizes))
        self.others: tuple[str, ...] = tuple(sorted(listing.others))
        self.fingerprint = _fingerprint(listing.sizes)
        self.facts, refused = find_facts(self.names, self.others, reader.read, label=label)
        by_name = sorted(listing.refused, key=lambda entry: entry.name)
        self.refused: tuple[Refused, ...] = (*by_name, *refused)

    def key(self, index: int) -> str:
        """The name of picture ``index``."""
        return self.names[index]

    def read(self, index: int) -> bytes:
        """The bytes of picture ``index``."""
        return self.reader.read(self.key(index))


def inside(name: str) -> str:
    """The name of a file in an archive without what leads out of it, such as a leading slash or '..'."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts:
        parts = parts[len(parts) - parts[::-1].index("..") :]
    if parts and re.fullmatch("[A-Za-z]:", parts[0]):
        parts = parts[1:]
    return "/".join(parts)


def hidden(name: str) -> bool:
    """Whether a file is no user's picture: it or a folder it lies in is hidden, or made by a desktop."""
    return any(
        part in _IGNORED or (part.startswith(".") and part not in (".", "..")) for part in name.split("/")
    )


def _fingerprint(sizes: Mapping[str, int]) -> str:
    digest = hashlib.sha256()
    for name in sorted(sizes):
        digest.update(f"{name}\0{sizes[name]}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def nothing_found(source: Source) -> DataError:
    """What to tell somebody whose folder or zip holds no picture."""
    if source.refused:
        return none_usable(source.name, source.refused)
    looked = f"No pictures in {source.name} or its sub-folders: looked for .jpg, .png, .webp and the like"
    if not source.others:
        return DataError(f"{looked}; it is empty. Give a folder or a zip that holds pictures.")
    count = len(source.others)
    found = "1 file, not a picture" if count == 1 else f"{count} files, none of them a picture"
    names = ", ".join(source.others[:_SHOWN]) + (", ..." if count > _SHOWN else "")
    zips = [name for name in source.others if name.lower().endswith(".zip")]
    advice = (
        f"Give the zip itself: {source.name}/{zips[0]}." if zips else "Give a folder that holds pictures."
    )
    return DataError(f"{looked}; found {found}: {names}. {advice}")


_REMEDIES = {
    "no face was found": "Leave --align out, or look for smaller faces with --min-face.",
    "reaches outside": "Choose a box that lies in the pictures.",
}
"""Part of a reason -> what helps where it is everybody's."""


def none_usable(name: str, refused: Sequence[Refused]) -> DataError:
    """What to tell somebody none of whose pictures can be used."""
    shown = "; ".join(f"{entry.name}: {entry.reason}" for entry in refused[:_SHOWN])
    more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    remedy = "Give pictures that open in a viewer."
    for part, advice in _REMEDIES.items():
        if refused and all(part in entry.reason for entry in refused):
            remedy = advice
    return DataError(f"None of the pictures in {name} can be used. {shown}{more}. {remedy}")
