"""What tests/test_distributed.py runs in several processes: steps of some methods, saved by the first.

python together.py OUT.pt CASE... ; each case is a key of CASES.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn
from toys import Lazy, recipe_for

from gansmith.config.optimizers import SGD, Adam
from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.core.distributed import SINGLE_PROCESS, World, process_group
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.loader import Loader
from gansmith.engine.sync_batch_norm import share_batch_norms
from gansmith.engine.trainer import Trainer
from gansmith.recipes import named

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
    return replace(recipe, optimizers={player: SGD(lr=1e-4) for player in recipe.optimizers})


def _calm(recipe: Recipe) -> Recipe:
    """With Adam, but for whole steps of gradients that are hardly larger than rounding."""
    return replace(recipe, optimizers={player: Adam(eps=1e-6) for player in recipe.optimizers})


def cases() -> Mapping[str, Recipe]:
    small = ("method.generator_width=8", "method.discriminator_width=8")
    lazy = recipe_for(Lazy(), ("generator",), batch=BATCH)
    return {
        "dcgan": _calm(_named("dcgan28", *small)),
        "dcgan-own-statistics": _calm(
            _named("dcgan28", *small, "train.engine.shared_batch_norm=false"),
        ),
        "wgan-gp": _steady(_named("wgan-gp28", "method.width=8", "method.critic_moves=2")),
        "rpgan": _steady(_named("rpgan28", *small)),
        "rpgan-parts": _steady(_named("rpgan28", *small, "train.engine.micro_batch=4")),
        "lazy": _steady(lazy),
    }


def rows(
    recipe: Recipe, world: World = SINGLE_PROCESS, loaded: Sequence[dict[str, torch.Tensor]] = ()
) -> Rows:
    """All steps, or the last one after a state was loaded."""
    side = recipe.data.size
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 3, side.height, side.width), dtype=torch.uint8, generator=generator)
    data = MemoryDataSet("made up", {"images": images})
    loader = Loader(data, recipe.method.batch_type, recipe.data, 0, CPU, world.rank_and_size)
    trainer = Trainer(recipe, loader, CPU, world=world)
    for state in loaded:
        trainer.load(state, (STEPS - 1) * BATCH)
    found = []
    for _ in range(1 if loaded else STEPS):
        trainer.step()
        found.append((trainer.flush(), {name: value.clone() for name, value in trainer.state().items()}))
    loader.close()
    return found


def slope(world: World = SINGLE_PROCESS) -> list[torch.Tensor]:
    """Gradients of a squared gradient through batch norm, of all processes together."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(8, 3, 4, 4, dtype=torch.float64, generator=generator)
    plain = nn.BatchNorm2d(3).double()
    with torch.no_grad():
        plain.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
    network = nn.Sequential(plain)
    share_batch_norms(network, world)
    start, stop = world.span(len(images))
    part = images[start:stop].requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(part).pow(3).sum(), part, create_graph=True)
    gradient.square().sum().backward()
    shared = [weight.grad for weight in network.parameters()]
    world.average(shared)
    return [gradient * world.size for gradient in shared]


def resumed(recipe: Recipe, world: World) -> bool:
    """Whether a run that stopped after two steps continues bit for bit, in these processes."""
    found = rows(recipe, world)
    again = rows(recipe, world, [found[1][1]])
    return all(torch.equal(again[0][1][name], value) for name, value in found[2][1].items())


def main() -> None:
    torch.set_num_threads(1)
    with process_group(CPU) as world:
        found = {name: rows(cases()[name], world) for name in sys.argv[2:]}
        curved, exact = slope(world), resumed(cases()["dcgan"], world)
        shared = torch.tensor([float(world.rank)])
        world.average([shared])
        everywhere = world.gather(torch.cat([v.flatten() for v in found["dcgan"][-1][1].values()])[None])
        if everywhere is not None:
            equal = all(torch.equal(one, everywhere[0]) for one in everywhere)
            facts = {"mean rank": float(shared), "equal": equal, "slope": curved, "resumed": exact}
            torch.save({"rows": found, **facts}, sys.argv[1])


if __name__ == "__main__":
    main()
