"""Makes labels, attributes, captions, landmarks and a split of what the tables say, where it is certain."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gansmith.core.text import classes_of, composed, in_order, whole_numbers
from gansmith.data.metadata.fact_types import Facts
from gansmith.data.metadata.told import UNREAD, MergedColumn, MergedTables, pictures_have
from gansmith.errors import DataError, nearest

TRAIN = ("train", "training")
HELD_OUT = ("val", "valid", "validation", "test", "testing")
SPLITS = {**dict.fromkeys((*TRAIN, "0"), False), **dict.fromkeys((*HELD_OUT, "1", "2"), True)}
_HOUSEKEEPING = frozenset(
    (
        *("width", "height", "original_width", "original_height", "id", "key", "index", "url", "status"),
        *("error_message", "md5", "sha256", "exif"),
    )
)
"""Columns about where an image comes from, and not about what it shows."""

_CLASSES_AT_MOST = 100_000
_CHOSEN_CLASSES_AT_MOST = 10_000
_KINDS_AT_MOST = 32
_ROWS_PER_KIND = 5


def resolve_columns(merged: MergedTables, label: str | None) -> Facts:
    """The facts that are certain; what is not goes into ``merged.refused``."""
    labels, label_names = _labels(merged, label)
    captions, held_out = _captions(merged), _held_out(merged)
    landmarks, landmark_names = _landmarks(merged)
    attributes, attribute_names = _attributes(merged)
    return Facts(
        labels=labels,
        label_names=label_names,
        attributes=attributes,
        attribute_names=attribute_names,
        captions=captions,
        landmarks=landmarks,
        landmark_names=landmark_names,
        held_out=held_out,
    )


def _labels(merged: MergedTables, label: str | None) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    known = _chosen(merged, label) if label is not None else merged.columns.pop("label", None)
    if known is None or (label is None and merged.no_labels):
        return None, ()
    if known.missing:
        merged.no_labels = True
        merged.note(known.file, f"{pictures_have(known.missing)} no {known.name}; labels are not used")
        return None, ()
    try:
        numbers, names = (
            _class_numbers(known) if merged.keys[known.name.lower()] == "label" else _ranked(known)
        )
    except ValueError as error:
        merged.no_labels = True
        merged.note(known.file, f"{UNREAD} as labels ({error}); labels are not used")
        return None, ()
    return numbers[known.codes], names


def _chosen(merged: MergedTables, label: str) -> MergedColumn | None:
    """The column the user calls the class, taken out of the others."""
    name = composed(label.strip()).lower()
    if name in merged.contradicted:
        return None
    if (key := merged.keys.get(name)) not in merged.columns:
        names = [known.name for known in merged.columns.values()]
        hint = nearest(label, names) or " There is no table with columns beside the pictures."
        unread = [each for each in merged.refused if each.reason.startswith(UNREAD)]
        because = f" {unread[0].name}: {unread[0].reason}." if unread else ""
        raise DataError(
            f"data.label must be a column of a table beside the pictures. Received: {label!r}.{hint}{because}"
        )
    known = merged.columns[key] if key == "caption" else merged.columns.pop(key)
    count = len(np.unique(known.codes))
    most = _CLASSES_AT_MOST if key == "identity" else _CHOSEN_CLASSES_AT_MOST
    if count > most:
        raise DataError(
            f"A column of classes has at most {most:,} different values. "
            f"Received: data.label={label!r} with {count:,}. Choose another column."
        )
    return known


def _captions(merged: MergedTables) -> tuple[str, ...] | None:
    known = merged.columns.pop("caption", None)
    if known is None or known.missing == merged.count:
        return None
    if known.missing:
        merged.note(known.file, f"{pictures_have(known.missing)} no caption; theirs is empty")
    return tuple(np.array([*known.kinds, ""], dtype=object)[known.codes])


def _held_out(merged: MergedTables) -> NDArray[np.bool_] | None:
    known = merged.columns.pop("split", None)
    if known is None:
        return None
    strange = [kind for kind in known.kinds if kind.lower() not in SPLITS]
    if strange:
        reason = f"its {known.name} says {strange[0]!r}, which is none of {', '.join(SPLITS)}"
    elif known.missing:
        reason = f"{pictures_have(known.missing)} no {known.name}"
    else:
        sides: NDArray[np.bool_] = np.array([SPLITS[kind.lower()] for kind in known.kinds])[known.codes]
        if len(np.unique(sides)) == 2:
            return sides
        reason = f"all pictures are on one side of its {known.name}"
    merged.note(known.file, f"{reason}; the split is not used")
    return None


def _landmarks(merged: MergedTables) -> tuple[NDArray[np.float32] | None, tuple[str, ...]]:
    paired = _paired(merged)
    points = _stacked(merged) if merged.points else None
    if paired is not None and points is not None:
        first, second = sorted((paired[0], merged.points_file), key=merged.files.index)
        merged.note(second, f"its landmarks are not used; those of {first} are")
        paired, points = (paired, None) if first == paired[0] else (None, points)
    made = paired[1] if paired is not None else points
    if made is None or np.isnan(made).all():
        return None, ()
    blank = np.isnan(made[:, :, 0]) | np.isnan(made[:, :, 1])
    none, some = int(blank.all(axis=1).sum()), int((blank.any(axis=1) & ~blank.all(axis=1)).sum())
    file = paired[0] if paired is not None else merged.points_file
    if none:
        merged.note(file, f"{pictures_have(none)} no landmarks; theirs are NaN")
    if some:
        merged.note(file, f"{pictures_have(some)} some landmarks only; the others are NaN")
    return made, paired[2] if paired is not None else ()


def _paired(merged: MergedTables) -> tuple[str, NDArray[np.float32], tuple[str, ...]] | None:
    """Landmarks from pairs of columns: the file, [images, points, 2], and the points' names."""
    pairs = _pairs(merged.columns)
    if not pairs:
        return None
    known = [merged.columns.pop(key) for pair in pairs.values() for key in pair]
    values = []
    for column in known:
        if (numbers := column.numbers()) is None:
            merged.note(column.file, f"{column.name} has text that is not a number; its points are not used")
            return None
        values.append(numbers)
    points = np.stack(values, axis=1).reshape(merged.count, len(pairs), 2)
    points[np.isnan(points).any(axis=2)] = np.nan
    names = () if any(name.isdigit() for name in pairs) else tuple(map(_point_name, pairs))
    return known[0].file, points, names


def _stacked(merged: MergedTables) -> NDArray[np.float32]:
    """Landmarks given as lists: [images, points, 2]. Only lists of the commonest length count."""
    lengths = Counter(map(len, merged.points.values()))
    length = max(lengths, key=lambda each: (lengths[each], each))
    made = np.full((merged.count, length, 2), np.nan, dtype=np.float32)
    for picture, points in merged.points.items():
        if len(points) == length:
            made[picture] = points
    if (others := lengths.total() - lengths[length]) > 0:
        merged.note(
            merged.points_file,
            f"{pictures_have(others)} another number of landmarks than {length}, and so none here",
        )
    return made


def _attributes(merged: MergedTables) -> tuple[NDArray[np.uint8] | None, tuple[str, ...]]:
    columns: dict[str, NDArray[np.uint8]] = {}
    unused: dict[tuple[str, str], list[str]] = {}  # (file, why): names of columns.
    for key, known in merged.columns.items():
        if key in _HOUSEKEEPING or not known.kinds:
            continue
        made = _yes_or_no(known)
        if made and known.missing:
            why = f"{pictures_have(known.missing)} no value there"
        elif made:
            columns |= made
            continue
        else:
            why = f"more than {_KINDS_AT_MOST} values, or fewer than {_ROWS_PER_KIND} rows for each"
            if len(known.kinds) < 2 or known.rows < 2 * _ROWS_PER_KIND:
                continue  # One value says nothing, and a handful of rows does not say what a column is.
        unused.setdefault((known.file, why), []).append(known.name)
    for (file, why), names in unused.items():
        merged.note(file, f"not used as attributes: {', '.join(names)} ({why})")
    return (np.stack([*columns.values()], axis=1) if columns else None), tuple(columns)


def _class_numbers(known: MergedColumn) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """For a column of labels: whole numbers are class numbers, other texts are numbered in sorted order."""
    numbers = whole_numbers(known.kinds)
    if numbers is None:
        return _numbered(known.kinds, known.kinds)
    if not 0 <= min(numbers) <= max(numbers) < _CLASSES_AT_MOST:
        raise ValueError(f"labels count from 0 and stay below {_CLASSES_AT_MOST:,}")
    return np.array(numbers, dtype=np.int64), tuple(map(str, range(max(numbers) + 1)))


def _ranked(known: MergedColumn) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """For any other column: the values that images have, in order."""
    return _numbered(known.kinds, [known.kinds[code] for code in np.unique(known.codes)])


def _numbered(kinds: Sequence[str], used: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    numbers, names = classes_of(used)
    place = dict(zip(used, numbers, strict=True))
    return np.array([place.get(kind, -1) for kind in kinds], dtype=np.int64), names


_YES = frozenset(("1", "true", "yes"))
_YES_OR_NO = (frozenset("01"), frozenset(("-1", "1")), frozenset(("false", "true")), frozenset(("no", "yes")))


def _yes_or_no(known: MergedColumn) -> dict[str, NDArray[np.uint8]]:
    """Attribute -> [pictures]: one for a yes-or-no column, one per value for others, none for many values."""
    plain = [kind.lower().removesuffix(".0") for kind in known.kinds]
    if any(set(plain) <= pair for pair in _YES_OR_NO):
        return {known.name: np.array([kind in _YES for kind in plain], dtype=np.uint8)[known.codes]}
    if not 2 <= len(known.kinds) <= min(_KINDS_AT_MOST, known.rows / _ROWS_PER_KIND):
        return {}
    code = {kind: number for number, kind in enumerate(known.kinds)}
    return {
        f"{known.name}={kind}": (known.codes == code[kind]).astype(np.uint8) for kind in in_order(known.kinds)
    }


_PAIR = re.compile(r"(?P<first>[xy])[ _.-]?(?P<number>\d+)|(?P<name>.+?)[ _.-](?P<last>[xy])")
_SIDE = re.compile(r"(.*[ _.-])?(w|h|width|height)")


def _pairs(names: Mapping[str, object]) -> dict[str, tuple[str, str]]:
    """Point -> its columns of x and y. One point beside a width or a height is a box and no landmark."""
    axes: dict[str, dict[str, str]] = {}
    for name in names:
        if match := _PAIR.fullmatch(name):
            axis = match["first"] or match["last"]
            axes.setdefault(match["number"] or match["name"], {})[axis] = name
    pairs = {point: (both["x"], both["y"]) for point, both in axes.items() if len(both) == 2}
    return {} if len(pairs) == 1 and any(map(_SIDE.fullmatch, names)) else pairs


def _point_name(name: str) -> str:
    """``left_eye`` for lefteye, left-eye and eye_left."""
    plain = re.sub(r"[ .-]+", "_", name)
    match = re.fullmatch(r"(left|right)_?(.+)", plain) or re.fullmatch(r"(.+)_(left|right)", plain)
    if match is None:
        return plain
    side, part = match.groups() if match[1] in ("left", "right") else match.groups()[::-1]
    return f"{side}_{part}"
