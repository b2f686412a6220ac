"""Views of a data set as pairs or domains: sources made of its images when they are asked for, no copy."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from gansmith.data.dataset import DataSet, DatasetInfo
from gansmith.data.load import with_channels
from gansmith.data.metadata.facts import Refused
from gansmith.data.sources import made_pairs
from gansmith.data.sources.pairs import PAIR
from gansmith.errors import DataError

MASK = "mask"
"""The column that says where a hole is: 255 inside, [n, 1, height, width]."""


class _View:
    """What a view and its data have in common."""

    def __init__(self, data: DataSet) -> None:
        self._data = data
        self.name, self.info, self.in_arrays = data.name, data.info, data.in_arrays

    @property
    def refused(self) -> tuple[Refused, ...]:
        """Of the data; those that decode when asked find more as they go."""
        return self._data.refused

    @refused.setter
    def refused(self, value: tuple[Refused, ...]) -> None:
        self._data.refused = value

    def __len__(self) -> int:
        return len(self._data)


class MadePairs(_View):
    """Any set of images as pairs: the image is the target, and the source is made of it.

    Columns are ``source`` and ``target``, ``mask`` where the source has a hole, and the facts of the set.

    Args:
        data: has ``images``; ``landmarks``, too, where these are drawn.
        kind: what the source is made by.
        source_channels: of the source; None: as many as the images have.
        swap: sources become targets and targets sources.

    Raises:
        DataError: the set lacks what the kind is made of, or the kind cannot be swapped.

    Example:
        >>> pairs = MadePairs(data, "small:4")  # For super-resolution.
        >>> pairs.fetch(torch.tensor([0]), ("source",))["source"].shape
        torch.Size([1, 3, 8, 8])
    """

    def __init__(
        self, data: DataSet, kind: str, source_channels: int | None = None, swap: bool = False
    ) -> None:
        needed = ("images", "landmarks") if kind == "sketch" else ("images",)
        for name in needed:
            if name not in data.columns:
                raise made_pairs.lacks(kind, needed, data.name, tuple(data.columns))
        made_pairs.check_swap(kind, swap)
        super().__init__(data)
        self._kind, self._channels, self._swap, self._needed = kind, source_channels, swap, needed
        self.in_arrays = False
        self.fingerprint = f"{data.fingerprint}:{kind}:{swap}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        own = (*PAIR, MASK) if self._kind.startswith("hole:") else PAIR
        return (*own, *(name for name in self._data.columns if name != "images"))

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """The rows of the columns asked for (None: of all), in the order asked for."""
        wanted = tuple(self.columns if columns is None else columns)
        own = {*PAIR, MASK} & set(wanted)
        facts = [name for name in wanted if name not in own]
        asked = dict.fromkeys((*(self._needed if own else ()), *facts))
        fetched = dict(self._data.fetch(rows, tuple(asked)))
        if own:
            fetched |= self._pairs(rows, fetched)
        return {name: fetched[name] for name in wanted}

    def _pairs(self, rows: Tensor, fetched: Mapping[str, Tensor]) -> dict[str, Tensor]:
        pictures = fetched["images"]
        points = fetched["landmarks"].cpu().numpy() if self._kind == "sketch" else [None] * len(rows)
        made = [
            made_pairs.made_source(self._kind, picture, row, points[place])
            for place, (row, picture) in enumerate(
                zip(rows.tolist(), np.asarray(pictures.cpu()), strict=True)
            )
        ]
        source = torch.from_numpy(np.stack(made))
        source = with_channels(source, self._channels or pictures.shape[1])
        pair = (pictures, source) if self._swap else (source, pictures)
        found = dict(zip(PAIR, pair, strict=True))
        if not self._kind.startswith("hole:"):
            return found
        height, width = pictures.shape[2:]
        masks = [made_pairs.hole_of(self._kind, height, width, row) for row in rows.tolist()]
        return found | {MASK: torch.from_numpy(np.stack(masks))}


class SourceChannels(_View):
    """A set of pairs whose sources have another number of channels.

    Args:
        data: has ``source``.
        channels: 1 or 3.

    Example:
        >>> pairs = SourceChannels(MadePairs(data, "grey"), channels=1)
        >>> pairs.fetch(torch.tensor([0]), ("source",))["source"].shape
        torch.Size([1, 1, 32, 32])
    """

    def __init__(self, data: DataSet, channels: int) -> None:
        super().__init__(data)
        self._wanted = channels
        self.fingerprint = f"{data.fingerprint}:source {channels}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self._data.columns

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """The rows of the columns asked for (None: of all), in the order asked for."""
        fetched = dict(self._data.fetch(rows, columns))
        if "source" in fetched:
            fetched["source"] = with_channels(fetched["source"], self._wanted)
        return fetched


class TwoSets:
    """Two sets as one whose labels say which: two domains without pairs.

    Args:
        first: its images have the label 0, ``a``.
        second: label 1, ``b``; images of the same size and channels.

    Example:
        >>> both = TwoSets(horses, zebras)
        >>> both.fetch(torch.tensor([0, len(horses)]), ("labels",))["labels"]
        tensor([0, 1])
    """

    def __init__(self, first: DataSet, second: DataSet) -> None:
        for data in (first, second):
            if "images" not in data.columns:
                raise DataError(
                    f"A domain is a set of pictures. Received: {data.name}, which has "
                    f"{', '.join(data.columns)}."
                )
        self._parts = (first, second)
        self.name = f"{first.name} and {second.name}"
        self.refused: tuple[Refused, ...] = (*first.refused, *second.refused)
        self.fingerprint = f"{first.fingerprint} and {second.fingerprint}"
        self.in_arrays = first.in_arrays and second.in_arrays
        self.info = DatasetInfo(
            _held_out(first, second),
            label_names=("a", "b"),
            licence=_licence(first, second),
            names=_names(first, second),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return ("images", "labels")

    def __len__(self) -> int:
        return len(self._parts[0]) + len(self._parts[1])

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """The rows of the columns asked for (None: of all), in the order asked for."""
        wanted, border = self.columns if columns is None else columns, len(self._parts[0])
        second, found = rows >= border, dict[str, Tensor]()
        if "labels" in wanted:
            found["labels"] = second.to(torch.int64)
        if "images" in wanted:
            parts = [
                part.fetch(rows[mine] - offset, ("images",))["images"]
                for part, mine, offset in zip(self._parts, (~second, second), (0, border), strict=True)
                if bool(mine.any())
            ]
            places = torch.cat([(~second).nonzero()[:, 0], second.nonzero()[:, 0]])
            found["images"] = torch.cat(parts)[torch.argsort(places)]
        return {name: found[name] for name in wanted}


def _held_out(first: DataSet, second: DataSet) -> Tensor | None:
    """The owners' splits, where both have one."""
    held = first.info.held_out, second.info.held_out
    return None if held[0] is None or held[1] is None else torch.cat([held[0], held[1]])


def _names(first: DataSet, second: DataSet) -> Sequence[str]:
    """Where both have names, these as if each set were a folder of its domain."""
    parts = ("a", first.info.names), ("b", second.info.names)
    return (
        [f"{top}/{name}" for top, names in parts for name in names]
        if all(parts[0][1:] + parts[1][1:])
        else ()
    )


def _licence(first: DataSet, second: DataSet) -> str | None:
    told = dict.fromkeys(data.info.licence for data in (first, second) if data.info.licence)
    return "; ".join(told) or None
