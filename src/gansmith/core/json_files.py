"""JSON from anywhere: of a bounded length and depth, or refused before anything is made of it.

Python's reader follows nested lists until its stack ends, and makes a hundred bytes of two. A file of
settings is neither deep nor long, so what is either is refused.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MOST_BYTES = 4 * 2**20
"""Of a recipe, a description, a line: far more than any has."""

MOST_LISTED = 64 * 2**20
"""Of a file that lists images, such as those left out of a set."""

DEEPEST = 64
"""Lists and objects within each other."""

_BYTES_EACH = 16  # A value for every so many bytes, on average; numbers in lists of our own have more.
_FEW = 100_000  # Values that any text may have.
_MOST_LOG = 2**30  # Bytes of a file of lines.
# A whole string, or one without its end, at once and never tried again; else what opens, closes and parts.
_TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def parse_json(
    text: str | bytes, most: int = MOST_BYTES, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None
) -> Any:
    """The value of a JSON text.

    Args:
        text: in UTF-8, where it is bytes.
        most: bytes or letters it may have.
        pairs: makes a value of an object's names and values; None: a dict.

    Raises:
        ValueError: it is no JSON, is longer than ``most``, or has more values or levels than any file needs.

    Example:
        >>> parse_json('{"train": {"batch": 64}}')
        {'train': {'batch': 64}}
    """
    if len(text) > most:
        raise ValueError(f"more than {most:,} bytes of JSON")
    words = text if isinstance(text, str) else text.decode("utf-8")
    _check_form(words, max(_FEW, most // _BYTES_EACH))
    return json.loads(words, object_pairs_hook=pairs)


def read_json(path: Path, most: int = MOST_BYTES) -> Any:
    """The value in a JSON file; no more than ``most`` bytes of it are ever held.

    Raises:
        OSError: it cannot be read.
        ValueError: as ``parse_json``, or the file is none (a pipe, a device).
    """
    with _opened(path) as file:
        return parse_json(file.read(most + 1), most)


def json_lines(path: Path) -> Iterator[Any]:
    """The value of each line of a file, without the empty ones; None for a line that cannot be read.

    Raises:
        OSError: it cannot be read.
    """
    try:
        file = _opened(path)
    except ValueError:
        return
    with file:
        while file.tell() < _MOST_LOG and (line := file.readline(MOST_BYTES + 1)):
            if line.strip():
                yield _value(line)


def _opened(path: Path) -> Any:
    file = open(path, "rb", opener=_without_waiting)
    if not file.seekable():  # Whoever reads a pipe waits for its other end.
        file.close()
        raise ValueError("it is no file")
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _value(line: bytes) -> Any:
    try:
        return parse_json(line.decode("utf-8", "replace"))
    except ValueError:
        return None


def _check_form(text: str, most: int) -> None:
    opened = text.count("[") + text.count("{")
    if opened <= DEEPEST and opened + text.count(",") <= most:
        return  # Nearly all there are.
    level = values = 0
    for token in _TOKENS.finditer(text):
        sign = token[0]
        if len(sign) > 1 or sign == '"':
            continue
        level += _STEPS.get(sign, 0)
        values += sign not in "]}"
        if level > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels of lists within each other")
        if values > most:
            raise ValueError(f"more than {most:,} values")
