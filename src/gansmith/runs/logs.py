"""Where a run's numbers go: ``stats.jsonl``, TensorBoard, and the person who watches."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
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
            for name, value in row.items():
                self._tensorboard.add_scalar(name, value, int(row["images"]))
        except OSError as error:
            self._console.say(f"TensorBoard is left out from here on: {error.strerror or error}.")
            self._tensorboard = None


def _tensorboard(run: Run, images: int, console: Console) -> Any:
    """A TensorBoard writer where the package is installed; rows of lost work are hidden from its view."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    try:
        return SummaryWriter(str(run.path / "tensorboard"), purge_step=images + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that is no UTF-8.
        console.say(f"TensorBoard is left out: {error}.")
        return None
