"""DCGAN as a method: its moves, priors and losses."""

import math

import pytest
import torch
from helpers import SPEC16, random_images, silence_head, small_named, trainer_of

from gansmith.config.overrides import override
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.errors import SettingError
from gansmith.losses.adversarial import Hinge, LeastSquares, Logistic, Minimax, Wasserstein
from gansmith.methods.batches import ImageBatch
from gansmith.methods.dcgan import DCGAN, draw_latents

LOG2 = math.log(2.0)


def tiny(**changes) -> DCGAN:
    return DCGAN(latent=6, generator_width=4, discriminator_width=4, **changes)


@pytest.mark.parametrize(("generator", "discriminator"), [(1, 1), (2, 1), (1, 3)])
def test_the_ratio_of_moves_is_the_one_asked_for(generator: int, discriminator: int) -> None:
    method = tiny(generator_moves=generator, discriminator_moves=discriminator)
    moves = [turn.player for turn in method.turns() for _ in range(turn.repeats)]
    assert moves == ["discriminator"] * discriminator + ["generator"] * generator
    assert set(moves) == set(method.players())


def test_two_generator_moves_happen_in_one_step() -> None:
    recipe = override(small_named("dcgan28"), "method.generator_moves=2")
    trainer = trainer_of(recipe)
    trainer.step()
    steps = {
        player: {int(state["step"]) for state in optimizer.state.values()}
        for player, optimizer in trainer.optimizers.items()
    }
    assert steps == {"discriminator": {1}, "generator": {2}}
    assert trainer.images == recipe.train.batch


@pytest.mark.parametrize(
    "name", ["latent", "generator_width", "discriminator_width", "generator_moves", "discriminator_moves"]
)
def test_counts_must_be_positive(name: str) -> None:
    with pytest.raises(SettingError, match=f"method.{name} must be at least 1. Received: {name}=0"):
        DCGAN(**{name: 0})


@pytest.mark.parametrize(
    ("prior", "low", "high", "mean", "variance"),
    [
        ("normal", -math.inf, math.inf, 0.0, 1.0),
        ("uniform", -1.0, 1.0, 0.0, 1 / 3),
        ("unit", 0.0, 1.0, 0.5, 1 / 12),
    ],
)
def test_latents_have_the_priors_range_and_moments(prior, low, high, mean, variance) -> None:
    latents = draw_latents(Noise(torch.arange(400)), 50, prior)
    assert latents.shape == (400, 50)
    assert low < latents.min()
    assert latents.max() < high
    assert latents.mean().item() == pytest.approx(mean, abs=5 * (variance / 20_000) ** 0.5)
    assert latents.var().item() == pytest.approx(variance, rel=0.05)
    assert torch.equal(tiny(prior=prior).latents(Noise.of(3)), draw_latents(Noise.of(3), 6, prior))
    if prior == "normal":
        assert latents.abs().max() > 3.0


@pytest.mark.parametrize("head", ["convolution", "softmax"])
@pytest.mark.parametrize(
    ("adversarial", "discriminator", "generator"),
    [
        (Logistic(), 2 * LOG2, LOG2),
        (Logistic(real=0.9), 2 * LOG2, LOG2),
        (Minimax(), 2 * LOG2, -LOG2),
        (LeastSquares(), 0.5, 0.5),
        (Hinge(), 2.0, 0.0),
        (Wasserstein(), 0.0, 0.0),
    ],
)
def test_a_judge_that_says_nothing_costs_the_closed_form(adversarial, discriminator, generator, head) -> None:
    method = tiny(adversarial=adversarial, head=head)
    networks = method.build(SPEC16)
    silence_head(networks.discriminator)
    batch, progress = ImageBatch(random_images(4)), Progress()
    loss = method.discriminator_loss(networks, batch, Noise(torch.arange(4)), progress)
    assert loss.total.item() == pytest.approx(discriminator, abs=1e-6)
    assert {name: round(value.item(), 6) for name, value in loss.parts.items()} == {
        "D(x)": 0.5,
        "D(G(z))": 0.5,
        "accuracy on real": 0.0,
        "accuracy on fake": 1.0,
    }
    loss = method.generator_loss(networks, batch, Noise(torch.arange(4)), progress)
    assert loss.total.item() == pytest.approx(generator, abs=1e-6)
    assert loss.parts["D(G(z))"].item() == 0.5


def test_reported_scores_are_the_judges() -> None:
    torch.manual_seed(0)
    method = tiny()
    networks, batch = method.build(SPEC16), ImageBatch(random_images(4))
    loss = method.discriminator_loss(networks, batch, Noise.of(0, 1, 2, 3), Progress())
    real = networks.discriminator(batch.images)
    fake = networks.discriminator(networks.generator(method.latents(Noise.of(0, 1, 2, 3))))
    assert torch.allclose(loss.total, Logistic().discriminator(real, fake), atol=1e-6)
    assert torch.allclose(loss.parts["D(x)"], real.sigmoid().mean())
    assert torch.allclose(loss.parts["D(G(z))"], fake.sigmoid().mean())


def test_held_out_numbers_are_of_the_batch_given() -> None:
    method = tiny()
    networks = method.build(SPEC16)
    silence_head(networks.discriminator)
    measured = method.validation_metrics(networks, ImageBatch(random_images(4)), Noise.of(0, 1, 2, 3))
    assert {name: value.item() for name, value in measured.items()} == {"accuracy": 0.0, "D(x)": 0.5}


@pytest.mark.parametrize("light", [False, True])
def test_options_reach_the_networks(light: bool) -> None:
    networks = tiny(light=light, head="softmax", momentum=0.3, max_channels=5).build(SPEC16)
    convolutions = [m for m in networks.discriminator.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 2  # At 16 px the mirror image of the generator has two as well.
    assert max(layer.out_channels for layer in convolutions) == 5
    norms = [m for m in networks.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.3}
    deep = tiny(light=light).build(type(SPEC16)(height=64, width=64)).discriminator
    assert sum(isinstance(m, torch.nn.Conv2d) for m in deep.modules()) == (3 if light else 5)


def test_a_picture_does_not_depend_on_its_batch_in_eval_mode() -> None:
    method = tiny()
    networks = method.build(SPEC16).eval()
    with torch.no_grad():
        alone = method.generate(networks, None, Noise.of(7))
        among = method.generate(networks, None, Noise.of(1, 7, 2))
    assert torch.allclose(alone[0], among[1], atol=1e-6)
