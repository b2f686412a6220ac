"""What a source of images is: names, facts, and a reader of bytes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar, runtime_checkable

from gansmith.data.decode.reading import suffixes
from gansmith.data.metadata.cells import MOST_BYTES
from gansmith.data.metadata.facts import Facts, Refused, find_facts
from gansmith.data.sources.identity import of_pictures
from gansmith.errors import DataError

LARGEST_FILE = 2**30  # In bytes. Beyond this an "image" is a mistake or a zip bomb.
# Images a camera or a designer makes and Pillow does not read; saying so beats silence.
_FOREIGN = frozenset((".heic", ".heif", ".jxl", ".psd", ".svg", ".cr2", ".cr3", ".nef", ".arw", ".dng"))
_Entry = TypeVar("_Entry")
_MOST_TOLD = 2**30  # Bytes of all tables and small files beside images, unpacked.
_SHOWN = 5  # Names or reasons in a message.


@runtime_checkable
class Reader(Protocol):
    r"""Gives the bytes of images by key; pickled small, so that every worker process can have its own.

    Example:
        >>> source = open_source("my_photos")
        >>> isinstance(source.reader, Reader), source.reader.read(source.key(0))[:4]
        (True, b'\x89PNG')
    """

    def read(self, key: Any) -> bytes:
        """The bytes of one image file. Raises DataError or OSError where they cannot be had."""
        ...


@runtime_checkable
class PartReader(Protocol):
    """A reader that can also give some of the bytes.

    Example:
        >>> source = open_source("photos.zip")
        >>> source.reader.part(source.key(0), start=1, length=3)
        b'PNG'
    """

    def part(self, key: Any, start: int, length: int) -> bytes:
        """Bytes of a file from ``start`` on. Raises DataError or OSError where they cannot be had."""
        ...


@runtime_checkable
class Source(Protocol):
    """Image files with a fixed order.

    Example:
        >>> source = open_source("my_photos")
        >>> isinstance(source, Source), len(source.names)
        (True, 12)
    """

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Relative, with forward slashes; one per image."""
        ...

    @property
    def facts(self) -> Facts:
        """What is known of the images, one row per name."""
        ...

    @property
    def reader(self) -> Reader:
        """Gives the bytes of images."""
        ...

    @property
    def refused(self) -> tuple[Refused, ...]:
        """What was left out while listing."""
        ...

    @property
    def others(self) -> tuple[str, ...]:
        """Files that are not images, for messages."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of names and contents; the place does not matter."""
        ...

    def key(self, index: int) -> Any:
        """What the reader calls image ``index``; small, and pickled well."""
        ...

    def read(self, index: int) -> bytes:
        """The bytes of image ``index``. Raises DataError or OSError where they cannot be had."""
        ...


def with_licence(source: Source, licence: str | None) -> Source:
    """The source, now with these words about the licence of its images; None changes nothing."""
    if licence is not None:
        source.facts = replace(source.facts, licence=licence)  # type: ignore[misc]
    return source


class Listing:
    """What was found so far: sizes of image files by name, other files, and what cannot be used.

    Whatever is given to it ends in ``sizes``, ``others`` or ``refused``, or in a place that is passed over.

    Example:
        >>> listing = Listing()
        >>> listing.add("a/1.png", 4096); listing.add("a/notes.txt", 12)
        >>> list(listing.sizes), listing.others
        (['a/1.png'], ['a/notes.txt'])
    """

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.others: list[str] = []
        self.refused: list[Refused] = []
        self.other_sizes: dict[str, int] = {}
        self._passed: dict[str, dict[str, None]] = {}

    def add(self, name: str, size: int) -> None:
        """Sort one file in by its ending; ``name`` is relative and has forward slashes."""
        ending = PurePosixPath(name).suffix.lower()
        if ending in _FOREIGN:
            self.refuse(name, f"{ending} files cannot be read; convert to PNG or JPEG")
        elif ending not in suffixes():
            self.others.append(name)
            self.other_sizes[name] = size
        elif size > LARGEST_FILE:
            self.refuse(name, f"{size:,} bytes; at most {LARGEST_FILE:,} are read")
        else:
            self.sizes[name] = size

    def refuse(self, name: str, reason: str) -> None:
        """List a file that is left out."""
        self.refused.append(Refused(name, reason, _is_picture(name)))

    def pass_over(self, place: str, why: str, *, folder: bool) -> None:
        """Note a file or folder that is a tool's, not the user's."""
        if _is_picture(place) or (folder and place.rpartition("/")[2].lower() not in _PROGRAMS):
            self._passed.setdefault(why, {})[place] = None

    @property
    def passed_over(self) -> list[Refused]:
        """One entry for each kind of place where images may be."""
        told = []
        for why, (first, *others) in self._passed.items():
            more = f", and {len(others):,} more such" if others else ""
            told.append(Refused(first, f"{why}{more}: passed over", False))
        return told


_PROGRAMS = frozenset((".git", ".svn", ".hg"))


def _is_picture(name: str) -> bool:
    ending = PurePosixPath(name).suffix.lower()
    return ending in suffixes() or ending in _FOREIGN


class Told:
    """Reads the files beside images that say something of them; of no more bytes than can be meant.

    Bytes are counted as they are unpacked: what an archive says of a size is believed only where it is too
    large already.

    Args:
        reader: gives the bytes of a file by its name.
        sizes: of the files, as far as they are known, in bytes.

    Example:
        >>> source = open_source("photos.zip")
        >>> Told(source.reader, {}).read("0.png")[1:4]
        b'PNG'
    """

    def __init__(self, reader: Reader, sizes: Mapping[str, int]) -> None:
        self._reader, self._sizes, self._left = reader, sizes, _MOST_TOLD

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises DataError where there are too many, or where they cannot be had."""
        most = min(MOST_BYTES, self._left)
        if self._sizes.get(name, 0) <= most:
            if isinstance(self._reader, PartReader):
                raw = self._reader.part(name, 0, most + 1)
            else:
                raw = self._reader.read(name)
            if len(raw) <= most:
                self._left -= len(raw)
                return raw
        if most < MOST_BYTES:
            raise DataError(f"the files that say something of images have more than {_MOST_TOLD:,} bytes")
        raise DataError(f"more than {MOST_BYTES:,} bytes; keep what is about these images")


class Files:
    """What sources of named files have in common: order, fingerprint, facts; a key is a name.

    Args:
        name: what the user called it.
        listing: the files found.
        reader: gives the bytes of a file by its name.
        label: the column of a table beside the images that is the class; None: the usual names.
        around: the folder an archive lies in, where its tables say something of the images, too; those of
            the archive come first.

    Example:
        >>> from gansmith.data.sources.folder import FolderReader, files_below
        >>> files = Files("my_photos", files_below(Path("my_photos")), FolderReader(Path("my_photos")))
        >>> files.names[0]
        '0.png'
    """

    def __init__(
        self,
        name: str,
        listing: Listing,
        reader: Reader,
        label: str | None = None,
        around: "Files | None" = None,
    ) -> None:
        self.name, self.reader = name, reader
        self._origin = reader  # For the fingerprint, whatever is put in front of it later.
        self.names: Sequence[str] = tuple(sorted(listing.sizes))
        self._sizes = [listing.sizes[name] for name in self.names]
        told, beside, outside = Told(reader, listing.other_sizes), None, set[str]()
        if around is not None:
            beside = Told(around.reader, {})
            itself = PurePosixPath(name).name
            outside = {file for file in around.others if PurePosixPath(file).name != itself}
            outside -= set(listing.others)
        self.others: tuple[str, ...] = tuple(sorted([*listing.others, *outside]))
        self.facts, refused = find_facts(
            self.names,
            self.others,
            lambda file: beside.read(file) if beside is not None and file in outside else told.read(file),
            label=label,
        )
        archives = packed(self.others) if self.names else []
        by_name = sorted(listing.refused, key=lambda entry: entry.name)
        self.refused: tuple[Refused, ...] = (*by_name, *listing.passed_over, *archives, *refused)

    @cached_property
    def fingerprint(self) -> str:
        """Of names, sizes and samples of the contents; where the files lie does not matter."""

        def part(index: int, start: int, length: int) -> bytes:
            key = self.key(index)
            if isinstance(self._origin, PartReader):
                return self._origin.part(key, start, length)
            return self._origin.read(key)[start : start + length]

        return of_pictures(self.names, self._sizes, part)

    def key(self, index: int) -> str:
        """The name of image ``index``."""
        return self.names[index]

    def read(self, index: int) -> bytes:
        """The bytes of image ``index``."""
        return self.reader.read(self.key(index))


def inside(name: str) -> str:
    """The name of a file in an archive without what leads out of it, such as a leading slash or '..'."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts:
        parts = parts[len(parts) - parts[::-1].index("..") :]
    if parts and re.fullmatch("[A-Za-z]:", parts[0]):
        parts = parts[1:]
    return "/".join(parts)


def unwrapped(entries: Mapping[str, _Entry]) -> Mapping[str, _Entry]:
    """The files of an archive without a single folder around everything."""
    tops = {name.partition("/")[0] for name in entries}
    if len(tops) != 1 or any("/" not in name for name in entries):
        return entries
    return {name.partition("/")[2]: entry for name, entry in entries.items()}


def note_leavings(
    listing: Listing, leavings: Mapping[str, tuple[str, str]], twice: Sequence[str], under: str = ""
) -> None:
    """Tell of the files of an archive that are not used: those of tools, and those whose name comes again."""
    for name, (place, why) in leavings.items():
        listing.pass_over(under + place, why, folder=place != name)
    for name in twice:
        listing.refuse(under + name, "a later entry of the archive has the same name and counts instead")


_PACKED = frozenset(
    (
        *(".zip", ".7z", ".rar", ".tar", ".tgz", ".txz", ".tbz2", ".tbz", ".gz", ".xz", ".bz2", ".zst"),
        *(".parquet", ".arrow", ".tfrecord", ".h5", ".hdf5", ".npz", ".mdb"),
    )
)
"""Endings of files in which images may be packed."""


def packed(others: Sequence[str]) -> list[Refused]:
    """Files that may hold images and lie beside some: told, because nobody looks into them."""
    kinds: dict[str, list[str]] = {}
    for name in others:
        ending = PurePosixPath(name).suffix.lower()
        if ending in _PACKED:
            kinds.setdefault(ending, []).append(name)
    told = []
    for ending, names in kinds.items():
        more = f", and {len(names) - 1:,} more {ending}" if len(names) > 1 else ""
        reason = f"not looked into, as there are pictures beside it{more}; unpack it, or give it by itself"
        told.append(Refused(names[0], reason, False))
    return told


def nothing_found(source: Source) -> DataError:
    """What to tell somebody whose folder or zip holds no image."""
    if source.refused:
        return none_usable(source.name, source.refused)
    looked = f"No pictures in {source.name} or its sub-folders: looked for .jpg, .png, .webp and the like"
    if not source.others:
        return DataError(f"{looked}; it is empty. Give a folder or a zip that holds pictures.")
    count = len(source.others)
    found = "1 file, not a picture" if count == 1 else f"{count} files, none of them a picture"
    names = ", ".join(source.others[:_SHOWN]) + (", ..." if count > _SHOWN else "")
    archives = [name for name in source.others if PurePosixPath(name).suffix.lower() in _PACKED]
    advice = "Give a folder that holds pictures."
    if archives and Path(source.name).expanduser().is_dir():
        advice = f"Give the archive itself: {source.name}/{archives[0]}."
    elif archives:
        advice = f"{source.name} holds another archive: unpack it and give {archives[0]}."
    return DataError(f"{looked}; found {found}: {names}. {advice}")


_REMEDIES = {
    "no face was found": "Leave --align out, or look for smaller faces with --min-face.",
    "reaches outside": "Choose a box that lies in the pictures.",
}
"""Part of a reason -> what helps where it is everybody's."""


def none_usable(name: str, refused: Sequence[Refused]) -> DataError:
    """What to tell somebody none of whose images can be used."""
    shown = "; ".join(f"{entry.name}: {entry.reason.rstrip('.')}" for entry in refused[:_SHOWN])
    more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    remedy = "Give pictures that open in a viewer."
    for part, advice in _REMEDIES.items():
        if refused and all(part in entry.reason for entry in refused):
            remedy = advice
    if refused and all(entry.reason.endswith(".") for entry in refused):
        remedy = ""  # Whole sentences, as of a mask, say themselves what is to be done.
    return DataError(f"None of the pictures in {name} can be used. {shown}{more}. {remedy}".rstrip())
