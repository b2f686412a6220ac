"""Training from the outside: start or resume a run, watch it, keep it safe, and show what came of it."""

import math
import os
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gansmith.config.overrides import flat
from gansmith.config.recipe import Recipe
from gansmith.core.console import Console, Silent, Stopwatch
from gansmith.core.distributed import SINGLE_PROCESS, World, my_device, share_tensors
from gansmith.core.text import plural
from gansmith.data.dataset import DataSet
from gansmith.data.loading.loader import Loader
from gansmith.engine.device import pick_device
from gansmith.engine.layout import Idle
from gansmith.engine.trainer import Trainer
from gansmith.errors import GansmithError, StorageError, TrainingError
from gansmith.images import provenance
from gansmith.models.load import borrowed_weights
from gansmith.runs.checkpoint import copied
from gansmith.runs.logs import Alarm, Logbook
from gansmith.runs.run import Run
from gansmith.training.background import Background
from gansmith.training.duration import Budget, Pace
from gansmith.training.health.monitor import HealthMonitor
from gansmith.training.look import held_out, look
from gansmith.training.samples import Samples, finish, mark_of, samples
from gansmith.training.setup import check_stages, fit_memory, ready, repeats
from gansmith.training.signals import Interruption, interruptible

if TYPE_CHECKING:
    from gansmith.training.evaluation import Examiner

RETRIES = 3  # How often a run may go back to its last checkpoint after NaN or infinity.
SLOWER = 0.5  # What learning rates are multiplied by each time.
_CAUSES = "Usual causes: a learning rate too high, or a penalty too weak."


class _NotANumberError(Exception):
    """A loss or a weight has become NaN or infinite."""


@dataclass(frozen=True)
class Outcome:
    """The result of ``train``: the run, the images seen, and whether it was interrupted.

    Example:
        >>> outcome = train(recipe, data, Path("runs/new"))
        >>> outcome.images, outcome.shown["samples"]
    """

    run: Run
    images: int
    interruption: Interruption
    before: int = 0  # Images seen when it began: as many as at the end where the run was finished already.
    shown: Mapping[str, Path] = field(default_factory=dict)  # What to look at: name -> file.


def train(
    recipe: Recipe,
    data: DataSet,
    path: Path,
    *,
    device: str = "auto",
    console: Console | None = None,
    world: World = SINGLE_PROCESS,
    seconds: float | Budget | None = None,
) -> Outcome:
    """Train a recipe in a run directory, or resume the run that is there.

    Args:
        recipe: what to do.
        data: what to train on; every process opens it.
        path: of the run directory. Only the first process reads and writes it.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        console: where training speaks; the first process's is used.
        world: the processes that train together, from ``distributed.joined``.
        seconds: from now on, for which to train: ``train.images`` is corrected at checkpoints so that the run
            ends in time. None: it has the length of the recipe.

    Raises:
        RunError: the directory is in use, is no run, or is a run of another recipe or data.
        TrainingError: a loss or a weight is not a number any more, or another process has ended.
        StorageError: the last checkpoint could not be written.
    """
    where = pick_device(my_device(device))
    begin = time.perf_counter()
    # What can be refused is refused before anything is written: a size no network fits, missing labels.
    scale = Run.open(path).recipe.data.scale if recipe.data.standardize and Run.is_run(path) else None
    recipe, loader = ready(recipe, data, where, world, scale)
    told = console if console and world.is_main else Silent()
    with ExitStack() as locks:
        if world.is_main:
            Run(path, recipe).check_not_foreign()
            locks.enter_context(Run(path, recipe).locked())
        begun = Run.is_run(path)
        run = _opened(path, recipe, data, told) if world.is_main else Run(path, recipe)
        world.barrier()
        try:
            session = _Session(run, data, loader, where, told, world, locks)
        except GansmithError:
            if world.is_main and not begun:
                run.unmake()
            raise
        if seconds is not None:
            budget = seconds if isinstance(seconds, Budget) else Budget(seconds)
            left = budget.seconds - (time.perf_counter() - begin)
            session.pace = Pace(session.trainer.images, left, budget.examining)
        return session.go()


def check(recipe: Recipe, data: DataSet, path: Path, *, device: str = "auto") -> Recipe:
    """All that ``train`` finds out before its first step, but whether memory is enough; nothing is written.

    Args:
        recipe, data, path, device: as of ``train``.

    Returns: the recipe with all that the data and the runs it borrows from decide.

    Raises:
        GansmithError: what ``train`` would raise.

    Example:
        >>> check(named("faces32"), data, Path("runs/new")).data.channels
        3
    """
    where, kept = pick_device(my_device(device)), Run.open(path) if Run.is_run(path) else None
    scale = kept.recipe.data.scale if recipe.data.standardize and kept is not None else None
    recipe, loader = ready(recipe, data, where, SINGLE_PROCESS, scale)
    try:
        Run(path, recipe).check_not_foreign()
        newest = None
        if kept is not None:
            kept.check_unchanged(recipe, facts_of(data))
            newest = kept.newest()
        borrowed = borrowed_weights(still_lent(recipe, resumed=newest is not None))
        trainer: Trainer[Any, Any, Any] = Trainer(recipe, loader, where, borrowed)
        if newest is None:
            check_stages(recipe, trainer.networks)
        _examiner(Run(path, recipe), data, loader, SINGLE_PROCESS)
    finally:
        loader.close()
    return recipe


def still_lent(recipe: Recipe, resumed: bool) -> Mapping[str, str]:
    """What is still to be borrowed: a checkpoint has every network and no instrument."""
    if not resumed or not recipe.borrow:
        return recipe.borrow
    with torch.device("meta"):
        instruments = recipe.method.instruments(recipe.spec())
    return {name: place for name, place in recipe.borrow.items() if name in instruments}


def _opened(path: Path, recipe: Recipe, data: DataSet, console: Console) -> Run:
    run = Run.open(path) if Run.is_run(path) else Run.create(path, recipe, facts_of(data))
    run.check_unchanged(recipe, facts_of(data))
    for line in run.adopt(recipe):
        console.say(f"From here on {line}.")
    return run


def facts_of(data: DataSet) -> dict[str, Any]:
    """What a run keeps of its data set."""
    refused = [[item.name, item.reason] for item in data.refused]
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "pictures": len(data),
        "refused": refused,
        "licence": data.info.licence,
    }


class _Session:
    """One process's work on a run: the loop's housekeeping.

    Of several processes the first alone reads and writes the run. Whatever decides which way the loop goes
    is known to all: numbers are averaged over them, weights are the same, and an interruption is shared.
    """

    def __init__(
        self,
        run: Run,
        data: DataSet,
        loader: Loader[Any],
        device: torch.device,
        console: Console,
        world: World,
        locks: ExitStack,
    ) -> None:
        self.locks = locks  # What holds the run alone.
        self.run, self.recipe, self.console, self.world = run, run.recipe, console, world
        self.data, self.loader, self.device = data, loader, device
        self.refused = len(data.refused)
        self.background, self.parent = Background(), os.getppid()
        self.made: Samples | None = None  # Samples of the last look.
        self.pace: Pace | None = None  # Of a run that is to end in time.
        if line := repeats(self.recipe.train.batch, len(loader.training)):
            console.say(line)
        self.trainer = self._trainer()
        if self.trainer.images > 0:
            console.say(f"Resuming {run.path} after {self.trainer.images} images.")
        self.health = HealthMonitor(
            self.recipe.train.images, self.recipe.train.picture_every, dict(flat(self.recipe))
        )
        for row in run.rows() if world.is_main else []:
            self.health.look(row)
        self.examiner = _examiner(run, data, loader, world)
        self.guarded = bool(self.recipe.train.evaluate.guarded)
        self.touched: str | None = None  # What the guards said when the run stopped.
        if self.guarded and self.examiner is not None and world.is_main:
            run.kept = self.examiner.within(self.trainer.images)
        run.watch()
        self.logbook = Logbook(run, self.trainer.images, console) if world.is_main else None

    def _trainer(self) -> Trainer[Any, Any, Any]:
        """Networks as the newest whole checkpoint has them, or fresh ones."""
        found, damaged = (self.run.newest() or (None, [])) if self.world.is_main else (None, [])
        images = self.world.broadcast(None if found is None else int(found.facts["images"]))
        borrowed = borrowed_weights(still_lent(self.recipe, resumed=images is not None))
        trainer: Trainer[Any, Any, Any] = Trainer(self.recipe, self.loader, self.device, borrowed, self.world)
        if images is None:
            check_stages(self.recipe, trainer.networks)
        trainer.rate = SLOWER ** self.world.broadcast(len(self.run.rollbacks()) if self.world.is_main else 0)
        if images is not None:
            trainer.load(share_tensors(self.world, None if found is None else found.tensors), images)
            if self.world.is_main:
                self._go_back(images, damaged)
        elif self.world.is_main and self.run.rows():
            self.run.forget_after(-1)  # Nothing was saved yet: it starts again.
        return trainer

    def _go_back(self, images: int, damaged: list[str]) -> None:
        for message in damaged:
            self.console.say(f"{message} An older checkpoint is used.")
        self.run.set_aside(images)
        self.run.forget_after(images)

    # ---- the loop -----------------------------------------------------------------------------------

    def go(self) -> Outcome:
        """Train to the end or to an interruption."""
        rows = self.run.rows() if self.world.is_main else []
        self.watch = Stopwatch(rows[-1].get("seconds", 0.0) if rows else 0.0)
        self._announce()
        before = self.trainer.images
        try:
            with interruptible() as interruption:
                if self.trainer.images < self.recipe.train.images:
                    fit_memory(self.trainer, self.console.say, self.world)
                self.console.start(self.trainer.images, self.recipe.train.images)
                shown = self._train(interruption)
        finally:
            self.console.stop()
            self.loader.close()
            self.background.close()
            if self.logbook is not None:
                self.logbook.close()
        return Outcome(self.run, self.trainer.images, interruption, before, shown)

    def _train(self, interruption: Interruption) -> Mapping[str, Path]:
        while True:
            try:
                if self.trainer.images == 0 and self.world.is_main:
                    self._picture(samples(self.trainer, self.loader))
                if self.trainer.images == 0 and self.guarded:
                    self._examine()
                while self._goes_on(interruption):
                    self._step()
                return self._end(finished=interruption.signal is None)
            except _NotANumberError as problem:
                self._roll_back(str(problem))

    def _goes_on(self, interruption: Interruption) -> bool:
        more = self.touched is None and self.trainer.images < self.recipe.train.images
        return more and not self._stopped(interruption)

    def _stopped(self, interruption: Interruption) -> bool:
        """Whether any process was asked to stop, or lost its launcher: then all do, after the same step."""
        if self.world.size > 1 and os.getppid() != self.parent:
            interruption.signal = interruption.signal or signal.SIGTERM
        interruption.signal = self.world.max(interruption.signal or 0) or None
        return interruption.signal is not None

    def _announce(self) -> None:
        shared = f", in {self.world.size} processes" if self.world.size > 1 else ""
        at_a_time = self.trainer.micro_batch
        if at_a_time * self.world.size < self.recipe.train.batch:
            shared += f", {plural(at_a_time, 'picture')} at a time"
        self.console.say(
            f"{self.recipe.name}: {len(self.loader.training)} training pictures, "
            f"{len(self.loader.held_out)} held out, {self.recipe.data.size} px, "
            f"{self.trainer.choices}{shared}."
        )

    def _step(self) -> None:
        before = self.trainer.images
        self.trainer.step()
        self.watch.add(self.recipe.train.batch)
        self.console.advance(self.recipe.train.batch)
        config = self.recipe.train
        pictured = self._passed(before, config.picture_every) or self.trainer.images >= config.images
        if pictured or self._passed(before, config.log_every):
            self._log(measured=pictured)
        if pictured:
            self._picture(self.made)
        due = self.examiner is not None and self._passed(before, config.evaluate.every)
        done = self.pace is not None and self.trainer.images >= config.images  # Too early, maybe.
        if done or self._passed(before, config.checkpoint_every):
            self._checkpoint(due)
        if due:
            try:
                self._examine()
            except GansmithError as error:  # Reported, not fatal: the networks are worth more than a number.
                self._tell(error)

    def _passed(self, before: int, every: int) -> bool:
        return self.trainer.images // every > before // every

    def _tell(self, error: GansmithError) -> None:
        goes_on = self.trainer.images < self.recipe.train.images
        self.console.say(f"{error}{' Training goes on; the next interval tries again.' if goes_on else ''}")

    def _tell_troubles(self) -> None:
        for error in self.background.troubles():
            self._tell(error)

    def _end(self, finished: bool) -> Mapping[str, Path]:
        if self.trainer.has_news:
            self._log(measured=finished)
        self._check_weights()
        if not self.world.is_main:
            return {}
        self._settle()
        self._recover()
        images = self.trainer.images
        if finished and not self.run.picture(images).exists():
            self._picture(samples(self.trainer, self.loader))
            self._settle()
        if not self.run.checkpoint(images).exists():
            self._save(self.trainer.state(), images, self.trainer.idle)
        return finish(self.run, self.trainer, self.loader, self.console) if finished else {}

    def _settle(self) -> None:
        self.background.settle()
        self._tell_troubles()

    def _examine(self) -> None:
        """Measure the images, and keep the weights where they are the best so far."""
        assert self.examiner is not None
        with nullcontext() if self.pace is None else self.pace.examination():
            found, images = self.examiner.look(self.trainer), self.trainer.images
        said = None
        if found is not None:
            self.console.say(self.examiner.summary(found))
            self.examiner.check_guards(found)
            said = self.examiner.beyond(images)
            if said is None and (self.guarded or self.examiner.is_best(images)):
                self._keep(images, best=self.examiner.is_best(images))
        if self.guarded and (said := self.world.broadcast(said)) is not None:
            self._withdraw(said)

    def _keep(self, images: int, best: bool) -> None:
        """A checkpoint of these weights, which have just been measured."""
        self._settle()
        if self.guarded:
            self.run.kept = images
        if not self.run.checkpoint(images).exists():
            self._save(self.trainer.state(), images, self.trainer.idle)
        if best:
            self.run.keep_best(self.run.checkpoint(images))

    def _withdraw(self, said: str) -> None:
        """A guard was touched: back to the last weights that were within all guards, and stop there."""
        self._settle()
        beyond, kept = self.trainer.images, self.world.broadcast(self.run.kept)
        if self.world.is_main:
            self.run.remove_after(kept or 0)
        self.world.barrier()
        self.console.stop()
        self.trainer = self._trainer()
        self.touched = (
            f"{said} by image {beyond}, so the run stops, and its networks are those of image "
            f"{self.trainer.images}, the last that were within all guards. To go further, loosen the guard "
            "(train.evaluate.guards) and repeat the command; to go more gently, start a new run with smaller "
            "learning rates or weights of what pulls."
        )
        if self.logbook is not None:
            self.logbook.alarm(Alarm("guard", self.touched), self.trainer.images)

    def _roll_back(self, problem: str) -> None:
        """After NaN or infinity: back to the last checkpoint with half the learning rates, a few times.

        Raises:
            TrainingError: it has been tried often enough.
        """
        self._settle()
        tries = self.world.broadcast(len(self.run.rollbacks()) if self.world.is_main else 0)
        kept = self.world.broadcast(
            [str(path) for path in self.run.checkpoint_files()] if self.world.is_main else []
        )
        where = (
            f"The newest checkpoint, {kept[-1]}, is from before." if kept else "No checkpoint was saved yet."
        )
        remedy = f"{_CAUSES} {self.health.calmer}"
        if tries == RETRIES:
            raise TrainingError(
                f"{problem}, so training stopped, after {tries} attempts with ever smaller learning rates. "
                f"{where} {remedy}"
            )
        if self.world.is_main:
            self.run.note_rollback(self.trainer.images, problem)
        self.world.barrier()
        self.console.stop()
        self.trainer = self._trainer()
        fit_memory(self.trainer, self.console.say, self.world)
        self.console.start(self.trainer.images, self.recipe.train.images)
        message = (
            f"{problem}. Training goes back to image {self.trainer.images} with learning rates "
            f"{self.trainer.rate:g} times as large (attempt {tries + 1} of {RETRIES}). {remedy}"
        )
        if self.logbook is not None:
            self.logbook.alarm(Alarm("not_a_number", message), self.trainer.images)

    # ---- what is kept ---------------------------------------------------------------------------------

    def _recover(self) -> None:
        """Where the run's directory is gone, say so and save what resuming needs."""
        try:
            said = self.run.recover(self.locks) if self.world.is_main else None
            if said is not None:
                self.console.say(said)
                if self.logbook is not None:
                    self.logbook.close()
                    self.logbook = Logbook(self.run, self.trainer.images, self.console)
                self.run.save(copied(self.trainer.state()), self.trainer.images, self.trainer.idle)
        except StorageError as error:
            self._tell(error)

    def _log(self, measured: bool) -> None:
        row: dict[str, float] = {
            "images": self.trainer.images,
            **self.watch.read(self.loader.waited),
            **self.trainer.flush(),
        }
        _check_finite(row)
        self.made = None
        if measured:
            row |= held_out(self.trainer, self.loader)
            _check_finite(row)
        if self.logbook is None:
            return
        self._recover()
        if measured:
            self.made, signs = look(self.trainer, self.loader)
            row |= signs
        self.logbook.write(row)
        for alarm in self.health.look(row):
            self.logbook.alarm(alarm, self.trainer.images)
        self._tell_troubles()

    def _check_weights(self) -> None:
        tensors = self.trainer.state().values()
        finite = torch.stack(
            # Some optimizers keep their step count on the CPU whatever the device.
            [v.isfinite().all().to(self.device) for v in tensors if v.is_floating_point()]
        )
        if not bool(finite.all()):
            raise _NotANumberError(f"A weight became nan or infinite by image {self.trainer.images}")

    def _checkpoint(self, due: bool) -> None:
        """Save; where the run is to end in time, its length is corrected before."""
        if self.trainer.has_news:  # No checkpoint before its numbers have been looked at.
            self._log(measured=False)
        self._check_weights()
        self._keep_time(due)
        if self.world.is_main:
            held, images, idle = copied(self.trainer.state()), self.trainer.images, self.trainer.idle
            self.background.do(lambda: self._save(held, images, idle))

    def _keep_time(self, due: bool) -> None:
        """Correct the length of a run that is to end in time; the checkpoint made next has it, too.

        So a run that resumes goes on with the length that the interrupted one had.
        """
        if self.pace is None:
            return
        train = self.recipe.train
        length = self.pace.length(self.trainer.images, train, due)
        if self.world.is_main and length != train.images:
            try:
                self.run.adopt(self._of_length(length))
            except StorageError as error:
                self._tell(error)
                length = train.images
        length = self.world.broadcast(length)
        if length == train.images:
            return
        self.recipe = self.trainer.recipe = self._of_length(length)
        self.console.say(f"To end in time, train.images is {length:,} from here on; it was {train.images:,}.")
        self.console.start(self.trainer.images, length)

    def _of_length(self, images: int) -> Recipe:
        return replace(self.recipe, train=replace(self.recipe.train, images=images))

    def _save(self, tensors: Mapping[str, torch.Tensor], images: int, idle: Idle) -> None:
        self.run.save(tensors, images, idle)
        if len(self.data.refused) > self.refused:  # Met while decoding lazily.
            for item in self.data.refused[self.refused :]:
                self.console.say(f"Left out: {item.name}: {item.reason}")
            self.refused = len(self.data.refused)
            self.run.note_data(facts_of(self.data))

    def _picture(self, made: Samples | None) -> None:
        if made is None:
            return
        file = self.run.picture(self.trainer.images)
        mark = mark_of(self.run, self.trainer)
        self.background.do(lambda: provenance.write_png(made.grid, file, mark))


def _check_finite(row: Mapping[str, float]) -> None:
    for name, value in row.items():
        if not math.isfinite(value):
            raise _NotANumberError(f"{name} became {value} by image {row['images']}")


def _examiner(run: Run, data: DataSet, loader: Loader[Any], world: World) -> "Examiner | None":
    if run.recipe.train.evaluate.every == 0:
        return None
    from gansmith.training.evaluation import Examiner  # Most runs do without, and start sooner.

    return Examiner(run, data, loader, world)
