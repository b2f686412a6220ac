"""Training from the outside: start or resume a run, watch it, keep it safe, and show what came of it."""

import json
import math
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch

from gansmith import marks, pictures
from gansmith.checkpoint import Checkpoint
from gansmith.console import Console, Silent, Stopwatch
from gansmith.data.dataset import DataSet
from gansmith.data.loader import Loader
from gansmith.data.prepared import PICTURE_COLUMNS
from gansmith.devices import pick_device
from gansmith.errors import SettingError, StorageError, TrainingError
from gansmith.marks import Origin
from gansmith.models import borrowed_weights
from gansmith.recipe import Recipe
from gansmith.run import Run
from gansmith.showing import finish, samples
from gansmith.trainer import Trainer

if TYPE_CHECKING:
    from gansmith.metrics.during import Examiner

HELD_OUT = 256  # Held-out pictures that are measured with each grid.


@dataclass
class Interruption:
    """Whether, and by which signal, the run was asked to stop."""

    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """0, or 130 after Ctrl-C and 143 after SIGTERM, as shells expect."""
        return 0 if self.signal is None else 128 + self.signal


@dataclass(frozen=True)
class Outcome:
    """What ``train`` came to."""

    run: Run
    images: int
    interruption: Interruption
    shown: Mapping[str, Path] = field(default_factory=dict)  # What to look at: name -> file.


def train(
    recipe: Recipe,
    data: DataSet,
    path: Path,
    *,
    device: str = "auto",
    console: Console | None = None,
) -> Outcome:
    """Train a recipe in a run directory, or resume the run that is there.

    Raises:
        RunError: the directory is in use, is no run, or is a run of another recipe or data.
        TrainingError: a loss or a weight is not a number any more.
        StorageError: the last checkpoint could not be written.
    """
    where = pick_device(device)
    # What can be refused is refused before anything is written: a size no network fits, missing labels.
    recipe, loader = _resolved(recipe, data, path, where)
    with torch.device("meta"):
        recipe.method.build(recipe.spec())
    _refuse_huge_batch(recipe.train.batch, len(loader.training))
    told = console or Silent()
    Run(path, recipe).refuse_foreign()
    with Run(path, recipe).locked():
        run = Run.open(path) if Run.is_run(path) else Run.create(path, recipe, facts_of(data))
        run.refuse_difference(recipe, facts_of(data))
        for line in run.adopt(recipe):
            told.say(f"From here on {line}.")
        return _Session(run, data, loader, where, told).go()


def _refuse_huge_batch(batch: int, there: int) -> None:
    if batch > max(8192, there):
        raise SettingError(
            "A batch above 8192 must not be larger than the training pictures. "
            f"Received: train.batch={batch} and {there} pictures. Try train.batch={min(64, max(there, 1))}."
        )


def facts_of(data: DataSet) -> dict[str, Any]:
    """What a run keeps of its data set."""
    refused = [[item.name, item.reason] for item in data.refused]
    return {"name": data.name, "fingerprint": data.fingerprint, "pictures": len(data), "refused": refused}


def resolve(recipe: Recipe, data: DataSet) -> Recipe:
    """The recipe with everything filled in that the data decides."""
    if recipe.data.channels is not None:
        return recipe
    first = data.fetch(torch.zeros(1, dtype=torch.int64))
    channels = next(int(first[name].shape[1]) for name in PICTURE_COLUMNS if name in first)
    return replace(recipe, data=replace(recipe.data, channels=channels))


def _resolved(recipe: Recipe, data: DataSet, path: Path, device: torch.device) -> tuple[Recipe, Loader[Any]]:
    """The recipe with all the data decides, its scale among it, and the loader that goes with it."""
    recipe = resolve(recipe, data)
    loader: Loader[Any] = Loader(data, recipe.method.batch_type, recipe.data, recipe.train.seed, device)
    if not recipe.data.standardise or recipe.data.scale is not None:
        return recipe, loader
    known = Run.open(path).recipe.data.scale if Run.is_run(path) else None
    recipe = replace(recipe, data=replace(recipe.data, scale=known or loader.measure_scale()))
    loader.close()
    return recipe, Loader(data, recipe.method.batch_type, recipe.data, recipe.train.seed, device)


class _Session:
    """One process's work on a run: the loop's housekeeping."""

    def __init__(
        self, run: Run, data: DataSet, loader: Loader[Any], device: torch.device, console: Console
    ) -> None:
        self.run, self.recipe, self.console = run, run.recipe, console
        self.data, self.loader, self.device = data, loader, device
        self.refused = len(data.refused)
        self.saved_at = 0
        found = run.newest()
        borrowed = {} if found else borrowed_weights(self.recipe.borrow)
        self.trainer: Trainer[Any, Any, Any] = Trainer(self.recipe, self.loader, self.device, borrowed)
        if len(self.loader.training) < self.recipe.train.batch:
            console.say(
                f"A batch of {self.recipe.train.batch} is larger than the {len(self.loader.training)} "
                "training pictures, so pictures repeat within a batch."
            )
        if found:
            self._resume(*found)
        elif run.rows():
            run.forget_after(-1)  # Killed before its first checkpoint: it starts again.
        self.tensorboard = _tensorboard(run, self.trainer.images, console)
        self.examiner = _examiner(run, data, loader)

    def _resume(self, checkpoint: Checkpoint, damaged: list[str]) -> None:
        for message in damaged:
            self.console.say(f"{message} An older checkpoint is used.")
        self.saved_at = int(checkpoint.facts["images"])
        self.trainer.load(checkpoint.tensors, self.saved_at)
        self.run.set_aside(self.saved_at)
        self.run.forget_after(self.trainer.images)
        self.console.say(f"Resuming {self.run.path} after {self.trainer.images} images.")

    # ---- the loop -----------------------------------------------------------------------------------

    def go(self) -> Outcome:
        """Train to the end or to an interruption."""
        total = self.recipe.train.images
        rows = self.run.rows()
        self.watch = Stopwatch(rows[-1].get("seconds", 0.0) if rows else 0.0)
        self._announce()
        self.console.start(self.trainer.images, total)
        try:
            with _interruptible() as interruption:
                if self.trainer.images == 0:
                    self._kept_going(self._picture)
                while self.trainer.images < total and interruption.signal is None:
                    self._step()
                shown = self._end(finished=interruption.signal is None)
        finally:
            self.console.stop()
            self.loader.close()
            if self.tensorboard is not None:
                with suppress(OSError):  # A full disk; the same numbers are in stats.jsonl.
                    self.tensorboard.close()
        return Outcome(self.run, self.trainer.images, interruption, shown)

    def _announce(self) -> None:
        precision = str(self.trainer.precision).removeprefix("torch.")
        self.console.say(
            f"{self.recipe.name}: {len(self.loader.training)} training pictures, "
            f"{len(self.loader.held_out)} held out, {self.recipe.data.size} px, "
            f"on {self.device} in {precision}."
        )

    def _step(self) -> None:
        before = self.trainer.images
        self.trainer.step()
        self.watch.add(self.recipe.train.batch)
        self.console.advance(self.recipe.train.batch)
        config = self.recipe.train
        if self._passed(before, config.log_every) or self._passed(before, config.picture_every):
            self._log(measured=self._passed(before, config.picture_every))
        if self._passed(before, config.picture_every):
            self._kept_going(self._picture)
        if self._passed(before, config.checkpoint_every):
            self._kept_going(self._checkpoint)
        if self.examiner is not None and self._passed(before, config.evaluate.every):
            self._kept_going(self._examine)

    def _passed(self, before: int, every: int) -> bool:
        return self.trainer.images // every > before // every

    def _kept_going(self, work: Any) -> None:
        """A full disk in the middle of a run is told, not fatal: the next interval tries again."""
        try:
            work()
        except StorageError as error:
            self.console.say(f"{error} Training goes on; the next interval tries again.")

    def _end(self, finished: bool) -> Mapping[str, Path]:
        if self.saved_at != self.trainer.images:
            if self.trainer.has_news:
                self._log(measured=finished)
            if finished and not self.run.picture(self.trainer.images).exists():
                self._kept_going(self._picture)
            self._checkpoint()
        return finish(self.run, self.trainer, self.loader, self.console) if finished else {}

    def _examine(self) -> None:
        """Measure the pictures, and keep the weights where they are the best so far."""
        assert self.examiner is not None
        found = self.examiner.look(self.trainer)
        self.console.say(self.examiner.summary(found))
        if self.examiner.is_best(self.trainer.images):
            if self.saved_at != self.trainer.images:
                self._checkpoint()
            self.run.keep_best(self.run.checkpoint_files()[-1])

    # ---- what is kept ---------------------------------------------------------------------------------

    def _log(self, measured: bool) -> None:
        row: dict[str, float] = {
            "images": self.trainer.images,
            **self.watch.read(self.loader.waited),
            **self.trainer.flush(),
        }
        self._refuse_nan(row)
        row |= self._held_out() if measured else {}
        self.console.report(row)
        try:
            with open(self.run.stats, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            self.console.say(f"Could not write {self.run.stats}: {error.strerror or error}.")
        self._to_tensorboard(row)

    def _held_out(self) -> dict[str, float]:
        """The method's numbers on held-out pictures, in batches of the size the networks know."""
        sums: dict[str, float] = {}
        batches = list(self.loader.held_out_batches(self.recipe.train.batch, HELD_OUT))
        for batch in batches:
            for name, value in self.trainer.measure(batch).items():
                sums[f"held-out/{name}"] = sums.get(f"held-out/{name}", 0.0) + value / len(batches)
        return sums

    def _to_tensorboard(self, row: Mapping[str, float]) -> None:
        if self.tensorboard is None:
            return
        try:
            for name, value in row.items():
                self.tensorboard.add_scalar(name, value, self.trainer.images)
        except OSError as error:
            self.console.say(f"TensorBoard is left out from here on: {error.strerror or error}.")
            self.tensorboard = None

    def _refuse_nan(self, row: Mapping[str, float]) -> None:
        bad = [name for name, value in row.items() if not math.isfinite(value)]
        if not bad:
            return
        kept = self.run.checkpoint_files()
        where = (
            f"The newest checkpoint, {kept[-1]}, is from before." if kept else "No checkpoint was saved yet."
        )
        raise TrainingError(
            f"{bad[0]} became {row[bad[0]]} by image {self.trainer.images}, so training stopped. {where} "
            "Usual causes: a learning rate too high, or a penalty too weak. "
            "Try a smaller --set optimisers.<player>.lr in a new --run."
        )

    def _checkpoint(self) -> None:
        if self.trainer.has_news:  # No checkpoint before its numbers have been looked at.
            self._log(measured=False)
        tensors = self.trainer.state()
        finite = torch.stack(
            # Some optimisers keep their step count on the CPU whatever the device.
            [v.isfinite().all().to(self.device) for v in tensors.values() if v.is_floating_point()]
        )
        if not bool(finite.all()):
            self._refuse_nan({"a weight": math.nan})
        self.run.save(tensors, self.trainer.images)
        self.saved_at = self.trainer.images
        if len(self.data.refused) > self.refused:  # Met while decoding lazily.
            for item in self.data.refused[self.refused :]:
                self.console.say(f"Left out: {item.name}: {item.reason}")
            self.refused = len(self.data.refused)
            self.run.note_data(facts_of(self.data))

    def _picture(self) -> None:
        sheet = pictures.grid(samples(self.trainer, self.loader))
        origin = Origin(
            self.run.path.name, self.recipe.name, None, self.trainer.images, marks.software_version()
        )
        marks.write_png(sheet, self.run.picture(self.trainer.images), origin)


def _examiner(run: Run, data: DataSet, loader: Loader[Any]) -> "Examiner | None":
    if run.recipe.train.evaluate.every == 0:
        return None
    from gansmith.metrics.during import Examiner  # Most runs do without, and start sooner.

    return Examiner(run, data, loader)


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


@contextmanager
def _interruptible() -> Iterator[Interruption]:
    """SIGINT and SIGTERM ask the loop to save and stop; a second one stops at once."""
    interruption = Interruption()

    def ask(number: int, frame: FrameType | None) -> None:
        if interruption.signal is not None:
            raise SystemExit(128 + number)
        interruption.signal = number

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
