"""WGAN: critic moves, clipping and the distance."""

import pytest
import torch
from helpers import SPEC16, random_images, silence_head, small_named, trainer_of

from gansmith.config.overrides import override
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.errors import SettingError
from gansmith.methods.batches import ImageBatch
from gansmith.methods.wgan import WGAN

BATCH = ImageBatch(random_images(4))


def noise() -> Noise:
    return Noise(torch.arange(4))


@pytest.mark.parametrize("moves", [1, 5])
def test_the_critic_moves_n_critic_times_before_the_generator(moves: int) -> None:
    turns = WGAN(critic_moves=moves).turns()
    assert [(turn.player, turn.repeats, turn.every) for turn in turns] == [
        ("critic", moves, 1),
        ("generator", 1, 1),
    ]
    assert WGAN().critic_moves == 5


@pytest.mark.parametrize("clip", [0.01, 0.003])
def test_every_weight_of_the_critic_is_within_the_clip_after_a_step(clip: float) -> None:
    trainer = trainer_of(override(small_named("wgan28"), f"method.clip={clip}"))
    before = max(weight.abs().max().item() for weight in trainer.networks.discriminator.parameters())
    trainer.step()
    largest = max(weight.abs().max().item() for weight in trainer.networks.discriminator.parameters())
    assert before > clip
    assert largest == pytest.approx(clip)
    assert largest <= torch.tensor(clip).item()
    assert max(weight.abs().max().item() for weight in trainer.networks.generator.parameters()) > clip


def test_clipping_leaves_small_weights_as_they_are() -> None:
    networks = WGAN(generator_width=4, critic_width=4, clip=0.05).build(SPEC16)
    before = [weight.detach().clone() for weight in networks.discriminator.parameters()]
    with torch.no_grad():
        WGAN(clip=0.05).clip_weights(networks)
    for old, new in zip(before, networks.discriminator.parameters(), strict=True):
        assert torch.equal(old.clamp(-0.05, 0.05), new)


@pytest.mark.parametrize("clip", [0.0, -1.0])
def test_a_clip_must_be_positive(clip: float) -> None:
    with pytest.raises(SettingError, match=f"method.clip must be positive. Received: clip={clip}"):
        WGAN(clip=clip)


def test_a_critic_that_says_nothing_sees_no_distance() -> None:
    method = WGAN(latent=6, generator_width=4, critic_width=4)
    networks = method.build(SPEC16)
    silence_head(networks.discriminator)
    assert method.critic_loss(networks, BATCH, noise(), Progress()).total.item() == 0.0
    assert method.generator_loss(networks, BATCH, noise(), Progress()).total.item() == 0.0
    assert method.validation_metrics(networks, BATCH, noise())["distance"].item() == 0.0


def test_the_reported_distance_is_real_minus_made() -> None:
    torch.manual_seed(0)
    method = WGAN(latent=6, generator_width=4, critic_width=4)
    networks = method.build(SPEC16)
    real = networks.discriminator(BATCH.images)
    fake = networks.discriminator(networks.generator(method.latents(noise())))
    loss = method.critic_loss(networks, BATCH, noise(), Progress())
    assert torch.allclose(loss.parts["distance"], real.mean() - fake.mean(), atol=1e-6)
    assert torch.allclose(loss.total, fake.mean() - real.mean(), atol=1e-6)
    assert torch.allclose(
        method.validation_metrics(networks, BATCH, noise())["distance"], -loss.total, atol=1e-6
    )
    generator = method.generator_loss(networks, BATCH, noise(), Progress()).total
    assert torch.allclose(generator, -fake.mean(), atol=1e-6)
    assert method.latents(noise()).shape == (4, 6)
