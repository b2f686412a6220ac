"""Writes pictures as WebDataset shards, for use outside gansmith: the same pictures give the same bytes."""

import io
import json
import tarfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from gansmith.core.files import storage_error, whole_file
from gansmith.errors import DataError

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
    and owners are left out, so that the bytes depend on the pictures, the facts and Pillow alone.

    Args:
        folder: made if need be; must hold no tar.
        kind: PNG and WebP lose nothing; JPEG has quality 95 and full colour resolution.
        maxcount: pictures in a shard at most.
        maxsize: bytes of a shard at most, unless one picture alone has more.
        first: number of the first shard.
        fresh: whether the folder must hold no tar; else shards of the same numbers are replaced.

    Raises:
        DataError: the folder holds a tar, or a limit is below 1.
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
        """Add a picture.

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
