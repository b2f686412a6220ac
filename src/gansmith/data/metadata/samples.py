"""Facts told image by image, or column by column, -> one table of facts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gansmith.core.text import classes_of, find_name
from gansmith.data.metadata.facts import Facts, Refused
from gansmith.errors import DataError, nearest

_CLASSES_AT_MOST = 100_000


def assembled(samples: Sequence[Mapping[str, Any]], label: str | None = None) -> tuple[Facts, list[Refused]]:
    """One table out of what is known of each image.

    Args:
        samples: one for each image, with any of ``label`` or ``class`` (integer or string),
            ``label_name``, ``caption`` or ``text``, ``attributes`` ({name: 0 or 1}), ``landmarks``
            ([[x, y], ...] in pixels) and ``held_out`` (bool). Other keys do not count.
        label: another key that is the class.

    Returns: the facts, and what could not be used. Labels and attributes are used where every image has
        them; without caption or landmarks an image has "" or NaN.

    Raises:
        DataError: no image has the key ``label``.
    """
    if label is not None:
        samples = _with_label(samples, label)
    refused: list[Refused] = []
    parts: dict[str, Any] = {}
    for name, make in (("labels", _labels), ("attributes", _attributes), ("landmarks", _landmarks)):
        try:
            parts |= make(samples)
        except (ValueError, TypeError, OverflowError) as error:
            refused.append(Refused(name, f"{error}; {name} are not used", False))
    said = [_caption(sample) for sample in samples]
    captions = tuple(said) if any(said) else None
    if captions and not all(said):
        refused.append(Refused("captions", f"{said.count('')} pictures have none; theirs is empty", False))
    held = np.array([sample.get("held_out") is True for sample in samples], dtype=np.bool_)
    split = held if held.any() and not held.all() else None
    return Facts(captions=captions, held_out=split, **parts), refused


def unknown_label(label: str, known: Iterable[str]) -> DataError:
    """What to say where ``data.label`` names nothing that is there."""
    rule = "data.label must be something that is said of the pictures"
    return DataError(f"{rule}. Received: {label!r}.{nearest(label, known)}")


def _with_label(samples: Sequence[Mapping[str, Any]], label: str) -> list[dict[str, Any]]:
    """The samples with what is said of ``label``, by itself or among the attributes, as their class."""
    said = [{**_table(sample.get("attributes")), **sample} for sample in samples]
    known = {key for sample in said for key in sample}
    label = find_name(label, known) or label
    if label not in known:
        raise unknown_label(label, known)
    return [
        {**sample, "label": each.get(label), "label_name": None}
        for sample, each in zip(samples, said, strict=True)
    ]


def numbered(
    values: Sequence[Any], names: Sequence[str] = ()
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Labels as numbers from 0, and what each is called; integers stay, strings count in sorted order.

    Args:
        values: integers or strings, or true and false; None or -1 where an image has none.
        names: of the numbers, where they are known.

    Returns: (int64 [n], names); (None, ()) where no image has a label.

    Raises:
        ValueError: some images have none, or a label is neither, or far too large.
    """
    values = [_whole(value) for value in values]
    missing = sum(value is None or (type(value) is int and value == -1) for value in values)
    if missing == len(values):
        return None, ()
    if missing:
        raise ValueError("1 picture has no label" if missing == 1 else f"{missing} pictures have no label")
    if all(type(value) is str for value in values):
        numbers, kinds = classes_of(values)
        return np.array(numbers, dtype=np.int64), kinds
    if not all(type(value) is int for value in values):
        raise ValueError("labels must be integers or strings, of one kind")
    most = max(values)
    if min(values) < 0 or most >= _CLASSES_AT_MOST:
        raise ValueError(f"labels count from 0 and stay below {_CLASSES_AT_MOST:,}")
    known = tuple(names) if len(names) > most else tuple(str(number) for number in range(most + 1))
    return np.array(values, dtype=np.int64), known


def _whole(value: object) -> Any:
    """True, 1 and 1.0 as 1; anything else as it is."""
    return int(value) if isinstance(value, bool | float) and value == value // 1 else value


def _labels(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = [sample.get("label", sample.get("class")) for sample in samples]
    labels, names = numbered(values)
    if labels is None:
        return {}
    named = {sample["label"]: sample["label_name"] for sample in samples if _is_named(sample)}
    return {
        "labels": labels,
        "label_names": tuple(str(named.get(number, name)) for number, name in enumerate(names)),
    }


def _is_named(sample: Mapping[str, Any]) -> bool:
    return type(sample.get("label")) is int and isinstance(sample.get("label_name"), str)


def _attributes(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    given = [_table(sample.get("attributes")) for sample in samples]
    names = tuple(given[0]) if given else ()
    if not any(given):
        return {}
    if any(set(sample) != set(names) for sample in given):
        raise ValueError("pictures have different attributes")
    rows = [[sample[name] for name in names] for sample in given]
    if not all(value in (0, 1) for row in rows for value in row):
        raise ValueError("attributes must be 0 or 1")
    return {"attributes": np.array(rows, dtype=np.uint8), "attribute_names": names}


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _landmarks(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    given = [sample.get("landmarks") for sample in samples]
    if all(points is None for points in given):
        return {}
    count = next(len(points) for points in given if points is not None)
    none = [[np.nan, np.nan]] * count
    # Raises ValueError where images have different numbers of points.
    points = np.array([none if points is None else points for points in given], dtype=np.float32)
    if points.ndim != 3 or points.shape[1:] != (count, 2) or not count:
        raise ValueError("landmarks must be pairs of numbers, equally many for every picture")
    return {"landmarks": points}


def _caption(sample: Mapping[str, Any]) -> str:
    given = sample.get("caption", sample.get("text"))
    return given if isinstance(given, str) else ""
