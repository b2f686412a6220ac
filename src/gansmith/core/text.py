"""Numbers in words for people and back, and the one place that says when two texts are one name."""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

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


def parse_number(text: str) -> float:
    """``0.3``, ``2e-4`` or a fraction such as ``4/255``.

    Raises:
        ValueError: something else.
    """
    above, slash, below = text.partition("/")
    if not slash:
        return float(text)
    if float(below) == 0:
        raise ValueError(text)
    return float(above) / float(below)


def in_time(seconds: float) -> str:
    """A duration in words.

    Example:
        >>> in_time(150.0)
        '2 minutes 30 seconds'
    """
    whole = round(seconds)
    parts = ((whole // 3600, "hour"), (whole // 60 % 60, "minute"), (whole % 60, "second"))
    return " ".join(plural(count, word) for count, word in parts if count) or "0 seconds"


def composed(text: str) -> str:
    """A text with its accents in their letters (Unicode's NFC): Macs write file names the other way."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    r"""What spellings of one name have in common, in any letter case, Unicode form or slashes.

    >>> folded(r"Dir\A.PNG") == folded("dir/a.png")
    True
    """
    return composed(composed(text).replace("\\", "/").casefold())


def find_name(text: str, names: Iterable[str]) -> str | None:
    """The name that a text means: the same one, or the only one that is the same when `folded`."""
    names = list(names)
    if text in names:
        return text
    alike = [name for name in names if folded(name.strip()) == folded(text.strip())]
    return alike[0] if len(alike) == 1 else None


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0*)?")


def whole_numbers(texts: Sequence[str]) -> list[int] | None:
    """Texts as whole numbers, ``3``, ``03`` and ``3.0`` alike; None where one is none."""
    if not all(map(_WHOLE.fullmatch, texts)):
        return None
    return [int(text.partition(".")[0]) for text in texts]


def in_order(texts: Iterable[str]) -> list[str]:
    """Numbers by value, where all are numbers, else texts by letter."""
    texts = list(texts)
    if all(map(_NUMBER.fullmatch, texts)):
        return sorted(texts, key=lambda text: (float(text), text))
    return sorted(texts)


def classes_of(texts: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
    """The class of each text, and what each class is called, in order; spellings of one name are one class.

    Unicode forms are one name, as are ``3``, ``03`` and ``3.0`` where all are numbers. Letter case tells
    classes apart, as in sets of letters.

    >>> classes_of(["10.0", "2", "2.0"])
    ([1, 0, 0], ('2', '10.0'))
    """
    kinds = {text: composed(text) for text in texts}
    numbers = whole_numbers(list(kinds.values()))
    same = dict(zip(kinds, kinds.values() if numbers is None else map(str, numbers), strict=True))
    first: dict[str, str] = {}
    for text in in_order(kinds):
        first.setdefault(same[text], composed(text))
    place = {key: number for number, key in enumerate(first)}
    return [place[same[text]] for text in texts], tuple(first.values())
