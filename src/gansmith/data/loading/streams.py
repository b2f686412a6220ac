"""Which rows a batch is made of: one endless shuffled order, or one for each of two domains without pairs."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath

import torch
from torch import Tensor

from gansmith.core.noise import mix_seeds
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet
from gansmith.data.loading.sampler import Sampler, split
from gansmith.errors import DataError, nearest

DOMAINS = ("a", "b")
"""Fields of a batch that shows two domains without pairs."""

OTHER = "other_"
"""A field ``other_x`` of a batch is column ``x`` of another row, one that the rest has nothing to do with."""

_OTHERS = 7  # Keeps the order of other rows apart from that of the rows.
_USUAL = (("trainA", "trainB"), ("a", "b"), ("A", "B"))  # How data sets of two domains name their folders.


class Stream:
    """Some rows of a data set in an endless order, shuffled by (seed, pass), and those held out of it.

    Args:
        data: where rows come from.
        columns: field of the batch -> column of the data.
        parts: (rows for training, rows held out), int64.
        seed: of the order.

    Example:
        >>> (stream,) = streams(data, ("images",), DataConfig(), seed=0)
        >>> stream.fetch(stream.rows(position=0, count=4))["images"].shape
        torch.Size([4, 3, 32, 32])
    """

    def __init__(
        self, data: DataSet, columns: Mapping[str, str], parts: tuple[Tensor, Tensor], seed: int
    ) -> None:
        self._data, self._columns = data, dict(columns)
        self.training, self.held_out = parts
        self._sampler = Sampler(len(self.training), seed)

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the batch that come from here."""
        return tuple(self._columns)

    def rows(self, position: int, count: int) -> Tensor:
        """The rows at positions ``position`` .. ``position + count - 1`` of the endless order."""
        return self.training[self._sampler.rows(position, count)]

    @property
    def measured(self) -> Tensor:
        """Rows that are measured: those held out, or those for training where none are."""
        return self.held_out if len(self.held_out) else self.training

    def sample(self, count: int, seed: int) -> Tensor:
        """Training rows for looking at: a fixed choice by ``seed``."""
        order = torch.randperm(len(self.training), generator=torch.Generator().manual_seed(seed))
        return self.training[order[:count]]

    def fetch(self, rows: Tensor, fields: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Those rows of some fields (None: of all), by field."""
        columns = {field: self._columns[field] for field in fields or self._columns}
        fetched = self._data.fetch(rows, tuple(dict.fromkeys(columns.values())))
        return {field: fetched[column] for field, column in columns.items()}


class OtherStream(Stream):
    """The same rows in an order of their own; what is held out or looked at is never a row's own.

    Example:
        >>> OtherStream(data, {"other_target": "target"}, (training, held_out), seed=0)
    """

    def __init__(
        self, data: DataSet, columns: Mapping[str, str], parts: tuple[Tensor, Tensor], seed: int
    ) -> None:
        super().__init__(data, columns, (parts[0], others(parts[1])), mix_seeds(seed, _OTHERS))

    @property
    def measured(self) -> Tensor:
        """For each of the rows that a stream would measure, another one of them."""
        return self.held_out if len(self.held_out) else self._of_training

    @cached_property
    def _of_training(self) -> Tensor:
        return others(self.training)

    def sample(self, count: int, seed: int) -> Tensor:
        """For each of the training rows that a stream would show, another one of them."""
        return others(super().sample(count, seed))


def others(rows: Tensor) -> Tensor:
    """Each row's place taken by another row, in one ring by chance: none stays where it is.

    Example:
        >>> bool((others(torch.arange(8)) == torch.arange(8)).any())
        False
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(_OTHERS))
    found = rows.clone()
    found[order] = rows[order.roll(1)]
    return found


def streams(data: DataSet, fields: Sequence[str], config: DataConfig, seed: int) -> tuple[Stream, ...]:
    """The streams that together give the fields of a batch.

    Raises:
        DataError: the data lack a field, or are not two domains where two are wanted.
    """
    of_others = {name: name.removeprefix(OTHER) for name in fields if name.startswith(OTHER)}
    if of_others and set(of_others.values()) <= set(data.columns):
        own = tuple(name for name in fields if name not in of_others)
        parts = parted(data, None, config, seed)
        return (*streams(data, own, config, seed), OtherStream(data, of_others, parts, seed))
    missing = [name for name in fields if name not in data.columns]
    if set(missing) == set(DOMAINS) and "images" in data.columns:
        return tuple(
            Stream(data, {field: "images"}, parts, mix_seeds(seed, place))
            for place, (field, parts) in enumerate(
                zip(DOMAINS, _parted_domains(data, config, seed), strict=True)
            )
        )
    if missing:
        raise DataError(
            f"This method trains on {', '.join(fields)}. Received: {data.name}, which has "
            f"{', '.join(data.columns)} and no {' and no '.join(missing)}. {_instead(missing, fields, data)}"
        )
    return (Stream(data, {name: name for name in fields}, parted(data, None, config, seed), seed),)


def split_of(data: DataSet, fields: Sequence[str], config: DataConfig, seed: int) -> tuple[Tensor, Tensor]:
    """The rows a run trains on and those it holds out; of two domains those of the second, as results are.

    Raises:
        DataError: as of ``streams``.

    Example:
        >>> training, held_out = split_of(data, ("images",), DataConfig(validation=0.1), seed=0)
    """
    found = streams(data, fields, config, seed)
    shown = next((stream for stream in found if DOMAINS[1] in stream.fields), found[0])
    return shown.training, shown.held_out


def _instead(missing: list[str], fields: Sequence[str], data: DataSet) -> str:
    """What to do where columns are missing."""
    single = "source" in missing and "images" in data.columns
    if "landmarks" in fields and (single or missing == ["landmarks"]) and "source" in fields:
        return (
            "Landmarks of the targets are read from a table beside two folders of pairs (docs/labels.md); "
            "demo-faces has them with --set data.pairs=pose."
        )
    if single and OTHER + "target" in fields:
        return (
            "It takes two folders of pairs, a picture and the item in it (docs/data.md); "
            "demo-faces has them with --set data.pairs=item:hat."
        )
    if single:
        kind = "hole:random" if "mask" in fields else "edges"
        return f"Pairs can be made of its pictures, as with --set data.pairs={kind} (docs/data.md has all)."
    if "source" in data.columns:
        return "It is a set of pairs: choose a recipe that is trained on pairs (gansmith recipes)."
    if missing == ["labels"] and "attributes" in data.columns:
        column = (*data.info.attribute_names, "smiling")[0].split("=")[0]
        return (
            f"A column of their table can be the class: --set data.label={column} where it lies beside the "
            f"pictures, gansmith prepare SRC DEST --label {column} for a prepared set (docs/labels.md)."
        )
    return "Choose another recipe (gansmith recipes), or data that say it (docs/labels.md)."


def _parted_domains(data: DataSet, config: DataConfig, seed: int) -> list[tuple[Tensor, Tensor]]:
    """For each domain rows for training and rows held out.

    What has one name in both, ``neutral/001.jpg`` and ``smiling/001.jpg``, is usually one person or thing: it
    is held out of both or of neither, as the smaller domain has it.
    """
    domains = _domains(data, config)
    parts = [parted(data, rows, config, seed) for rows in domains]
    if not data.info.names or config.validation <= 0 or _owners_split(data, config) is not None:
        return parts
    leads = int(len(domains[1]) < len(domains[0]))
    held, trained = ({_name(data, row) for row in rows.tolist()} for rows in reversed(parts[leads]))
    rows = domains[1 - leads]
    own = set(parts[1 - leads][1].tolist())
    out = [
        name in held or (name not in trained and row in own)
        for row, name in ((row, _name(data, row)) for row in rows.tolist())
    ]
    if not all(out):
        apart = torch.tensor(out)
        parts[1 - leads] = rows[~apart], rows[apart]
    return parts


def _name(data: DataSet, row: int) -> str:
    """Of a row's file, in the folder of its domain and without the ending."""
    name = data.info.names[row]
    return str(PurePosixPath(name.partition("/")[2] or name).with_suffix(""))


def parted(data: DataSet, rows: Tensor | None, config: DataConfig, seed: int) -> tuple[Tensor, Tensor]:
    """Rows for training and rows held out: the owner's split where there is one, else by seed."""
    held = _owners_split(data, config)
    if held is not None:
        everything = torch.arange(len(data)) if rows is None else rows
        return everything[~held[everything]], everything[held[everything]]
    if rows is None:
        return split(len(data), config.validation, seed)
    training, held_out = split(len(rows), config.validation, seed)
    return rows[training], rows[held_out]


def _owners_split(data: DataSet, config: DataConfig) -> Tensor | None:
    """Which rows the owner of the data holds out, where a share is to be held out at all."""
    held = data.info.held_out
    parts = held is not None and config.validation > 0 and bool(held.any()) and not bool(held.all())
    return held if parts else None


def _domains(data: DataSet, config: DataConfig) -> tuple[Tensor, Tensor]:
    """The rows of the two domains: two labels of the data, or two attributes that no image has both of."""
    names = data.info.label_names if "labels" in data.columns else ()
    traits = data.info.attribute_names if "attributes" in data.columns else ()
    rule = (
        "Two domains without pairs are two class folders, or two labels or attributes named by data.domains"
    )
    chosen = config.domains or next((pair for pair in _USUAL if set(pair) <= set(names)), None)
    if chosen is None and len(names) == 2:
        chosen = (names[0], names[1])
    if len(names) < 2 and not traits:
        raise DataError(f"{rule}. Received: {data.name}, which has {', '.join(data.columns)}.")
    if chosen is None:
        known = names if len(names) > 1 else traits
        raise DataError(
            f"{rule}. Received: {data.name}, with the {'labels' if known is names else 'attributes'} "
            f"{', '.join(known[:10])}. Choose two, for example --set data.domains={','.join(known[:2])}."
        )
    first, second = _rows_of(data, chosen, names, traits)
    for name, rows in zip(chosen, (first, second), strict=True):
        if len(rows) < 2:
            raise DataError(f"A domain needs two pictures or more. Received: {len(rows)} of '{name}'.")
    return first, second


def _rows_of(
    data: DataSet, chosen: tuple[str, str], names: Sequence[str], traits: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Images that are of the first and not of the second, and the reverse."""
    known, everything = (*names, *traits), torch.arange(len(data))
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise DataError(
            f"There is no label or attribute '{unknown[0]}' in {data.name}.{nearest(unknown[0], known)}"
        )

    def has(name: str) -> Tensor:
        if name in names:
            return data.fetch(everything, ("labels",))["labels"].cpu() == names.index(name)
        return data.fetch(everything, ("attributes",))["attributes"].cpu()[:, traits.index(name)] > 0

    first, second = (has(name) for name in chosen)
    return (first & ~second).nonzero()[:, 0], (second & ~first).nonzero()[:, 0]
