"""How far a turn's loss and gradients are from those in float64, in float32 and in bfloat16 autocast.

A bound is ``MARGIN`` times the error seen on a processor with bfloat16 in hardware. What makes the errors:

- One rounding is up to 6e-8 in float32 and 4e-3 in bfloat16; over the layers, forwards and backwards, they
  add up like a random walk, to a few times that.
- In bfloat16 about one activation in a thousand lies so near to 0 that it is rounded to the other side of a
  ReLU, where the slope is another. That is most of the gradients' error: 8 % in DCGAN-64, and 1 % with a
  smooth function in the ReLU's place. In float32 it is one in millions: here none, in the median of the
  seeds; networks of the real size have some, and with them errors of 1e-3.
- RpGAN's penalty divides the difference of two scores by a distance of 0.05 in each pixel, and so their
  errors with it. In more pixels that is a longer way: with the widths and 64 px of rpgan64 the error of the
  gradients is 5 %, late in a run 3 %. (The head in float32 would change neither.)
- A loss that is a difference of mean scores is as uncertain as these are, however small it is. So the error
  of a loss is counted in units of the mean score where that is the larger.
"""

import copy
import dataclasses
import statistics
from typing import Any, NamedTuple

import pytest
import torch
from helpers import random_images, small
from torch import Tensor, nn

from gansmith.config.recipe import Recipe
from gansmith.core.noise import Noise
from gansmith.core.tensors import full
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import ImageBatch
from gansmith.networks.bundle import Networks
from gansmith.recipes import named

SIZE, BATCH, WIDTH = 16, 8, 16
SEEDS = range(3)
MARGIN = 3.0
HALF, SINGLE, DOUBLE = torch.bfloat16, torch.float32, torch.float64


class Error(NamedTuple):
    """Of the loss, the greatest over the seeds; of the mover's gradients, the median.

    All are relative; ``gradients`` is the length of the difference, ``cosine`` what it lacks to 1.
    """

    loss: float
    gradients: float
    cosine: float


# Recipe, turn -> the errors seen in float32 and in bfloat16.
SEEN: dict[tuple[str, str], tuple[Error, Error]] = {
    ("rpgan28", "discriminator"): (Error(1e-06, 4e-06, 7e-12), Error(7e-03, 1e-01, 5e-03)),
    ("rpgan28", "generator"): (Error(2e-07, 4e-07, 7e-14), Error(9e-04, 5e-02, 1e-03)),
    ("rpgan64", "discriminator"): (Error(4e-07, 2e-06, 1e-12), Error(2e-03, 4e-02, 9e-04)),
    ("rpgan64", "generator"): (Error(2e-07, 4e-07, 7e-14), Error(9e-04, 5e-02, 1e-03)),
    ("dcgan64", "discriminator"): (Error(6e-08, 4e-07, 9e-14), Error(8e-04, 3e-02, 5e-04)),
    ("dcgan64", "generator"): (Error(6e-08, 4e-07, 9e-14), Error(1e-03, 7e-02, 2e-03)),
    ("dcgan64-paper", "discriminator"): (Error(4e-08, 4e-07, 8e-14), Error(3e-04, 3e-02, 5e-04)),
    ("dcgan64-paper", "generator"): (Error(2e-07, 4e-07, 7e-14), Error(5e-04, 6e-02, 2e-03)),
    ("dcgan64-steady", "discriminator"): (Error(4e-08, 4e-07, 9e-14), Error(6e-04, 3e-02, 5e-04)),
    ("dcgan64-steady", "generator"): (Error(6e-08, 4e-07, 9e-14), Error(1e-03, 7e-02, 2e-03)),
    ("wgan64", "critic"): (Error(6e-07, 4e-07, 9e-14), Error(2e-02, 3e-02, 4e-04)),
    ("wgan64", "generator"): (Error(3e-07, 4e-07, 8e-14), Error(2e-02, 7e-02, 2e-03)),
    ("wgan-gp64", "critic"): (Error(6e-07, 8e-07, 3e-13), Error(1e-02, 5e-02, 1e-03)),
    ("wgan-gp64", "generator"): (Error(3e-07, 1e-06, 5e-13), Error(7e-03, 1e-01, 1e-02)),
}
CASES = tuple(dict.fromkeys(name for name, _ in SEEN))


class Played(NamedTuple):
    """A turn in one format: its loss, the mover's gradients in a row, and the mean size of its scores."""

    loss: Loss
    gradients: Tensor
    score: float


def narrow(name: str) -> Recipe:
    """A recipe's own game with narrow networks, on few small pictures."""
    recipe = small(named(name), size=SIZE, batch=BATCH)
    widths = {f.name: WIDTH for f in dataclasses.fields(recipe.method) if f.name.endswith("width")}
    return dataclasses.replace(recipe, method=dataclasses.replace(recipe.method, **widths))


def widen(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Noise is drawn in float32; a network in float64 gets the very same numbers."""
    return tuple(value.double() if isinstance(value, Tensor) else value for value in inputs)


def play(recipe: Recipe, networks: Networks, turn: Turn[Any, Any], seed: int, kind: torch.dtype) -> Played:
    """A turn as the trainer plays it, on a copy of the networks, with the same numbers in every format."""
    networks = copy.deepcopy(networks).train().requires_grad_(False)
    networks.to(memory_format=torch.channels_last)
    images = random_images(BATCH, SIZE, seed=seed).contiguous(memory_format=torch.channels_last)
    if kind == DOUBLE:
        networks, images = networks.double(), images.double()
        for network in networks.children():
            network.register_forward_pre_hook(widen)
    owned = [p for n in recipe.method.players()[turn.player] for p in networks.get_submodule(n).parameters()]
    for parameter in owned:
        parameter.requires_grad_(True)
    noise = Noise(torch.arange(BATCH) + 100 * seed)
    with torch.autocast("cpu", HALF, enabled=kind == HALF):
        loss = turn.loss(networks, ImageBatch(images), noise, recipe.progress(0, 100))
    loss.total.backward()
    gradients = torch.cat([p.grad.double().flatten() for p in owned if p.grad is not None])
    with torch.no_grad():
        scores = recipe.method.critic_scores(networks, images, None)
    return Played(loss, gradients, 0.0 if scores is None else scores.abs().mean().item())


def error(found: Played, exact: Played) -> Error:
    loss, right = found.loss.total.item(), exact.loss.total.item()
    a, b = exact.gradients, found.gradients
    cosine = (a @ b / (a.norm() * b.norm())).item()
    return Error(
        abs(loss - right) / max(abs(right), exact.score),
        ((a - b).norm() / a.norm()).item(),
        max(1.0 - cosine, 0.0),
    )


def errors(recipe: Recipe, turn: Turn[Any, Any]) -> tuple[Error, Error]:
    """The errors in float32 and in bfloat16."""
    found: tuple[list[Error], list[Error]] = ([], [])
    for seed in SEEDS:
        torch.manual_seed(seed)
        networks = recipe.method.build(recipe.spec())
        exact = play(recipe, networks, turn, seed, DOUBLE)
        assert exact.loss.total.dtype == DOUBLE  # Nothing on the way went through less.
        for kind, rows in zip((SINGLE, HALF), found, strict=True):
            rows.append(error(play(recipe, networks, turn, seed, kind), exact))
    single, half = (list(zip(*rows, strict=True)) for rows in found)
    return tuple(  # type: ignore[return-value]
        Error(max(losses), statistics.median(lengths), statistics.median(cosines))
        for losses, lengths, cosines in (single, half)
    )


def turn_of(recipe: Recipe, name: str) -> Turn[Any, Any]:
    return next(turn for turn in recipe.method.turns() if turn.name == name)


@pytest.mark.parametrize(("name", "turn"), SEEN)
def test_a_turn_is_as_exact_as_its_format_allows(name: str, turn: str) -> None:
    recipe = narrow(name)
    found = errors(recipe, turn_of(recipe, turn))
    for kind, got, seen in zip(("float32", "bfloat16"), found, SEEN[name, turn], strict=True):
        bound = Error(*(MARGIN * value for value in seen))
        assert all(a <= b for a, b in zip(got, bound, strict=True)), f"{kind}: {got}, not within {bound}"


@pytest.mark.parametrize(("name", "turn"), SEEN)
def test_losses_and_what_is_told_of_them_are_float32_under_bfloat16(name: str, turn: str) -> None:
    recipe = narrow(name)
    loss = play(recipe, recipe.method.build(recipe.spec()), turn_of(recipe, turn), 0, HALF).loss
    assert {loss.total.dtype, *(part.dtype for part in loss.parts.values())} == {SINGLE}


def test_wgan_gps_penalty_is_taken_in_float32_where_the_rest_is_bfloat16() -> None:
    recipe = narrow("wgan-gp28")
    networks = recipe.method.build(recipe.spec())
    formats: list[set[torch.dtype]] = []

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if module is networks.discriminator.first:
            formats.append(set())
        formats[-1].add(output.dtype)

    for module in networks.discriminator.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(watch)
    images = random_images(BATCH, SIZE)
    with torch.autocast("cpu", HALF):
        turn_of(recipe, "critic").loss(
            networks, ImageBatch(images), Noise.of(*range(8)), recipe.progress(0, 9)
        )
    assert formats == [{HALF}, {HALF}, {SINGLE}]  # Real pictures, made ones, and those between.


@pytest.mark.parametrize(
    ("kind", "wanted"), [(HALF, SINGLE), (torch.float16, SINGLE), (SINGLE, SINGLE), (DOUBLE, DOUBLE)]
)
def test_full_is_float32_at_least(kind: torch.dtype, wanted: torch.dtype) -> None:
    values = torch.tensor([1.0, -0.5], dtype=kind)
    assert full(values).dtype == wanted and full(values).tolist() == [1.0, -0.5]
