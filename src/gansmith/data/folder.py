"""Where picture files come from: a folder or a zip, listed once in a fixed order and read file by file."""

import csv
import hashlib
import io
import json
import lzma
import os
import re
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from torch import Tensor

from gansmith.data.dataset import Refused
from gansmith.data.decode import suffixes
from gansmith.errors import DataError

LARGEST_FILE = 2**30  # In bytes. Beyond this a "picture" is a mistake or a zip bomb.
_CLASSES_AT_MOST = 100_000
# Pictures a camera or a designer makes and Pillow does not read; saying so beats silence.
_FOREIGN = frozenset((".heic", ".heif", ".jxl", ".psd", ".svg", ".cr2", ".cr3", ".nef", ".arw", ".dng"))
_IGNORED = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))


@runtime_checkable
class Source(Protocol):
    """Picture files with a fixed order. ``labels`` and ``attributes`` have one entry per name."""

    name: str  # What the user called it.
    names: tuple[str, ...]  # Sorted, relative, with forward slashes.
    labels: tuple[int, ...] | None
    label_names: tuple[str, ...]  # What label 0, 1, ... is called; empty where there are no labels.
    attributes: Tensor | None  # uint8 [n, attributes].
    refused: tuple[Refused, ...]  # Found while listing.
    others: tuple[str, ...]  # Files that are not pictures, for messages.
    fingerprint: str  # Of names and sizes; the place does not matter.

    def read(self, index: int) -> bytes:
        """The bytes of file ``index``. Raises DataError or OSError where they cannot be had."""
        ...


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


class _Files:
    """The part folders and zips have in common: order, fingerprint, labels."""

    attributes: Tensor | None = None

    def __init__(self, name: str, listing: Listing, read: Callable[[str], bytes]) -> None:
        self.name = name
        self.names: tuple[str, ...] = tuple(sorted(listing.sizes))
        self.others: tuple[str, ...] = tuple(sorted(listing.others))
        self.fingerprint = _fingerprint(listing.sizes)
        self.labels: tuple[int, ...] | None
        self.label_names: tuple[str, ...]
        self.labels, self.label_names, refused = _labels(self.names, self.others, read)
        by_name = sorted(listing.refused, key=lambda entry: entry.name)
        self.refused: tuple[Refused, ...] = (*by_name, *refused)


class FolderSource(_Files):
    """The pictures of a folder and its sub-folders, links followed; hidden files do not count.

    Args:
        path: the folder.

    Raises:
        DataError: there is no such folder, or it cannot be listed.
    """

    def __init__(self, path: Path | str) -> None:
        self._root = Path(path)
        if not self._root.is_dir():
            raise DataError(f"A folder of pictures was expected. Received: {path}, which is not a folder.")
        listing = Listing()
        _walk(self._root, listing)
        super().__init__(str(path), listing, lambda name: (self._root / name).read_bytes())

    def read(self, index: int) -> bytes:
        """The bytes of file ``index``."""
        return (self._root / self.names[index]).read_bytes()


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


class ZipSource(_Files):
    """The pictures in a zip; nothing is extracted, so names inside may be anything.

    A single folder around everything is left out of the names: a zip of a folder is that folder.

    Args:
        path: the zip file.

    Raises:
        DataError: it is not a zip, or damaged.
    """

    def __init__(self, path: Path | str) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DataError(f"A zip of pictures was expected. Received: {path} ({error}).") from error
        self._lock = threading.Lock()  # ZipFile counts its open entries without one.
        files = [info for info in self._zip.infolist() if not info.is_dir()]
        entries = {info.filename.replace("\\", "/"): info for info in files}
        self._entries = _unwrapped({name: info for name, info in entries.items() if not _hidden(name)})
        listing = Listing()
        for name, info in self._entries.items():
            if info.flag_bits & 1:
                listing.refused.append(Refused(name, "encrypted; unpack the zip with its password first"))
            else:
                listing.add(name, info.file_size)
        super().__init__(str(path), listing, self._read)

    def read(self, index: int) -> bytes:
        """The bytes of file ``index``."""
        return self._read(self.names[index])

    def _read(self, name: str) -> bytes:
        try:
            with self._lock:
                return self._zip.read(self._entries[name])
        except _DAMAGED as error:
            raise DataError(f"damaged inside the zip: {error}") from error


def _hidden(name: str) -> bool:
    return any(
        part in _IGNORED or (part.startswith(".") and part not in (".", "..")) for part in name.split("/")
    )


def _unwrapped(entries: Mapping[str, zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    tops = {name.partition("/")[0] for name in entries}
    if len(tops) != 1 or any("/" not in name for name in entries):
        return dict(entries)
    return {name.partition("/")[2]: info for name, info in entries.items()}


def _walk(root: Path, listing: Listing) -> None:
    """Every file below ``root``. A folder reached twice through links counts once, so loops end."""
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
                if not _hidden(name) and _is_folder(entry, name, listing):
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


def _fingerprint(sizes: Mapping[str, int]) -> str:
    digest = hashlib.sha256()
    for name in sorted(sizes):
        digest.update(f"{name}\0{sizes[name]}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


_NOT_LABELS = (DataError, OSError, ValueError, TypeError, AttributeError, csv.Error, RecursionError)
_Labelled = tuple[tuple[int, ...] | None, tuple[str, ...], list[Refused]]


def _labels(names: Sequence[str], others: Sequence[str], read: Callable[[str], bytes]) -> _Labelled:
    """(labels, label names, refused) from a label file at the root, else from class folders."""
    for file, parse in _LABEL_FILES.items():
        if file not in others:
            continue
        try:
            given = parse(read(file).decode("utf-8-sig"))
            if given is None:
                continue
            numbers, label_names = _numbered(given)
        except _NOT_LABELS as error:
            return None, (), [Refused(file, f"it cannot be read as labels ({error}); labels are not used")]
        return _matched(file, names, numbers, label_names)
    if "dataset.json" in others:  # Its folders are shards (00000, 00001, ...), not classes.
        return None, (), []
    return _class_folders(names)


def _class_folders(names: Sequence[str]) -> _Labelled:
    tops = sorted({name.partition("/")[0] for name in names})
    if len(tops) < 2 or not all("/" in name for name in names):
        return None, (), []
    number = {top: index for index, top in enumerate(tops)}
    return tuple(number[name.partition("/")[0]] for name in names), tuple(tops), []


def _matched(
    file: str, names: Sequence[str], numbers: Mapping[str, int], label_names: tuple[str, ...]
) -> _Labelled:
    known = set(names)
    refused = [
        Refused(name, f"{file} names it, but there is no such picture")
        for name in sorted(numbers.keys() - known)
    ]
    missing = sum(name not in numbers for name in names)
    if missing:
        have = "1 picture has" if missing == 1 else f"{missing} pictures have"
        return None, (), [*refused, Refused(file, f"{have} no label; labels are not used")]
    return tuple(numbers[name] for name in names), label_names, refused


def _numbered(given: Mapping[str, object]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Labels as numbers from 0: integers as they are, strings in sorted order."""
    labels = {_plain(name): label for name, label in given.items()}
    whole = {name: label for name, label in labels.items() if type(label) is int}
    if len(whole) == len(labels):
        if whole and not 0 <= min(whole.values()) <= max(whole.values()) < _CLASSES_AT_MOST:
            raise ValueError(f"labels count from 0 and stay below {_CLASSES_AT_MOST:,}")
        return whole, tuple(str(number) for number in range(max(whole.values(), default=-1) + 1))
    if not all(type(label) in (int, str) for label in labels.values()):
        raise ValueError("labels must be integers or strings")
    kinds = tuple(sorted({str(label) for label in labels.values()}))
    number = {kind: index for index, kind in enumerate(kinds)}
    return {name: number[str(label)] for name, label in labels.items()}, kinds


def _plain(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _from_dataset_json(text: str) -> dict[str, object] | None:
    pairs = json.loads(text).get("labels")  # StyleGAN writes null where there are none.
    return None if pairs is None else {str(name): label for name, label in pairs}


def _from_json(text: str) -> dict[str, object] | None:
    given = json.loads(text)
    if not isinstance(given, dict):
        raise ValueError('labels.json must be written {"file": label}')
    return given


def _from_csv(text: str) -> dict[str, object] | None:
    header = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count))
    columns = {str(field).strip().lower(): field for field in rows.fieldnames or ()}
    files = [columns[key] for key in ("file", "filename", "name", "image", "path") if key in columns]
    labels = [columns[key] for key in ("label", "class", "target") if key in columns]
    if not files or not labels:
        return None
    cells = {row[files[0]].strip(): (row[labels[0]] or "").strip() for row in rows if row[files[0]]}
    whole = all(re.fullmatch(r"[+-]?\d+", cell) for cell in cells.values() if cell)
    return {name: int(cell) if whole else cell for name, cell in cells.items() if cell}


_LABEL_FILES: dict[str, Callable[[str], dict[str, object] | None]] = {
    "dataset.json": _from_dataset_json,
    "labels.json": _from_json,
    "labels.csv": _from_csv,
}
