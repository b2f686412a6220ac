"""Where messages go: text that cannot command a terminal, and writing that never ends the work.

A name in somebody's file may hold escape sequences; a pipe may lose its reader, a disk fill up, a stream be
closed. What is said is cleaned here, and where it cannot be said the work goes on in silence.
"""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

# Controls but for tabs and ends of lines, what turns the direction of writing, and halves of letters.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_GONE = (errno.EPIPE, errno.EBADF)  # The reader has enough, or there never was one.


def clean(text: str) -> str:
    r"""Text that a terminal or a page shows as it is, whatever it holds: controls become escapes.

    >>> clean("\x1b[2Jcat")
    '\\x1b[2Jcat'
    """
    return _UNSAFE.sub(lambda found: _escaped(ord(found[0])), text)


def _escaped(number: int) -> str:
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


class Unfailing:
    """A stream that takes everything: what cannot be written is lost, and ``lost`` says why.

    Args:
        stream: of text; None where a program was started without one.

    Example:
        >>> stream = Unfailing(open("/dev/full", "w"))
        >>> stream.write("hello"); stream.flush()
        >>> stream.lost.strerror
        'No space left on device'
    """

    encoding: str
    errors = "backslashreplace"

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.lost: OSError | None = None
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with suppress(OSError, ValueError):
                reconfigure(errors="backslashreplace")  # A code page need not have the letters of a name.

    def write(self, text: str) -> int:
        """Write or lose it."""
        if self._stream is not None:
            try:
                self._stream.write(text)
            except OSError as error:
                self._lose(error)
            except ValueError:  # It was closed.
                self._stream = None
        return len(text)

    def flush(self) -> None:
        """Hand on what is held back, or lose it."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except OSError as error:
                self._lose(error)
            except ValueError:
                self._stream = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Whether a person watches."""
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """The number of the stream; OSError where it has none."""
        if self._stream is None:
            raise OSError(errno.EBADF, "there is no stream")
        return int(self._stream.fileno())

    def _lose(self, error: OSError) -> None:
        if self.lost is None:
            self.lost = error
        # What is held back goes nowhere from here on, or Python would try again when it ends.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


class Messages(Unfailing):
    r"""A stream of messages: cleaned, never failing. ``raw`` is for progress bars, which move the cursor.

    Example:
        >>> print("\x1b[2Jcat", file=Messages(sys.stdout))
        \x1b[2Jcat
    """

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.raw = Unfailing(stream)
        if self.encoding.lower() in ("ascii", "us-ascii", "ansi_x3.4-1968"):
            self.encoding = "utf-8"  # Else click writes past this; letters become escapes here.

    def write(self, text: str) -> int:
        """Clean it, and write or lose it."""
        super().write(clean(text))
        return len(text)


def messages(stream: Any) -> Messages:
    """The stream as one of messages; as it is where it is one already."""
    return stream if isinstance(stream, Messages) else Messages(stream)


@contextmanager
def safe_streams() -> Iterator[tuple[Messages, Messages]]:
    """Standard output and error as streams of messages for as long as the block lasts."""
    _fill_gaps()
    before = sys.stdout, sys.stderr
    out, err = messages(sys.stdout), messages(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        yield out, err
    finally:
        for stream in (out, err):
            stream.flush()
            stream.raw.flush()
        sys.stdout, sys.stderr = before


def why_lost(stream: Messages) -> str | None:
    """Why what was written did not arrive, where its reader did not just leave; None where all is well."""
    lost = stream.lost or stream.raw.lost
    return None if lost is None or lost.errno in _GONE else (lost.strerror or str(lost))


def _fill_gaps() -> None:
    """Give numbers 0 to 2 to nobody where they are free: the next file opened would get what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # The lowest free number is taken.
