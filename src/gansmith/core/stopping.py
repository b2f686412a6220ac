"""Whether somebody has asked this process to stop, for all who must know what an error means."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_asked: list[int] = []
_lost: list[str] = []


def ask(number: int) -> None:
    """A signal asks this process to stop."""
    _asked.append(number)


def asked() -> int:
    """The first signal that asked; 0 where none did."""
    return _asked[0] if _asked else 0


def forget() -> None:
    """A new command begins."""
    _asked.clear()
    _lost.clear()


def lost(message: str) -> None:
    """Another process of this command is gone: what to say should its launcher now stop this one."""
    _lost.append(message)


def why() -> str:
    """What to say of a stop: a launcher sends SIGTERM to all others when one of them is lost."""
    return _lost[0] if _lost and asked() == signal.SIGTERM else "stopped."


def at_once(number: int, frame: FrameType | None) -> None:
    """End here and now, as a signal handler: while Python starts or ends, nothing is worth a traceback."""
    with suppress(OSError, ValueError, AttributeError):
        print("gansmith: stopped.", file=sys.stderr, flush=True)
    os._exit(128 + number)


@contextmanager
def held() -> Iterator[None]:
    """Ctrl-C waits until the block ends; processes started within never hear of it, and their parent does."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows.
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def quick() -> None:
    """From here on Ctrl-C ends the process at once."""
    with suppress(ValueError):  # Not the main thread.
        signal.signal(signal.SIGINT, at_once)
