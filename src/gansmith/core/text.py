"""Numbers in words for people, and the one place that says when two texts are one name."""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence


def plural(count: int, word: str) -> str:
    """``1 picture``, ``2,000 pictures``."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def in_bytes(count: int) -> str:
    """``512 bytes``, ``1.5 MB``."""
    power = min(int(math.log(count, 1000)), 4) if count else 0
    unit = ("bytes", "kB", "MB", "GB", "TB")[power]
    return f"{count} {unit}" if power == 0 else f"{count / 1000**power:.1f} {unit}"


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
