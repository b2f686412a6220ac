"""Where `translate` takes images from, and where it puts them: files, folders, lists of paths, archives."""

import io
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from gansmith.core.files import check_outside_data, storage_error, whole_file
from gansmith.data.decode.reading import suffixes
from gansmith.data.sources.base import LARGEST_FILE, nothing_found
from gansmith.data.sources.open import Wanted, open_source
from gansmith.errors import DataError, SettingError
from gansmith.images.origin import provenance_in
from gansmith.images.provenance import KINDS, Provenance
from gansmith.models.write import write_zip

Asked = Path | str | Sequence[Path | str]
"""SRC: a place, or a list of picture files."""

_SRC = Wanted("SRC is a picture, a folder, zip or tar of pictures, a prepared set, or a video", single=True)


@runtime_checkable
class Pictures(Protocol):
    """Image files with names, as sources have them.

    Example:
        >>> source: Pictures = source_of("drawings.zip")
        >>> source.read(0)[:4]
    """

    @property
    def name(self) -> str:
        """What the user called them."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Relative, with forward slashes."""
        ...

    def read(self, index: int) -> bytes:
        """The bytes of one. Raises DataError or OSError where they cannot be had."""
        ...


@dataclass(frozen=True)
class Listed:
    """Single image files; their names are relative to the folder that holds them all.

    Example:
        >>> Listed((Path("x/a.png"), Path("y/a.png")), "the list").names
        ('x/a.png', 'y/a.png')
    """

    paths: tuple[Path, ...]
    name: str

    @cached_property
    def names(self) -> Sequence[str]:
        """With forward slashes."""
        whole = [Path(os.path.abspath(path)) for path in self.paths]
        try:
            root = os.path.commonpath([path.parent for path in whole])
        except ValueError:  # Of several drives.
            return tuple(path.name for path in whole)
        return tuple(path.relative_to(root).as_posix() for path in whole)

    def read(self, index: int) -> bytes:
        """The bytes of a file. Raises DataError or OSError where they cannot be had."""
        path = self.paths[index]
        if not path.is_file():
            raise DataError("a folder, not a picture" if path.is_dir() else "there is no such file")
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"larger than {LARGEST_FILE:,} bytes")
        return path.read_bytes()


def source_of(src: Asked, wanted: Wanted = _SRC) -> Pictures:
    """What is behind SRC, or what else a verb calls it.

    Args:
        src: what the user named.
        wanted: what messages call it.

    Raises:
        DataError: there is nothing, or no image in it.
        SettingError: a list without paths.
    """
    if not isinstance(src, Path | str):
        if not src:
            raise SettingError("A list of pictures names at least one. Received: none.")
        return Listed(tuple(Path(path).expanduser() for path in src), "the list")
    path = Path(src).expanduser()
    if path.is_file() and path.suffix.lower() in suffixes():
        return Listed((path,), str(path))
    source = open_source(str(src), wanted=wanted)
    if not len(source.names):
        raise nothing_found(source)
    return source


@runtime_checkable
class Place(Protocol):
    """Where results go, by name.

    Example:
        >>> place: Place = place_of(Path("faces.zip"), "drawings", source_of("drawings"))
        >>> place.there("a.png") is None
    """

    def there(self, name: str) -> Provenance | None:
        """The mark of the result of that name; None where there is none.

        Raises:
            SettingError: what is there is something else.
        """
        ...

    def put(self, name: str, content: bytes) -> None:
        """Write a result, whole or not at all. Raises StorageError."""
        ...

    def close(self) -> None:
        """Done, all results of all processes are there. Raises StorageError."""
        ...


def place_of(out: Path, src: Asked, source: Pictures) -> Place:
    """OUT, once it is sure that it can hold the results and holds no source.

    Raises:
        SettingError: it cannot, or it does.
    """
    sources = [src] if isinstance(src, Path | str) else src
    for place in sources:
        check_outside_data(out, str(place))
    one, ending = len(source.names) == 1 and isinstance(source, Listed), out.suffix.lower()
    if out.is_dir() or not (ending or out.is_file()):
        return _Folder(out, _resolved(source))
    if ending == ".zip":
        return _Archive(out)
    if one and ending in KINDS:
        return _Folder(out.parent, _resolved(source))
    there = ", which is a file" if out.is_file() else ""
    raise SettingError(
        "Results go into a folder (make it first if its name has a dot) or a .zip, that of a single picture "
        "into a .png, .jpg or .webp, and a video into an .mp4. "
        f"Received: {out}{there}, for {len(source.names)} picture{'s' * (len(source.names) != 1)}."
    )


def _resolved(source: Pictures) -> frozenset[Path]:
    return frozenset(path.resolve() for path in source.paths) if isinstance(source, Listed) else frozenset()


def result_names(out: Path, names: Sequence[str]) -> Iterator[str]:
    """What each result is called: its source's name with .png, the whole name where two would be one."""
    if out.suffix.lower() in KINDS and not out.is_dir():
        yield out.name
        return
    taken: set[str] = set()
    for name in names:
        path = PurePosixPath(name)
        to = str(path.with_suffix(".png")) if path.suffix.lower() in suffixes() else f"{name}.png"
        to = f"{name}.png" if to.lower() in taken else to
        taken.add(to.lower())
        yield to


def ours(mark: Provenance | None, where: object) -> Provenance:
    """A mark that `translate` wrote.

    Raises:
        SettingError: there is none, or another verb's.
    """
    if mark is None or not (mark.note or "").startswith("translated from "):
        raise SettingError(
            "translate writes over nothing but its own results. Received: "
            f"{where}, which is something else. Choose another OUT."
        )
    return mark


@dataclass(frozen=True)
class _Folder:
    root: Path
    sources: frozenset[Path]  # Files that are read.

    def there(self, name: str) -> Provenance | None:
        to = self.root / name
        if self.sources and to.resolve() in self.sources:
            raise SettingError(f"Data are never written to. Received: {to} for a result. Choose another OUT.")
        if not to.exists():
            return None
        try:
            with to.open("rb") as file:
                mark = provenance_in(file)
        except OSError:
            mark = None
        return ours(mark, to)

    def put(self, name: str, content: bytes) -> None:
        with whole_file(self.root / name) as part:
            part.write_bytes(content)

    def close(self) -> None:
        pass


class _Archive:
    """A zip. Results gather in a folder beside it, so that an interruption loses none, and then go in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parts = _Folder(path.with_name(f".{path.name}.parts"), frozenset())
        self._old = self._opened()
        self._names = frozenset(self._old.namelist() if self._old else ())

    def _opened(self) -> zipfile.ZipFile | None:
        if not self.path.exists():
            return None
        try:
            return zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile) as error:
            raise SettingError(
                f"translate writes over nothing but its own results. Received: {self.path}, which is no zip "
                "that can be read. Choose another OUT."
            ) from error

    def there(self, name: str) -> Provenance | None:
        if (mark := self._parts.there(name)) is not None:
            return mark
        return ours(self._mark(name), f"{name} in {self.path}") if name in self._names else None

    def _mark(self, name: str) -> Provenance | None:
        try:
            return provenance_in(io.BytesIO(self._content(name)))
        except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):
            return None

    def _content(self, name: str) -> bytes:
        assert self._old is not None
        if self._old.getinfo(name).file_size > LARGEST_FILE:
            raise ValueError("too large")
        return self._old.read(name)

    def put(self, name: str, content: bytes) -> None:
        self._parts.put(name, content)

    def close(self) -> None:
        root = self._parts.root
        try:
            new = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
        except OSError as problem:
            raise storage_error(self.path, problem) from problem
        if new:
            write_zip(self._files(new), self.path, lambda count: None)
        if self._old is not None:
            self._old.close()
        shutil.rmtree(root, ignore_errors=True)

    def _files(self, new: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """What was there and still counts, then what is new."""
        for name in sorted(self._names - set(new)):
            yield name, self._content(name)
        for name in new:
            yield name, (self._parts.root / name).read_bytes()
