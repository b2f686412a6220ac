"""Evaluation while a run goes on: its images are measured now and then, and the best weights kept."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from gansmith.core.distributed import SINGLE_PROCESS, World
from gansmith.data.dataset import DataSet
from gansmith.data.loading.loader import Loader, to_float
from gansmith.engine.trainer import Trainer
from gansmith.errors import GansmithError, SettingError, nearest
from gansmith.methods.base import Method
from gansmith.methods.batches import IMAGE_COLUMNS
from gansmith.methods.latent import LatentMethod
from gansmith.metrics.asked import JUDGED, asked_for, asks, parts_of_domains
from gansmith.metrics.compute import Evaluation, compute, contribute
from gansmith.metrics.descriptions import describe
from gansmith.metrics.evaluate import labels_of, names_of
from gansmith.metrics.features.registry import open_features
from gansmith.metrics.image_sets import (
    COMPARED,
    DataPictures,
    HeldOutPictures,
    HeldOutPrompts,
    ModelPictures,
    PictureSet,
)
from gansmith.metrics.outputs import history, remember, write_outputs
from gansmith.metrics.registry import (
    METRICS,
    OF_PAIRS,
    ExtraInputs,
    check_classes,
    needs_network,
    parse_metrics,
)
from gansmith.metrics.scores.obedience import ASKED, DOMAIN
from gansmith.metrics.scores.pose_error import POINTS
from gansmith.metrics.statistics import EvaluationOptions
from gansmith.models.generator import Generator, from_method
from gansmith.runs.run import Run

_MOST_REAL = 50_000  # Training images that are compared with.
_AT_A_TIME = 64  # Images the critic is asked about.
_TRIAL = 64  # Images of each side of a trial.


class Examiner:
    """Measures a run's images as `train.evaluate` asks for.

    Args:
        run: where numbers and the best weights are kept.
        data: what the run trains on.
        loader: knows which images are for training.
        world: the processes that train together; each has an examiner and looks at its share of the images.
        most_real: training images that are compared with, at most.

    Raises:
        SettingError: an unknown metric or feature network, or a method whose images need more than a seed.
        DataError: the feature network's weights are not there.

    Example:
        >>> examiner = Examiner(run, data, loader)
        >>> found = examiner.look(trainer)
    """

    def __init__(
        self,
        run: Run,
        data: DataSet,
        loader: Loader[Any],
        world: World = SINGLE_PROCESS,
        most_real: int = _MOST_REAL,
    ) -> None:
        self._run, self._config, self._loader = run, run.recipe.train.evaluate, loader
        self._metrics = parse_metrics(self._config.metrics)
        method = run.recipe.method
        self._of_images = method.prompt_type is not None and bool(
            IMAGE_COLUMNS & set(method.prompt_type._fields)
        )
        self._check(loader)
        self._network = open_features(self._config.features if needs_network(self._metrics) else "pixels")
        check_classes(self._metrics, self._network)
        self._parts = (
            _rows(data, loader.training, "training", most_real),
            _rows(data, loader.held_out, "held out", most_real),
        )
        self._judging = self._parts_for_judging(most_real) if JUDGED & set(self._metrics) else None
        # What does not change is looked at once.
        self._options = EvaluationOptions(world=world, memory={self._parts[0].fingerprint: None})

    def _parts_for_judging(self, most: int) -> tuple[DataPictures, DataPictures]:
        """The images that a judge learns from, and those that tell how good it is."""
        recipe = self._run.recipe
        if asks(recipe.method) != DOMAIN:
            return self._parts
        return parts_of_domains(self._parts[0], recipe.data, recipe.train.seed, most)

    def _check(self, loader: Loader[Any]) -> None:
        """Say before training what could only fail at the first evaluation."""
        method = self._run.recipe.method
        for name in self._metrics:
            why = self._refusal(name, method, len(loader.held_out))
            if why:
                raise SettingError(f"{why} Received: {name} among train.evaluate.metrics.")

    def _refusal(self, name: str, method: Method[Any, Any, Any], held_out: int) -> str:
        """Why a metric cannot be measured while this run goes on; empty where it can."""
        if not method.makes_images:
            return f"{name} measures generated images, and {self._run.recipe.name} makes none."
        if METRICS[name].while_training:
            return f"{METRICS[name].while_training} {name}."
        columns = set() if method.prompt_type is None else set(method.prompt_type._fields)
        data = self._run.recipe.data
        stacked = (data.size.height, data.size.width, data.channels) == (28, 28, 3)
        pairs = "compares pairs, and this method makes images of noise."
        held = held_out >= 2
        rules: dict[str, list[tuple[bool, str]]] = {
            "ppl": [(isinstance(method, LatentMethod), "walks through latents; this method has none.")],
            **{each: [(self._of_images, pairs)] for each in OF_PAIRS},
            "class_fid": [("labels" in columns, "is for methods that are trained on labels.")],
            "obedience": [
                (
                    asks(method) in ASKED,
                    "is for methods trained on labels, attributes, captions or two domains.",
                ),
                (held, "needs held-out images (data.validation)."),
            ],
            "pose_error": [
                (asks(method) == POINTS, "is for methods that are given key points."),
                (held, "needs held-out images (data.validation)."),
            ],
            "modes": [(stacked, "reads three digits in colour pictures of 28x28 (stacked-mnist).")],
            "critic_auc": [
                (type(method).critic_scores is not Method.critic_scores, "asks a critic; here is none."),
                (held, "needs held-out images (data.validation)."),
            ],
        }
        return next((f"{name} {why}" for fine, why in rules.get(name, []) if not fine), "")

    def look(self, trainer: Trainer[Any, Any, Any]) -> Evaluation | None:
        """Measure the images as they are now, and put the numbers into the run's history.

        The first process alone has the numbers; the others are given None.

        Raises:
            GansmithError: the disk refuses, or a metric cannot be measured after all.
        """
        recipe = self._run.recipe
        generator = from_method(
            recipe.method,
            trainer.networks_for_pictures(),
            trainer.spec,
            name=self._run.path.name,
            recipe_name=recipe.name,
            images_seen=trainer.images,
            device=trainer.device,
        )
        generator = replace(generator, table=trainer.prompts)
        fake, real = self._sides(generator, trainer.images)
        if not self._options.world.is_main:
            contribute([fake, real], self._network, self._options)
            return None
        extra = self._extra(trainer, fake, real)
        found = compute(fake, real, self._network, self._metrics, extra=extra, options=self._options)
        write_outputs(found, self._run.path / "evaluation")
        remember(self._run.path, trainer.images, found)
        return found

    def _sides(self, generator: Generator, images: int) -> tuple[ModelPictures, PictureSet]:
        kind, count = generator.method.prompt_type, self._config.samples
        prompts = None if kind is None else HeldOutPrompts(self._loader, generator.method)
        if self._of_images:
            count = min(count, len(self._loader.held_out) or len(self._loader.training))
        fake = ModelPictures(generator, self._run.path.name, f"after {images}", count, prompts)
        if not self._of_images:
            return fake, self._parts[0]
        name, of = self._parts[0].name, f"held out {self._parts[0].fingerprint}"
        return fake, HeldOutPictures(self._loader, generator.method, generator.spec, name, of, count)

    def _extra(self, trainer: Trainer[Any, Any, Any], fake: ModelPictures, real: PictureSet) -> ExtraInputs:
        asked, known = dict[str, Tensor](), dict[str, Tensor]()
        if "class_fid" in self._metrics:
            asked = labels_of(fake)
            known = dict(self._parts[0].columns(tuple(asked)))
        scores = self._scores(trainer, fake) if "critic_auc" in self._metrics else None
        judged = None
        if self._judging is not None:
            held_out = self._loader.held_out.cpu()[: len(fake)]
            rows = replace(self._parts[0], rows=held_out) if self._of_images else None
            judged = asked_for(fake, real, rows, self._judging)
        return ExtraInputs(None, fake.generator, scores, asked, known, names_of(fake), judged)

    def _scores(self, trainer: Trainer[Any, Any, Any], fake: ModelPictures) -> tuple[Tensor, Tensor] | None:
        """What the critic says of generated and of held-out images."""
        method, count = trainer.method, min(len(fake), len(self._loader.held_out))
        ours, theirs = [], []
        for start in range(0, count, _AT_A_TIME):
            stop = min(start + _AT_A_TIME, count)
            shown = trainer.spec.to_network(to_float(fake.some(start, stop).to(trainer.device)))
            prompt = fake.prompt(start, stop)
            columns = self._loader.held_out_rows(start, stop)
            batch = method.batch_type(*(columns[name] for name in method.batch_type._fields))
            ours.append(trainer.critic_scores(shown, prompt))
            theirs.append(trainer.critic_scores(method.real_images(batch), method.prompt(batch)))
        if any(score is None for score in ours):
            raise SettingError(f"{self._run.recipe.name} has no critic whose scores could be measured.")
        return torch.cat([s for s in ours if s is not None]), torch.cat([s for s in theirs if s is not None])

    def is_best(self, images: int) -> bool:
        """Whether the numbers at a position are the best so far, by the first metric.

        Never, where that metric's number has no better direction.
        """
        name = METRICS[self._metrics[0]].decides
        better = describe(name).better
        values = {row["images"]: row[name]["value"] for row in history(self._run.path) if name in row}
        if images not in values or not better:
            return False
        sign = 1.0 if better == "lower" else -1.0
        return all(sign * values[images] <= sign * other for other in values.values())

    def beyond(self, images: int) -> str | None:
        """What the guards say of the numbers of a position, beside the first; None where all is well."""
        rows = {row["images"]: row for row in history(self._run.path)}
        return beyond(self._config.guarded, rows[min(rows)], rows[images]) if images in rows else None

    def check_guards(self, found: Evaluation) -> None:
        """Raise SettingError where a guard watches a number that is not measured, or has no better side."""
        for name in self._config.guarded:
            if name not in found.values:
                raise SettingError(
                    f"A guard watches a number that train.evaluate.metrics measures. Received: {name}."
                    f"{nearest(name, found.values)}"
                )
            if not describe(name).better:
                raise SettingError(
                    f"A guard watches a number of which less, or more, is better. Received: {name}, of which "
                    f"neither is. Remove it: train.evaluate.guards.{name}=none."
                )

    def within(self, images: int) -> int | None:
        """The last position up to ``images`` that was measured; None where none was."""
        return max(
            (row["images"] for row in history(self._run.path) if row["images"] <= images), default=None
        )

    def summary(self, found: Evaluation) -> str:
        """One line for the console."""
        parts = []
        for name, value in found.values.items():
            known = value.low is not None and value.high is not None
            between = f" ({value.low:.3g} to {value.high:.3g})" if known else ""
            parts.append(f"{name} {value.value:.4g}{between}")
        return f"After {found.about['images']} images: {', '.join(parts)}."


def beyond(guards: Mapping[str, float], first: Mapping[str, Any], last: Mapping[str, Any]) -> str | None:
    """Which guards the numbers have passed: worse than at first by more than a share; None where none is.

    Args:
        guards: number -> share.
        first, last: rows of a run's history.

    Example:
        >>> beyond({"recall": 0.5}, {"recall": {"value": 0.4}}, {"recall": {"value": 0.1}})
        'recall fell from 0.4 to 0.1, by more than 50 %'
    """
    said = []
    for name, share in guards.items():
        before, now = (row.get(name, {}).get("value") for row in (first, last))
        if before is None or now is None:
            continue
        lower = describe(name).better == "lower"
        if (now - before if lower else before - now) > share * abs(before):
            moved = f"{'rose' if lower else 'fell'} from {before:.3g} to {now:.3g}"
            said.append(f"{name} {moved}, by more than {share:.0%}")
    return " and ".join(said) or None


def trial(
    trainer: Trainer[Any, Any, Any],
    data: DataSet,
    loader: Loader[Any],
    world: World,
    clock: Callable[[], float],
) -> tuple[float, float]:
    """What evaluations of a run will take, by two small ones that leave nothing behind.

    Args:
        trainer: whose images are measured.
        data, loader, world: as of `Examiner`.
        clock: tells the time.

    Returns: seconds that only the first takes, for what does not change, and that each takes; (0, 0) where
        the metrics cannot be had of so few images.

    Raises:
        SettingError: the run could not be measured, either.

    Example:
        >>> first, each = trial(trainer, data, loader, SINGLE_PROCESS, time.perf_counter)
    """
    recipe, config = trainer.recipe, trainer.recipe.train.evaluate
    few = replace(config, samples=min(config.samples, _TRIAL))
    recipe = replace(recipe, train=replace(recipe.train, evaluate=few))
    with TemporaryDirectory() as place:
        examiner = Examiner(Run(Path(place), recipe), data, loader, world, _TRIAL)
        times = [clock()]
        for _ in range(2):
            try:
                examiner.look(trainer)
            except GansmithError:
                return 0.0, 0.0
            times.append(clock())
    begun, once, end = times
    real = min(len(loader.training), _MOST_REAL) / max(min(len(loader.training), _TRIAL), 1)
    return max(2 * once - begun - end, 0.0) * real, (end - once) * config.samples / few.samples


def _rows(data: DataSet, rows: Tensor, which: str, most: int) -> DataPictures:
    """A fair choice of some rows."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    chosen = rows.cpu()[order[:most]].sort().values
    column = next((name for name in COMPARED if name in data.columns), "images")
    return DataPictures(data, data.name, f"{data.fingerprint} {which}", chosen, column)
