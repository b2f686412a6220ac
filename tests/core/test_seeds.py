"""Seeds on the command line: parsed in order, kept as ranges, refused with the rule."""

import itertools
import tracemalloc

import pytest

from gansmith.core.seeds import parse_seeds
from gansmith.errors import SettingError


def test_seeds_are_parsed_in_the_order_written() -> None:
    seeds = parse_seeds("5, 0-3,100, 7 - 7")
    assert list(seeds) == [5, 0, 1, 2, 3, 100, 7]
    assert len(seeds) == 7
    assert seeds[-1] == 7
    assert seeds[1:5] == [0, 1, 2, 3]
    assert 3 in seeds
    assert seeds.index(100) == 5
    for place in (7, -8):
        with pytest.raises(IndexError):
            seeds[place]


def test_a_million_seeds_take_no_memory() -> None:
    tracemalloc.start()
    seeds = parse_seeds("0-999999,5000000-5999999")
    assert len(seeds) == 2_000_000
    assert seeds[1_999_999] == 5_999_999
    assert sum(1 for _ in itertools.islice(seeds, 100_000)) == 100_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Seeds are written as"),
        ("1,,2", "Seeds are written as"),
        ("5-", "Received: '5-'"),
        ("-3", "Received: '-3'"),
        ("1.5", "Received: '1.5'"),
        ("faces", "Received: 'faces'"),
        ("1-2-3", "Received: '1-2-3'"),
        ("٣", "Seeds are written as"),
        ("9-5", "Write 5-9"),
        ("9223372036854775808", "2\\^63 - 1"),
        ("0-9223372036854775806,0-5", "more seeds"),
    ],
)
def test_bad_seeds_are_refused_with_the_rule(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_seeds(text)
