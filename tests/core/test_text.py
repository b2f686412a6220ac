"""Durations, there and back."""

import pytest

from gansmith.core.text import in_time, parse_duration
from gansmith.errors import SettingError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("10m", 600.0),
        ("2h", 7200.0),
        ("1h30m", 5400.0),
        ("1d", 86400.0),
        ("0.5m", 30.0),
        (" 10M ", 600.0),
        ("10", 600.0),  # A number alone is minutes.
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "m", "5x", "-5m", "10m!", "m10", "0s", "0.1s", "1e9d", "nan", "10 m 5", "٣m"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="Try --time 10m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(150.0, "2 minutes 30 seconds"), (3600.0, "1 hour"), (1.0, "1 second"), (5400.4, "1 hour 30 minutes")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_time(seconds) == words
