"""Numbers in words for people and back: counts with their noun, bytes with their unit, durations."""

import math
import re

from gansmith.errors import SettingError


def plural(count: int, word: str) -> str:
    """``1 picture``, ``2,000 pictures``."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def short(value: object, most: int = 200) -> str:
    """A value as Python writes it, cut where it is too long for a message."""
    return clipped(repr(value), most)


def clipped(text: str, most: int = 200) -> str:
    """A text, cut where it is too long for a message."""
    return text if len(text) <= most else f"{text[:most]}..."


def in_bytes(count: int) -> str:
    """``512 bytes``, ``1.5 MB``."""
    power = min(int(math.log(count, 1000)), 4) if count else 0
    unit = ("bytes", "kB", "MB", "GB", "TB")[power]
    return f"{count} {unit}" if power == 0 else f"{count / 1000**power:.1f} {unit}"


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_YEAR = 366 * 86400.0


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``10m``, ``2h``, ``1h30m`` or ``1d``; a number alone is minutes.

    Raises:
        SettingError: it is no duration, or less than a second, or more than a year.

    Example:
        >>> parse_duration("1h30m")
        5400.0
    """
    plain = text.strip().lower()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", plain):
        plain += "m"
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)([smhd])", plain)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != plain or not 1.0 <= seconds <= _YEAR:
        raise SettingError(
            f"A time is a number with s, m, h or d, from 1s to 366d. Received: {text!r}. Try --time 10m."
        )
    return seconds


def in_time(seconds: float) -> str:
    """A duration in words.

    Example:
        >>> in_time(150.0)
        '2 minutes 30 seconds'
    """
    whole = round(seconds)
    parts = ((whole // 3600, "hour"), (whole // 60 % 60, "minute"), (whole % 60, "second"))
    return " ".join(plural(count, word) for count, word in parts if count) or "0 seconds"
