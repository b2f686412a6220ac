"""The recipes that have to keep the promises of a method: the whole catalogue, made small, and the toys."""

from dataclasses import replace
from typing import Any

import torch
from helpers import CPU, small
from toys import TOYS

from gansmith.config.recipe import Recipe
from gansmith.config.serialization import to_json
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
    seen = []
    for name in CATALOGUE:
        recipe = _small(name)
        game = _game(recipe)
        if game not in seen:
            found[name] = recipe
            seen.append(game)
    return found


def _game(recipe: Recipe) -> Any:
    """The method, kinds of optimizers and what is averaged: no promise depends on sizes of weights."""
    kinds = {player: type(each).__name__ for player, each in recipe.optimizers.items()}
    pairs, averaged = recipe.data.pairs, recipe.train.averaged
    return _without_sizes(to_json(recipe.method)), kinds, pairs, averaged


def _without_sizes(value: Any) -> Any:
    """A method as JSON with each fraction as whether it is above 0."""
    if isinstance(value, dict):
        return {name: _without_sizes(part) for name, part in value.items()}
    return value > 0 if isinstance(value, float) else value


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
