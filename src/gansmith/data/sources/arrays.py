"""Images that lie in a file as bare pixels, one after another, handed out as uncompressed image files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from gansmith.data.metadata.facts import Facts, Refused
from gansmith.data.sources.base import Reader
from gansmith.data.sources.identity import of_files
from gansmith.data.sources.tar import read_part


@dataclass(frozen=True)
class Rows:
    """Where images of one shape lie: ``count`` of them, ``stride`` bytes apart, from byte ``start`` on.

    Example:
        >>> Rows("train", Path("pixels.bin"), start=16, stride=28 * 28, count=100)
    """

    part: str  # What their names begin with, such as "train".
    path: Path
    start: int
    stride: int
    count: int


@dataclass(frozen=True)
class ArrayReader:
    r"""Reads images by (number of the file, number in it) as PGM or PPM, which are pixels with a header.

    Example:
        >>> reader = ArrayReader((Rows("train", Path("pixels.bin"), 16, 28 * 28, 100),), (1, 28, 28))
        >>> reader.read((0, 99))[:13]
        b'P5 28 28 255\n'
    """

    files: tuple[Rows, ...]
    shape: tuple[int, int, int]  # Channels (1 or 3, one after another in the file), height, width.
    format: ClassVar[str] = "pixels"  # What users are told.

    def read(self, key: tuple[int, int]) -> bytes:
        """An image file. Raises DataError or OSError where the file has become shorter or is gone."""
        rows = self.files[key[0]]
        channels, height, width = self.shape
        raw = read_part(rows.path, rows.start + key[1] * rows.stride, channels * height * width)
        header = b"P%d %d %d 255\n" % (5 if channels == 1 else 6, width, height)
        if channels == 1:
            return header + raw
        planes = np.frombuffer(raw, dtype=np.uint8).reshape(self.shape)
        return header + planes.transpose(1, 2, 0).tobytes()


class ArraySource:
    """Images of one or more files of bare pixels, in the order of the files.

    Args:
        name: what the user called it.
        files: where the pixels are.
        shape: channels (1 or 3), height, width.
        facts: one row per image.
        refused: what could not be used.

    Example:
        >>> rows = Rows("train", Path("pixels.bin"), start=16, stride=28 * 28, count=100)
        >>> ArraySource("pixels", [rows], (1, 28, 28), Facts()).names[0]
        'train/00000'
    """

    others: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        files: Sequence[Rows],
        shape: tuple[int, int, int],
        facts: Facts,
        refused: Sequence[Refused] = (),
    ) -> None:
        self.name, self.facts, self.refused = name, facts, tuple(refused)
        self.reader: Reader = ArrayReader(tuple(files), shape)
        self._keys = [(number, row) for number, rows in enumerate(files) for row in range(rows.count)]
        self.names: Sequence[str] = tuple(f"{files[number].part}/{row:05d}" for number, row in self._keys)
        labels = b"" if facts.labels is None else facts.labels.tobytes()
        self._also = (
            repr((shape, [(rows.part, rows.count) for rows in files])),
            hashlib.sha256(labels).hexdigest(),
        )
        self._files = [(rows.part, rows.path) for rows in files]

    @cached_property
    def fingerprint(self) -> str:
        """Of labels and samples of the pixels; where the files lie does not matter."""
        return of_files(self._files, *self._also)

    def key(self, index: int) -> tuple[int, int]:
        """(number of the file, number in it) of image ``index``."""
        return self._keys[index]

    def read(self, index: int) -> bytes:
        """Image ``index`` as PGM or PPM."""
        return self.reader.read(self.key(index))
