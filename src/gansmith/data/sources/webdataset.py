"""WebDataset shards: tar files in which an image and what is known of it share a name up to the dot.

A sample is ``000001.jpg`` with any of ``000001.cls`` (its class, an integer), ``000001.txt`` (a caption)
and ``000001.json`` (``label``, ``label_name``, ``caption``, ``attributes``, ``landmarks``, ``held_out``).
The layout is that of https://github.com/webdataset/webdataset.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from posixpath import splitext
from types import TracebackType
from typing import Any, BinaryIO, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gansmith.core.files import storage_error, whole_file
from gansmith.core.json_files import parse_json
from gansmith.core.text import composed
from gansmith.data.decode.reading import suffixes
from gansmith.data.metadata.facts import Refused
from gansmith.data.metadata.samples import assembled
from gansmith.data.metadata.splits import is_held_out
from gansmith.data.sources.base import Files, Listing, note_leavings, packed
from gansmith.data.sources.folder import files_below
from gansmith.data.sources.tar import (
    TAR_ENDINGS,
    Contents,
    Entry,
    TarSource,
    contents,
    read_part,
    told_damage,
)
from gansmith.errors import DataError

_LARGEST_FACT = 2**20  # In bytes; a caption or a few numbers have less.
_FACTS = (".cls", ".txt", ".json")


@dataclass(frozen=True)
class ShardReader:
    r"""Reads parts of shards by (number of the shard, offset, size).

    Example:
        >>> source = ShardSource("shards")
        >>> ShardReader((Path("shards/000000.tar"),)).read(source.key(0))[:4]
        b'\x89PNG'
    """

    paths: tuple[Path, ...]  # Plain tars.

    def read(self, key: tuple[int, int, int]) -> bytes:
        """The bytes of a part."""
        shard, offset, size = key
        return read_part(self.paths[shard], offset, size)

    def part(self, key: tuple[int, int, int], start: int, length: int) -> bytes:
        """Some bytes of a part."""
        shard, offset, size = key
        return read_part(self.paths[shard], offset + start, min(length, size - start))


@dataclass(frozen=True)
class _Shard:
    """One shard, its files sorted out."""

    name: str  # What stands before its samples: the path without its ending.
    found: Contents
    pictures: Mapping[str, str]  # Key of a sample -> its image.
    facts: Mapping[str, list[str]]  # Key of a sample -> files that say something of it.
    others: Sequence[str]
    plainer: Mapping[str, str]  # Images that are not used -> the one of the same sample that is.


class ShardSource(Files):
    """The images of shards, in the order of the shards' names; a key is (shard, offset, size).

    Names begin with their shard's, since shards may repeat each other's. Of a sample with several
    images the one with the plainest ending counts (``jpg`` before ``mask.png``). Labels are used where
    every image has one, captions where any has.

    Args:
        path: a tar, or a folder with tars at any depth.
        found: contents of the one tar, where they are known already.
        label: what the class is called in JSON; else label or class.

    Raises:
        DataError: a shard is no tar, or there is none; no sample has ``label``.
        StorageError: a shard is packed, and there is no room to unpack it.

    Example:
        >>> source = ShardSource("shards", label="age")
        >>> source.names[0], source.facts.labels.tolist()[:3]
        ('000000/000000.png', [0, 1, 2])
    """

    def __init__(self, path: Path | str, found: Contents | None = None, *, label: str | None = None) -> None:
        path = Path(path)
        listing = Listing()
        shards = [_sorted_out(name, found or contents(file)) for name, file in _shard_files(path, listing)]
        places: dict[str, tuple[int, Entry]] = {}
        known: dict[str, dict[str, Any]] = {}
        for number, shard in enumerate(shards):
            _list(shard, listing)
            for name, entry, facts in _samples(shard, listing):
                places[name], known[name] = (number, entry), facts
        self._init(path, listing, ShardReader(tuple(shard.found.path for shard in shards)))
        self._keys = [(places[name][0], *places[name][1][1:3]) for name in self.names]
        self.facts, refused = assembled([known[name] for name in self.names], label)
        self.refused = (*self.refused, *packed(self.others), *refused)

    def _init(self, path: Path, listing: Listing, reader: ShardReader) -> None:
        others, listing.others = listing.others, []  # Not to be searched for files of facts.
        super().__init__(str(path), listing, reader)
        self.others = tuple(sorted(others))

    def key(self, index: int) -> Any:
        """Where image ``index`` lies: (number of the shard, offset, size)."""
        return self._keys[index]


def open_tar(path: Path, *, label: str | None = None, around: Files | None = None) -> TarSource | ShardSource:
    """A tar of images; one in which most images have files of facts beside them is a shard.

    Args:
        path: the archive, plain or packed with gzip, bzip2 or xz.
        label: what the class is called in what is said of images.
        around: the folder it lies in, where tables of that count; shards have facts of their own.

    Raises:
        DataError: it cannot be read, or is no tar; nothing is called ``label``.
        StorageError: it is packed, and there is no room to unpack it.
    """
    found = contents(path)
    shard = _sorted_out(path.name, found)
    told = sum(key in shard.facts for key in shard.pictures)
    if told * 2 > len(shard.pictures):
        return ShardSource(path, found, label=label)
    return TarSource(path, found, label=label, around=around)


def is_tar(name: str) -> bool:
    """Whether a file is a tar, by its ending."""
    return name.lower().endswith(TAR_ENDINGS)


def _shard_files(path: Path, listing: Listing) -> list[tuple[str, Path]]:
    if path.is_file():
        return [(_stem(path.name), path)]
    below = files_below(path)
    listing.refused += [*below.refused, *below.passed_over]
    files = [(_stem(name), path / name) for name in sorted(below.sizes) if is_tar(name)]
    listing.others += [name for name in below.sizes if not is_tar(name)]
    if not files:
        raise DataError(f"A tar, or a folder of tars, was expected. Received: {path}, which holds none.")
    return files


def _stem(name: str) -> str:
    ending = next((ending for ending in TAR_ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]


def _sorted_out(name: str, found: Contents) -> _Shard:
    pictures: dict[str, str] = {}
    facts: dict[str, list[str]] = {}
    others = []
    plainer: dict[str, str] = {}
    for file, entry in found.entries.items():
        key, ending = _key(file)
        if entry.refused:
            continue
        if splitext(file)[1].lower() in suffixes():
            before = pictures.get(key)
            if before is None or ending.count(".") < _key(before)[1].count("."):
                pictures[key] = file
            if before is not None:
                plainer[before if pictures[key] == file else file] = pictures[key]
        elif ending.lower() in _FACTS:
            facts.setdefault(key, []).append(file)
        else:
            others.append(file)
    return _Shard(name, found, pictures, facts, others, plainer)


def _key(file: str) -> tuple[str, str]:
    """The name up to the first dot of its last part, and the rest: as WebDataset divides it."""
    folder, slash, last = file.rpartition("/")
    stem, dot, ending = last.partition(".")
    return composed(folder + slash + stem), dot + ending


def _list(shard: _Shard, listing: Listing) -> None:
    listing.others += [f"{shard.name}/{file}" for file in shard.others]
    for file, entry in shard.found.entries.items():
        if entry.refused:
            listing.refuse(f"{shard.name}/{file}", entry.refused)
    for file, used in shard.plainer.items():
        listing.refuse(f"{shard.name}/{file}", f"a picture of the same sample as {used}, which is used")
    note_leavings(listing, shard.found.leavings, shard.found.twice, f"{shard.name}/")
    for key in sorted(shard.facts.keys() - shard.pictures.keys()):
        for file in shard.facts[key]:
            listing.refused.append(Refused(f"{shard.name}/{file}", "no picture has that name", False))
    if shard.found.damage:
        listing.refused.append(told_damage(shard.name, shard.found.damage))


def _samples(shard: _Shard, listing: Listing) -> Iterator[tuple[str, Entry, dict[str, Any]]]:
    """Name, place and facts of every image; read in the order in which they lie in the file."""
    held_out = is_held_out(shard.name)
    with shard.found.path.open("rb") as tar:
        for key, file in shard.pictures.items():
            name, entry = f"{shard.name}/{file}", shard.found.entries[file]
            listing.add(name, entry.size)
            facts: dict[str, Any] = {} if held_out is None else {"held_out": held_out}
            for told in shard.facts.get(key, ()):
                place = shard.found.entries[told]
                tar.seek(place.offset)
                try:
                    facts |= _said(told, tar.read(min(place.size, _LARGEST_FACT + 1)))
                except (ValueError, RecursionError) as error:
                    listing.refused.append(
                        Refused(f"{shard.name}/{told}", f"it cannot be read ({error})", False)
                    )
            yield name, entry, facts


def _said(file: str, raw: bytes) -> dict[str, Any]:
    """What a file says of its image. Raises ValueError where it cannot be read."""
    if len(raw) > _LARGEST_FACT:
        raise ValueError(f"more than {_LARGEST_FACT:,} bytes")
    text = raw.decode("utf-8-sig").strip()
    ending = splitext(file)[1].lower()
    if ending == ".cls":
        return {"label": int(text)}
    if ending == ".txt":
        return {"caption": text}
    given = parse_json(text)
    return given if isinstance(given, dict) else {}


Kind = Literal["png", "jpg", "webp"]
_OPTIONS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG"},
    "jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "lossless": True},
}
_END = 2 * 512  # Bytes of a tar's end mark.


class _StoppedError(Exception):
    """Makes the unfinished shard go."""


class ShardWriter:
    """Writes ``000000.tar``, ``000001.tar``, ...; a shard has its name once it is whole.

    To be used in a ``with`` block: after an error the unfinished shard is removed, whole ones stay. Times
    and owners are left out, so that the bytes depend on the images, the facts and Pillow alone.

    Args:
        folder: made if need be; must hold no tar.
        kind: PNG and WebP lose nothing; JPEG has quality 95 and full colour resolution.
        maxcount: images in a shard at most.
        maxsize: bytes of a shard at most, unless one image alone has more.
        first: number of the first shard.
        fresh: whether the folder must hold no tar; else shards of the same numbers are replaced.

    Raises:
        DataError: the folder holds a tar, or a limit is below 1.

    Example:
        >>> with ShardWriter(Path("new_shards"), maxcount=1000) as writer:
        ...     writer.write("000000", np.zeros((3, 32, 32), np.uint8), {"label": 3})
    """

    def __init__(
        self,
        folder: Path,
        *,
        kind: Kind = "png",
        maxcount: int = 10_000,
        maxsize: int = 2**30,
        first: int = 0,
        fresh: bool = True,
    ) -> None:
        if min(maxcount, maxsize) < 1:
            raise DataError(f"A shard holds at least 1. Received: maxcount={maxcount}, maxsize={maxsize}.")
        if fresh and folder.is_dir() and any(folder.glob("*.tar")):
            raise DataError(
                f"Shards are written where there are none. Received: {folder}. Choose a new folder."
            )
        self._folder, self._kind, self._maxcount, self._maxsize = folder, kind, maxcount, maxsize
        self._keys: set[str] = set()
        self._shards = first
        self._count = self._size = 0  # Of the shard being written.
        self._stack = ExitStack()
        self._tar: tarfile.TarFile | None = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar = None
        if error is None:
            self._stack.close()
        else:  # The error itself is not shown to the stack, which would take it for one of its files'.
            self._stack.__exit__(_StoppedError, _StoppedError(), None)

    def write(
        self, key: str, pixels: UInt8[np.ndarray, "channels height width"], facts: Mapping[str, Any]
    ) -> None:
        """Add an image.

        Args:
            key: its name without ending; unique, at most folders and no dot, as WebDataset wants it.
            pixels: uint8 [1 or 3, height, width].
            facts: anything JSON can say; written as ``key.json`` where there are any. The keys that
                `gansmith.data.metadata.samples.assembled` knows are read back.

        Raises:
            DataError: the key, the pixels or the facts cannot be written so.
            StorageError: the disk is full or refuses.
        """
        self._check(key)
        files = {f"{key}.{self._kind}": self._encoded(key, pixels)}
        if facts:
            files[f"{key}.json"] = _as_json(key, facts)
        size = sum(512 + -(-len(raw) // 512) * 512 for raw in files.values())
        try:
            tar = self._room_for(size)
            for name, raw in files.items():
                info = tarfile.TarInfo(name)  # Time, owner and group are 0 and nameless from the start.
                info.size = len(raw)
                tar.addfile(info, io.BytesIO(raw))
        except OSError as error:
            raise storage_error(self._folder, error) from error
        self._keys.add(key)
        self._count, self._size = self._count + 1, self._size + size

    def _room_for(self, size: int) -> tarfile.TarFile:
        full = self._count >= self._maxcount or self._size + size + _END > self._maxsize
        if self._tar is not None and (not full or not self._count):
            return self._tar
        self._stack.close()
        part = self._stack.enter_context(whole_file(self._folder / f"{self._shards:06d}.tar", durable=True))
        file: BinaryIO = self._stack.enter_context(part.open("wb"))
        self._tar = self._stack.enter_context(tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT))
        self._shards, self._count, self._size = self._shards + 1, 0, 0
        return self._tar

    def _check(self, key: str) -> None:
        parts = key.split("/")
        if not all(parts) or not key.isprintable() or "." in key or "\\" in key:
            raise DataError(
                "The key of a sample is a name without dots, such as 000001 or cats/000001. "
                f"Received: {key!r}."
            )
        if key in self._keys:
            raise DataError(f"The keys of samples are unique. Received: {key} twice.")

    def _encoded(self, key: str, pixels: UInt8[np.ndarray, "channels height width"]) -> bytes:
        if pixels.shape[0] not in (1, 3) or 0 in pixels.shape:
            raise DataError(f"{key}: pixels are [1 or 3, height, width]. Received: {list(pixels.shape)}.")
        rows = pixels[0] if pixels.shape[0] == 1 else pixels.transpose(1, 2, 0)
        buffer = io.BytesIO()
        try:
            Image.fromarray(np.ascontiguousarray(rows)).save(buffer, **_OPTIONS[self._kind])
        except (OSError, ValueError) as error:  # WebP and JPEG have a largest size.
            raise DataError(f"{key}: it cannot be written as {self._kind} ({error}).") from error
        return buffer.getvalue()


def _as_json(key: str, facts: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(dict(facts), sort_keys=True, ensure_ascii=False, allow_nan=False, default=_plain)
        return text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise DataError(f"{key}: its facts cannot be written as JSON ({error}).") from error


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a kind that JSON knows")
