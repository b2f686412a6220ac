"""Folders of small pictures and readers that misbehave, for the tests of preparing.

Readers are sent to worker processes, which find them here.
"""

import io
import os
import signal
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gansmith.core.image_size import Size
from gansmith.data.prepare.prepare import Options, Prepared, prepare
from gansmith.data.sources.folder import FolderReader, FolderSource
from gansmith.faces.detect import open_detector

EIGHT = Options(size=Size(8, 8), channels=3)


def encode(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """A picture as the bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(seed: int, width: int = 12, height: int = 10, channels: int = 3) -> bytes:
    """A PNG of noise."""
    shape = (height, width, 3) if channels == 3 else (height, width)
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return encode(Image.fromarray(values), compress_level=1)


def scene(seed: int, shade: int = 0, side: int = 32) -> bytes:
    """A PNG of soft patches: two of one seed look alike, two of different seeds do not."""
    patches = np.random.default_rng(seed).integers(20, 230, (8, 8), dtype=np.uint8) + np.uint8(shade)
    return encode(Image.fromarray(patches).resize((side, side), Image.Resampling.BICUBIC))


def plain(colour: tuple[int, ...] | int, width: int = 8, height: int = 8, mode: str = "RGB") -> bytes:
    """A PNG of one colour."""
    return encode(Image.new(mode, (width, height), colour))


def huge(width: int = 60000, height: int = 60000) -> bytes:
    """A PNG of a few bytes that claims to be a huge picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def write(root: Path, files: dict[str, bytes]) -> Path:
    """Files by their relative names."""
    for name, raw in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    return root


def fill(root: Path, count: int) -> Path:
    """Pictures of noise, called 000.png, 001.png, ..."""
    return write(root, {f"{number:03}.png": noise(number) for number in range(count)})


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def snapshot(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Everything that writing into a folder would change."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_size,
            path.stat().st_mtime_ns,
            path.stat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [folder, *sorted(folder.rglob("*"))]
    }


class StopError(Exception):
    """Ends a command in the middle, like a kill that can be caught."""


def stop_after(pictures: int) -> Callable[[int, int], None]:
    """A progress callback that ends the command when so many pictures are done."""

    def progress(done: int, _: int) -> None:
        if done >= pictures:
            raise StopError

    return progress


class CountingReader:
    """Counts how often each file is read; ends the command at one of them."""

    def __init__(self, root: Path, reads: Counter[str], stop_at: str = "") -> None:
        self.inner, self.stop_at, self.reads = FolderReader(root), stop_at, reads

    def read(self, key: str) -> bytes:
        """The bytes of a file."""
        self.reads[key] += 1
        if key == self.stop_at:
            raise StopError(key)
        return self.inner.read(key)


@dataclass(frozen=True)
class SlowReader:
    """Takes its time."""

    root: Path
    seconds: float

    def read(self, key: str) -> bytes:
        """The bytes of a file."""
        time.sleep(self.seconds)
        return (self.root / key).read_bytes()


@dataclass(frozen=True)
class DyingReader:
    """Ends its process at one file, as long as the file ``flag`` is there."""

    root: Path
    at: str
    flag: Path
    kill: bool = False

    def read(self, key: str) -> bytes:
        """The bytes of a file."""
        if key == self.at and self.flag.exists():
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(7)
        return (self.root / key).read_bytes()


class OddError(Exception):
    """An exception that cannot be made from its message alone, and so does not survive pickling."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


@dataclass(frozen=True)
class RaisingReader:
    """Raises what no reader should at one file, as long as the file ``flag`` is there."""

    root: Path
    at: str
    flag: Path
    odd: bool = False

    def read(self, key: str) -> bytes:
        """The bytes of a file."""
        if key == self.at and self.flag.exists():
            raise OddError("this", "that") if self.odd else LookupError("unexpected")
        return (self.root / key).read_bytes()


def make(source: Path | FolderSource, dest: Path, options: Options = EIGHT, **more: object) -> Prepared:
    """``prepare`` in this process, of a folder or a source."""
    if isinstance(source, Path):
        source = FolderSource(source)
    return prepare(source, dest, options, **({"workers": 1} | more))


COUNT = 100  # Four runs of 32, 32, 32 and 4 pictures; with more than 64 worker processes are started.
EDGES = (32, 64, 96, COUNT)
BAD = {
    "003.png": (noise(3)[:90], "truncated"),
    "031.png": (b"<html>", "not a picture"),
    "032.png": (b"", "the file is empty"),
    "064.png": (huge(), "pixels"),
    "070.png": (plain(0, 2, 2), "at least 4"),
}
"""Of those the ones that cannot be used, and what is said of them."""

GOOD = COUNT - len(BAD)


def hundred(root: Path) -> Path:
    """100 pictures, five of which cannot be used, with labels and captions."""
    fill(root, COUNT)
    write(root, {name: raw for name, (raw, _) in BAD.items()})
    lines = [f"{number:03}.png,{number % 3},picture {number}" for number in range(COUNT)]
    return write(root, {"labels.csv": "\n".join(["file,label,caption", *lines]).encode()})


def counted(root: Path, reads: Counter[str] | None = None, stop_at: str = "") -> FolderSource:
    """A folder whose reader counts in ``reads``."""
    source = FolderSource(root)
    source.reader = CountingReader(root, Counter[str]() if reads is None else reads, stop_at)
    return source


def boxes_of_faces(picture: NDArray[np.uint8]) -> list[tuple[float, float, float, float]]:
    """Where dlib finds faces; for a worker process."""
    return [face.box for face in open_detector(min_face=60).find(picture)]
