"""What training needs of a data set: columns of facts, one row per image, fetched by number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gansmith.data.metadata.facts import Facts, Refused
from gansmith.errors import DataError


@dataclass(frozen=True, eq=False)
class DatasetInfo:
    """What is known of a data set as a whole.

    Example:
        >>> info = DatasetInfo(label_names=("cat", "dog"))
        >>> MemoryDataSet("mine", {"images": images, "labels": labels}, info=info).info.label_names[1]
        'dog'
    """

    held_out: Tensor | None = None  # bool [n]: the owner's own split; None where training makes its own.
    label_names: tuple[str, ...] = ()
    attribute_names: tuple[str, ...] = ()
    landmark_names: tuple[str, ...] = ()
    licence: str | None = None  # Of the images, in words; None where nobody said.
    names: Sequence[str] = ()  # What the file of each row is called; empty where rows are no files.

    @classmethod
    def of(cls, facts: Facts, names: Sequence[str] = ()) -> "DatasetInfo":
        """What is known beside the columns."""
        held_out = None if facts.held_out is None else torch.from_numpy(facts.held_out)
        told = facts.label_names, facts.attribute_names, facts.landmark_names
        return cls(held_out, *told, facts.licence, names)


@runtime_checkable
class DataSet(Protocol):
    """Images of one size with their facts.

    Columns are tensors with one row per image. ``images`` is uint8 [n, C, H, W] and always there;
    ``labels`` (int64 [n]), ``attributes`` (uint8 [n, a]) and ``landmarks`` (float32 [n, points, 2],
    x and y in pixels) are there where they are known. Any further column is allowed: a method asks
    for columns by the field names of its batch.

    Example:
        >>> data = open_data("my_photos", DataConfig(size=Size(32, 32)))
        >>> isinstance(data, DataSet), data.columns
        (True, ('images',))
    """

    name: str
    fingerprint: str  # Changes when the images do; stored in the run so that a resume can notice.
    refused: tuple[Refused, ...]
    info: "DatasetInfo"
    in_arrays: bool  # Whether rows lie ready: no decoding, no drawing.

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        ...

    def __len__(self) -> int: ...

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """The rows of some columns (None: of all), in the order asked for; ``rows`` is int64 [n]."""
        ...


def rows_of(column: Tensor, rows: Tensor) -> Tensor:
    """Those rows of a column; images that lie as rows of pixels (channels_last) stay so, and copy fast."""
    if column.dim() != 4 or column.is_contiguous():
        return column.index_select(0, rows)
    return column.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Parts of a column as one; images as rows of pixels."""
    whole = torch.cat(list(parts))
    return whole.contiguous(memory_format=torch.channels_last) if whole.dim() == 4 else whole


class MemoryDataSet:
    """A data set whose columns lie in memory.

    Args:
        name: what the user called it.
        columns: column name -> tensor; all with the same number of rows.
        fingerprint: changes when the images do.
        refused: files left out on the way here.
        info: what is known of it as a whole.

    Example:
        >>> data = MemoryDataSet("mine", {"images": torch.zeros(10, 3, 32, 32, dtype=torch.uint8)})
        >>> data.fetch(torch.tensor([4, 2]))["images"].shape
        torch.Size([2, 3, 32, 32])
    """

    in_arrays = True

    def __init__(
        self,
        name: str,
        columns: Mapping[str, Tensor],
        fingerprint: str = "",
        refused: tuple[Refused, ...] = (),
        info: DatasetInfo | None = None,
    ) -> None:
        lengths = {key: len(column) for key, column in columns.items()}
        if len(set(lengths.values())) != 1:
            raise DataError(f"All columns of a data set must have as many rows. Received: {lengths}.")
        self.name = name
        self.fingerprint = fingerprint or name
        self.refused, self.info = refused, info or DatasetInfo()
        self._columns = dict(columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """The rows of some columns (None: of all), in the order asked for."""
        return {name: rows_of(self._columns[name], rows) for name in columns or self._columns}


class GrowingDataSet:
    """A data set whose rows are made when they are first asked for, and then kept in memory.

    The first pass costs the making, later passes nothing, and nothing is waited for at the start.

    Args:
        name: what the user called it.
        length: number of images.
        make: image number -> its row, the same columns each time.
        fingerprint: changes when the images do.
        info: what is known of it as a whole.

    Example:
        >>> shade = lambda index: {"images": torch.full((3, 32, 32), index % 256)}
        >>> data = GrowingDataSet("drawn", 1000, shade)
        >>> data.fetch(torch.tensor([7]))["images"].unique()
        tensor([7])
    """

    refused: tuple[Refused, ...] = ()
    in_arrays = False

    def __init__(
        self, name: str, length: int, make: "Maker", fingerprint: str = "", info: DatasetInfo | None = None
    ) -> None:
        self.name, self.info = name, info or DatasetInfo()
        self.fingerprint = fingerprint or name
        self._make = make
        self._made = torch.zeros(length, dtype=torch.bool)
        first = make(0)
        self._columns = {
            key: torch.zeros((length, *value.shape), dtype=value.dtype) for key, value in first.items()
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._columns)

    def __len__(self) -> int:
        return len(self._made)

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """The rows of some columns (None: of all), in the order asked for; missing ones are made first."""
        for row in sorted(set(rows[~self._made[rows]].tolist())):
            for key, value in self._make(row).items():
                self._columns[key][row] = value
            self._made[row] = True
        return {name: rows_of(self._columns[name], rows) for name in columns or self._columns}


@runtime_checkable
class Maker(Protocol):
    """Makes the row of one image.

    Example:
        >>> def shade(index: int) -> dict[str, Tensor]:
        ...     return {"images": torch.full((3, 32, 32), index % 256, dtype=torch.uint8)}
        >>> isinstance(shade, Maker)
        True
    """

    def __call__(self, index: int) -> Mapping[str, Tensor]:
        """Column name -> the row, without a batch dimension."""
        ...
