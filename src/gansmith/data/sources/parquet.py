"""Images in tables: Parquet and Arrow files as Hugging Face data sets have them.

Read are a folder of ``*.parquet``, a folder written by ``save_to_disk`` (``*.arrow``), or one such file.
The image is a struct of bytes and path, or plain bytes; labels are integers with the names that the
schema's metadata gives, captions are texts. Only the facts are read at once; images are read by row
group, so a table may be larger than the memory. All of it is done in a process of its own
(`gansmith.data.sources.table_files`), which a damaged file may end.

Layout: https://huggingface.co/docs/datasets/about_arrow.
"""

import importlib.util
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gansmith.data.metadata.facts import Facts, Refused
from gansmith.data.metadata.samples import numbered
from gansmith.data.metadata.splits import held_out_rows
from gansmith.data.sources.base import Reader, packed
from gansmith.data.sources.folder import files_below
from gansmith.data.sources.identity import of_files
from gansmith.data.sources.table_layout import Layout, layout_of
from gansmith.data.sources.table_process import EndedError, TableProcess
from gansmith.errors import DataError, MissingPackageError

TABLE_ENDINGS = (".parquet", ".arrow")
"""Endings of tables, in lower case."""

_MOST_ROWS = 2**24  # Of a table.
_SCRATCH = ("cache-", "tmp")  # What the library leaves beside a data set: results of functions.


class TableReader:
    r"""Reads images by (file, row group, row), in a process of its own; see `Cells` there for what is kept.

    Args:
        paths: the tables.
        column: the one that holds the images.
        process: that reads them, where there is one already.

    Example:
        >>> reader = TableReader([Path("faces.parquet")], column="image")
        >>> reader.read((0, 0, 3))[:4]  # File 0, row group 0, row 3.
        b'\x89PNG'
    """

    def __init__(self, paths: Sequence[Path], column: str, process: TableProcess | None = None) -> None:
        self.paths, self.column = tuple(paths), column
        self._process = process or TableProcess()
        self._deadly: dict[tuple[int, int], DataError] = {}  # Groups that are not tried again.

    def __getstate__(self) -> tuple[tuple[Path, ...], str]:
        return self.paths, self.column

    def __setstate__(self, state: tuple[tuple[Path, ...], str]) -> None:
        TableReader.__init__(self, *state)

    def read(self, key: tuple[int, int, int]) -> bytes:
        """The bytes of an image file.

        Raises:
            DataError: the table is damaged there, or names a file instead of holding it.
        """
        file, group, row = key
        if (file, group) in self._deadly:
            raise DataError(str(self._deadly[file, group]))
        path = os.fspath(self.paths[file])
        try:
            raw: bytes = self._process.ask("cell", path=path, group=group, column=self.column, row=row)
        except EndedError as error:
            self._deadly[file, group] = error
            raise
        return raw


class TableSource:
    """The images of Parquet or Arrow files; a key is (file, row group, row).

    Files called validation or test are held out where there are others.

    Args:
        path: one file, or a folder with such files at any depth.
        label: the column that is the class; else the first of classes, or one called label.

    Raises:
        DataError: there is none, or none that can be read and holds images; none has ``label``.
        MissingPackageError: pyarrow is not installed.

    Example:
        >>> source = TableSource("faces.parquet", label="age")
        >>> len(source.names), source.facts.labels[:3].tolist()
        (12, [0, 1, 2])
    """

    def __init__(self, path: Path | str, *, label: str | None = None) -> None:
        self.name = str(path)
        refused: list[Refused] = []
        others: list[str] = []
        _check_package()
        process = TableProcess()
        tables, layout = _usable(Path(path), refused, label, others, process)
        self.others: tuple[str, ...] = tuple(others)
        self.reader: Reader = TableReader([table.path for _, table in tables], layout.image, process)
        self._counts = [table.counts for _, table in tables]
        stems = [name.rpartition(".")[0] for name, _ in tables]
        rows = [sum(counts) for counts in self._counts]
        self.names: Sequence[str] = tuple(
            f"{stem}/{row:06d}" for stem, count in zip(stems, rows, strict=True) for row in range(count)
        )
        self._ends = np.cumsum([0, *(count for counts in self._counts for count in counts)])
        self._groups = [
            (file, group) for file, counts in enumerate(self._counts) for group in range(len(counts))
        ]
        self._files = [(name, table.path) for name, table in tables]
        self.facts = _facts([table for _, table in tables], layout, stems, rows, refused)
        self.refused: tuple[Refused, ...] = (*refused, *packed(self.others))

    @cached_property
    def fingerprint(self) -> str:
        """Of names, sizes and samples of the contents; where the files lie does not matter."""
        return of_files(self._files)

    def key(self, index: int) -> tuple[int, int, int]:
        """(file, row group, row in the group) of image ``index``."""
        place = int(np.searchsorted(self._ends, index, side="right")) - 1
        return (*self._groups[place], index - int(self._ends[place]))

    def read(self, index: int) -> bytes:
        """The bytes of image ``index``."""
        return self.reader.read(self.key(index))


def is_table(name: str) -> bool:
    """Whether a file is a table of images, by its ending."""
    return name.lower().endswith(TABLE_ENDINGS)


def _check_package() -> None:
    """Raise MissingPackageError where nothing can be read for want of pyarrow."""
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingPackageError("pyarrow", "Reading Parquet and Arrow files", "datasets")


def _usable(
    path: Path, refused: list[Refused], label: str | None, others: list[str], process: TableProcess
) -> tuple[list[tuple[str, "_Table"]], Layout]:
    """The tables that hold images, by name, and how they are laid out; a first one decides."""
    tables: list[tuple[str, _Table]] = []
    layout: Layout | None = None
    for name, file in _files(path, refused, others):
        try:
            table = _Table(file, process)
            layout = layout or layout_of(table.kinds, table.said, label)
            if layout.image not in table.kinds:
                raise DataError(f"it has no column {layout.image}, which holds the pictures of the others")
            tables.append((name, table))
        except DataError as error:
            refused.append(Refused(name, str(error), False))
    if layout is not None and tables:
        return tables, layout
    reasons = "; ".join(f"{entry.name}: {entry.reason}" for entry in refused[:3])
    rule = "A Parquet or Arrow file, or a folder of them, with pictures inside was expected"
    raise DataError(f"{rule}. Received: {path} ({reasons or 'it holds none'}).")


def _files(path: Path, refused: list[Refused], others: list[str]) -> list[tuple[str, Path]]:
    if path.is_file():
        return [(path.name, path)]
    below = files_below(path)
    refused += [*below.refused, *below.passed_over]
    found = []
    for name in sorted(below.sizes):
        if not is_table(name):
            others.append(name)
        elif name.rpartition("/")[2].startswith(_SCRATCH):
            refused.append(Refused(name, "results of functions, not the data set", False))
        else:
            found.append((name, path / name))
    return found


def _facts(
    tables: Sequence["_Table"],
    layout: Layout,
    stems: Sequence[str],
    rows: Sequence[int],
    refused: list[Refused],
) -> Facts:
    wanted = [name for name in (layout.label, layout.caption, *layout.attributes) if name]
    values: dict[str, list[Any]] = {name: [] for name in wanted}
    for table, count in zip(tables, rows, strict=True):
        there = [name for name in wanted if name in table.kinds]
        try:
            columns = table.columns(there)
        except DataError as error:
            refused.append(Refused(table.path.name, f"what it says of images is not used: {error}", False))
            columns = {}
        for name in wanted:
            values[name] += columns.get(name) or [None] * count
    parts: dict[str, Any] = {"held_out": held_out_rows(stems, rows)}
    try:
        labels, names = numbered(values.get(layout.label, ()), layout.label_names)
        parts |= {"labels": labels, "label_names": names}
    except ValueError as error:
        refused.append(Refused(layout.label, f"{error}; labels are not used", False))
    said = tuple(_sentence(value) for value in values.get(layout.caption, ()))
    if any(said):
        parts["captions"] = said
    flags = [values[name] for name in layout.attributes]
    if flags and not any(None in column for column in flags):
        parts |= {"attributes": np.array(flags, dtype=np.uint8).T, "attribute_names": layout.attributes}
    return Facts(**parts)


def _sentence(value: Any) -> str:
    """A caption; of several the first."""
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, str) else ""


class _Table:
    """What a file says of itself."""

    def __init__(self, path: Path, process: TableProcess) -> None:
        self.path, self._process = path, process
        said = process.ask("describe", path=os.fspath(path))
        self.kinds: dict[str, str] = said["kinds"]
        self.said: str = said["said"]
        self.counts: list[int] = said["counts"]
        if min(self.counts, default=0) < 0 or sum(self.counts) > _MOST_ROWS:
            raise DataError(f"it says that it has {sum(self.counts):,} rows; at most {_MOST_ROWS:,} are read")

    def columns(self, names: list[str]) -> dict[str, list[Any]]:
        """Whole columns as lists.

        Raises:
            DataError: one is damaged, or has another length than the table.
        """
        if not names:
            return {}
        found: dict[str, list[Any]] = self._process.ask("facts", path=os.fspath(self.path), names=names)
        if any(len(values) != sum(self.counts) for values in found.values()):
            raise DataError("its columns have other lengths than the table")
        return found
