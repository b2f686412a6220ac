"""WGAN-GP: a critic without batch norm whose slope is held at 1."""

import pytest
import torch
from helpers import SPEC16, Linear, one_hot, random_images, silence_head, small_named, trainer_of
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.methods.batches import ImageBatch
from gansmith.methods.wgan_gp import WGANGP
from gansmith.networks.bundle import Pair
from gansmith.networks.resnet import ResidualCritic, ResidualGenerator

BATCH = ImageBatch(random_images(4))


def noise() -> Noise:
    return Noise(torch.arange(4))


def tiny(**changes) -> WGANGP:
    return WGANGP(latent=6, width=4, **changes)


@pytest.mark.parametrize("moves", [1, 5])
def test_the_critic_moves_n_critic_times_before_the_generator(moves: int) -> None:
    turns = tiny(critic_moves=moves).turns()
    assert [(turn.player, turn.repeats) for turn in turns] == [("critic", moves), ("generator", 1)]
    assert (WGANGP().critic_moves, WGANGP().penalty) == (5, 10.0)


def test_one_step_is_five_critic_updates_and_one_of_the_generator() -> None:
    trainer = trainer_of(small_named("wgan-gp28"))
    trainer.step()
    steps = {
        player: {int(state["step"]) for state in optimizer.state.values()}
        for player, optimizer in trainer.optimizers.items()
    }
    assert steps == {"critic": {5}, "generator": {1}}


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_the_critic_has_no_batch_norm(norm) -> None:
    critic = tiny(norm=norm).build(SPEC16).discriminator
    assert not any(isinstance(module, nn.modules.batchnorm._NormBase) for module in critic.modules())
    assert any(isinstance(module, nn.GroupNorm) for module in critic.modules()) == (norm == "layer")


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_the_score_of_a_picture_does_not_depend_on_the_batch(norm) -> None:
    torch.manual_seed(0)
    critic = tiny(norm=norm).build(SPEC16).discriminator.train()
    with torch.no_grad():
        alone, among = critic(BATCH.images[2:3]), critic(BATCH.images)
        shifted = critic(torch.cat([BATCH.images[:3], BATCH.images[3:] * 0.1]))
    assert alone.item() == pytest.approx(among[2].item(), abs=1e-5)
    assert torch.allclose(shifted[:3], among[:3], atol=1e-5)
    assert among.std() > 1e-4


@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (12, 8, 3), (28, 28, 1), (32, 48, 3)])
def test_shapes_and_ranges_at_several_sizes(height: int, width: int, channels: int) -> None:
    spec = DataSpec(height=height, width=width, channels=channels)
    images = ResidualGenerator(spec, 5, 4, 16)(torch.randn(2, 5))
    assert images.shape == (2, channels, height, width)
    assert images.abs().max() <= 1.0
    scores = ResidualCritic(spec, 4, 16, "layer")(images)
    assert scores.shape == (2,)
    assert scores.dtype == images.dtype == torch.float32


def test_a_critic_that_says_nothing_costs_lambda() -> None:
    method = tiny(penalty=7.0)
    networks = method.build(SPEC16)
    silence_head(networks.discriminator)
    loss = method.critic_loss(networks, BATCH, noise(), Progress())
    assert loss.total.item() == pytest.approx(7.0, abs=1e-4)
    assert loss.parts["distance"].item() == 0.0
    assert loss.parts["penalty"].item() == pytest.approx(1.0, abs=1e-5)
    assert method.generator_loss(networks, BATCH, noise(), Progress()).total.item() == 0.0


@pytest.mark.parametrize("slope", [0.5, 1.0, 3.0])
def test_a_linear_critic_costs_its_distance_and_its_slope(slope: float) -> None:
    method = tiny()
    networks = Pair(method.build(SPEC16).generator, Linear(one_hot(slope)))
    made = networks.generator(method.latents(noise()))
    distance = (slope * (BATCH.images - made)[:, 2, 1, 2].mean()).item()
    loss = method.critic_loss(networks, BATCH, noise(), Progress())
    assert loss.parts["penalty"].item() == pytest.approx((slope - 1) ** 2, abs=1e-5)
    assert loss.parts["distance"].item() == pytest.approx(distance, abs=1e-5)
    assert loss.total.item() == pytest.approx(-distance + 10 * (slope - 1) ** 2, abs=1e-4)
    assert method.validation_metrics(networks, BATCH, noise())["distance"].item() == pytest.approx(
        distance, abs=1e-5
    )


def test_the_slope_is_asked_for_at_a_random_place_of_each_pictures_line() -> None:
    class HalfSquare(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return 0.5 * images.square().flatten(1).sum(dim=1)

    method = tiny()
    networks = Pair(method.build(SPEC16).generator, HalfSquare())
    stream = noise()
    made = networks.generator(method.latents(stream))
    share = stream.uniform(1)[:, :, None, None]
    between = share * BATCH.images + (1 - share) * made  # The slope of this critic is the picture itself.
    expected = (between.flatten(1).norm(dim=1) - 1).square().mean().item()
    loss = method.critic_loss(networks, BATCH, noise(), Progress())
    assert loss.parts["penalty"].item() == pytest.approx(expected, rel=1e-4)
    assert len(share.unique()) == 4


def test_biases_start_at_0_and_every_weight_is_drawn() -> None:
    networks = tiny().build(SPEC16)
    for module in networks.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert (module.bias == 0).all()
            assert module.weight.std() > 0.01
    assert tiny().latents(noise()).shape == (4, 6)
