"""Short runs that more than one test file starts."""

from pathlib import Path
from typing import Any

import torch
from toys import Lazy, recipe_for

from gansmith.config.recipe import Recipe
from gansmith.core.console import Silent
from gansmith.data.dataset import MemoryDataSet
from gansmith.runs.run import Run
from gansmith.training.session import Outcome, train


class Ear(Silent):
    """A console that remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def data(pictures: int = 40, seed: int = 0) -> MemoryDataSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (pictures, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return MemoryDataSet("made up", {"images": images}, fingerprint=f"{pictures}-{seed}")


def recipe(method: Any = None, **numbers: Any) -> Recipe:
    intervals = {"log_every": 8, "picture_every": 16, "checkpoint_every": 16}
    return recipe_for(method or Lazy(), ("generator",), **(intervals | numbers))


def go(path: Path, the_recipe: Recipe | None = None, **more: Any) -> Outcome:
    return train(the_recipe or recipe(), more.pop("data", data()), path, device="cpu", **more)


def final_tensors(path: Path) -> dict[str, torch.Tensor]:
    newest = Run.open(path).newest()
    assert newest is not None
    return dict(newest[0].tensors)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
