"""Sentences as a column of numbers, so that captions travel with images like every other fact."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

LONGEST = 1024  # In bytes; longer captions are cut there.


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


def cut(text: str) -> bytes:
    """A text as a row of a column holds it."""
    raw = text.encode("utf-8", "replace").replace(b"\0", b" ")
    return raw if len(raw) <= LONGEST else raw[:LONGEST].decode("utf-8", "ignore").encode("utf-8")
