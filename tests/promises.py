"""The recipes that have to keep the promises of a method: the whole catalogue, made small, and the toys."""

from dataclasses import replace
from typing import Any

import torch
from helpers import CPU, small
from toys import TOYS

from gansmith.config.recipe import Recipe
from gansmith.config.training import Average
from gansmith.core.image_size import Size
from gansmith.data.dataset import DatasetInfo, MemoryDataSet
from gansmith.data.loading.loader import Loader
from gansmith.engine.trainer import Trainer
from gansmith.errors import SettingError
from gansmith.methods.base import Method
from gansmith.recipes import CATALOGUE, named
from gansmith.training.setup import check_stages, resolve


def _small(name: str) -> Recipe:
    """The recipe's own game with narrow networks, at 16 px, in a dozen steps."""
    recipe = named(name)
    data = replace(recipe.data, size=Size(16, 16), channels=3, validation=0.1)
    return replace(small(recipe, images=48), data=data)


def _different() -> dict[str, Recipe]:
    """Each game once: recipes of one paper at several sizes are the same at 16 px."""
    found: dict[str, Recipe] = {}
    for name in CATALOGUE:
        recipe = _small(name)
        same = [_plain(each) for each in (recipe, *found.values())]
        if same[0] not in same[1:]:
            found[name] = recipe
    return found


def _plain(recipe: Recipe) -> Recipe:
    """Without what no promise depends on: names, rates, the pace of files and of the average."""
    average = None if recipe.train.average is None else Average()
    return replace(
        recipe,
        name="",
        about="",
        optimizers={player: replace(each, lr=1e-4) for player, each in recipe.optimizers.items()},
        train=replace(recipe.train, picture_every=1, checkpoint_every=1, average=average),
    )


RECIPES = {**_different(), **TOYS}


def stands_alone(recipe: Recipe) -> bool:
    """Whether it can be trained without the networks of an earlier run."""
    try:
        check_stages(recipe, recipe.method.build(resolved(recipe).spec()))
    except SettingError:
        return False
    return type(recipe.method).with_lenders is Method.with_lenders


CLASSES = ("cat", "dog", "owl")
ATTRIBUTES = ("smiling", "glasses")


def everything(rows: int = 40, size: int = 16, shrink: int = 1) -> MemoryDataSet:
    """Random images with every column that a method may train on, so that each can be told from another.

    Sources are ``shrink`` times smaller, for methods that enlarge.
    """
    draws = torch.Generator().manual_seed(0)

    def integers(*shape: int, stop: int = 256) -> torch.Tensor:
        return torch.randint(0, stop, (rows, *shape), dtype=torch.uint8, generator=draws)

    images = {name: integers(3, size, size) for name in ("images", "a", "b", "source", "target")}
    images["source"] = images["source"][:, :, ::shrink, ::shrink].contiguous()
    facts = {
        "labels": integers(stop=3).long(),
        "attributes": integers(2, stop=2),
        "captions": integers(6, stop=128),
        "landmarks": torch.rand(rows, 5, 2, generator=draws) * size,
    }
    images["mask"] = torch.where(integers(1, size, size) > 128, 255, 0).to(torch.uint8)
    info = DatasetInfo(label_names=CLASSES, attribute_names=ATTRIBUTES)
    return MemoryDataSet("made up", images | facts, "made up", info=info)


def resolved(recipe: Recipe) -> Recipe:
    """The recipe as a run on ``everything`` has it: with the names of its columns."""
    return resolve(recipe, _data(recipe))


def _data(recipe: Recipe) -> MemoryDataSet:
    return everything(shrink=recipe.spec().source_shrink)


def trainer_of(recipe: Recipe) -> Trainer[Any, Any, Any]:
    """A trainer on the CPU over ``everything``."""
    recipe = resolved(recipe)
    loader: Loader[Any] = Loader(_data(recipe), recipe.method.batch_type, recipe.data, recipe.train.seed, CPU)
    return Trainer(recipe, loader, CPU)


ALONE = [name for name, recipe in RECIPES.items() if name in CATALOGUE and stands_alone(recipe)]
