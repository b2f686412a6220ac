"""A run: a directory where a recipe happened, safe to stop, to kill, to resume and to carry away."""

import itertools
import json
import platform
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from gansmith.config.overrides import differences, override
from gansmith.config.recipe import Recipe
from gansmith.config.serialization import dumps, from_json, to_json
from gansmith.core.files import alone, whole_file, write_text
from gansmith.core.json_files import MOST_LISTED, json_lines, parse_json, read_json
from gansmith.core.text import plural
from gansmith.data.sources.identity import is_same
from gansmith.engine.layout import Idle
from gansmith.errors import CheckpointError, GansmithError, RunError, SettingError, StorageError
from gansmith.runs.checkpoint import Checkpoint

_NOT_COMPARED = (
    "about:",
    *(f"train.{name}:" for name in ("images", "log_every", "picture_every")),
    *(f"train.{name}:" for name in ("checkpoint_every", "keep_checkpoints")),
    "train.evaluate.",
    "train.engine.",
)
"""Settings that may differ on resume: words, length, what is kept and when, how the machine is used."""


class Run:
    """The files of a run.

    ``recipe.json``  ``environment.json``  ``data.json``  ``stats.jsonl``  ``pictures/000051200.png``
    ``checkpoints/000051200.safetensors``  ``tensorboard/``, and at the end ``curves.png``,
    ``animation.webp`` and ``real_vs_generated.png``.

    Example:
        >>> run = Run.open(Path("runs/one"))
        >>> run.checkpoint(51_200).name
        '000051200.safetensors'
    """

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path = path
        self.recipe = recipe
        self._seen: tuple[int, int] | None = None
        self._data: Mapping[str, Any] = {}
        self.kept: int | None = None  # A checkpoint that stays, however many newer ones there are.

    # ---- making and opening -----------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, recipe: Recipe, data: Mapping[str, Any]) -> "Run":
        """A new run directory; an existing one must be empty.

        Args:
            data: what is known of the data set, kept in ``data.json``.
        """
        run = cls(path, recipe)
        from_json(parse_json(dumps(recipe)), Recipe)  # A name that no file can hold is found out before.
        run.check_not_foreign()
        try:
            for part in (run.pictures, run.checkpoints):
                part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"Could not make {path}: {error.strerror or error}.") from error
        write_text(path / "environment.json", json.dumps(environment(), indent=2) + "\n")
        run.note_data(data)
        write_text(path / "recipe.json", dumps(recipe))  # Last: a directory with a recipe is a run.
        return run

    def unmake(self) -> None:
        """Remove what ``create`` made, where nothing came of it; what is not empty stays."""
        with suppress(OSError):
            for name in ("recipe.json", "data.json", "environment.json"):
                (self.path / name).unlink(missing_ok=True)
            for part in (self.pictures, self.checkpoints):
                part.rmdir()

    @classmethod
    def open(cls, path: Path) -> "Run":
        """An existing run."""
        if not cls.is_run(path):
            raise RunError(f"A run directory holds recipe.json. Received: {path}, which does not.")
        try:
            tree = read_json(path / "recipe.json")
        except (OSError, ValueError) as error:
            raise RunError(f"{path / 'recipe.json'} cannot be read: {error}.") from error
        try:
            recipe = from_json(tree, Recipe)
        except GansmithError as error:
            raise RunError(f"{path / 'recipe.json'} does not hold a recipe. {error}") from error
        if not isinstance(recipe, Recipe):
            raise RunError(f"{path / 'recipe.json'} does not hold a recipe.")
        return cls(path, recipe)

    @staticmethod
    def is_run(path: Path) -> bool:
        """Whether a directory is a run."""
        return (path / "recipe.json").is_file()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run alone; the system lets go when this process ends, however it ends."""
        busy = f"Another process is training in {self.path}. Wait for it, stop it, or choose another --run."
        with alone(self.path / "run.lock", RunError(busy)):
            yield

    def check_unchanged(self, recipe: Recipe, data: Mapping[str, Any]) -> None:
        """Raise unless ``recipe`` and ``data`` are the ones this run was started with.

        The length may differ: a finished run is lengthened by a larger ``train.images``. So may the pace of
        grids, numbers and checkpoints, which changes nothing in training.
        """
        old, new = to_json(self.recipe), to_json(recipe)
        lines = _compared(old, new)
        hint = self._as_it_was(recipe, lines)
        if recipe.train.images < self.recipe.train.images:  # Schedules would jump, and work be thrown away.
            lines.append(f"train.images: {self.recipe.train.images} -> {recipe.train.images} (shorter)")
            hint = ""
        before = self.facts_of_data()
        same = is_same(before.get("fingerprint"), data.get("fingerprint"))
        if not same or before.get("pictures") != data.get("pictures"):
            lines.append(
                f"data: {before.get('name')} ({plural(before.get('pictures', 0), 'picture')}) -> "
                f"{data.get('name')} ({plural(data.get('pictures', 0), 'picture')})"
            )
            hint = ""
        if lines:
            raise RunError(
                f"{self.path} was started otherwise, and a run keeps its recipe and data. The difference:"
                + "\n  "
                + "\n  ".join(lines)
                + "\nRepeat the first command to resume, or choose another --run."
                + hint
            )

    def _as_it_was(self, recipe: Recipe, lines: Sequence[str]) -> str:
        """How to go on with the run's own settings where a recipe of its name has others by now."""
        kept = [line.partition(" -> ")[0].replace(": ", "=", 1) for line in lines]
        try:
            if not kept or _compared(to_json(self.recipe), to_json(override(recipe, *kept))):
                return ""
        except SettingError:  # Another method has other settings.
            return ""
        words = shlex.join(word for assignment in kept for word in ("--set", assignment))
        return f" If it was the recipe that changed since then, {words} goes on with the run's own settings."

    def adopt(self, recipe: Recipe) -> list[str]:
        """Take over the settings that may differ on resume; a line for each that does."""
        changed = differences(to_json(self.recipe), to_json(recipe))
        if changed:
            write_text(self.path / "recipe.json", dumps(recipe))
            self.recipe = recipe
        return changed

    def note_data(self, data: Mapping[str, Any]) -> None:
        """Write ``data.json``: what is known of the data set, and what was left out of it."""
        write_text(self.path / "data.json", json.dumps(dict(data), indent=2) + "\n")

    def check_not_foreign(self) -> None:
        """Raise unless the directory is new, empty, a run, or one whose making was cut short."""
        path = self.path
        if path.exists() and not path.is_dir():
            raise RunError(f"A run is a directory. Received: {path}, which is a file.")
        if path.exists() and not self.is_run(path) and not _unborn(path):
            names = ", ".join(sorted(item.name for item in path.iterdir())[:3])
            raise RunError(
                f"A new run needs a new or empty directory. Received: {path}, which holds {names} "
                "and is not a run."
            )

    def watch(self) -> None:
        """Remember which directory this is, and what it is needed for, from here on."""
        self._seen, self._data = _identity(self.path), self.facts_of_data()

    def recover(self, locks: ExitStack) -> str | None:
        """Make the run anew where its directory was moved or removed, so that the next checkpoint resumes.

        It is made at its own path where that is free, else beside it, and held alone from before it is made.

        Args:
            locks: that hold the run; from then on they hold the new directory, and what was moved is free.

        Returns: what happened, for the user; None where all is well.

        Raises:
            StorageError: it cannot be made.
        """
        if self._seen is None or (_identity(self.path) == self._seen and self.is_run(self.path)):
            return None
        old = self.path
        with ExitStack() as held:
            made = self._anew(held)
            locks.close()
            locks.push(held.pop_all())
        self.path, self._seen = made.path, _identity(made.path)
        return (
            f"{old} was moved or removed while it was trained in. The run goes on in {self.path}, made anew: "
            "recipe, facts and the next checkpoint are all that resuming needs. Earlier grids and numbers "
            "are with what was moved."
        )

    def _anew(self, held: ExitStack) -> "Run":
        """The first free directory, locked before anything is written, as others may want it, too.

        Where none can be made beside the old one, it is one for temporary files.
        """
        try:
            return self._first_free(self.path, held)
        except StorageError:
            return self._first_free(Path(tempfile.gettempdir()).absolute() / self.path.name, held)

    def _first_free(self, wanted: Path, held: ExitStack) -> "Run":
        beside = (wanted.with_name(f"{wanted.name}-recovered-{n}") for n in itertools.count(1))
        for path in itertools.chain([wanted], beside):
            if path.exists() and not (path == wanted and path.is_dir() and _unborn(path)):
                continue
            try:
                held.enter_context(Run(path, self.recipe).locked())
                return Run.create(path, self.recipe, self._data)
            except RunError:  # Another process was faster.
                held.close()
        raise AssertionError  # There always is another number.

    # ---- places -------------------------------------------------------------------------------------

    @property
    def pictures(self) -> Path:
        """Sample grids, one for each interval."""
        return self.path / "pictures"

    @property
    def checkpoints(self) -> Path:
        """Checkpoint files, named by images seen."""
        return self.path / "checkpoints"

    @property
    def stats(self) -> Path:
        """One JSON object a line."""
        return self.path / "stats.jsonl"

    def picture(self, images: int) -> Path:
        """Where the grid after ``images`` images goes."""
        return self.pictures / f"{images:09d}.png"

    def checkpoint(self, images: int) -> Path:
        """Where the checkpoint after ``images`` images goes."""
        return self.checkpoints / f"{images:09d}.safetensors"

    def facts_of_data(self) -> Mapping[str, Any]:
        """``data.json``, or nothing where it is missing."""
        try:
            facts: Mapping[str, Any] = read_json(self.path / "data.json", MOST_LISTED)
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}

    # ---- checkpoints --------------------------------------------------------------------------------

    def checkpoint_files(self) -> list[Path]:
        """Checkpoints, oldest first."""
        return sorted(path for path in self.checkpoints.glob("*.safetensors") if path.stem.isdigit())

    def save(self, tensors: Mapping[str, torch.Tensor], images: int, idle: Idle | None = None) -> Path:
        """A new checkpoint; then the ones beyond ``train.keep_checkpoints`` go.

        Args:
            tensors: what a restart needs, by name.
            images: seen so far.
            idle: of each player, the weights that its optimizer remembers nothing of.
        """
        for torn in self.checkpoints.glob(".*"):  # A kill while writing left it: ours, or safetensors' own.
            torn.unlink(missing_ok=True)
        path = self.checkpoint(images)
        noted = {} if idle is None else {"idle": idle}
        Checkpoint(tensors, {"images": images, "recipe": to_json(self.recipe), **noted}).save(path)
        for old in self.checkpoint_files()[: -self.recipe.train.keep_checkpoints]:
            if int(old.stem) != self.kept:
                old.unlink(missing_ok=True)
        return path

    def keep_best(self, checkpoint: Path) -> Path:
        """Keep a copy of a checkpoint as ``best.safetensors``, whatever becomes of the others.

        Raises:
            StorageError: the disk refuses.
        """
        best = self.path / "best.safetensors"
        with whole_file(best) as part:
            shutil.copyfile(checkpoint, part)
        return best

    def set_aside(self, images: int) -> None:
        """Rename checkpoints beyond ``images``: they are damaged, and must not count as good ones."""
        for path in self.checkpoint_files():
            if int(path.stem) > images:
                path.replace(path.with_suffix(".damaged"))

    def remove_after(self, images: int) -> None:
        """Remove checkpoints from beyond ``images``."""
        for path in self.checkpoint_files():
            if int(path.stem) > images:
                path.unlink(missing_ok=True)

    def newest(self) -> tuple[Checkpoint, list[str]] | None:
        """The newest whole checkpoint, and what is wrong with newer ones; None where there is none yet.

        Raises:
            CheckpointError: there are checkpoints, and all are damaged.
        """
        damaged: list[str] = []
        for path in reversed(self.checkpoint_files()):
            try:
                return Checkpoint.load(path), damaged
            except CheckpointError as error:
                damaged.append(str(error))
        if damaged:
            raise CheckpointError("No checkpoint of this run is whole:\n  " + "\n  ".join(damaged))
        return None

    # ---- statistics ---------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, float]]:
        """All rows of numbers in ``stats.jsonl``; a line cut short by a kill, or spoilt, is left out."""
        return [
            row
            for row in self._lines()
            if "alarm" not in row and all(isinstance(value, int | float) for value in row.values())
        ]

    def alarms(self) -> list[dict[str, Any]]:
        """What the health watch said: images, the alarm's name and its message."""
        return [row for row in self._lines() if isinstance(row.get("alarm"), str)]

    def _lines(self) -> list[dict[str, Any]]:
        rows = json_lines(self.stats) if self.stats.exists() else []
        return [row for row in rows if isinstance(row, dict) and isinstance(row.get("images"), int | float)]

    def forget_after(self, images: int) -> None:
        """Drop rows and images from beyond ``images``: work that a kill lost and that comes again."""
        known = [*self.rows(), *self.alarms()]
        rows = [row for row in self._lines() if row in known and row["images"] <= images]
        write_text(self.stats, "".join(json.dumps(row) + "\n" for row in rows))
        for picture in self.pictures.glob("*.png"):
            if picture.stem.isdigit() and int(picture.stem) > images:
                picture.unlink()

    # ---- going back ---------------------------------------------------------------------------------

    def rollbacks(self) -> list[dict[str, Any]]:
        """The times this run went back after a number that was none."""
        try:
            found = read_json(self.path / "rollbacks.json")
        except (OSError, ValueError):
            return []
        return found if isinstance(found, list) else []

    def note_rollback(self, images: int, reason: str) -> None:
        """Keep that the run went back from ``images``; on resume it is known."""
        kept = [*self.rollbacks(), {"images": images, "reason": reason}]
        write_text(self.path / "rollbacks.json", json.dumps(kept, indent=2) + "\n")


def _identity(path: Path) -> tuple[int, int] | None:
    """Which directory lies at a path; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _compared(old: Any, new: Any) -> list[str]:
    """A line for each setting that differs and must not."""
    return [line for line in differences(old, new) if not line.startswith(_NOT_COMPARED)]


def _unborn(path: Path) -> bool:
    """Whether a directory holds nothing, or only what ``create`` had made when it was killed."""
    ours = {"pictures", "checkpoints", "environment.json", "data.json", "run.lock"}
    names = [item.name for item in path.iterdir() if item.suffix != ".part"]
    empty = all(not any((path / name).iterdir()) for name in names if (path / name).is_dir())
    return empty and ours.issuperset(names)


def environment() -> dict[str, str]:
    """What a run's numbers depend on besides the recipe."""
    from gansmith import __version__

    facts = {
        "gansmith": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "threads": str(torch.get_num_threads()),
        "command": " ".join(["gansmith", *sys.argv[1:]]),
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
        facts["cuda"] = str(torch.version.cuda)
    return facts
