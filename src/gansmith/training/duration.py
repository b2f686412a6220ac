"""Training for a time: the speed is measured first, and the length of the run follows from it."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.distributed import SINGLE_PROCESS, World
from gansmith.data.dataset import DataSet
from gansmith.data.loading.loader import Loader
from gansmith.engine.trainer import Trainer
from gansmith.models.load import borrowed_weights
from gansmith.runs.checkpoint import copied
from gansmith.runs.run import Run
from gansmith.training.look import held_out, look
from gansmith.training.plan import finished, one_round
from gansmith.training.setup import fit_memory, ready

SHARE, LEAST, MOST = 0.03, 1.0, 15.0  # Of the time, spent on measuring: a share, within seconds.
LOOKING, SAVING = 0.1, 0.05  # Shares of the time for grids and for checkpoints, at most;
FEWEST = 4  # but so many there are.
EXAMINING = 0.2  # Likewise for evaluations, of which there is one at least.
NEAR = 0.04  # A length that is so near to the right one, relatively, is left as it is.
PLENTY = 400_000  # Images at 32 px after which a larger size is the better use of the time.


class Lasting(NamedTuple):
    """A recipe of the length that fits a time, and what it was found by.

    Example:
        >>> lasting(named("faces64"), data, 600.0, torch.device("cpu")).speed
        50.0
    """

    recipe: Recipe
    speed: float  # Images a second, evaluations and all that is drawn and saved left out.
    examining: float  # Seconds of an evaluation, as far as a small one tells; 0 where there is none.


class Budget(NamedTuple):
    """Seconds that a run may take, and how many of them an evaluation is thought to take.

    Example:
        >>> Budget(600.0, examining=20.0)
        Budget(seconds=600.0, examining=20.0)
    """

    seconds: float
    examining: float = 0.0


def as_begun(recipe: Recipe, run: Path) -> Recipe | None:
    """The recipe with the length that the run has already; None where there is no run yet.

    Example:
        >>> as_begun(named("faces64"), Path("runs/new")) is None
        True
    """
    if not Run.is_run(run):
        return None
    kept = Run.open(run).recipe.train
    names = ("images", "log_every", "picture_every", "checkpoint_every")
    evaluate = replace(recipe.train.evaluate, every=kept.evaluate.every)
    same: dict[str, Any] = {name: getattr(kept, name) for name in names}
    return replace(recipe, train=replace(recipe.train, evaluate=evaluate, **same))


def lasting(
    recipe: Recipe,
    data: DataSet,
    seconds: float,
    device: torch.device,
    world: World = SINGLE_PROCESS,
) -> Lasting:
    """The recipe with ``train.images`` so that training takes about so long here.

    Some steps are made with networks that are thrown away. Grids, checkpoints and evaluations come as often
    in the run as the recipe has them, or less where they would take more than a tenth, a twentieth and a
    fifth of the time; schedules follow, as they are functions of the share of the run that is done.

    Args:
        recipe: whose ``train.images`` is to be found.
        data: what to train on.
        seconds: for the whole of it, measuring included.
        device: where.
        world: the processes that train together; all have to call this.

    Raises:
        SettingError: the networks do not fit the size or the memory.
        DataError: the data lack what the method trains on.

    Example:
        >>> lasting(named("faces64"), data, 600.0, torch.device("cpu")).recipe.train.images
    """
    begin = time.perf_counter()
    whole, loader = ready(recipe, data, device, world)
    try:
        trainer: Trainer[Any, Any, Any] = Trainer(
            whole, loader, device, borrowed_weights(recipe.borrow), world
        )
        fit_memory(trainer, lambda _: None)
        speed = _speed(trainer, min(max(SHARE * seconds, LEAST), MOST), world)
        looking, saving = _a_look(trainer, loader, world), _a_save(trainer, world)
        first, examining = _an_examination(trainer, data, loader, world)
    finally:
        loader.close()
    train = recipe.train
    looks = _affordable(train.images // train.picture_every, LOOKING * seconds, looking)
    saves = _affordable(train.images // train.checkpoint_every, SAVING * seconds, saving)
    evaluate = train.evaluate
    exams = 0
    if evaluate.every:
        exams = _affordable(train.images // evaluate.every, EXAMINING * seconds - first, examining, 1)
    # Measuring is over when training starts; each look takes its time from training.
    spent = time.perf_counter() - begin + (1 + looks) * looking + saves * saving
    spent += 0.0 if not exams else first + (exams + bool(evaluate.guarded)) * examining
    images = int(max(seconds - spent, 0.1 * seconds) * speed)
    images = max(world.broadcast(images) // train.batch, 1) * train.batch
    every = {
        "log_every": max(min(round(train.log_every * images / train.images), train.log_every), train.batch),
        "picture_every": max(math.ceil(images / looks), train.batch),
        "checkpoint_every": max(math.ceil(images / saves), train.batch),
        # Not beyond the last step: it is a multiple of batches.
        "evaluate": replace(evaluate, every=max(images // exams, train.batch) if exams else 0),
    }
    return Lasting(replace(recipe, train=replace(train, images=images, **every)), speed, examining)


class Pace:
    """Keeps a run to its time: the length is corrected at checkpoints, by the speed since the run began.

    Args:
        images: seen before.
        seconds: from now on, until the run is to end.
        examining: seconds that an evaluation is thought to take, until one has been timed.

    Example:
        >>> pace = Pace(images=0, seconds=600.0)
        >>> pace.length(12_800, recipe.train)
    """

    def __init__(self, images: int, seconds: float, examining: float = 0.0) -> None:
        self._first, self._begin = images, time.perf_counter()
        self._end = self._begin + seconds
        self._examining, self._aside = examining, 0.0

    @contextmanager
    def examination(self) -> Iterator[None]:
        """Around an evaluation: training stands still meanwhile, and the next will take as long."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._examining = time.perf_counter() - start
            self._aside += self._examining

    def length(self, images: int, train: TrainConfig, due: bool = False) -> int:
        """The ``train.images`` with which the run ends in time; as it is, where that is near enough.

        Args:
            images: seen.
            train: with the length and how often the run is evaluated.
            due: whether an evaluation comes before the next step.
        """
        now = time.perf_counter()
        speed = (images - self._first) / max(now - self._begin - self._aside, 1e-6)
        left = max(self._end - now - due * self._examining, 0.0)
        likely = images + self._more(images, left, speed, train)
        likely = max(round(likely / train.batch) * train.batch, images)
        return train.images if abs(likely - train.images) <= NEAR * train.images else likely

    def _more(self, images: int, left: float, speed: float, train: TrainConfig) -> float:
        """Images that can still be seen in ``left`` seconds, of which evaluations on the way take theirs."""
        every, exams, best = train.evaluate.every, 0, 0.0
        if every == 0:
            return left * speed
        while True:
            more = max(left - exams * self._examining, 0.0) * speed
            before_next = (images // every + exams + 1) * every - images - train.batch
            best = max(best, min(more, before_next))
            if more <= before_next:
                return best
            exams += 1


def _affordable(wanted: int, seconds: float, one: float, fewest: int = FEWEST) -> int:
    """How often, up to what the recipe has, something of ``one`` second fits; a few times in any case."""
    return max(min(wanted, max(int(seconds / max(one, 1e-6)), fewest)), 1)


def _an_examination(
    trainer: Trainer[Any, Any, Any], data: DataSet, loader: Loader[Any], world: World
) -> tuple[float, float]:
    """Seconds that only the first evaluation takes, for what does not change, and that each takes."""
    if not trainer.recipe.train.evaluate.every:
        return 0.0, 0.0
    from gansmith.training.evaluation import trial

    first, each = trial(trainer, data, loader, world, time.perf_counter)
    return float(world.broadcast(first)), float(world.broadcast(each))


def _a_look(trainer: Trainer[Any, Any, Any], loader: Loader[Any], world: World) -> float:
    """Seconds that training stands still for a grid and its numbers."""
    finished(trainer.device)
    start = time.perf_counter()
    held_out(trainer, loader)
    if world.is_main:
        look(trainer, loader)
    finished(trainer.device)
    return float(world.broadcast(time.perf_counter() - start))


def _a_save(trainer: Trainer[Any, Any, Any], world: World) -> float:
    """Seconds that training stands still for a checkpoint; it is written beside training."""
    start = time.perf_counter()
    copied(trainer.state())
    finished(trainer.device)
    return float(world.broadcast(time.perf_counter() - start))


def _speed(trainer: Trainer[Any, Any, Any], seconds: float, world: World) -> float:
    """Images a second in the second half of so many seconds: memory and caches are warm by then."""
    begin = time.perf_counter()
    half, before = begin, trainer.images
    while True:
        one_round(trainer)
        finished(trainer.device)
        now = time.perf_counter()
        if world.broadcast(now - begin >= seconds):  # All processes make the same steps.
            return float(world.broadcast((trainer.images - before) / (now - half)))
        if now - begin < 0.5 * seconds:
            half, before = now, trainer.images
