"""Images in a tar archive, packed or not, read where they lie: nothing is extracted by name.

The headers are read once, which gives where each file begins and how long it is; an image is then read
from there. Archives packed with gzip, bzip2 or xz are unpacked, as one plain tar, into a temporary file
first. So a name inside an archive is only a name: it can lead nowhere, and no link is ever followed.

Headers are read here and not with Python's tarfile, because images come in millions (a header costs
some microseconds here), and because what lies before a damage must stay usable.

Format: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from gansmith.data.metadata.facts import Refused
from gansmith.data.sources.base import Files, Listing, Reader, inside, note_leavings, unwrapped
from gansmith.data.sources.leavings import sift
from gansmith.data.sources.unpack import plain
from gansmith.errors import DataError

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tbz")
"""Endings of tar archives, in lower case."""

_BLOCK = 512
_NO_BLOCK = bytes(_BLOCK)
_LONGEST_NAME = 2**20  # Bytes of a name or of a header of names; more is damage.
_HEADER = struct.Struct("100s24x12s12x8sc100s6s82x155s12x")
_FILES = b"0\x007"
_WHY_NOT = {
    b"1": "a hard link to {link}; links are not followed. Pack with tar --hard-dereference",
    b"2": "a link to {link}; links are not followed. Pack with tar --dereference",
    b"3": "a device, not a file",
    b"4": "a device, not a file",
    b"6": "a pipe, not a file",
    b"S": "a sparse file, which is not read. Pack without --sparse",
}
_WITHOUT_DATA = b"123456"


class Entry(NamedTuple):
    r"""One file of a tar: where its bytes are, or why they are not used.

    Example:
        >>> entry = contents(Path("photos.tar")).entries["0.png"]
        >>> read_part(Path("photos.tar"), entry.offset, entry.size)[:4]
        b'\x89PNG'
    """

    name: str  # Relative, forward slashes; never leads out of the archive.
    offset: int  # In bytes, in the plain tar.
    size: int
    refused: str = ""


@dataclass(frozen=True)
class Contents:
    """What a tar holds.

    Example:
        >>> found = contents(Path("photos.tar"))
        >>> len(found.entries), found.damage
        (12, '')
    """

    path: Path  # The plain tar.
    entries: Mapping[str, Entry]  # By name; of several with one name the last, as tar does.
    damage: str  # Why there may be more files than those; "" where all is well.
    leavings: Mapping[str, tuple[str, str]]  # Files of tools: see `gansmith.data.sources.leavings.sift`.
    twice: tuple[str, ...]  # Names of which an earlier file was met.


def contents(path: Path) -> Contents:
    """The files of a tar, from its headers; those that tools leave do not count.

    Raises:
        DataError: it cannot be read, or is no tar.
        StorageError: it is packed, and there is no room to unpack it.
    """
    source = plain(path)
    found: dict[str, Entry] = {}
    damage, twice = "", list[str]()
    try:
        with source.path.open("rb") as file:
            for entry in _entries(file, source.path.stat().st_size):
                if found.pop(entry.name, None) is not None:
                    twice.append(entry.name)
                found[entry.name] = entry
    except (_NotTarError, OSError) as error:
        raise DataError(
            f"A tar of pictures was expected. Received: {path} ({source.damage or error})."
        ) from error
    except _DamagedError as error:
        damage = str(error)
    leavings = sift(found)
    kept = {name: entry for name, entry in found.items() if name not in leavings}
    return Contents(source.path, kept, source.damage or damage, leavings, tuple(twice))


class TarReader:
    r"""Reads parts of one plain tar by (offset, size) in bytes.

    The file is opened for every read, as it is for every image of a folder: nothing is shared between
    threads or processes.

    Args:
        path: the plain tar.

    Example:
        >>> entry = contents(Path("photos.tar")).entries["0.png"]
        >>> TarReader(Path("photos.tar")).read((entry.offset, entry.size))[:4]
        b'\x89PNG'
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, key: tuple[int, int]) -> bytes:
        """The bytes of a part."""
        return read_part(self.path, *key)

    def part(self, key: tuple[int, int], start: int, length: int) -> bytes:
        """Some bytes of a part."""
        return read_part(self.path, key[0] + start, min(length, key[1] - start))


def read_part(path: Path, offset: int, size: int) -> bytes:
    """Part of a file.

    Raises:
        DataError: the file ends before the part does.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        raw = file.read(size)
    if len(raw) != size:
        raise DataError("the archive was cut short after it was listed")
    return raw


class TarSource(Files):
    r"""The images of a tar; a key is (offset, size) in bytes.

    A single folder around everything is left out of the names: a tar of a folder is that folder.
    Links, devices, pipes and sparse files are refused by name. Of a damaged archive everything before the
    damage is used.

    Args:
        path: the archive, plain or packed with gzip, bzip2 or xz.
        found: its contents, where they are known already.
        label: the column of a table inside that is the class; else one called label, class or target.
        around: see `Files`.

    Raises:
        DataError: it cannot be read, or is no tar; no table has the column ``label``.
        StorageError: it is packed, and there is no room to unpack it.

    Example:
        >>> source = TarSource("photos.tar")
        >>> source.read(0)[:4]
        b'\x89PNG'
    """

    def __init__(
        self,
        path: Path | str,
        found: Contents | None = None,
        *,
        label: str | None = None,
        around: Files | None = None,
    ) -> None:
        found = found or contents(Path(path))
        entries = unwrapped(found.entries)
        listing = Listing()
        note_leavings(listing, found.leavings, found.twice)
        add_entries(listing, entries)
        if found.damage:
            listing.refused.append(told_damage(Path(path).name, found.damage))
        reader = TarReader(found.path)
        super().__init__(str(path), listing, _ByName(reader, entries), label, around)
        self.reader: Reader = reader
        self._origin = reader
        self._parts = [entries[name][1:3] for name in self.names]

    def key(self, index: int) -> Any:
        """Where image ``index`` lies: (offset, size) in bytes."""
        return self._parts[index]


def add_entries(listing: Listing, entries: Mapping[str, Entry]) -> None:
    """Sort the files of a tar into a listing by their endings."""
    for name, entry in entries.items():
        if entry.refused:
            listing.refuse(name, entry.refused)
        else:
            listing.add(name, entry.size)


def told_damage(name: str, damage: str) -> Refused:
    """What to say of a damaged archive of which a part is used."""
    return Refused(name, f"{damage}; files behind that are not seen. Fetch or pack it again", False)


class _ByName:
    """What finds facts asks for files by name."""

    def __init__(self, reader: TarReader, entries: Mapping[str, Entry]) -> None:
        self._reader, self._entries = reader, entries

    def read(self, key: str) -> bytes:
        return self._reader.read(self._entries[key][1:3])

    def part(self, key: str, start: int, length: int) -> bytes:
        return self._reader.part(self._entries[key][1:3], start, length)


# --- Headers ------------------------------------------------------------------------------------------


class _DamagedError(Exception):
    """From here on nothing can be read."""


class _NotTarError(_DamagedError):
    """Not even the first header can be read."""


class _Head(NamedTuple):
    kind: bytes
    name: bytes
    link: bytes
    size: int


def _entries(file: BinaryIO, length: int) -> Iterator[Entry]:
    """All but folders, in the order of the archive."""
    position = 0
    said: dict[bytes, bytes] = {}  # By headers that speak of the next entry.
    while (block := _block(file, position)) != _NO_BLOCK:
        head = _head(block, position)
        if b"size" in said and head.kind not in b"LKxXg":
            head = head._replace(size=_decimal(said[b"size"], position))
        offset = position + _BLOCK
        if head.kind == b"S":
            offset = _behind_map(file, block, offset)
        size = 0 if head.kind in _WITHOUT_DATA else head.size
        if size > length - offset:
            yield _entry(head, said, offset)._replace(refused="the archive is cut short inside it")
            raise _DamagedError(f"it is cut short: it ends at byte {length:,}, inside a file")
        if head.kind in b"LKxXg":
            said |= _sayings(file, head, offset)
        else:
            if head.kind != b"5" and not said.get(b"path", head.name).endswith(b"/"):
                yield _entry(head, said, offset)
            said = {}
        position = offset + -(-size // _BLOCK) * _BLOCK


def _block(file: BinaryIO, position: int) -> bytes:
    file.seek(position)
    block = file.read(_BLOCK)
    if len(block) == _BLOCK:
        return block
    if position == 0:
        raise _NotTarError("it is empty or too short")
    raise _DamagedError(
        f"it ends at byte {position + len(block):,} without an end mark, so it may be cut short"
    )


def _head(block: bytes, position: int) -> _Head:
    name, size, checksum, kind, link, magic, prefix = _HEADER.unpack(block)
    try:
        given = _octal(checksum)
        if given != sum(block) - sum(checksum) + 8 * 32:
            raise ValueError
        number = _octal(size) if size[0] < 128 else _binary(size)
    except ValueError:
        if position == 0:
            raise _NotTarError("it does not begin with a tar header") from None
        raise _DamagedError(f"it is damaged at byte {position:,}") from None
    name = name.partition(b"\0")[0]
    if magic == b"ustar\0" and prefix[0]:
        name = prefix.partition(b"\0")[0] + b"/" + name
    return _Head(kind, name, link.partition(b"\0")[0], number)


def _octal(field: bytes) -> int:
    digits = field.partition(b"\0")[0].strip()
    if digits and not digits.isdigit():  # int() takes signs and underscores, too.
        raise ValueError
    return int(digits or b"0", 8)


def _binary(field: bytes) -> int:
    if field[0] != 0x80:  # 0xff begins a negative number.
        raise ValueError
    return int.from_bytes(field[1:], "big")


def _decimal(text: bytes, position: int) -> int:
    if not text.isdigit() or len(text) > 20:
        raise _DamagedError(f"it is damaged at byte {position:,}")
    return int(text)


def _behind_map(file: BinaryIO, block: bytes, offset: int) -> int:
    """Where the data of a sparse file begins: behind the blocks that tell where its holes are."""
    more = block[482]
    while more:
        more = _block(file, offset)[504]
        offset += _BLOCK
    return offset


def _sayings(file: BinaryIO, head: _Head, offset: int) -> dict[bytes, bytes]:
    """What a header says of the next entry; one for all entries says nothing that matters here."""
    if head.size > _LONGEST_NAME:
        raise _DamagedError(f"it is damaged at byte {offset:,}: a name of {head.size:,} bytes")
    file.seek(offset)
    raw = file.read(head.size)
    if head.kind in b"LK":
        return {b"path" if head.kind == b"L" else b"linkpath": raw.partition(b"\0")[0]}
    return dict(_records(raw, offset)) if head.kind in b"xX" else {}


def _records(raw: bytes, offset: int) -> Iterable[tuple[bytes, bytes]]:
    """A pax header: records of length, space, key=value and a newline; the length counts it all."""
    start = 0
    while start < len(raw) and raw[start]:
        digits = raw[start : start + 8].partition(b" ")[0]
        end = start + int(digits) if digits.isdigit() else start
        key, equals, value = raw[start + len(digits) + 1 : end - 1].partition(b"=")
        if end > len(raw) or not equals or raw[end - 1 : end] != b"\n":
            raise _DamagedError(f"it is damaged at byte {offset + start:,}")
        yield key, value
        start = end


def _entry(head: _Head, said: Mapping[bytes, bytes], offset: int) -> Entry:
    raw = said.get(b"GNU.sparse.name") or said.get(b"path") or head.name
    link = _text(said.get(b"linkpath") or head.link)
    kind = b"S" if any(key.startswith(b"GNU.sparse.") for key in said) else head.kind
    refused = "" if kind in _FILES else _WHY_NOT.get(kind, "an entry of a kind that is not known")
    name = inside(_text(raw))
    if not name:
        name, refused = f"(byte {offset:,})", "it has no name"
    return Entry(name, offset, head.size, refused.replace("{link}", link))


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")
