"""Numbers about a model or images against images, by the names a user gives them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from gansmith.config.recipe import Recipe
from gansmith.core.distributed import SINGLE_PROCESS, World
from gansmith.core.image_size import Size
from gansmith.data.builtin.names import is_builtin
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet
from gansmith.data.loading.loader import Loader
from gansmith.data.open import open_data
from gansmith.data.sources.identity import is_same
from gansmith.engine.device import pick_device
from gansmith.methods.batches import IMAGE_COLUMNS
from gansmith.metrics.asked import JUDGED, Asked, asked_for, asked_of, asks, parts_of_domains
from gansmith.metrics.compute import Evaluation, compute, contribute, of_whole
from gansmith.metrics.features.registry import open_features
from gansmith.metrics.image_sets import (
    DataPictures,
    HeldOutPictures,
    HeldOutPrompts,
    ModelPictures,
    PictureSet,
    check_readable,
    common_config,
    is_model,
    open_model,
    open_rows,
    training_and_held_out,
)
from gansmith.metrics.registry import ExtraInputs, needs_network, parse_metrics
from gansmith.metrics.scores.obedience import DOMAIN
from gansmith.metrics.statistics import EvaluationOptions, Statistics, cache_folder, is_statistics, load
from gansmith.metrics.whole_pictures import WHOLE, Measured, WholePictures
from gansmith.models.load import open_judge
from gansmith.runs.run import Run

_WITH_PARTS = frozenset(("memorization", "critic_auc"))
_AT_A_TIME = 64

Progress = Callable[[str], Callable[[int, int], None]]
"""What is looked at -> a function of (done, all)."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Settings of ``evaluate``: which metrics, by which features, of how many images.

    Example:
        >>> found = evaluate("runs/one", "my_pictures", Question(metrics="swd", samples=1000))
        >>> found.values["swd"].value
    """

    metrics: str = "fid,kid,pr,prdc"
    features: str | None = (
        None  # None: Inception, or what needs no weights where no metric asks for features.
    )
    weights: str | None = None  # A file with the weights of the feature network.
    resize: Literal["clean", "legacy"] = "clean"
    samples: int = 50_000  # Images at most.
    size: Size | None = None  # What images are compared at; None: the model's own size.
    cache: bool = True  # Whether statistics are kept for next time.
    device: str = "auto"


def evaluate(
    fake: str,
    real: str,
    question: Question | None = None,
    *,
    progress: Progress | None = None,
    world: World = SINGLE_PROCESS,
) -> Evaluation | None:
    """Numbers about ``fake`` against ``real``, each with its interval.

    A conditional model is given the prompts of held-out rows of ``real``, in order; a model that makes
    images out of images is compared with the images that belong to them. A model that enlarges is measured
    by metrics of pairs on whole pictures of any size, made small and enlarged again, beside bicubic.

    Args:
        fake: a run, a checkpoint, saved statistics, or images (a folder, zip, tar, prepared set or
            built-in name).
        real: likewise.
        question: metrics, features and samples; None for FID, KID, precision, recall, density and coverage.
        progress: what is looked at -> a function of (done, all).
        world: the processes that share the work.

    Returns: the numbers; None at processes other than the main one.

    Raises:
        DataError, CheckpointError, RunError, SettingError: a name, a metric or what it needs is not there.

    Example:
        >>> found = evaluate("runs/one", "my_pictures", Question(metrics="fid,kid", samples=10_000))
        >>> found.values["fid"].value, found.values["fid"].low, found.values["fid"].high
    """
    asked = question or Question()
    metrics = parse_metrics(asked.metrics)
    with _main_first(world):
        for place in (fake, real):
            check_readable(place)
        network = open_features(
            _features(fake, real, metrics, asked),
            weights=asked.weights,
            resize=asked.resize,
            device=pick_device(asked.device),
        )
        sides = _Sides.of(fake, real, asked)
    whole = sides.whole(metrics)
    rest = tuple(name for name in metrics if whole is None or name not in WHOLE)
    measured = None if whole is None else sides.measure(whole, metrics, progress, world)
    alone = whole is not None and not rest and asked.features is None
    if not world.is_main:
        if not alone:
            parts = sides.parts() if "memorization" in metrics else None
            contribute([sides.fake, sides.real, *(parts or ())], network, EvaluationOptions(world=world))
        return None
    if measured is not None and alone:
        assert not isinstance(sides.fake, Statistics) and not isinstance(sides.real, Statistics)
        return of_whole(sides.fake, sides.real, measured, metrics)
    options = EvaluationOptions(progress=progress, cache=cache_folder() if asked.cache else None, world=world)
    extra = sides.extra(metrics, asked.device)
    found = compute(sides.fake, sides.real, network, rest, extra=extra, options=options)
    return found if measured is None else found.with_whole(measured, metrics)


@contextmanager
def _main_first(world: World) -> Iterator[None]:
    """The main process does this before the others: what is not there yet is downloaded once."""
    if not world.is_main:
        world.barrier()
    yield
    if world.is_main:
        world.barrier()


def _features(fake: str, real: str, metrics: tuple[str, ...], asked: Question) -> str:
    """What was asked for; where nothing was and no metric needs it, that which needs no weights."""
    if asked.features is not None:
        return asked.features
    saved = any(is_statistics(Path(place)) for place in (fake, real))
    chosen = asked.weights is not None or asked.resize != "clean"
    return "inception" if chosen or saved or needs_network(metrics) else "pixels"


@dataclass(frozen=True, eq=False)
class _Sides:
    """Both sets, and where they come from."""

    fake: PictureSet | Statistics
    real: PictureSet | Statistics
    names: tuple[str, str]
    config: DataConfig | None  # The form both are compared in; None where both are saved statistics.
    rows: DataPictures | None = None  # Of data: those whose images results belong to.

    @classmethod
    def of(cls, fake: str, real: str, asked: Question) -> "_Sides":
        places = [place for place in (fake, real) if not is_statistics(Path(place))]
        config = common_config(places, asked.size) if places else None
        sides = [_side(place, config, asked) for place in (fake, real)]
        found = cls(sides[0], sides[1], (fake, real), config, _rows(sides[1]))
        return found._with_prompts(asked.samples)

    def _with_prompts(self, samples: int) -> "_Sides":
        """A conditional model with the prompts of held-out rows of the other side's data.

        A model of pictures from pictures is measured on all rows of data that it was not trained on.
        """
        recipe = _recipe_of(self.names[0])
        if not isinstance(self.fake, ModelPictures) or recipe is None or not _is_data(self.names[1]):
            return self
        kind, batch_type = recipe.method.prompt_type, recipe.method.batch_type
        if kind is None:
            return self
        data = open_data(self.names[1], recipe.data, fields=batch_type._fields)
        of_images = bool(IMAGE_COLUMNS & set(kind._fields))
        if not of_images and not set(batch_type._fields) <= set(data.columns):
            return self  # Images without labels: prompts are drawn as the training data are.
        seed = recipe.train.seed
        config = recipe.data
        if of_images and not _trained_on(Path(self.names[0]), data):
            config = replace(config, validation=0.0)  # Nothing was held back from it: all is measured.
        loader: Loader[Any] = Loader(data, batch_type, config, seed, torch.device("cpu"))
        there = len(loader.held_out) or len(loader.training)
        made = f"prompts of {there} held-out rows of {data.fingerprint} seed {seed}"
        count = min(samples, there) if of_images else samples
        fake = replace(
            self.fake,
            count=count,
            prompts=HeldOutPrompts(loader, recipe.method),
            fingerprint=f"{self.fake.fingerprint} {made} {count}",
        )
        if not of_images:
            return replace(self, fake=fake)
        real = HeldOutPictures(
            loader, recipe.method, self.fake.generator.spec, self.names[1], f"real images of {made}", count
        )
        chosen = (loader.held_out if len(loader.held_out) else loader.training)[:count]
        rows = DataPictures(data, self.names[1], real.fingerprint, chosen, "target")
        return replace(self, fake=fake, real=real, rows=rows)

    def whole(self, metrics: Sequence[str]) -> WholePictures | None:
        """The pictures that a model which enlarges is measured on at their own sizes; None for all else."""
        if not isinstance(self.fake, ModelPictures) or self.rows is None or not set(WHOLE) & set(metrics):
            return None
        spec = self.fake.generator.spec
        if spec.source_shrink == 1:
            return None
        box = None if self.config is None else self.config.box
        return WholePictures(self.rows, spec.channels, spec.source_shrink, box)

    def measure(
        self, whole: WholePictures, metrics: Sequence[str], progress: Progress | None, world: World
    ) -> Measured | None:
        """What is measured of whole pictures; None at processes other than the main one."""
        assert isinstance(self.fake, ModelPictures)
        tell = progress(f"Enlarging {self.names[1]}") if progress is not None and world.is_main else None
        chosen = [name for name in metrics if name in WHOLE]
        return whole.measure(self.fake.generator, chosen, tell, world)

    def parts(self) -> tuple[DataPictures, DataPictures] | None:
        """The images a run was trained on, and those it held out."""
        if not _is_data(self.names[1]) or self.config is None:
            return None
        recipe = _recipe_of(self.names[0])
        if recipe is None:
            return training_and_held_out(self.names[1], self.config, 0)
        fields = recipe.method.batch_type._fields
        return training_and_held_out(self.names[1], self.config, recipe.train.seed, fields)

    def extra(self, metrics: Sequence[str], device: str) -> ExtraInputs:
        """What some of the metrics need besides two sets of images."""
        model = self.fake if isinstance(self.fake, ModelPictures) else None
        parts = self.parts() if _WITH_PARTS & set(metrics) else None
        scores = None
        if "critic_auc" in metrics and model is not None and parts is not None:
            scores = _critic_scores(self.names[0], model, parts[1], device)
        asked, known = dict[str, Tensor](), dict[str, Tensor]()
        if "class_fid" in metrics and model is not None:
            asked = labels_of(model)
            known = dict(self.real.columns(tuple(asked))) if isinstance(self.real, DataPictures) else {}
        generator = None if model is None else model.generator
        judged = self._judged(model) if JUDGED & set(metrics) and model is not None else None
        return ExtraInputs(parts, generator, scores, asked, known, names_of(model), judged)

    def _judged(self, model: ModelPictures) -> Asked | None:
        """What the model was asked for, beside the images that a judge learns from."""
        column, recipe = asks(model.generator.method), _recipe_of(self.names[0])
        if not column or isinstance(self.real, Statistics):
            return None
        if column == DOMAIN:
            if self.rows is None or recipe is None:
                return None
            parts = parts_of_domains(self.rows, recipe.data, recipe.train.seed)
            return asked_for(model, self.real, self.rows, parts)
        return asked_for(model, self.real, self.rows, self.parts())


def _rows(side: PictureSet | Statistics) -> DataPictures | None:
    return side if isinstance(side, DataPictures) else None


def labels_of(model: ModelPictures) -> dict[str, Tensor]:
    """The labels that the images of a model were asked for, by the name of their column; else nothing."""
    kind = model.generator.method.prompt_type
    there = kind is not None and "labels" in kind._fields
    return {"labels": asked_of(model, "labels")} if there else {}


def names_of(model: ModelPictures | None) -> Mapping[str, Sequence[str]]:
    """What labels and attributes of a model are called."""
    if model is None:
        return {}
    spec = model.generator.spec
    return {"labels": spec.class_names, "attributes": spec.attribute_names}


def _side(place: str, config: DataConfig | None, asked: Question) -> PictureSet | Statistics:
    if is_statistics(Path(place)):
        return load(Path(place))
    if is_model(place):
        return open_model(place, asked.samples, asked.device)
    assert config is not None
    return open_rows(place, config, max_pictures=asked.samples)


def _recipe_of(place: str) -> Recipe | None:
    path = Path(place)
    return Run.open(path).recipe if Run.is_run(path) else None


def _trained_on(run: Path, data: DataSet) -> bool:
    """Whether a run was trained on these images; True where it does not know."""
    before = Run.open(run).facts_of_data().get("fingerprint")
    if isinstance(before, str) and is_builtin(before):  # Drawn or a set of the library's: no files.
        return before == data.fingerprint
    return before is None or is_same(before, data.fingerprint)


def _is_data(place: str) -> bool:
    return not is_model(place) and not is_statistics(Path(place))


def _critic_scores(
    model: str, fake: ModelPictures, held_out: DataPictures, device: str
) -> tuple[Tensor, Tensor]:
    """What the model's own critic says of its images and of held-out ones, each with its own prompt."""
    judge = open_judge(model, device)
    kind: Any = fake.generator.method.prompt_type
    columns = {} if kind is None else held_out.columns(kind._fields)
    if kind is not None and set(columns) != set(kind._fields):
        return torch.zeros(0), torch.zeros(0)
    ours, theirs = [], []
    for start in range(0, len(fake), _AT_A_TIME):
        stop = min(start + _AT_A_TIME, len(fake))
        ours.append(judge(fake.some(start, stop), fake.prompt(start, stop)))
    for start in range(0, len(held_out), _AT_A_TIME):
        stop = min(start + _AT_A_TIME, len(held_out))
        prompt = None if kind is None else kind(*(columns[name][start:stop] for name in kind._fields))
        theirs.append(judge(held_out.some(start, stop), prompt))
    return torch.cat(ours), torch.cat(theirs)
