"""A view of a data set with chosen attributes, classes among them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gansmith.data.dataset import DataSet
from gansmith.data.metadata.facts import Refused
from gansmith.errors import DataError, nearest


class ChosenAttributes:
    """A set whose ``attributes`` are some of its own, in the order asked for; a class is 1 where it is it.

    Args:
        data: has ``attributes`` or ``labels`` of these names.
        names: what is wanted.

    Example:
        >>> ChosenAttributes(data, ("smiling", "woman")).fetch(torch.arange(2), ("attributes",))
    """

    def __init__(self, data: DataSet, names: Sequence[str]) -> None:
        self._data, self.name, self.in_arrays = data, data.name, data.in_arrays
        self.info = replace(data.info, attribute_names=tuple(names))
        self.fingerprint = f"{data.fingerprint}:{','.join(names)}"
        own = attribute_names(data)
        self._own = torch.tensor([own.index(name) if name in own else -1 for name in names])
        labels = data.info.label_names
        self._classes = torch.tensor([labels.index(name) if name not in own else -1 for name in names])

    @property
    def refused(self) -> tuple[Refused, ...]:
        """Of the data."""
        return self._data.refused

    @refused.setter
    def refused(self, value: tuple[Refused, ...]) -> None:
        self._data.refused = value

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(dict.fromkeys((*self._data.columns, "attributes")))

    def __len__(self) -> int:
        return len(self._data)

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        """The rows of the columns asked for (None: of all), in the order asked for."""
        wanted = tuple(self.columns if columns is None else columns)
        if "attributes" not in wanted:
            return self._data.fetch(rows, wanted)
        needed = [name for name in wanted if name != "attributes"]
        needed += ["attributes"] if bool((self._own >= 0).any()) else []
        needed += ["labels"] if bool((self._classes >= 0).any()) else []
        fetched = dict(self._data.fetch(rows, tuple(dict.fromkeys(needed))))
        found = torch.zeros(len(rows), len(self._own), dtype=torch.uint8)
        for place, (own, number) in enumerate(zip(self._own.tolist(), self._classes.tolist(), strict=True)):
            found[:, place] = fetched["attributes"][:, own] if own >= 0 else fetched["labels"] == number
        fetched["attributes"] = found
        return {name: fetched[name] for name in wanted}


def attribute_names(data: DataSet) -> tuple[str, ...]:
    """What the attributes of a data set are called; those without a name have their number."""
    if "attributes" not in data.columns:
        return ()
    if data.info.attribute_names:
        return data.info.attribute_names
    count = data.fetch(torch.zeros(1, dtype=torch.int64), ("attributes",))["attributes"].shape[1]
    return tuple(f"attribute{number}" for number in range(count))


def with_attributes(data: DataSet, names: Sequence[str], wanted: bool) -> DataSet:
    """The data set with the attributes of these names; without names, with its own, else its classes.

    Args:
        data: the set.
        names: attributes or classes; none: all there are.
        wanted: whether a method trains on them; where none does, a set that lacks them stays as it is.

    Raises:
        DataError: a name that is none of its attributes and classes.
    """
    own = attribute_names(data)
    known = tuple(dict.fromkeys((*own, *(data.info.label_names if "labels" in data.columns else ()))))
    if not names:
        names = known if wanted and not own else own
    unknown = [name for name in names if name not in known]
    if unknown and wanted:
        raise DataError(
            f"data.attributes names attributes or classes of {data.name}. Received: '{unknown[0]}'."
            f"{nearest(unknown[0], known)}"
        )
    return data if unknown or not names or tuple(names) == own else ChosenAttributes(data, names)
