"""A number of an evaluation, how sure it is, and what is to be said about it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """One number; ``low`` and ``high`` bound it with 95 % confidence where that is known."""

    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""  # A warning in one plain sentence, such as too few samples.


Result = Mapping[str, Value]
"""Name of a metric, in lower case -> its value."""
