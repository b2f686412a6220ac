"""Before the first step: what the data decide is filled in, and what cannot work is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from gansmith.config.recipe import Recipe
from gansmith.core.distributed import SINGLE_PROCESS, World
from gansmith.core.normalization import Scale
from gansmith.core.text import plural
from gansmith.data.dataset import DataSet
from gansmith.data.loading.loader import Loader
from gansmith.data.metadata.captions import to_texts, vocabulary
from gansmith.data.prepare.schema import PICTURE_COLUMNS
from gansmith.engine.micro_batch import micro_batch
from gansmith.engine.sync_batch_norm import has_batch_norm
from gansmith.engine.trainer import Trainer
from gansmith.errors import SettingError
from gansmith.methods.base import Method
from gansmith.models.load import lenders

_READ, _MADE = 200_000, 2_000  # Captions whose words are learnt, where they lie ready and where not.
LARGE_BATCH = 8192  # From here on a batch larger than the data is a slip, not a wish.


def resolve(recipe: Recipe, data: DataSet) -> Recipe:
    """The recipe with everything filled in that the data decide: channels, and the names of its columns."""
    return replace(recipe, data=replace(recipe.data, **_channels(recipe, data), **_names(recipe, data)))


def fitted(recipe: Recipe) -> Recipe:
    """The recipe with what the lenders of its networks decide; their runs are opened where a method asks.

    Raises:
        SettingError: a stage that the method stands on is missing, or does not fit.
        CheckpointError, RunError: there is no such run.
    """
    method = recipe.method
    if type(method).with_lenders is Method.with_lenders:
        return recipe
    method = method.with_lenders(recipe.spec(), lenders(recipe.borrow))
    return replace(recipe, method=method, borrow=method.borrowed(recipe.spec(), recipe.borrow))


def _channels(recipe: Recipe, data: DataSet) -> dict[str, Any]:
    if recipe.data.channels is not None:
        return {}
    first = data.fetch(torch.zeros(1, dtype=torch.int64))
    # The sources of pairs may have channels of their own.
    names = sorted(PICTURE_COLUMNS, key=lambda name: name == "source")
    return {"channels": next(int(first[name].shape[1]) for name in names if name in first)}


def _names(recipe: Recipe, data: DataSet) -> dict[str, Any]:
    """Names and lengths of the columns that the method trains on."""
    fields = [name for name in recipe.method.batch_type._fields if name in data.columns]
    found: dict[str, Any] = {}
    if "labels" in fields:
        found["classes"] = data.info.label_names or _numbers(data)
    first = data.fetch(torch.zeros(1, dtype=torch.int64), fields) if fields else {}
    if "attributes" in fields:
        count = first["attributes"].shape[1]
        found["attributes"] = data.info.attribute_names or tuple(f"attribute{i}" for i in range(count))
    if "landmarks" in fields:
        found["landmarks"] = first["landmarks"].shape[1]
    if "captions" in fields:
        found["caption_length"] = first["captions"].shape[1]
        found["words"] = _words(data)
    return found


def _words(data: DataSet) -> tuple[str, ...]:
    """The vocabulary of the captions; where rows have to be made first, of some of them."""
    rows = torch.arange(min(len(data), _READ if data.in_arrays else _MADE))
    return vocabulary(to_texts(data.fetch(rows, ("captions",))["captions"]))


def _numbers(data: DataSet) -> tuple[str, ...]:
    """Names of classes that have none: their numbers."""
    labels = data.fetch(torch.arange(len(data)), ("labels",))["labels"]
    return tuple(str(number) for number in range(int(labels.max()) + 1))


def ready(
    recipe: Recipe,
    data: DataSet,
    device: torch.device,
    world: World = SINGLE_PROCESS,
    scale: Scale | None = None,
) -> tuple[Recipe, Loader[Any]]:
    """The recipe with all that the data decide, its scale among it, and the loader that goes with it.

    Args:
        recipe: what to do.
        data: what to train on.
        device: where batches are wanted.
        world: the processes that train together.
        scale: of a run that goes on; None: it is measured, where the recipe standardizes.

    Raises:
        DataError: the data lack what the method trains on.
        SettingError: the networks do not fit the size, or the batch is out of all proportion.
    """
    check_even(recipe, world)
    recipe = fitted(resolve(recipe, data))
    loader = _loader(recipe, data, device, world)
    if recipe.data.standardize and recipe.data.scale is None:
        known = scale or loader.measure_scale()
        loader.close()
        recipe = replace(recipe, data=replace(recipe.data, scale=known))
        loader = _loader(recipe, data, device, world)
    with torch.device("meta"):
        recipe.method.build(recipe.spec())
    recipe.method.lenses(recipe.spec())  # A file that is not there is told before there is a run.
    check_batch_size(recipe.train.batch, len(loader.training))
    return recipe, loader


def _loader(recipe: Recipe, data: DataSet, device: torch.device, world: World) -> Loader[Any]:
    return Loader(data, recipe.method.batch_type, recipe.data, recipe.train.seed, device, world.rank_and_size)


def check_stages(recipe: Recipe, networks: nn.Module) -> None:
    """Raise where a network is trained neither here nor in a run it is borrowed from.

    Raises:
        SettingError: one is missing.
    """
    owned = {name.partition(".")[0] for names in recipe.method.players().values() for name in names}
    for name, network in networks.named_children():
        if name not in owned and name not in recipe.borrow and next(network.parameters(), None) is not None:
            raise SettingError(
                f"{recipe.name} builds on a network that an earlier stage has trained. Received: nothing to "
                f"borrow '{name}' from. Train that stage first, then give its run: --set borrow.{name}=RUN."
            )


def check_batch_size(batch: int, there: int) -> None:
    """Raise where a batch is beyond both reason and the images.

    Raises:
        SettingError: it is.
    """
    if batch > max(LARGE_BATCH, there):
        raise SettingError(
            f"A batch above {LARGE_BATCH} must not be larger than the training pictures. "
            f"Received: train.batch={batch} and {plural(there, 'picture')}. "
            f"Try train.batch={min(64, max(there, 1))}."
        )


def check_even(recipe: Recipe, world: World) -> None:
    """Raise where processes or micro-batches cannot share a batch out evenly.

    Raises:
        SettingError: they cannot; the nearest that can is named.
    """
    batch, asked = recipe.train.batch, recipe.train.engine.micro_batch
    fits = micro_batch(batch, world.size, asked)
    part = batch // world.size
    if asked is not None and asked < part and fits != asked:
        share = f", {part} for each of {world.size} processes" if world.size > 1 else ""
        near = max(1, round(part / asked)) * asked * world.size
        raise SettingError(
            f"A batch must be a multiple of the micro-batch. Received: train.batch={batch}{share} and "
            f"train.engine.micro_batch={asked}. Try train.engine.micro_batch={fits}, or in a new run "
            f"train.batch={near}."
        )


def repeats(batch: int, there: int) -> str | None:
    """What is to be said of a batch larger than the training images; None where it is not."""
    if batch <= there:
        return None
    return (
        f"A batch of {batch} is larger than the training set, {plural(there, 'picture')}, so pictures repeat "
        "within a batch."
    )


def fit_memory(
    trainer: Trainer[Any, Any, Any], say: Callable[[str], None], world: World = SINGLE_PROCESS
) -> None:
    """Let a trainer work on fewer images at a time until a step fits; all processes on equally many.

    Args:
        trainer: whose ``micro_batch`` is halved where need be.
        say: is told what was changed.
        world: the processes that train together.

    Raises:
        SettingError: not even one image fits.
    """
    while world.max(0 if trainer.dry_run() else 1):
        before = trainer.micro_batch
        trainer.shrink_micro_batch()
        now = trainer.micro_batch
        norms = f"; batch norm takes its statistics over {now}" if has_batch_norm(trainer.networks) else ""
        say(
            f"Memory is too small for {before} pictures at a time. From here on {now} are worked on at a "
            f"time, and their gradients add up to the batch's{norms}."
        )
