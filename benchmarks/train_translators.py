"""Steps of the translators beside plain eager loops over the same networks, in float32.

    python benchmarks/train_translators.py [--rounds 4] [--seconds 8] [--cases NAME ...] [--quick]

Networks, batch and losses are those of the recipes pix2pix64-small, cyclegan64-small, srresnet-x4-small,
srgan-x4-small and context-encoder64-small.
The plain loops are written as the authors' are: zero_grad, backward, step, torch's Adam and order in memory;
a pool of past fakes is a list, and their layers are torch's own. Both see pictures in memory, without jitter;
ours averages its weights, too. Loops take turns. Times are the processor's for this process, so that others
on the machine disturb less.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from measuring import Row, Step, print_table, ratios, take_turns, with_settings
from plain import as_written
from torch import Tensor, nn

from gansmith.config.recipe import Recipe
from gansmith.core.noise import Noise
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.augment import Augment
from gansmith.data.loading.loader import Loader
from gansmith.engine.device import pick_precision
from gansmith.engine.trainer import Trainer
from gansmith.recipes import named
from gansmith.training.setup import resolve

CPU = torch.device("cpu")
Plain = Callable[[Any, Any, dict[str, Tensor]], Step]


def _adam(*networks: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam([p for network in networks for p in network.parameters()], 2e-4, (0.5, 0.999))


def _move(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _taken_for_real(scores: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, torch.ones_like(scores))


def _told_apart(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    on_real, on_fake = critic(real), critic(fake.detach())
    return _taken_for_real(on_real) + F.binary_cross_entropy_with_logits(on_fake, torch.zeros_like(on_fake))


def pix2pix(method: Any, networks: Any, batch: dict[str, Tensor]) -> Step:
    """The authors' step: the critic on (source, fake) and (source, target), then the generator."""
    generator, critic = networks.generator, networks.discriminator
    critics, generators = _adam(critic), _adam(generator)
    source, target = batch["source"], batch["target"]
    noise = Noise(torch.arange(len(source)))
    logistic = F.binary_cross_entropy_with_logits

    def step() -> None:
        fake = generator(source, noise)
        on_fake = critic(torch.cat([source, fake.detach()], 1))
        on_real = critic(torch.cat([source, target], 1))
        game = logistic(on_fake, torch.zeros_like(on_fake)) + logistic(on_real, torch.ones_like(on_real))
        _move(critics, 0.5 * game)
        critic.requires_grad_(False)
        on_fake = critic(torch.cat([source, fake], 1))
        distance = F.l1_loss(fake, target)
        _move(generators, logistic(on_fake, torch.ones_like(on_fake)) + method.l1 * distance)
        critic.requires_grad_(True)

    return step


class _Pool:
    """Past fakes, as the authors keep them."""

    def __init__(self, size: int) -> None:
        self.size, self.held = size, list[Tensor]()

    def shown(self, fakes: Tensor) -> Tensor:
        """Each fake, or a past one whose place it takes."""
        found = []
        for fake in fakes:
            if len(self.held) < self.size:
                self.held.append(fake)
                found.append(fake)
            elif random.random() < 0.5:
                place = random.randrange(self.size)
                found.append(self.held[place])
                self.held[place] = fake
            else:
                found.append(fake)
        return torch.stack(found)


def cyclegan(method: Any, networks: Any, batch: dict[str, Tensor]) -> Step:
    """The authors' step: both translators with cycles and identity, then both critics."""
    a_to_b, b_to_a = networks.a_to_b, networks.b_to_a
    of_a, of_b = networks.critic_a, networks.critic_b
    translators, critics = _adam(a_to_b, b_to_a), _adam(of_a, of_b)
    pool_a, pool_b = _Pool(method.pool), _Pool(method.pool)
    a, b = batch["a"], batch["b"]

    def squares(scores: Tensor, wanted: float) -> Tensor:
        return (scores - wanted).square().mean()

    def step() -> None:
        to_b, to_a = a_to_b(a), b_to_a(b)
        cycle = F.l1_loss(b_to_a(to_b), a) + F.l1_loss(a_to_b(to_a), b)
        same = F.l1_loss(a_to_b(b), b) + F.l1_loss(b_to_a(a), a)
        for critic in (of_a, of_b):
            critic.requires_grad_(False)
        game = squares(of_b(to_b), 1.0) + squares(of_a(to_a), 1.0)
        _move(translators, game + method.cycle * cycle + method.identity * same)
        for critic in (of_a, of_b):
            critic.requires_grad_(True)
        shown_a, shown_b = pool_a.shown(to_a.detach()), pool_b.shown(to_b.detach())
        on_a = 0.5 * (squares(of_a(a), 1.0) + squares(of_a(shown_a), 0.0))
        on_b = 0.5 * (squares(of_b(b), 1.0) + squares(of_b(shown_b), 0.0))
        _move(critics, on_a + on_b)

    return step


def srresnet(method: Any, networks: Any, batch: dict[str, Tensor]) -> Step:
    """Squared distance."""
    generators = _adam(networks.generator)
    return lambda: _move(generators, F.mse_loss(networks.generator(batch["source"]), batch["target"]))


def srgan(method: Any, networks: Any, batch: dict[str, Tensor]) -> Step:
    """The critic on both, then the generator by content, pixels and the game."""
    generator, critic, look = networks.generator, networks.discriminator, networks.instruments["features"]
    critics, generators = _adam(critic), _adam(generator)
    source, target = batch["source"], batch["target"]

    def step() -> None:
        fake = generator(source)
        _move(critics, _told_apart(critic, target, fake))
        critic.requires_grad_(False)
        with torch.no_grad():
            wanted = look(target)
        game = _taken_for_real(critic(fake))
        content, pixels = F.mse_loss(look(fake), wanted), F.mse_loss(fake, target)
        _move(generators, method.content * content + method.pixels * pixels + method.game * game)
        critic.requires_grad_(True)

    return step


def context_encoder(method: Any, networks: Any, batch: dict[str, Tensor]) -> Step:
    """The critic on the middle and on what was made of it, then the generator; the band counts more."""
    generator, critic = networks.generator, networks.discriminator
    critics, generators = _adam(critic), _adam(generator)
    source, side = batch["source"], batch["source"].shape[2]
    middle = slice(side // 4, side // 4 + side // 2)
    target = batch["target"][:, :, middle, middle]
    band = slice(method.overlap, side // 2 - method.overlap)
    weights = torch.full((side // 2, side // 2), method.overlap_weight)
    weights[band, band] = 1.0

    def step() -> None:
        made = generator(source)
        _move(critics, _told_apart(critic, target, made))
        critic.requires_grad_(False)
        game = _taken_for_real(critic(made))
        distance = (weights * (made - target).square()).mean()
        _move(generators, method.l2 * distance + method.game * game)
        critic.requires_grad_(True)

    return step


CASES: dict[str, Plain] = {
    "pix2pix64-small": pix2pix,
    "cyclegan64-small": cyclegan,
    "srresnet-x4-small": srresnet,
    "srgan-x4-small": srgan,
    "context-encoder64-small": context_encoder,
}


def pictures(recipe: Recipe, count: int) -> MemoryDataSet:
    """Noise in every column; what a step costs does not depend on what pictures show."""
    shrink, side = recipe.spec().source_shrink, recipe.data.size.height
    columns = {
        name: torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)
        for name in recipe.method.batch_type._fields
    }
    if "mask" in columns:
        columns["mask"] = torch.zeros(count, 1, side, side, dtype=torch.uint8)
        columns["mask"][:, :, side // 4 : -(side // 4), side // 4 : -(side // 4)] = 255
    if "source" in columns:
        columns["source"] = columns["source"][:, :, ::shrink, ::shrink].contiguous()
    return MemoryDataSet("pictures in memory", columns)


def rows(name: str, plain: Plain, batch: int | None, rounds: int, seconds: float, tiny: bool) -> list[Row]:
    """A line for float32 and one for what the machine chooses."""
    recipe = named(name)
    recipe = replace(recipe, data=replace(recipe.data, channels=3, mirror=False, augment=Augment()))
    recipe = with_settings(recipe, batch=batch or recipe.train.batch)
    if tiny:
        recipe = replace(recipe, method=recipe.method.tiny())
    data = pictures(recipe, 4 * recipe.train.batch)
    recipe = resolve(recipe, data)
    first = data.fetch(torch.arange(recipe.train.batch))
    shown = {column: images.float() / 127.5 - 1.0 for column, images in first.items()}
    networks = recipe.method.build(recipe.spec()).train()
    networks.attach(recipe.method.instruments(recipe.spec()))
    loops = {"plain": as_written(plain(recipe.method, networks, shown))}
    for precision in ("float32", "auto"):
        asked = with_settings(recipe, precision=precision)
        loader: Loader[Any] = Loader(data, recipe.method.batch_type, asked.data, asked.train.seed, CPU)
        loops[precision] = Trainer(asked, loader, CPU).step
    times = take_turns(loops, rounds, seconds, CPU, time.process_time)
    found = []
    for precision in ("float32", "auto"):
        kind = pick_precision(precision, CPU)
        each = statistics.median(times[precision])
        found.append(
            Row(
                f"{name}, batch {recipe.train.batch}, steps, {str(kind).removeprefix('torch.')}",
                f"{1000 * each:,.0f} ms a step",
                f"plain, float32: {1000 * statistics.median(times['plain']):,.0f} ms",
                ratios(times["plain"], times[precision]),
            )
        )
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    asked = parser.parse_args()
    torch.manual_seed(0)
    rounds, seconds, batch = (1, 0.0, 2) if asked.quick else (asked.rounds, asked.seconds, None)
    table = []
    for name in asked.cases:
        table += rows(name, CASES[name], batch, rounds, seconds, asked.quick)
    print_table(table)


if __name__ == "__main__":
    main()
