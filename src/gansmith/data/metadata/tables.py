"""Reads the tables that users write beside their images: csv, tsv, jsonl, json and CelebA's text files."""

import csv
import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import PurePosixPath
from typing import Protocol, runtime_checkable

import numpy as np

from gansmith.data.metadata.cells import (
    LONGEST_LINE,
    MOST_CELLS,
    MOST_COLUMNS,
    MOST_ROWS,
    STEMS,
    Codes,
    Table,
    check_size,
    is_file_column,
    make_column,
    make_table,
    open_text,
    without_files,
)
from gansmith.data.metadata.names import Pictures, plain_name
from gansmith.data.metadata.records import (
    as_points,
    parse_json,
    read_ffhq,
    read_json_lines,
    read_json_object,
    read_sidecars,
    read_stylegan,
)
from gansmith.errors import DataError

__all__ = [
    "CELEBA",
    "TABLE_ENDINGS",
    "Pictures",
    "as_points",
    "known_stem",
    "open_text",
    "plain_name",
    "read_sidecars",
    "read_table",
]

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".json")
CELEBA = (
    *("list_attr_celeba.txt", "list_landmarks_align_celeba.txt", "list_eval_partition.txt"),
    "identity_celeba.txt",
)
"""CelebA's own tables, in lower case."""

_USUAL_WIDTH = 8  # Columns; of wider tables fewer rows are read.
_CHUNK = 256  # Rows held as Python strings at a time; few enough for a processor's cache.


def read_table(file: str, raw: bytes) -> Table | None:
    """The table in a file, or None where the file is something else.

    Args:
        file: its name; the ending says how it is written, and some names say what it holds.
        raw: its bytes: UTF-8, or UTF-16 with a byte-order mark.

    Raises:
        DataError: it is damaged, or not written as text; the reason names the line.
        ValueError: it is not written as its name promises.
    """
    path = PurePosixPath(file.lower())
    if path.name in CELEBA:
        return _celeba(path.name, raw)
    if path.suffix in (".csv", ".tsv"):
        return _delimited(_stem(file), raw)
    if path.suffix in (".jsonl", ".ndjson"):
        return read_json_lines(_stem(file), raw)
    value = parse_json(open_text(raw).read())
    if path.name == "dataset.json":
        return read_stylegan(value)
    if path.name.startswith("ffhq-dataset"):
        return read_ffhq(value)
    return read_json_object(_stem(file), value)


def known_stem(file: str) -> bool:
    """Whether a file's name says that it is meant as a table about images."""
    return _stem(file) in STEMS


def _stem(file: str) -> str:
    """The first word of a file's name: ``landmarks`` for ``landmarks_189.json``."""
    return re.split(r"[^a-z]", PurePosixPath(file).name.lower(), maxsplit=1)[0]


@runtime_checkable
class _Reader(Protocol):  # What csv.reader returns; its class has no public name in Python 3.11.
    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


def _delimited(stem: str, raw: bytes) -> Table | None:
    lines, skipped = _lines(raw), 0
    for head in lines:
        skipped += 1
        if head.strip(" ,;\t\r\n"):
            break
    else:
        return without_files(stem)
    delimiter = max(",;\t", key=head.count)
    header = next(csv.reader([head], delimiter=delimiter, skipinitialspace=True))
    if not any(is_file_column(name) for name in header):
        return without_files(stem)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    return _gathered(header, reader, skipped)


def _lines(raw: bytes) -> Iterator[str]:
    """The lines of a text, each of a length that can be meant."""
    text, number = open_text(raw), 0
    while line := text.readline(LONGEST_LINE + 1):
        number += 1
        check_size(f"letters in line {number}", len(line), LONGEST_LINE)
        yield line


def _celeba(file: str, raw: bytes) -> Table:
    """CelebA's layout: a count, the columns' names, rows of words; or rows alone."""
    lines, skipped = _lines(raw), 0
    header = {"list_eval_partition.txt": ["file", "partition"], "identity_celeba.txt": ["file", "identity"]}
    if file in header:
        names = header[file]
    else:
        if not next(lines, "").strip().isdigit():
            raise ValueError("its first line must be the number of pictures")
        names, skipped = ["file", *next(lines, "").split()], 2
    reader = csv.reader(lines, delimiter=" ", skipinitialspace=True, quoting=csv.QUOTE_NONE)
    return _gathered(names, reader, skipped)


def _gathered(header: Sequence[str], reader: _Reader, skipped: int) -> Table:
    """All rows of a reader; rows with more cells than the header are left out and noted."""
    width = len(header)
    check_size("columns", width, MOST_COLUMNS)
    codes, parts = [Codes() for _ in header], [[np.zeros(0, dtype=np.int32)] for _ in header]
    lines, wide = array("q"), array("q")

    def rows() -> Iterator[list[str]]:
        for row in reader:
            if len(row) > width and any(cell.strip() for cell in row[width:]):
                wide.append(reader.line_num + skipped)
            elif any(row):
                lines.append(reader.line_num + skipped)
                yield row[:width]

    try:
        source = rows()
        while chunk := list(islice(source, _CHUNK)):
            across = list(zip_longest(*chunk, fillvalue=""))
            across += [("",) * len(chunk)] * (width - len(across))
            for place, cells in enumerate(across):
                numbers = map(codes[place].__getitem__, cells)
                parts[place].append(np.fromiter(numbers, np.int32, len(chunk)))
            check_size("different texts", sum(map(len, codes)), MOST_CELLS)
            check_size("rows", len(lines), MOST_ROWS // max(width // _USUAL_WIDTH, 1))
    except csv.Error as error:
        raise DataError(f"line {reader.line_num + skipped}: {error}") from error
    columns = [make_column(*each) for each in zip(header, codes, map(np.concatenate, parts), strict=True)]
    return make_table(columns, np.array(lines, dtype=np.int64), notes=_too_wide(wide))


def _too_wide(lines: Sequence[int]) -> tuple[str, ...]:
    if not lines:
        return ()
    which = f"line {lines[0]} has" if len(lines) == 1 else f"line {lines[0]} and {len(lines) - 1:,} more have"
    return (f"{which} more cells than the first line names; put text with commas in double quotes",)
