"""Where a run's numbers go: ``stats.jsonl``, TensorBoard, and the person who watches."""

import errno
import io
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gansmith.core.console import Console
from gansmith.runs.run import Run


@dataclass(frozen=True)
class Alarm:
    """A warning of the health watch: a short name, and a message with what is seen, the cause and a remedy.

    Example:
        >>> Alarm("collapsed", "The samples are nearly all alike.").name
        'collapsed'
    """

    name: str
    message: str


class Logbook:
    """Writes the numbers of one run; a full disk is reported and does not stop training.

    Example:
        >>> logbook = Logbook(run, images=0, console=Silent())
        >>> logbook.write({"images": 64, "generator/loss": 0.7}); logbook.close()
    """

    def __init__(self, run: Run, images: int, console: Console) -> None:
        self._run, self._console = run, console
        self._tensorboard = _tensorboard(run, images, console)

    def write(self, row: Mapping[str, float]) -> None:
        """A row of numbers."""
        self._console.report(row)
        self._line(dict(row))
        self._to_tensorboard(row)

    def alarm(self, alarm: Alarm, images: int) -> None:
        """An illness that was seen."""
        self._console.say(f"Health: {alarm.message}")
        self._line({"images": images, "alarm": alarm.name, "message": alarm.message})

    def close(self) -> None:
        """Write out what is held back."""
        if self._tensorboard is not None:
            with suppress(OSError):  # A full disk; the same numbers are in stats.jsonl.
                self._tensorboard.close()

    def _line(self, facts: Mapping[str, Any]) -> None:
        try:
            with open(self._run.stats, "a", encoding="utf-8") as file:
                file.write(json.dumps(facts) + "\n")
        except OSError as error:
            self._console.say(f"Could not write {self._run.stats}: {error.strerror or error}.")

    def _to_tensorboard(self, row: Mapping[str, float]) -> None:
        if self._tensorboard is None:
            return
        try:
            self._tensorboard.write(row)
        except OSError as error:
            self._console.say(f"TensorBoard is left out from here on: {error.strerror or error}.")
            self.close()
            self._tensorboard = None


class _Events:
    """A file for TensorBoard, written here and now: its own writer has a thread whose errors are nobody's."""

    def __init__(self, folder: Path, images: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{os.getpid()}"
        self._file = open(folder / name, "wb", buffering=0)
        self._record = io.BytesIO()
        self._records = RecordWriter(self._record)
        self._add(file_version="brain.Event:2")
        # Rows of lost work are hidden from view.
        self._add(step=images + 1, session_log=SessionLog(status=SessionLog.START))

    def write(self, row: Mapping[str, float]) -> None:
        """A row of numbers."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in row.items()]
        self._add(step=int(row["images"]), summary=self._summary(value=values))

    def close(self) -> None:
        """The file is whole at any moment; it is only let go."""
        self._file.close()

    def _add(self, **facts: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **facts).SerializeToString())
        record = self._record.getvalue()
        self._record.seek(0)
        self._record.truncate()
        if self._file.write(record) < len(record):  # What a disk does that becomes full in the middle.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _tensorboard(run: Run, images: int, console: Console) -> _Events | None:
    """A file for TensorBoard where the package is installed."""
    try:
        return _Events(run.path / "tensorboard", images)
    except ImportError:
        return None
    except OSError as error:
        console.say(f"TensorBoard is left out: {error.strerror or error}.")
        return None
