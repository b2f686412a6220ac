"""What a training would be like on this machine, measured on networks that are thrown away."""

import io
import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from gansmith.config.recipe import Recipe
from gansmith.config.serialization import to_json
from gansmith.core.memory import Memory, PeakMemory
from gansmith.data.dataset import DataSet
from gansmith.data.inspect.advice import HEALTHY, advise
from gansmith.data.inspect.findings import Counts, Findings, Goal, Sizes
from gansmith.data.loading.loader import Loader
from gansmith.data.sources.pairs import PAIR
from gansmith.engine.device import pick_device
from gansmith.engine.trainer import Trainer
from gansmith.errors import SettingError
from gansmith.images import grid as pictures
from gansmith.images import provenance
from gansmith.models.load import borrowed_weights
from gansmith.runs.checkpoint import copied
from gansmith.training.samples import GRID, MOST_FRAMES, SHEET, samples
from gansmith.training.setup import check_stages, fit_memory, ready, repeats

LONGEST = 3600.0  # Seconds; more is a slip, not a wish.
_BLOCKS = 10  # Measurements of the speed that are aimed at.
_WARM_STEPS = {"cuda": 3}  # Else one. Kernels are chosen and memory is asked for in these.
_WAITING = 0.1  # Share of the time waited for images from which on it is remarked.


@dataclass(frozen=True, kw_only=True)
class Speed:
    """The measured training speed in images per second, over whole rounds of steps, without the warm-up.

    Example:
        >>> per_second = {"images_per_second": 100.0, "slowest": 80.0, "fastest": 125.0}
        >>> Speed(**per_second, measurements=10, steps=40, data_wait=0.0).seconds(1000)
        (10.0, 8.0, 12.5)
    """

    images_per_second: float  # The median of the measurements.
    slowest: float
    fastest: float
    measurements: int
    steps: int
    data_wait: float  # Share of the time waited for images, 0..1.

    def seconds(self, images: int) -> tuple[float, float, float]:
        """(likely, least, most) seconds for so many images, what is drawn and saved left out."""
        return images / self.images_per_second, images / self.fastest, images / self.slowest


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The disk space that a run takes at its largest, in bytes.

    Example:
        >>> parts = {"grid": 10**5, "grids": 40, "numbers": 10**5, "at_the_end": 10**6}
        >>> Disk(checkpoint=10**7, checkpoints=3, free=10**10, **parts).total
        35100000
    """

    checkpoint: int  # One.
    checkpoints: int  # How many at a time, the one being written among them.
    grid: int  # One image of 64.
    grids: int
    numbers: int
    at_the_end: int  # Animation, sheet and curves.
    free: int  # In the current directory.

    @property
    def total(self) -> int:
        """All together."""
        return self.checkpoint * self.checkpoints + self.grid * self.grids + self.numbers + self.at_the_end


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What ``train`` would do with a recipe, images and a device: settings, memory, time and disk space.

    Example:
        >>> found = plan(recipe, data, seconds=1.0)
        >>> found.lasting(600.0).recipe.train.images
    """

    data: str
    pictures: int  # Pairs, where the method trains on pairs.
    pairs: bool
    labels: int | None  # Different ones, where the method trains on labels.
    training: int
    held_out: int
    recipe: Recipe
    why: str  # Why this recipe, in a sentence without its stop.
    choices: str  # Device and number format in words.
    device: str
    precision: str
    micro_batch: int
    memory: Memory
    speed: Speed
    disk: Disk
    advice: tuple[str, ...]

    def lasting(self, seconds: float) -> "Plan":
        """The plan of a run of so many seconds, which decide its ``train.images``."""
        batch = self.recipe.train.batch
        images = max(int(seconds * self.speed.images_per_second) // batch, 1) * batch
        return replace(self, recipe=replace(self.recipe, train=replace(self.recipe.train, images=images)))

    def as_json(self) -> dict[str, Any]:
        """The plan as plain values, with the same keys for every plan."""
        likely, least, most = self.speed.seconds(self.recipe.train.images)
        plain = ("data", "pictures", "pairs", "labels", "training", "held_out")
        return {
            **{name: getattr(self, name) for name in plain},
            "recipe": {"name": self.recipe.name, "why": self.why, "settings": to_json(self.recipe)},
            "device": {"device": self.device, "precision": self.precision, "words": self.choices},
            "batch": self.recipe.train.batch,
            "micro_batch": self.micro_batch,
            "memory": asdict(self.memory),
            "speed": asdict(self.speed),
            "time": {
                "images": self.recipe.train.images,
                "seconds": likely,
                "min_seconds": least,
                "max_seconds": most,
            },
            "disk": asdict(self.disk) | {"total": self.disk.total},
            "advice": list(self.advice),
        }


def plan(
    recipe: Recipe,
    data: DataSet,
    device: str = "auto",
    seconds: float = 5.0,
    why: str = "as asked for",
) -> Plan:
    """Measure memory and speed with real steps of a trainer that is thrown away; nothing is written.

    Args:
        recipe: what would be trained.
        data: on what.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        seconds: to measure the speed for, 0 to 3600; at least one step is measured, and of a method
            whose turns are not all played in every step, a round of them.
        why: this recipe was chosen; it is only passed on.

    Raises:
        SettingError: the recipe does not fit together, or memory is too small for one image.
        DataError: the data lack what the method trains on.
    """
    if not 0 <= seconds <= LONGEST:
        raise SettingError(f"The speed is measured for 0 to {LONGEST:.0f} seconds. Received: {seconds}.")
    where = pick_device(device)
    peak = PeakMemory(where)
    recipe, loader = ready(recipe, data, where)
    try:
        trainer: Trainer[Any, Any, Any] = Trainer(recipe, loader, where, borrowed_weights(recipe.borrow))
        told = _at_full_size(trainer)
        try:
            check_stages(recipe, trainer.networks)
        except SettingError as missing:  # A plan may come before the first stage; training may not.
            told.append(str(missing))
        fit_memory(trainer, told.append)
        peak.restart()  # What did not fit does not count.
        speed, held = _measure(trainer, loader, seconds)
        samples(trainer, loader)
        memory = peak.read()
        disk = _disk(trainer, loader, held)
    finally:
        loader.close()
    labels = label_counts(data, recipe)
    fields = recipe.method.batch_type._fields
    return Plan(
        data=data.name,
        pictures=len(data),
        pairs=set(PAIR) <= set(fields),
        labels=len(data.info.label_names) or len(labels) if "labels" in fields else None,
        training=len(loader.training),
        held_out=len(loader.held_out),
        recipe=recipe,
        why=why,
        choices=str(trainer.choices),
        device=str(where),
        precision=str(trainer.precision).removeprefix("torch."),
        micro_batch=trainer.micro_batch,
        memory=memory,
        speed=speed,
        disk=disk,
        advice=(
            *_too_small(memory, disk),
            *told,
            *about_data(recipe, data, len(loader.training), labels),
            *_waits(data, speed),
        ),
    )


def _at_full_size(trainer: Trainer[Any, Any, Any]) -> list[str]:
    """Put a trainer whose images grow at its end, where a step takes most; what is to be said of it."""
    method, spec, train = trainer.method, trainer.spec, trainer.recipe.train
    end = train.images // train.batch * train.batch
    if method.size_at(spec, trainer.progress) == method.size_at(spec, trainer.recipe.progress(end, 1)):
        return []
    trainer.images = end
    return ["The pictures grow in this recipe; memory and speed are those of the end, and it begins faster."]


# ---- speed ----------------------------------------------------------------------------------------------


def _measure(
    trainer: Trainer[Any, Any, Any], loader: Loader[Any], seconds: float
) -> tuple[Speed, dict[str, torch.Tensor]]:
    """The speed, and the state of the trainer, held in memory meanwhile as it is while a run saves it."""
    for _ in range(_WARM_STEPS.get(trainer.device.type, 1)):
        trainer.step()
    held = copied(trainer.state())
    finished(trainer.device)
    start, waited, images = time.perf_counter(), loader.waited, trainer.images
    rates: list[float] = []
    while not rates or time.perf_counter() - start < seconds:
        rates.append(_rate(trainer, seconds / _BLOCKS))
    speed = Speed(
        images_per_second=median(rates),
        slowest=min(rates),
        fastest=max(rates),
        measurements=len(rates),
        steps=(trainer.images - images) // trainer.recipe.train.batch,
        data_wait=min((loader.waited - waited) / (time.perf_counter() - start), 1.0),
    )
    return speed, held


def _rate(trainer: Trainer[Any, Any, Any], seconds: float) -> float:
    """Images a second over so many seconds and a whole round, in which every turn has been due."""
    start, before = time.perf_counter(), trainer.images
    while trainer.images == before or time.perf_counter() - start < seconds:
        one_round(trainer)
    finished(trainer.device)
    return (trainer.images - before) / max(time.perf_counter() - start, 1e-9)


def one_round(trainer: Trainer[Any, Any, Any]) -> None:
    """As many steps as it takes until every turn has been due."""
    for _ in range(math.lcm(*(turn.every for turn in trainer.method.turns()))):
        trainer.step()


def finished(device: torch.device) -> None:
    """Wait until a GPU has done what it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


# ---- disk -----------------------------------------------------------------------------------------------


def _disk(trainer: Trainer[Any, Any, Any], loader: Loader[Any], held: Mapping[str, torch.Tensor]) -> Disk:
    train = trainer.recipe.train
    grid, frame = _grid_bytes(trainer, loader)
    grids = 1 + math.ceil(train.images / train.picture_every)
    rows = math.ceil(train.images / train.log_every)
    best = 1 if train.evaluate.every else 0
    return Disk(
        checkpoint=sum(tensor.nbytes for tensor in held.values()),
        checkpoints=best + min(train.keep_checkpoints + 1, math.ceil(train.images / train.checkpoint_every)),
        grid=grid,
        grids=grids,
        numbers=2 * rows * _row_bytes(trainer),  # TensorBoard, where it is, writes about as much again.
        at_the_end=frame * min(grids, MOST_FRAMES) + grid * 2 * SHEET // GRID,
        free=shutil.disk_usage(Path.cwd()).free,
    )


def _grid_bytes(trainer: Trainer[Any, Any, Any], loader: Loader[Any]) -> tuple[int, int]:
    """Bytes of a grid of real images, which good samples are like: as a PNG, and as a frame of a film."""
    real = pictures.to_bytes(trainer.spec.to_pictures(loader.sample(GRID)[0]))
    mark = provenance.Provenance("run", trainer.recipe.name, None, 0, provenance.software_version())
    whole, film = pictures.grid(real), io.BytesIO()
    pictures.to_pil(whole).save(film, format="WEBP", quality=90)
    still = len(provenance.png_bytes(whole, mark))
    return still * GRID // len(real), film.tell() * GRID // len(real)


def _row_bytes(trainer: Trainer[Any, Any, Any]) -> int:
    """Of a line of ``stats.jsonl``, what every line has besides the losses among it."""
    clock = {"images": 100_000, "seconds": 1000.0, "images_per_second": 100.25, "data_wait": 0.0125}
    return len(json.dumps(clock | trainer.flush())) + 1


# ---- advice --------------------------------------------------------------------------------------


def _too_small(memory: Memory, disk: Disk) -> list[str]:
    told = []
    if not memory.enough:
        told.append(
            "Memory is short: training takes more than was free, so the machine will swap or stop it. Close "
            "other programs, or work on fewer pictures at a time, as with --set train.engine.micro_batch=8."
        )
    if disk.total > disk.free:
        told.append(
            "The disk here is too small for the whole run: free some space, or choose a --run on another one."
        )
    return told


def _waits(data: DataSet, speed: Speed) -> list[str]:
    if speed.data_wait < _WAITING:
        return []
    if data.in_arrays:
        return ["Training waits for pictures that need no decoding: the disk, or other programs, hold it up."]
    return [
        "Training waits for pictures that are only now decoded: gansmith prepare does it once, before. Where "
        "they are kept in memory, as demo-faces are, only the first pass is so slow."
    ]


def about_data(recipe: Recipe, data: DataSet, training: int, labels: Counts) -> list[str]:
    """What is to be said of number and labels; ``gansmith inspect`` looks at the pictures themselves."""
    size = recipe.data.size
    goal = Goal(
        recipe.name,
        size.width,
        size.height,
        recipe.train.images,
        recipe.data.channels or 3,
        recipe.data.fit,
    )
    advice = [line for line in advise(_counted(data, goal, labels), goal) if line != HEALTHY]
    larger = repeats(recipe.train.batch, training)
    return [larger, *advice] if larger else advice


def _counted(data: DataSet, goal: Goal, labels: Counts) -> Findings:
    """What is known of a data set in the form it is trained in, without a look at its images."""
    size = (goal.width, goal.height)
    count = len(data)
    shape = goal.width / goal.height
    sizes = Sizes(
        smallest=size,
        median=size,
        largest=size,
        frequent=((*size, count),),
        different=1,
        narrowest=shape,
        widest=shape,
        tiny=0.0,
        cut=0.0,
        enlarged=0.0,
    )
    return Findings(
        name=data.name,
        count=count,
        looked_at=count,
        refused=(),
        bytes=0,
        sizes=sizes,
        formats=(),
        modes=(),
        exact=(),
        near=(),
        blurred=0.0,
        softest=(),
        faces=None,
        labels=labels,
        attributes=(),
        captions=None,
        landmarks=False,
        pairs=set(PAIR) <= set(data.columns),
        split=None,
    )


def label_counts(data: DataSet, recipe: Recipe) -> Counts:
    """Images of each label, where the method trains on labels and they lie ready."""
    if "labels" not in recipe.method.batch_type._fields or not data.in_arrays:
        return ()
    names = data.info.label_names
    labels = data.fetch(torch.arange(len(data)), ("labels",))["labels"].cpu()
    counts = torch.bincount(labels[labels >= 0], minlength=len(names)).tolist()
    return tuple(
        (names[number] if number < len(names) else str(number), count) for number, count in enumerate(counts)
    )
