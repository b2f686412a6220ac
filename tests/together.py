"""What tests/core/test_distributed.py runs in several processes: steps of some methods, saved by the first.

python together.py OUT.pt CASE... ; each case is one of ``cases``.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from promises import everything, resolved
from torch import Tensor, nn
from toys import TOYS

from gansmith.config.optimizers import SGD
from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.core.distributed import SINGLE_PROCESS, World, process_group
from gansmith.core.noise import Noise
from gansmith.data.loading.loader import Loader
from gansmith.engine.sync_batch_norm import share_batch_norms
from gansmith.engine.trainer import Trainer
from gansmith.methods.base import Loss, Method, Turn
from gansmith.networks.bundle import Networks
from gansmith.recipes import CATALOGUE, named

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


class _Fine(Noise):
    """The same numbers in float64."""

    def signs(self, *shape: int) -> Tensor:
        return super().signs(*shape).double()

    def uniform(self, *shape: int) -> Tensor:
        return super().uniform(*shape).double()

    def normal(self, *shape: int) -> Tensor:
        return super().normal(*shape).double()

    def fork(self, name: str) -> "_Fine":
        return _Fine(super().fork(name).seeds)

    def each(self, step: int) -> "_Fine":
        part = _Fine(self.seeds[::step])
        part._position = self._position
        return part


def _in_double(recipe: Recipe) -> Recipe:
    """The recipe with networks, images and noise in float64, where no processor's rounding is seen.

    In float32 it is: Adam makes whole steps of gradients that are zero but for rounding, and a slope that
    a ReLU passes or stops (WGAN-GP's penalty is one) jumps where what it is given is zero but for rounding.
    """
    plain: type[Method[Any, Any, Any]] = type(recipe.method)

    def fine(loss: Callable[..., Loss]) -> Callable[..., Loss]:
        def of(networks: Networks, batch: Any, noise: Noise, progress: Any) -> Loss:
            columns = (column.double() if column.is_floating_point() else column for column in batch)
            return loss(networks, type(batch)(*columns), _Fine(noise.seeds, noise._cache), progress)

        return of

    class InDouble(plain):
        def build(self, spec: Any) -> Networks:
            return super().build(spec).double()

        def instruments(self, spec: Any) -> Mapping[str, nn.Module]:
            return {name: network.double() for name, network in super().instruments(spec).items()}

        def turns(self) -> Sequence[Turn]:
            return tuple(replace(turn, loss=fine(turn.loss)) for turn in super().turns())

    return replace(recipe, method=InDouble(**vars(recipe.method)))


def _steady(recipe: Recipe) -> Recipe:
    """In float32, and without Adam, which would make whole steps of what is zero but for rounding."""
    return replace(recipe, optimizers={player: SGD(lr=1e-4) for player in recipe.optimizers})


def _methods() -> Mapping[str, Recipe]:
    """One recipe for each class of the catalogue, tiny, and every toy."""
    found: dict[type, Recipe] = {}
    for name in CATALOGUE:
        recipe = named(name)
        found.setdefault(type(recipe.method), recipe)
    tiny = {
        recipe.name: replace(_named(recipe.name), method=recipe.method.tiny()) for recipe in found.values()
    }
    toys = {name: replace(toy, train=replace(toy.train, batch=BATCH)) for name, toy in TOYS.items()}
    return {name: resolved(recipe) for name, recipe in (tiny | toys).items()}


_COUPLED = ("dragan", "progan", "stackgan", "stylegan2", "text")
METHODS = tuple(name for name in _methods() if not name.startswith(_COUPLED))
"""DRAGAN's std(x) is of the images that a process works on, so it is another penalty there; ProGAN and
StyleGAN2 have one over groups of four; a text encoder tells the images of its process apart, and
StackGAN takes wrong captions from them."""
IDLE = ("icgan",)
"""Methods whose layers before batch norm have biases: gradients of these are zero but for rounding, and Adam
makes steps of it even in float64. In float32 rounding is all that is left after some batch norms of few
numbers, so there they are not compared."""
WIDE = ("method.generator_width=8", "method.discriminator_width=8")


def cases() -> Mapping[str, Recipe]:
    """Names that end in /64 are in float64, most with the optimizers of their recipes."""
    methods = _methods()
    dcgan = _named("dcgan28", *WIDE)
    return {
        **{
            f"{name}/64": _in_double(_steady(recipe) if name.startswith(IDLE) else recipe)
            for name, recipe in methods.items()
        },
        **{name: _steady(recipe) for name, recipe in methods.items()},
        "dcgan": _steady(dcgan),
        "dcgan-own-statistics": _steady(override(dcgan, "train.engine.shared_batch_norm=false")),
        "rpgan-parts": _steady(_named("rpgan28", *WIDE, "train.engine.micro_batch=4")),
        "rpgan": _steady(_named("rpgan28", *WIDE)),
    }


def steps_of(case: str) -> int:
    """How many are compared: in float32 the first alone, as rounding grows from step to step."""
    return STEPS if case == "dcgan" or case.endswith("/64") else 1


def rows(
    recipe: Recipe,
    world: World = SINGLE_PROCESS,
    loaded: Sequence[dict[str, torch.Tensor]] = (),
    steps: int = STEPS,
) -> Rows:
    """So many steps, or the last one after a state was loaded."""
    loader = Loader(
        everything(64, shrink=recipe.spec().source_shrink),
        recipe.method.batch_type,
        recipe.data,
        0,
        CPU,
        world.rank_and_size,
    )
    trainer = Trainer(recipe, loader, CPU, world=world)
    for state in loaded:
        trainer.load(state, (STEPS - 1) * BATCH)
    found = []
    for _ in range(1 if loaded else steps):
        trainer.step()
        gradients = {f"gradients.{name}": weight.grad for name, weight in trainer.networks.named_parameters()}
        state = trainer.state() | {name: value for name, value in gradients.items() if value is not None}
        found.append((trainer.flush(), {name: value.clone() for name, value in state.items()}))
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
        known = cases()
        found = {name: rows(known[name], world, steps=steps_of(name)) for name in sys.argv[2:]}
        curved, exact = slope(world), resumed(known["dcgan"], world)
        shared = torch.tensor([float(world.rank)])
        world.average([shared])
        everywhere = world.gather(torch.cat([v.flatten() for v in found["dcgan"][-1][1].values()])[None])
        if everywhere is not None:
            equal = all(torch.equal(one, everywhere[0]) for one in everywhere)
            facts = {"mean rank": float(shared), "equal": equal, "slope": curved, "resumed": exact}
            torch.save({"rows": found, **facts}, sys.argv[1])


if __name__ == "__main__":
    main()
