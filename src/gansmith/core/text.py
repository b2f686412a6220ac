"""Numbers in words for people: counts with their noun, bytes with their unit."""

import math


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
