"""Puts together what several tables say of the same images, and notes where they differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gansmith.data.metadata.cells import UNREADABLE, Column, Points, Table
from gansmith.data.metadata.fact_types import Refused
from gansmith.data.metadata.names import Pictures, plain_name
from gansmith.data.metadata.tables import CELEBA, known_stem, read_table

FIRST = ("dataset.json", "labels.json", "labels.jsonl", "labels.csv", "labels.tsv")
UNREAD = "it cannot be read"
_ROLES = {
    "label": ("label", "labels", "class", "target"),
    "caption": ("caption", "captions", "text", "prompt", "description", "sentence"),
    "split": ("split", "partition", "subset"),
}
_NAMES_AT_MOST = 20  # Told one by one; CelebA's tables name 202,599.


@dataclass(frozen=True, eq=False)
class MergedColumn:
    r"""One column for all images, merged from every table that has it.

    Example:
        >>> merged = MergedTables(["0.png", "1.png"])
        >>> merged.read("labels.csv", lambda file: b"file,age\n0.png,31\n")
        >>> merged.columns["age"].numbers(), merged.columns["age"].missing
        (array([31., nan], dtype=float32), 1)
    """

    name: str
    file: str  # The first that has it.
    kinds: tuple[str, ...]
    codes: NDArray[np.int32]  # [pictures], into ``kinds``; -1 where nothing is said.
    rows: int  # Of the longest table that has it.

    @property
    def missing(self) -> int:
        """For how many images nothing is said."""
        return int((self.codes < 0).sum())

    def numbers(self) -> NDArray[np.float32] | None:
        """Its cells as numbers, NaN where blank or infinite; None where one is text."""
        try:
            with np.errstate(over="ignore"):
                values = np.array([*map(float, self.kinds), np.nan]).astype(np.float32)
        except ValueError:
            return None
        return np.where(np.isfinite(values), values, np.float32("nan"))[self.codes]


class MergedTables:
    r"""The columns of all tables merged by image, and what of them cannot be used.

    Args:
        names: of the images.

    Example:
        >>> merged = MergedTables(["0.png", "1.png"])
        >>> merged.read("labels.csv", lambda file: b"file,age\n0.png,31\n9.png,7\n")
        >>> list(merged.columns), merged.refused[0].reason
        (['age'], 'labels.csv names it, but there is no such picture')
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.refused: list[Refused] = []
        self.no_labels = False  # Labels were given and are no good, so nothing stands in for them.
        self._pictures, self.count = Pictures(names), len(names)
        self.columns: dict[str, MergedColumn] = {}  # By role, or by name in lower case.
        self.keys: dict[str, str] = {}  # A column's name in lower case -> its key above.
        self.contradicted: set[str] = set()
        self.points: dict[int, Points] = {}
        self.points_file = ""
        self.files: list[str] = []  # In the order of trust.
        self._absent: set[str] = set()  # Names without an image, told one by one.

    def note(self, file: str, reason: str) -> None:
        """List what of a file is not used, and why."""
        self.refused.append(Refused(file, reason, False))

    def read(self, file: str, read: Callable[[str], bytes]) -> None:
        """Take in what a file says, or note why it says nothing."""
        folder, _, name = file.rpartition("/")
        try:
            table = read_table(name, read(file))
        except UNREADABLE as error:
            if name.lower() in FIRST:
                self.no_labels = True
                self.note(file, f"{UNREAD} as labels ({error}); labels are not used")
            elif known_stem(file) or not name.lower().endswith(".json"):  # JSON may be about anything.
                self.note(file, f"{UNREAD} ({error}); it is not used")
            return
        if table is not None:
            self.add(file, table, f"{folder}/" if folder and name.lower() not in CELEBA else "")

    def add(self, file: str, table: Table, under: str = "") -> None:
        """Take in a table whose names lie in the folder ``under``."""
        for note in table.notes:
            self.note(file, note)
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
        self.points_file = self.points_file or file
        differ = set[int]()
        for row, points in given.items():
            picture = int(where[row])
            if picture >= 0 and not np.array_equal(self.points.setdefault(picture, points), points, True):
                differ.add(picture)
        if differ:
            self.note(
                file,
                f"{pictures_have(len(differ))} other landmarks in {self.points_file}, and those are used",
            )

    def _file_column(self, file: str, table: Table, under: str) -> tuple[Column, NDArray[np.int64]] | None:
        """The column that names images, and the image each of its texts means."""
        for column in table.files:
            found = self._pictures.find(tuple(under + kind for kind in column.kinds))
            if (found >= 0).any():
                self.files.append(file)
                if table.sure:
                    self._note_absent(file, column, found)
                return column, found
        if table.sure and table.files:
            names = len(table.files[0].kinds)
            self.note(file, f"none of the {names:,} names in it is a picture here; it is not used")
            self.no_labels = self.no_labels or file.lower() in FIRST
        return None

    def _note_absent(self, file: str, column: Column, found: NDArray[np.int64]) -> None:
        absent = {column.kinds[place]: int(found[place]) for place in np.flatnonzero(found < 0)}
        new = sorted(absent.keys() - self._absent)
        shown = new[: max(0, _NAMES_AT_MOST - len(self._absent))]
        for name in shown:
            why = "there is no such picture" if absent[name] == -1 else "several pictures could be meant"
            self.note(plain_name(name), f"{file} names it, but {why}")
        if len(new) > len(shown):
            self.note(file, f"it names {len(new) - len(shown):,} more pictures that are not here")
        self._absent.update(shown)

    def _add_column(
        self, file: str, table: Table, column: Column, where: NDArray[np.int64], key: str
    ) -> None:
        codes, clashes = _by_picture(column.codes, where, self.count)
        self.keys.setdefault(column.name.lower(), key)
        if len(clashes) and key == "caption":
            have = pictures_have(len(np.unique(where[clashes])))
            self.note(file, f"{have} several captions; the first is used")
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
            self.note(file, f"{about}; {'labels are' if key == 'label' else column.name + ' is'} not used")
            self.no_labels = self.no_labels or key == "label"
            self.contradicted.add(column.name.lower())
            return
        self._merge(key, MergedColumn(column.name, file, column.kinds, codes, len(column.codes)))

    def _merge(self, key: str, new: MergedColumn) -> None:
        """Add what nobody has said before; differences are noted."""
        old = self.columns.setdefault(key, new)
        if old is new:
            return
        numbers = {kind: number for number, kind in enumerate(old.kinds)}
        recoded = [numbers.setdefault(kind, len(numbers)) for kind in new.kinds]
        codes = np.array([*recoded, -1], dtype=np.int32)[new.codes]
        differ = int(((old.codes >= 0) & (codes >= 0) & (old.codes != codes)).sum())
        if differ:
            self.note(
                new.file, f"{pictures_have(differ)} another {new.name} than in {old.file}, which is used"
            )
        filled = np.where(old.codes >= 0, old.codes, codes)
        rows = max(old.rows, new.rows)
        self.columns[key] = replace(old, kinds=tuple(numbers), codes=filled, rows=rows)


def pictures_have(count: int) -> str:
    """How a sentence about so many images begins."""
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
    """The first cell of each image that is not blank, and the rows that differ from it."""
    rows = np.flatnonzero((where >= 0) & (codes >= 0))
    made = np.full(count, -1, dtype=np.int32)
    made[where[rows[::-1]]] = codes[rows[::-1]]  # Of several assignments to one place the last stands.
    return made, rows[made[where[rows]] != codes[rows]]
