"""Sets of images to be compared, wherever they come from: a model, files, or a prepared set."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from gansmith.core.image_size import Size
from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.core.tensor_file import read_metadata
from gansmith.core.tensors import BytePictures
from gansmith.data.attribute_views import with_attributes
from gansmith.data.builtin.names import is_builtin
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet
from gansmith.data.inspect.inspect import SampleSource
from gansmith.data.load import LazyDataSet
from gansmith.data.loading.loader import Loader
from gansmith.data.loading.streams import DOMAINS, split_of
from gansmith.data.mapped import open_prepared
from gansmith.data.open import describe_source, open_data
from gansmith.data.prepare.format import PreparedFolder
from gansmith.data.sources.base import nothing_found
from gansmith.data.sources.huggingface import fetch, hub_name
from gansmith.data.sources.made_pairs import MADE
from gansmith.data.sources.open import RULE, open_source
from gansmith.data.sources.pairs import DRAWN, PAIR
from gansmith.errors import DataError, SettingError
from gansmith.images.grid import to_bytes
from gansmith.methods.base import Method
from gansmith.models.generator import RUN, Generator
from gansmith.models.load import check_makes_images, open_generator
from gansmith.runs.run import Run

_HUB = "hf:"  # Before the name of a published data set, so that it is no path.
_GENERATED = re.compile(r"(^|/)seed\d{6,}\.png$")


@runtime_checkable
class PictureSet(Protocol):
    """Images of one size in a fixed order.

    Example:
        >>> pictures = open_rows("my_pictures", DataConfig())
        >>> isinstance(pictures, PictureSet)
        True
    """

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes when the images do."""
        ...

    def __len__(self) -> int: ...

    def batches(self, size: int) -> Iterator[BytePictures]:
        """All images, ``size`` at a time, uint8 [n, 1 or 3, h, w]."""
        ...

    def some(self, start: int, stop: int) -> BytePictures:
        """The images from ``start`` up to ``stop``, at least one."""
        ...


@dataclass(frozen=True, eq=False)
class DataPictures:
    """Some rows of a data set, and what is known of them besides their pixels.

    Example:
        >>> pictures = DataPictures(data, "toy", data.fingerprint, torch.arange(8))
        >>> pictures.columns(["labels"])["labels"].shape
        torch.Size([8])
    """

    data: DataSet
    name: str
    fingerprint: str
    rows: torch.Tensor
    column: str = "images"  # Of pairs, the one that results are compared with.
    added: Mapping[str, torch.Tensor] = field(default_factory=dict)  # Columns that the data have not.

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, size: int) -> Iterator[BytePictures]:
        """All images, in the order of the rows."""
        for rows in torch.split(self.rows, size):
            yield self.data.fetch(rows, (self.column,))[self.column]

    def some(self, start: int, stop: int) -> BytePictures:
        """The images of some of the rows."""
        return self.data.fetch(self.rows[start:stop], (self.column,))[self.column]

    def columns(self, names: Sequence[str]) -> Mapping[str, torch.Tensor]:
        """Labels, attributes or other columns of all rows; none of those the data lack."""
        there = [name for name in names if name in self.data.columns and name not in self.added]
        known = {name: self.added[name] for name in names if name in self.added}
        return {**self.data.fetch(self.rows, there), **known} if there else known


@dataclass(frozen=True, eq=False)
class HeldOutPrompts:
    """The prompts of held-out rows, again from the first where more are wanted.

    Example:
        >>> loader = Loader(data, LabelledBatch, DataConfig(), 0, torch.device("cpu"))
        >>> HeldOutPrompts(loader, method).some(0, 4).labels.shape
        torch.Size([4])
    """

    loader: Loader[Any]
    method: Method[Any, Any, Any]

    def some(self, start: int, stop: int) -> Any:
        """The prompts at places ``start`` up to ``stop``, images in the networks' range."""
        kind: Any = self.method.prompt_type
        if type(self.method).prompt is Method.prompt:  # Nothing else is needed of the rows.
            columns = self.loader.held_out_rows(start, stop, kind._fields)
            return kind(*(columns[name] for name in kind._fields))
        columns = self.loader.held_out_rows(start, stop)
        return self.method.prompt(
            self.method.batch_type(*(columns[name] for name in self.method.batch_type._fields))
        )


@dataclass(frozen=True, eq=False)
class HeldOutPictures:
    """The held-out images that results of an image-to-image model are compared with, in prompt order.

    Example:
        >>> pictures = HeldOutPictures(loader, recipe.method, recipe.spec(), "edges", data.fingerprint, 4)
        >>> pictures.some(0, 2).dtype
        torch.uint8
    """

    loader: Loader[Any]
    method: Method[Any, Any, Any]
    spec: DataSpec
    name: str
    fingerprint: str
    count: int

    def __len__(self) -> int:
        return self.count

    def batches(self, size: int) -> Iterator[BytePictures]:
        """All images, in order."""
        for start in range(0, self.count, size):
            yield self.some(start, min(start + size, self.count))

    def some(self, start: int, stop: int) -> BytePictures:
        """The images at places ``start`` up to ``stop``."""
        columns = self.loader.held_out_rows(start, stop)
        batch = self.method.batch_type(*(columns[name] for name in self.method.batch_type._fields))
        return to_bytes(self.spec.to_pictures(self.method.real_images(batch))).cpu()


@dataclass(frozen=True, eq=False)
class ModelPictures:
    """What a generator makes of seeds 0, 1, 2, ...: the very pictures that `gansmith generate` writes.

    A conditional model is given ``prompts``, of held-out rows as a rule; without them prompts are drawn by
    seed as the training data are.

    Example:
        >>> pictures = open_model("runs/one", 1000)
        >>> next(pictures.batches(64)).shape
    """

    generator: Generator
    name: str
    fingerprint: str
    count: int
    prompts: HeldOutPrompts | None = None

    @property
    def images_seen(self) -> int | None:
        """How long the generator was trained, in images, where that is known."""
        return self.generator.images_seen

    def __len__(self) -> int:
        return self.count

    def batches(self, size: int) -> Iterator[BytePictures]:
        """All images, in the order of their seeds."""
        size += -size % RUN
        for start in range(0, self.count, size):
            yield self.some(start, min(start + size, self.count))

    def some(self, start: int, stop: int) -> BytePictures:
        """The images of some seeds."""
        images = self.generator.make(Noise.of(*range(start, stop)), self.prompt(start, stop))
        return to_bytes(images).cpu()

    def prompt(self, start: int, stop: int) -> Any:
        """What the images of these seeds are made of besides noise; None for noise alone."""
        if self.prompts is not None:
            return self.prompts.some(start, stop)
        return self.generator.prompts(range(start, stop))


def open_model(model: str, count: int, device: str = "auto") -> ModelPictures:
    """The first ``count`` images of a MODEL.

    Raises:
        CheckpointError, RunError: there is no such model.
    """
    generator = open_generator(model, device)
    path = Path(model)
    if path.is_dir():
        newest = Run.open(path).checkpoint_files()[-1]
    else:
        newest = path
    with newest.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ModelPictures(generator, model, f"model {digest} seeds 0-{count - 1}", count)


def is_model(place: str) -> bool:
    """Whether a name means a run or a checkpoint, and not images."""
    path = Path(place)
    return Run.is_run(path) or path.suffix.lower() in (".safetensors", ".pt", ".pth")


COMPARED = ("target", "images")
"""Columns of a data set that generated images may be compared with, the first that is there."""

SIDES = "A and B are a run, a checkpoint, pictures in any form, or saved statistics"


def check_readable(place: str) -> None:
    """Raise DataError where A or B is something that looks like a model or images, and is neither."""
    path = Path(place)
    if path.suffix.lower() == ".safetensors" and path.is_file():
        try:
            read_metadata(path)
            return
        except (OSError, ValueError) as error:
            raise DataError(
                f"{SIDES}. Received: {place}, a damaged file ({error}). Copy it again; a run can be given "
                "itself, and statistics are made again with --save."
            ) from error
    if is_model(place) and not path.exists():
        raise DataError(f"{SIDES}. Received: {place}, which does not exist.")
    if not path.exists() and not is_builtin(place):
        _check_there(place)
    if Run.is_run(path):
        check_makes_images(Run.open(path).recipe, place)
    if path.is_dir() and path.name == "checkpoints" and Run.is_run(path.absolute().parent):
        raise DataError(f"{SIDES}. Received: {place}, the checkpoints of a run. Give the run: {path.parent}.")


def _check_there(place: str) -> None:
    """Raise DataError where nothing has that name: no path, and no published data set that can be had."""
    name = hub_name(place)
    if name is None:
        with _as_side():
            open_source(place)
    elif not place.startswith(_HUB):  # Such as runs/one: most likely a mistyped path.
        try:
            fetch(name)
        except DataError as error:
            raise DataError(
                f"{SIDES}. Received: {place}, which does not exist: no run, file or folder has that name, "
                f"and no published data set of that name could be had ({_HUB}{place} tells why)."
            ) from error


@contextmanager
def _as_side() -> Iterator[None]:
    """What is said of DATA said of A and B."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace(RULE, SIDES)) from error


def open_rows(
    place: str,
    config: DataConfig,
    *,
    max_pictures: int | None = None,
    seed: int = 0,
    fields: Sequence[str] = ("images",),
) -> DataPictures:
    """Images of a DATA in one form; up to ``max_pictures``, a fair choice by ``seed``.

    Those of ``source`` and ``target`` among the ``fields`` are the targets of its pairs.

    Raises:
        DataError: there is nothing of that name, or no image in it.
    """
    data = with_attributes(_opened(place, config, fields), config.attributes, wanted=False)
    column = next((name for name in COMPARED if name in data.columns), None)
    if column is None:
        raise DataError(
            f"Pictures are compared. Received: {place}, which has {', '.join(data.columns)}. "
            "Give the pictures that results should be like as a folder."
        )
    count = len(data) if max_pictures is None else min(max_pictures, len(data))
    rows = torch.arange(len(data))
    if count < len(data):
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
        rows = order[:count].sort().values
    form = f"{config.size} {config.channels} {config.fit} {config.box}"
    made = f"{data.fingerprint} {form} {count} of {len(data)} seed {seed}"
    return DataPictures(data, place, made, rows, column)


def training_and_held_out(
    place: str, config: DataConfig, seed: int, fields: Sequence[str] = ("images",)
) -> tuple[DataPictures, DataPictures]:
    """The images a run trained on and those it held out, as its loader parts them.

    Args:
        place: the data.
        config: their form, and the share held out.
        seed: of the run.
        fields: what its method trains on; of two domains the images are those of the second, as results are.

    Raises:
        DataError: fewer than two are held out or trained on, or there are not two domains where two are
            wanted.
    """
    whole = open_rows(place, config, fields=fields)
    two = set(DOMAINS) <= set(fields)
    training, held_out = split_of(whole.data, DOMAINS if two else (whole.column,), config, seed)
    if min(len(training), len(held_out)) < 2:
        raise DataError(
            "Memorization, critic_auc, obedience and pose_error look at held-out pictures. Received: "
            f"{len(held_out)} of {len(training) + len(held_out)} held out "
            f"(data.validation={config.validation}). Train with a share held out, or leave these out."
        )
    made = f"{whole.fingerprint} validation {config.validation} seed {seed}" + " domain b" * two
    return (
        replace(whole, rows=training, fingerprint=f"{made} training"),
        replace(whole, rows=held_out, fingerprint=f"{made} held out"),
    )


def _opened(place: str, config: DataConfig, fields: Sequence[str]) -> DataSet:
    with _as_side():
        return _opened_as_data(place, config, fields)


def _opened_as_data(place: str, config: DataConfig, fields: Sequence[str]) -> DataSet:
    if config.pairs in (*MADE, *DRAWN) or set(PAIR) <= set(fields):
        return open_data(place, config, fields=PAIR)
    if config.second is not None or (config.domains is not None and is_builtin(place)):
        return open_data(place, config, fields=DOMAINS)
    if is_builtin(place):
        return open_data(place, config)
    source = open_source(place, label=config.label)
    if config.pairs is not None:
        return open_data(place, config, fields=PAIR)
    if isinstance(source, PreparedFolder):
        return open_prepared(source, config)
    if any(_GENERATED.search(name) for name in source.names):  # The grid beside them is none of them.
        rows = [row for row, name in enumerate(source.names) if name != "grid.png"]
        source = SampleSource(source, rows)
    if not len(source.names):
        raise nothing_found(source)
    return LazyDataSet(source, config)  # One pass is all that is needed: nothing is kept.


def common_config(places: Sequence[str], size: Size | None) -> DataConfig:
    """The form in which images are compared: a model's own, else the smallest of the usual sizes.

    Raises:
        DataError: there is nothing of a name, or no image in it.
        SettingError: a size is asked for, and a model has another.
    """
    for place in places:
        if is_model(place):
            config = _config_of_model(place)
            if size is not None and size != config.size:
                raise SettingError(
                    f"A model's pictures have their own size, {config.size} for {place}. "
                    f"Received: --size {size}."
                )
            return config
    with _as_side():
        facts = [describe_source(place) for place in places]
    smallest = min(facts, key=lambda fact: min(fact.median_width, fact.median_height))
    channels = 1 if all(fact.all_grey for fact in facts) else 3
    return DataConfig(size=size or Size(smallest.median_width, smallest.median_height), channels=channels)


def _config_of_model(place: str) -> DataConfig:
    path = Path(place)
    if Run.is_run(path):
        config = Run.open(path).recipe.data
        return replace(config, channels=config.channels or 3)
    spec = open_generator(place, "cpu").spec
    return DataConfig(size=Size(spec.width, spec.height), channels=spec.channels)
