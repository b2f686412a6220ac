"""The process that reads tables, as its user sees it: questions, answers, and one message where it ended."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from typing import Any

from gansmith.core.json_files import parse_json
from gansmith.data.sources.table_files import ANSWER, MOST_FACTS, QUESTION
from gansmith.errors import DataError

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from gansmith.data.sources.table_files import serve; serve()"
)
_PATIENCE = 300.0  # Seconds for one answer.
_MOST_ANSWER = 2**31  # Bytes.


class EndedError(DataError):
    """The process ended while it was asked, or did not answer: the file is damaged in a way that harms."""


class TableProcess:
    """Asks a child process about Parquet and Arrow files; it is started when it is first asked.

    Threads may share it. It ends with this object, and with the process that made it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._end: Any = None

    def ask(self, do: str, **asked: Any) -> Any:
        """The answer: bytes of a cell, or the value of JSON.

        Raises:
            DataError: the table is damaged, or says no such thing.
            EndedError: it is damaged so that its reader died.
        """
        question = json.dumps({"do": do, **asked}).encode()
        with self._lock:
            kind, contents = self._answered(QUESTION.pack(len(question)) + question)
        if kind == b"d":
            raise DataError(contents.decode("utf-8", "replace"))
        return contents if kind == b"c" else parse_json(contents, 4 * MOST_FACTS)

    def _answered(self, question: bytes) -> tuple[bytes, bytes]:
        if self._child is None or self._owner != os.getpid():  # A forked process has one of its own.
            self._start()
        child = self._child
        assert child is not None and child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(question)
            child.stdin.flush()
            if os.name == "posix" and not select.select([child.stdout], [], [], _PATIENCE)[0]:
                raise EOFError
            kind, length = ANSWER.unpack(_exactly(child.stdout, ANSWER.size))
            if length > _MOST_ANSWER:
                raise EOFError
            return kind, _exactly(child.stdout, length)
        except (OSError, EOFError):
            code = self._stop()
            raise EndedError(f"damaged: reading it ended the process that did so ({_cause(code)})") from None
        except BaseException:  # Ctrl-C: half an answer is in the pipe.
            self._stop()
            raise

    def _start(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps([*map(str, sys.path)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # The library's last words.
        )
        self._owner = os.getpid()
        self._end = weakref.finalize(self, _ended, self._child)

    def _stop(self) -> int:
        assert self._child is not None
        child, self._child = self._child, None
        with suppress(subprocess.TimeoutExpired):
            child.wait(1)
        self._end.detach()
        return _ended(child)


def _exactly(pipe: Any, count: int) -> bytes:
    raw: bytes = pipe.read(count)
    if len(raw) < count:
        raise EOFError
    return raw


def _ended(child: "subprocess.Popen[bytes]") -> int:
    """End a child that has nothing more to do, and take leave of it."""
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    try:
        return child.wait(1)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _cause(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"
