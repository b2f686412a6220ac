"""JSON from anywhere: bounded in length, depth and number, and otherwise what Python's reader gives."""

import json
import os
import random
from pathlib import Path
from typing import Any

import lies
import pytest

from gansmith.core.json_files import json_lines, parse_json, read_json


def tree(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(6 if depth < 5 else 4)
    if kind < 4:
        return chance.choice([1, -2.5, None, True, "a[[[{{", 'quote " and \\ back', "ü\u2028", ""])
    inner = [tree(chance, depth + 1) for _ in range(chance.randrange(5))]
    return inner if kind == 4 else {str(place): value for place, value in enumerate(inner)}


@pytest.mark.parametrize("seed", range(50))
def test_what_is_neither_deep_nor_long_is_read_as_it_is(seed: int) -> None:
    value = [tree(random.Random(seed)) for _ in range(30)]
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=2)):
        assert parse_json(text) == parse_json(text.encode()) == value


@pytest.mark.parametrize("way", "[{")
@pytest.mark.parametrize("levels", [65, 1000, 100_000, 1_000_000])
def test_what_is_deep_is_refused(levels: int, way: str) -> None:
    for text in (lies.deep(levels, way), lies.deep(levels, way)[:levels]):
        with pytest.raises(ValueError, match=r"levels|JSON|Expecting"):
            parse_json(text)


def test_brackets_in_words_are_no_levels() -> None:
    assert parse_json('["' + "[" * 1000 + '\\""]') == ["[" * 1000 + '"']
    assert parse_json(lies.deep(64)) is not None


def test_many_values_are_refused() -> None:
    with pytest.raises(ValueError, match="values"):
        parse_json("[" + "0," * 400_000 + "0]")


@pytest.mark.parametrize(
    "text", ['"' + '\\"' * 10**6, "[" + '"\\' * 10**6, '{"a"' * 50, "[" * 60 + '"' + "a" * 10**6]
)
def test_text_without_its_end_takes_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_a_long_file_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with open(path, "wb") as file:
        file.truncate(2**40)  # A terabyte of nothing: it would end in an error of memory.
    with pytest.raises(ValueError, match="more than 4,194,304 bytes"):
        read_json(path)
    assert next(json_lines(path)) is None


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no file"):
        read_json(tmp_path / "pipe")
    assert list(json_lines(tmp_path / "pipe")) == []


def test_a_line_that_cannot_be_read_is_none_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [b'{"images": 1}', b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"images": 2}', b'{"images": 3']
    path.write_bytes(b"\n".join(lines))
    assert list(json_lines(path)) == [{"images": 1}, None, None, None, {"images": 2}, None]
