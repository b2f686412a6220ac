"""The directions along which the app moves pictures of a model: those its run stores, else SeFa's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gansmith.errors import CheckpointError, SettingError
from gansmith.explore.directions import Directions, folder, stored_directions
from gansmith.explore.sefa import sefa
from gansmith.models.generator import Generator

_COUNT = 10  # Directions found out of weights.
_KEPT = 32  # Models whose directions are remembered.

Found = Literal["stored", "now", "none"]


@dataclass(frozen=True, eq=False)
class Ways:
    """Directions, and where they are from.

    Args:
        directions: what a picture can be moved along.
        found: stored in the run, found now by SeFa, or none, where SeFa finds no layer to look at.

    Example:
        >>> AllWays().of(open_generator("runs/one"), Path("runs/one")).found
        'now'
    """

    directions: Directions
    found: Found


class AllWays:
    """The directions of each model, found once for its weights and for the file in its run.

    Example:
        >>> AllWays().of(open_generator("runs/one"), Path("runs/one")).directions.names[0]
        'sefa-1'
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Ways] = {}

    def of(self, generator: Generator, run_dir: Path) -> Ways:
        """What a generator's pictures are moved along."""
        try:
            written = (folder(run_dir) / "directions.safetensors").stat().st_mtime_ns
        except OSError:
            written = 0
        key = str(generator.fingerprint), written
        if key not in self._known:
            while len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            self._known[key] = _found(generator, run_dir)
        return self._known[key]


def _found(generator: Generator, run_dir: Path) -> Ways:
    try:
        stored = stored_directions(generator, run_dir)
    except CheckpointError:  # A run that was trained on since: its old ones no longer fit.
        stored = Directions(generator.fingerprint)
    if stored:
        return Ways(stored, "stored")
    try:
        return Ways(Directions(generator.fingerprint, sefa(generator, _COUNT)), "now")
    except SettingError:
        return Ways(stored, "none")
