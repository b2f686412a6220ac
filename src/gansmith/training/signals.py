"""Ctrl-C and SIGTERM ask a loop to save and stop; the same one again stops at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from gansmith.core import stopping


@dataclass
class Interruption:
    """Whether, and by which signal, the run was asked to stop.

    Example:
        >>> Interruption(signal.SIGINT).exit_code
        130
    """

    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """0, or 130 after Ctrl-C and 143 after SIGTERM, as shells expect."""
        return 0 if self.signal is None else 128 + self.signal


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """SIGINT and SIGTERM are noted for as long as the block lasts."""
    interruption = Interruption()
    seen: set[int] = set()

    def ask(number: int, frame: FrameType | None) -> None:
        if number in seen:  # Only the same one again: torchrun answers Ctrl-C with a SIGTERM of its own.
            stopping.at_once(number, frame)
        seen.add(number)
        stopping.ask(number)
        interruption.signal = interruption.signal or number

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # Not the main thread, where handlers cannot be set: the host handles signals.
        yield interruption
        return
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
