"""A built-in data set as a source of images, so that it can be prepared and inspected like any other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from gansmith.core.image_size import Size
from gansmith.data.builtin.sets import DemoFaces, DemoPairs, open_builtin
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet
from gansmith.data.metadata.facts import Facts, Refused
from gansmith.data.prepare.format import as_picture_file
from gansmith.data.sources.base import Reader
from gansmith.data.sources.pairs import PAIR, PairKind, PairSource


class BuiltinReader:
    r"""Draws or copies images of a built-in set; a worker process opens the set for itself.

    Args:
        name: of the set, as on the command line.
        size: images are made at this size.
        pairs: what pairs are drawn; None: single images.
        swap: sources become targets and targets sources.

    Example:
        >>> BuiltinReader("demo-faces", Size(32, 32)).read(0)[:13]
        b'P6 32 32 255\n'
    """

    format = "built-in"  # What users are told.

    def __init__(self, name: str, size: Size, pairs: PairKind | None = None, swap: bool = False) -> None:
        self.name, self.size, self.pairs, self.swap = name, size, pairs, swap
        self._data: DataSet | None = None

    def __getstate__(self) -> tuple[str, Size, PairKind | None, bool]:
        return self.name, self.size, self.pairs, self.swap

    def __setstate__(self, state: tuple[str, Size, PairKind | None, bool]) -> None:
        BuiltinReader.__init__(self, *state)

    @property
    def data(self) -> DataSet:
        """The set, opened on first use."""
        if self._data is None:
            config = DataConfig(size=self.size, pairs=self.pairs, swap=self.swap)
            self._data = open_builtin(self.name, config)
        return self._data

    def read(self, key: int) -> bytes:
        """Image ``key`` as a PGM or PPM file; of a pair both, side by side."""
        columns = PAIR if self.pairs is not None else ("images",)
        found = self.data.fetch(torch.tensor([key]), columns)
        picture = torch.cat([found[name][0] for name in columns], dim=2)
        return as_picture_file(picture.permute(1, 2, 0).numpy())


class BuiltinSource:
    """A built-in set, its facts among it.

    Args:
        name: of the set, as on the command line.
        size: images are made at this size.
        pairs: what pairs are drawn, side by side; None: single images.
        swap: sources become targets and targets sources.

    Raises:
        DataError: its files are neither here nor to be had.
        MissingPackageError: it needs an optional package.

    Example:
        >>> source = BuiltinSource("demo-faces:100", Size(32, 32))
        >>> len(source.names), source.facts.label_names[0]
        (100, 'bald')
    """

    refused: tuple[Refused, ...] = ()
    others: tuple[str, ...] = ()

    def __init__(self, name: str, size: Size, pairs: PairKind | None = None, swap: bool = False) -> None:
        reader = BuiltinReader(name, size, pairs, swap)
        data = reader.data
        self.name, self.fingerprint = name, f"{data.fingerprint}:{size}"
        self.reader: Reader = reader
        self.names: Sequence[str] = [f"{number:08d}" for number in range(len(data))]
        self.facts = _facts(data)

    def key(self, index: int) -> int:
        """The number itself."""
        return index

    def read(self, index: int) -> bytes:
        """Image ``index`` as a PGM or PPM file."""
        return self.reader.read(index)


def drawn_pairs(name: str, size: Size, kind: PairKind, swap: bool = False) -> PairSource:
    """Pairs that are drawn (`DemoPairs`) as a source; landmarks are of the target.

    Raises:
        DataError: the size is too small to draw.

    Example:
        >>> drawn_pairs("demo-faces:100", Size(32, 32), "segments").pictures
        ('source', 'target')
    """
    source = BuiltinSource(name, size, kind, swap)
    pairs = PairSource(source, "beside")
    pairs.facts, pairs.asked = source.facts, {"pairs": kind, "between": None, "swap": swap}
    return pairs


def _facts(data: DataSet) -> Facts:
    if isinstance(data, DemoFaces | DemoPairs):
        return replace(data.facts(), licence=data.info.licence)
    wanted = [name for name in data.columns if name in ("labels", "attributes")]
    found = data.fetch(torch.arange(len(data)), wanted) if wanted else {}
    known: dict[str, Any] = {name: np.array(column.numpy()) for name, column in found.items()}
    names = data.info.label_names
    if "labels" in known and not names:
        names = tuple(str(number) for number in range(int(known["labels"].max()) + 1))
    return Facts(
        **known,
        label_names=names,
        attribute_names=data.info.attribute_names,
        licence=data.info.licence,
    )
