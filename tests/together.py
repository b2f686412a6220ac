"""What tests/test_distributed.py runs in several processes: steps of some methods, saved by the first.

python together.py OUT.pt CASE... ; each case is a key of CASES.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace

import torch
from toys import Lazy, recipe_for

from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loader import Loader
from gansmith.distributed import ALONE, World, joined
from gansmith.optimisers import SGD
from gansmith.recipe import Recipe
from gansmith.recipes import named
from gansmith.settings import override
from gansmith.trainer import Trainer

STEPS = 3
BATCH = 16
CPU = torch.device("cpu")
Rows = list[tuple[dict[str, float], dict[str, torch.Tensor]]]


def _named(name: str, *settings: str) -> Recipe:
    recipe = named(name)
    recipe = replace(
        recipe,
        data=replace(recipe.data, channels=3),
        train=replace(recipe.train, batch=BATCH, precision="float32"),
    )
    for setting in ("data.size=16", *settings):
        recipe = override(recipe, setting)
    return recipe


def _steady(recipe: Recipe) -> Recipe:
    """Without Adam, which turns gradients that are zero but for rounding into whole steps."""
    return replace(recipe, optimisers={player: SGD(lr=1e-4) for player in recipe.optimisers})


def cases() -> Mapping[str, Recipe]:
    small = ("method.generator_width=8", "method.discriminator_width=8")
    lazy = recipe_for(Lazy(), ("generator",), batch=BATCH)
    return {
        "dcgan": _named("dcgan28", *small),
        "dcgan-own-statistics": _named("dcgan28", *small, "train.engine.shared_batch_norm=false"),
        "wgan-gp": _steady(_named("wgan-gp28", "method.width=8", "method.critic_moves=2")),
        "rpgan": _steady(_named("rpgan28", *small)),
        "rpgan-parts": _steady(_named("rpgan28", *small, "train.engine.micro_batch=4")),
        "lazy": _steady(lazy),
    }


def rows(recipe: Recipe, world: World = ALONE) -> Rows:
    side = recipe.data.size
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 3, side.height, side.width), dtype=torch.uint8, generator=generator)
    data = MemoryDataSet("made up", {"images": images})
    loader = Loader(data, recipe.method.batch_type, recipe.data, 0, CPU, world.part)
    trainer = Trainer(recipe, loader, CPU, world=world)
    found = []
    for _ in range(STEPS):
        trainer.step()
        found.append((trainer.flush(), {name: value.clone() for name, value in trainer.state().items()}))
    loader.close()
    return found


def main() -> None:
    torch.set_num_threads(1)
    with joined(CPU) as world:
        found = {name: rows(cases()[name], world) for name in sys.argv[2:]}
        shared = torch.tensor([float(world.rank)])
        world.average([shared])
        everywhere = world.collected(torch.cat([v.flatten() for v in found["dcgan"][-1][1].values()])[None])
        if everywhere is not None:
            equal = all(torch.equal(one, everywhere[0]) for one in everywhere)
            torch.save({"rows": found, "mean rank": float(shared), "equal": equal}, sys.argv[1])


if __name__ == "__main__":
    main()
