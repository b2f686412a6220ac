"""Sentences as a column of numbers, so that captions travel with images like every other fact."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

LONGEST = 1024  # In bytes; longer captions are cut there.
MOST_WORDS = 4096  # Of a vocabulary.
_LONGEST_WORD = 40  # In letters; longer ones are addresses and slips.
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


def to_column(texts: Sequence[str], width: int | None = None) -> UInt8[Tensor, "batch length"]:
    """UTF-8, one row per text, zeros behind the end; ``width`` bytes long, or as the longest text needs.

    Texts longer than `LONGEST` bytes are cut between two letters.
    """
    raw = [cut(text) for text in texts]
    width = width or max((len(text) for text in raw), default=0) or 1
    # Numpy's fixed-length bytes are laid out exactly so.
    packed = np.array(raw, dtype=f"S{width}") if raw else np.zeros(0, dtype=f"S{width}")
    return torch.from_numpy(packed.view(np.uint8).reshape(len(raw), width).copy())


def to_texts(column: UInt8[Tensor, "batch length"]) -> list[str]:
    """The texts of a column."""
    return [bytes(row).rstrip(b"\0").decode("utf-8", "replace") for row in column.cpu().numpy()]


def words_of(text: str) -> list[str]:
    """The words of a sentence in order, in lower case, without its stops.

    Example:
        >>> words_of("An older person with a V-neck.")
        ['an', 'older', 'person', 'with', 'a', 'v-neck']
    """
    return _WORD.findall(text.lower())


def vocabulary(texts: Iterable[str]) -> tuple[str, ...]:
    """Words that come twice or more, the most frequent first; at most `MOST_WORDS`."""
    counts = Counter(word for text in texts for word in words_of(text) if len(word) <= _LONGEST_WORD)
    often = [word for word, count in counts.items() if count > 1]
    return tuple(sorted(often, key=lambda word: (-counts[word], word))[:MOST_WORDS])


def cut(text: str) -> bytes:
    """A text as a row of a column holds it."""
    raw = text.encode("utf-8", "replace").replace(b"\0", b" ")
    return raw if len(raw) <= LONGEST else raw[:LONGEST].decode("utf-8", "ignore").encode("utf-8")
