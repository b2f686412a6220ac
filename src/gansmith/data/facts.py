"""What is known of pictures besides their pixels: labels, attributes, captions, landmarks, the owner's split.

Tables are read in a fixed order (see ``docs/labels.md``). What an earlier one says stands; a later one
adds what is missing, and where both speak and differ the later one is listed.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from gansmith.data.tables import (
    CELEBA,
    SIDECAR_ENDINGS,
    TABLE_ENDINGS,
    UNREADABLE,
    Column,
    Pictures,
    Points,
    Table,
    known_stem,
    plain_name,
    read_sidecars,
    read_table,
)
from gansmith.errors import DataError, nearest


@dataclass(frozen=True)
class Refused:
    """A file, or a part of one, that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of n pictures, one row each; None where nothing is known."""

    labels: NDArray[np.int64] | None = None  # [n], from 0.
    label_names: tuple[str, ...] = ()  # What label 0, 1, ... is called.
    attributes: NDArray[np.uint8] | None = None  # [n, attributes], 0 or 1.
    attribute_names: tuple[str, ...] = ()
    captions: tuple[str, ...] | None = None  # Empty where a picture has none.
    landmarks: NDArray[np.float32] | None = None
    """[n, points, 2]: x, y in pixels of the upright picture; the first pixel's middle is (0.5, 0.5).

    NaN where a picture has none.
    """
    landmark_names: tuple[str, ...] = ()  # What point 0, 1, ... is called; empty where nobody said.
    held_out: NDArray[np.bool_] | None = None  # [n]: the owner's own split, where there is one.

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> "Facts":
        """The facts of some pictures, in the order asked for."""
        chosen = np.asarray(rows, dtype=np.int64)
        taken: dict[str, object] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                value = value[chosen]
            elif item.name == "captions" and value is not None:
                value = tuple(value[row] for row in chosen)
            taken[item.name] = value
        return Facts(**taken)  # type: ignore[arg-type]


def find_facts(
    names: Sequence[str],
    others: Sequence[str],
    read: Callable[[str], bytes],
    *,
    label: str | None = None,
) -> tuple[Facts, list[Refused]]:
    """Facts of the pictures, and what could not be used: from tables, files beside them, and class folders.

    Args:
        names: of the pictures, relative, with forward slashes.
        others: files that are not pictures; those that may be tables are read.
        read: name of a file -> its bytes.
        label: the column that is the class; else one called label, class or target.

    Raises:
        DataError: no table has the column ``label``, or it has too many different values for classes.
    """
    if not names:
        return Facts(), []
    told = _Told(names)
    for file in _in_order(names, others, label):
        told.read(file, read)
    for ending in SIDECAR_ENDINGS:
        if (table := read_sidecars(names, others, ending, read)) is not None:
            told.add(f"*{ending}", table)
    facts = told.facts(label)
    if "dataset.json" not in others:  # Its folders are shards (00000, 00001, ...), not classes.
        wanted = label is None and facts.labels is None and not told.no_labels
        facts = _from_folders(names, facts, wanted)
    return facts, told.refused


_FIRST = ("dataset.json", "labels.json", "labels.jsonl", "labels.csv", "labels.tsv")
_THEN = tuple(
    stem + ending
    for stem in ("captions", "attributes", "landmarks", "metadata", "data")
    for ending in TABLE_ENDINGS
)


def _in_order(names: Sequence[str], others: Sequence[str], label: str | None) -> list[str]:
    """The files that may be tables, the most trusted first."""
    beside = {name.rpartition(".")[0] for name in names}  # Their JSON says something about one picture.
    ranked = []
    for file in others:
        folder, _, name = file.lower().rpartition("/")
        if name in CELEBA:
            ranked.append((2, CELEBA.index(name), file))
        elif folder and name not in ("metadata.csv", "metadata.jsonl"):  # Hugging Face has one per split.
            continue
        elif name in _FIRST:
            ranked.append((0, _FIRST.index(name), file))
        elif name in _THEN:
            ranked.append((1, _THEN.index(name), file))
        elif name.endswith(TABLE_ENDINGS) and file.removesuffix(".json") not in beside:
            ranked.append((3, 0, file))
    no_people = label is None or label.strip().lower() != "identity"  # 10,177 of them in CelebA.
    return [
        file
        for _, _, file in sorted(ranked)
        if not (no_people and file.lower().endswith("identity_celeba.txt"))
    ]


_TRAIN = ("train", "training")
_HELD_OUT = ("val", "valid", "validation", "test", "testing")
_SPLITS = {**dict.fromkeys((*_TRAIN, "0"), False), **dict.fromkeys((*_HELD_OUT, "1", "2"), True)}


def _from_folders(names: Sequence[str], facts: Facts, labels_wanted: bool) -> Facts:
    """Folders at the top are classes; where they are called train and test, they are the owner's split."""
    tops = [name.rpartition("/")[0].partition("/")[0].lower() for name in names]
    if set(tops) <= {*_TRAIN, *_HELD_OUT} and len({_SPLITS[top] for top in tops}) == 2:
        if facts.held_out is None:
            facts = replace(facts, held_out=np.array([_SPLITS[top] for top in tops]))
        names = [name.partition("/")[2] for name in names]
    folders = [name.rpartition("/")[0].partition("/")[0] for name in names]
    kinds = sorted(set(folders))
    if not labels_wanted or len(kinds) < 2 or "" in kinds:
        return facts
    number = {kind: index for index, kind in enumerate(kinds)}
    labels = np.array([number[folder] for folder in folders], dtype=np.int64)
    return replace(facts, labels=labels, label_names=tuple(kinds))


_ROLES = {
    "label": ("label", "labels", "class", "target"),
    "caption": ("caption", "captions", "text", "prompt", "description", "sentence"),
    "split": ("split", "partition", "subset"),
}
_HOUSEKEEPING = frozenset(
    (
        *("width", "height", "original_width", "original_height", "id", "key", "index", "url", "status"),
        *("error_message", "md5", "sha256", "exif"),
    )
)
"""Columns that say how a picture was come by and not what it shows."""

_UNREAD = "it cannot be read"
_NAMES_AT_MOST = 20  # Told one by one; CelebA's tables name 202,599.
_CLASSES_AT_MOST = 100_000
_CHOSEN_CLASSES_AT_MOST = 10_000
_KINDS_AT_MOST = 32
_ROWS_PER_KIND = 5


@dataclass(frozen=True, eq=False)
class _Known:
    """One column for all pictures, put together from every table that has it."""

    name: str
    file: str  # The first that has it.
    kinds: tuple[str, ...]
    codes: NDArray[np.int32]  # [pictures], into ``kinds``; -1 where nothing is said.
    rows: int  # Of the longest table that has it.

    @property
    def missing(self) -> int:
        return int((self.codes < 0).sum())

    def numbers(self) -> NDArray[np.float32] | None:
        """Its cells as numbers, NaN where blank or infinite; None where one is text."""
        try:
            with np.errstate(over="ignore"):
                values = np.array([*map(float, self.kinds), np.nan]).astype(np.float32)
        except ValueError:
            return None
        return np.where(np.isfinite(values), values, np.float32("nan"))[self.codes]


class _Told:
    """What the tables say of the pictures, and what of it cannot be used.

    Args:
        names: of the pictures.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.refused: list[Refused] = []
        self.no_labels = False  # Labels were given and are no good, so nothing stands in for them.
        self._pictures, self._count = Pictures(names), len(names)
        self._columns: dict[str, _Known] = {}  # By role, or by name in lower case.
        self._keys: dict[str, str] = {}  # A column's name in lower case -> its key above.
        self._contradicted: set[str] = set()
        self._points: dict[int, Points] = {}
        self._points_file = ""
        self._files: list[str] = []  # In the order of trust.
        self._absent: set[str] = set()  # Names without a picture, told one by one.

    def _note(self, file: str, reason: str) -> None:
        self.refused.append(Refused(file, reason))

    def read(self, file: str, read: Callable[[str], bytes]) -> None:
        """Take in what a file says, or note why it says nothing."""
        folder, _, name = file.rpartition("/")
        try:
            table = read_table(name, read(file))
        except UNREADABLE as error:
            if name.lower() in _FIRST:
                self.no_labels = True
                self._note(file, f"{_UNREAD} as labels ({error}); labels are not used")
            elif known_stem(file) or not name.lower().endswith(".json"):  # JSON may be about anything.
                self._note(file, f"{_UNREAD} ({error}); it is not used")
            return
        if table is not None:
            self.add(file, table, f"{folder}/" if folder and name.lower() not in CELEBA else "")

    def add(self, file: str, table: Table, under: str = "") -> None:
        """Take in a table whose names lie in the folder ``under``."""
        for note in table.notes:
            self._note(file, note)
        found = self._file_column(file, table, under)
        if found is None:
            return
        column, pictures = found
        where = np.append(pictures, -1)[column.codes]
        keys = _keys([each.name.lower() for each in table.columns if each is not column])
        for each in table.columns:
            if each is not column:
                self._add_column(file, table, each, where, keys[each.name.lower()])
        if table.points:
            self._add_points(file, table.points, where)

    def _add_points(self, file: str, given: Mapping[int, Points], where: NDArray[np.int64]) -> None:
        self._points_file = self._points_file or file
        differ = set[int]()
        for row, points in given.items():
            picture = int(where[row])
            if picture >= 0 and not np.array_equal(self._points.setdefault(picture, points), points, True):
                differ.add(picture)
        if differ:
            self._note(
                file, f"{_have(len(differ))} other landmarks in {self._points_file}, and those are used"
            )

    def _file_column(self, file: str, table: Table, under: str) -> tuple[Column, NDArray[np.int64]] | None:
        """The column that names pictures, and the picture each of its texts means."""
        for column in table.files:
            found = self._pictures.find(tuple(under + kind for kind in column.kinds))
            if (found >= 0).any():
                self._files.append(file)
                if table.sure:
                    self._note_absent(file, column, found)
                return column, found
        if table.sure and table.files:
            names = len(table.files[0].kinds)
            self._note(file, f"none of the {names:,} names in it is a picture here; it is not used")
            self.no_labels = self.no_labels or file.lower() in _FIRST
        return None

    def _note_absent(self, file: str, column: Column, found: NDArray[np.int64]) -> None:
        absent = {column.kinds[place]: int(found[place]) for place in np.flatnonzero(found < 0)}
        new = sorted(absent.keys() - self._absent)
        shown = new[: max(0, _NAMES_AT_MOST - len(self._absent))]
        for name in shown:
            why = "there is no such picture" if absent[name] == -1 else "several pictures could be meant"
            self._note(plain_name(name), f"{file} names it, but {why}")
        if len(new) > len(shown):
            self._note(file, f"it names {len(new) - len(shown):,} more pictures that are not here")
        self._absent.update(shown)

    def _add_column(
        self, file: str, table: Table, column: Column, where: NDArray[np.int64], key: str
    ) -> None:
        codes, clashes = _by_picture(column.codes, where, self._count)
        self._keys.setdefault(column.name.lower(), key)
        if len(clashes) and key == "caption":
            have = _have(len(np.unique(where[clashes])))
            self._note(file, f"{have} several captions; the first is used")
        elif len(clashes):
            row = int(clashes[0])
            first = int(np.flatnonzero((where == where[row]) & (column.codes >= 0))[0])
            said = " and ".join(column.kinds[column.codes[each]] for each in (first, row))
            lines = (
                f"lines {table.lines[first]} and {table.lines[row]} differ"
                if table.lines[row]
                else "it differs"
            )
            about = f"{lines} about {self._pictures.names[where[row]]} ({column.name}: {said})"
            self._note(file, f"{about}; {'labels are' if key == 'label' else column.name + ' is'} not used")
            self.no_labels = self.no_labels or key == "label"
            self._contradicted.add(column.name.lower())
            return
        self._merge(key, _Known(column.name, file, column.kinds, codes, len(column.codes)))

    def _merge(self, key: str, new: _Known) -> None:
        """Add what nobody has said before; differences are noted."""
        old = self._columns.setdefault(key, new)
        if old is new:
            return
        numbers = {kind: number for number, kind in enumerate(old.kinds)}
        recoded = [numbers.setdefault(kind, len(numbers)) for kind in new.kinds]
        codes = np.array([*recoded, -1], dtype=np.int32)[new.codes]
        differ = int(((old.codes >= 0) & (codes >= 0) & (old.codes != codes)).sum())
        if differ:
            self._note(new.file, f"{_have(differ)} another {new.name} than in {old.file}, which is used")
        filled = np.where(old.codes >= 0, old.codes, codes)
        rows = max(old.rows, new.rows)
        self._columns[key] = replace(old, kinds=tuple(numbers), codes=filled, rows=rows)

    def facts(self, label: str | None) -> Facts:
        """All that is known for certain; what is not goes into ``refused``."""
        labels, label_names = self._labels(label)
        captions, held_out = self._captions(), self._held_out()
        landmarks, landmark_names = self._landmarks()
        attributes, attribute_names = self._attributes()
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

    def _labels(self, label: str | None) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
        known = self._chosen(label) if label is not None else self._columns.pop("label", None)
        if known is None or (label is None and self.no_labels):
            return None, ()
        if known.missing:
            self.no_labels = True
            self._note(known.file, f"{_have(known.missing)} no {known.name}; labels are not used")
            return None, ()
        try:
            numbers, names = (
                _class_numbers(known) if self._keys[known.name.lower()] == "label" else _ranked(known)
            )
        except ValueError as error:
            self.no_labels = True
            self._note(known.file, f"{_UNREAD} as labels ({error}); labels are not used")
            return None, ()
        return numbers[known.codes], names

    def _chosen(self, label: str) -> _Known | None:
        """The column the user calls the class, taken out of the others."""
        name = label.strip().lower()
        if name in self._contradicted:
            return None
        if (key := self._keys.get(name)) not in self._columns:
            names = [known.name for known in self._columns.values()]
            hint = nearest(label, names) or " There is no table with columns beside the pictures."
            unread = [each for each in self.refused if each.reason.startswith(_UNREAD)]
            because = f" {unread[0].name}: {unread[0].reason}." if unread else ""
            raise DataError(
                "data.label must be a column of a table beside the pictures. "
                f"Received: {label!r}.{hint}{because}"
            )
        known = self._columns[key] if key == "caption" else self._columns.pop(key)
        count = len(np.unique(known.codes))
        most = _CLASSES_AT_MOST if key == "identity" else _CHOSEN_CLASSES_AT_MOST
        if count > most:
            raise DataError(
                f"A column of classes has at most {most:,} different values. "
                f"Received: data.label={label!r} with {count:,}. Choose another column."
            )
        return known

    def _captions(self) -> tuple[str, ...] | None:
        known = self._columns.pop("caption", None)
        if known is None or known.missing == self._count:
            return None
        if known.missing:
            self._note(known.file, f"{_have(known.missing)} no caption; theirs is empty")
        return tuple(np.array([*known.kinds, ""], dtype=object)[known.codes])

    def _held_out(self) -> NDArray[np.bool_] | None:
        known = self._columns.pop("split", None)
        if known is None:
            return None
        strange = [kind for kind in known.kinds if kind.lower() not in _SPLITS]
        if strange:
            reason = f"its {known.name} says {strange[0]!r}, which is none of {', '.join(_SPLITS)}"
        elif known.missing:
            reason = f"{_have(known.missing)} no {known.name}"
        else:
            sides: NDArray[np.bool_] = np.array([_SPLITS[kind.lower()] for kind in known.kinds])[known.codes]
            if len(np.unique(sides)) == 2:
                return sides
            reason = f"all pictures are on one side of its {known.name}"
        self._note(known.file, f"{reason}; the split is not used")
        return None

    def _landmarks(self) -> tuple[NDArray[np.float32] | None, tuple[str, ...]]:
        paired = self._paired()
        points = self._stacked() if self._points else None
        if paired is not None and points is not None:
            first, second = sorted((paired[0], self._points_file), key=self._files.index)
            self._note(second, f"its landmarks are not used; those of {first} are")
            paired, points = (paired, None) if first == paired[0] else (None, points)
        made = paired[1] if paired is not None else points
        if made is None or np.isnan(made).all():
            return None, ()
        blank = np.isnan(made[:, :, 0]) | np.isnan(made[:, :, 1])
        none, some = int(blank.all(axis=1).sum()), int((blank.any(axis=1) & ~blank.all(axis=1)).sum())
        file = paired[0] if paired is not None else self._points_file
        if none:
            self._note(file, f"{_have(none)} no landmarks; theirs are NaN")
        if some:
            self._note(file, f"{_have(some)} some landmarks only; the others are NaN")
        return made, paired[2] if paired is not None else ()

    def _paired(self) -> tuple[str, NDArray[np.float32], tuple[str, ...]] | None:
        """Landmarks from pairs of columns: the file, [pictures, points, 2], and the points' names."""
        pairs = _pairs(self._columns)
        if not pairs:
            return None
        known = [self._columns.pop(key) for pair in pairs.values() for key in pair]
        values = []
        for column in known:
            if (numbers := column.numbers()) is None:
                self._note(
                    column.file, f"{column.name} has text that is not a number; its points are not used"
                )
                return None
            values.append(numbers)
        points = np.stack(values, axis=1).reshape(self._count, len(pairs), 2)
        points[np.isnan(points).any(axis=2)] = np.nan
        names = () if any(name.isdigit() for name in pairs) else tuple(map(_point_name, pairs))
        return known[0].file, points, names

    def _stacked(self) -> NDArray[np.float32]:
        """Landmarks given as lists: [pictures, points, 2]. Only lists of the commonest length count."""
        lengths = Counter(map(len, self._points.values()))
        length = max(lengths, key=lambda each: (lengths[each], each))
        made = np.full((self._count, length, 2), np.nan, dtype=np.float32)
        for picture, points in self._points.items():
            if len(points) == length:
                made[picture] = points
        if (others := lengths.total() - lengths[length]) > 0:
            self._note(
                self._points_file,
                f"{_have(others)} another number of landmarks than {length}, and so none here",
            )
        return made

    def _attributes(self) -> tuple[NDArray[np.uint8] | None, tuple[str, ...]]:
        columns: dict[str, NDArray[np.uint8]] = {}
        unused: dict[tuple[str, str], list[str]] = {}  # (file, why): names of columns.
        for key, known in self._columns.items():
            if key in _HOUSEKEEPING or not known.kinds:
                continue
            made = _yes_or_no(known)
            if made and known.missing:
                why = f"{_have(known.missing)} no value there"
            elif made:
                columns |= made
                continue
            else:
                why = f"more than {_KINDS_AT_MOST} values, or fewer than {_ROWS_PER_KIND} rows for each"
                if len(known.kinds) < 2 or known.rows < 2 * _ROWS_PER_KIND:
                    continue  # One value says nothing, and a handful of rows does not say what a column is.
            unused.setdefault((known.file, why), []).append(known.name)
        for (file, why), names in unused.items():
            self._note(file, f"not used as attributes: {', '.join(names)} ({why})")
        return (np.stack([*columns.values()], axis=1) if columns else None), tuple(columns)


def _have(count: int) -> str:
    return "1 picture has" if count == 1 else f"{count:,} pictures have"


def _keys(names: Sequence[str]) -> dict[str, str]:
    """What each column of a table is kept under: its role, where it is the likeliest for one, or its name."""
    keys = {name: name for name in names}
    for role, aliases in _ROLES.items():
        if (name := next((alias for alias in aliases if alias in keys), None)) is not None:
            keys[name] = role
    return keys


def _by_picture(
    codes: NDArray[np.int32], where: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The first cell of each picture that is not blank, and the rows that differ from it."""
    rows = np.flatnonzero((where >= 0) & (codes >= 0))
    made = np.full(count, -1, dtype=np.int32)
    made[where[rows[::-1]]] = codes[rows[::-1]]  # Of several assignments to one place the last stands.
    return made, rows[made[where[rows]] != codes[rows]]


def _class_numbers(known: _Known) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """For a column of labels: whole numbers are class numbers, other texts are numbered in sorted order."""
    if not all(re.fullmatch(r"[+-]?\d+", kind) for kind in known.kinds):
        return _numbered(known.kinds, sorted(known.kinds))
    numbers = [int(kind) for kind in known.kinds]
    if not 0 <= min(numbers) <= max(numbers) < _CLASSES_AT_MOST:
        raise ValueError(f"labels count from 0 and stay below {_CLASSES_AT_MOST:,}")
    return np.array(numbers, dtype=np.int64), tuple(map(str, range(max(numbers) + 1)))


def _ranked(known: _Known) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """For any other column: the values that pictures have, in order."""
    return _numbered(known.kinds, _sorted([known.kinds[code] for code in np.unique(known.codes)]))


def _numbered(kinds: Sequence[str], order: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    place = {kind: number for number, kind in enumerate(order)}
    return np.array([place.get(kind, -1) for kind in kinds], dtype=np.int64), tuple(order)


def _sorted(kinds: Sequence[str]) -> list[str]:
    """Numbers by value, texts by letter."""
    try:
        return sorted(kinds, key=lambda kind: (float(kind), kind))
    except ValueError:
        return sorted(kinds)


_YES = frozenset(("1", "true", "yes"))
_YES_OR_NO = (frozenset("01"), frozenset(("-1", "1")), frozenset(("false", "true")), frozenset(("no", "yes")))


def _yes_or_no(known: _Known) -> dict[str, NDArray[np.uint8]]:
    """Attribute -> [pictures]: one for a yes-or-no column, one per value for others, none for many values."""
    plain = [kind.lower().removesuffix(".0") for kind in known.kinds]
    if any(set(plain) <= pair for pair in _YES_OR_NO):
        return {known.name: np.array([kind in _YES for kind in plain], dtype=np.uint8)[known.codes]}
    if not 2 <= len(known.kinds) <= min(_KINDS_AT_MOST, known.rows / _ROWS_PER_KIND):
        return {}
    code = {kind: number for number, kind in enumerate(known.kinds)}
    return {
        f"{known.name}={kind}": (known.codes == code[kind]).astype(np.uint8) for kind in _sorted(known.kinds)
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
