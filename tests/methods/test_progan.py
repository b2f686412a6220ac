"""ProGAN: growth as a function of images seen, blending by closed forms, counts, and drift."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import SPEC16, Linear, one_hot, random_images, small_named, trainer_of

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.losses.adversarial import Wasserstein
from gansmith.methods.batches import ImageBatch
from gansmith.methods.gan import GAN
from gansmith.methods.progan import ProGAN
from gansmith.networks.architectures import Convolutional
from gansmith.networks.bundle import Pair
from gansmith.networks.progan import Progressive, double, faded
from gansmith.recipes import named

METHOD = ProGAN(grown=0.5).tiny()


def count(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("size", "generator", "discriminator"),
    [
        (64, 22_490_383, 22_498_049),
        (128, 22_933_394, 22_941_313),
        (256, 23_044_309, 23_052_353),
        (1024, 23_079_115, 23_087_249),
    ],
)
def test_the_networks_have_the_papers_counts(size: int, generator: int, discriminator: int) -> None:
    networks = Progressive(width=16384 // size)
    with torch.device("meta"):
        spec = DataSpec(height=size, width=size)
        assert count(networks.generator(spec, 512)) == generator
        assert count(networks.discriminator(spec)) == discriminator


def test_growth_is_flat_rising_flat_and_done_when_it_was_to_be() -> None:
    method, levels = ProGAN(grown=0.4), []
    for images in range(0, 1001, 50):  # Two doublings: four phases of 100 images.
        levels.append(method.level(2, Progress(images=images, total_images=1000)))
    assert levels[:9] == pytest.approx([0, 0, 0, 0.5, 1, 1, 1, 1.5, 2]) and set(levels[9:]) == {2.0}
    sizes = [method.size_at(SPEC16, Progress(images=i, total_images=1000)) for i in (0, 99, 150, 301, 999)]
    assert sizes == [(4, 4), (4, 4), (8, 8), (16, 16), (16, 16)]
    assert ProGAN(grown=0.0).level(3, Progress()) == 3.0
    with pytest.raises(SettingError, match=r"share of the run in \[0, 1\]. Received: grown=1.5"):
        ProGAN(grown=1.5)


@pytest.mark.parametrize("name", ["progan64", "progan128", "progan256"])
def test_a_phase_of_the_paper_is_600_000_images(name: str) -> None:
    recipe = named(name)
    levels = recipe.data.size.width.bit_length() - 3
    method, total = recipe.method, recipe.train.images
    at = [method.level(levels, Progress(images=n * 100_000, total_images=total)) for n in (6, 9, 12, 18, 21)]
    assert at == pytest.approx([0.0, 0.5, 1.0, 1.0, 1.5])
    decay = recipe.train.average.decay(Progress(images=0, batch=recipe.train.batch))
    assert decay == pytest.approx(0.999)


@pytest.mark.parametrize("part", [0.25, 0.75])
def test_between_two_sizes_all_is_a_blend_of_both(part: float) -> None:
    """Fakes, real images and the critic's features; at both ends the blend is one of its sides."""
    torch.manual_seed(0)
    pair, z = METHOD.build(SPEC16), torch.randn(4, 6)
    generator, critic = pair.generator, pair.discriminator
    with torch.no_grad():
        # The new image alone; a nearly whole fade is it as well.
        old, new, between = (generator(z, level) for level in (1.0, 2.0, 1.0 + part))
        torch.testing.assert_close(between, torch.lerp(double(old), new, part))
        images = random_images(4)
        blend = faded(images, 1.0 + part)
        assert faded(images, 2.0) is images
        torch.testing.assert_close(F.avg_pool2d(blend, 2), F.avg_pool2d(images, 2))
        detail = images - double(F.avg_pool2d(images, 2))
        torch.testing.assert_close(blend, images - (1.0 - part) * detail)
        start = critic(images, 1.0 + 1e-7)
        torch.testing.assert_close(start, critic(F.avg_pool2d(images, 2), 1.0), rtol=1e-4, atol=1e-4)
        end = critic(images, 2.0 - 1e-7)
        torch.testing.assert_close(end, critic(images, 2.0), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_features_have_length_one_and_scores_a_scale_at_the_start() -> None:
    torch.manual_seed(0)
    networks = Progressive(width=32, max_channels=64)
    generator, critic = networks.generator(SPEC16, 32), networks.discriminator(SPEC16)
    seen: list[torch.Tensor] = []
    for layer in generator.to_colors[-1:]:
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    images = generator(torch.randn(64, 32))
    torch.testing.assert_close(seen[0].square().mean(dim=1), torch.ones(64, 16, 16), rtol=1e-3, atol=1e-3)
    assert 0.7 < float(images.std()) < 1.4, "a gain of 1 behind features of length 1"
    for layer in (critic.hidden, critic.head):
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    critic(torch.randn(64, 3, 16, 16))
    roots = [float(x.square().mean().sqrt()) for x in seen[1:]]
    assert all(0.3 < root < 2.0 for root in roots), roots  # Pooling of noise takes some of it.


def test_a_step_trains_on_the_size_of_the_moment_and_pictures_are_enlarged() -> None:
    recipe = small_named("progan32-small", images=48)
    recipe = replace(recipe, method=replace(recipe.method, grown=0.5))
    trainer, levels, sizes = trainer_of(recipe), [], []
    for _ in range(8):
        trainer.step()
        levels.append(trainer.flush()["discriminator/level"])
        networks = trainer.networks_for_pictures()
        assert float(networks.level) == pytest.approx(levels[-1])
        images = recipe.method.generate(networks, None, Noise.of(0))
        assert images.shape == (1, 3, 16, 16)
        squares = [k for k in (4, 2, 1) if torch.allclose(images, _in_squares(images, k))]
        sizes.append(16 // squares[0])
        assert recipe.method.critic_scores(networks, images, None).shape == (1,)
    assert levels == pytest.approx([0, 0, 1 / 3, 1, 1, 4 / 3, 2, 2])
    assert sizes == [4, 4, 8, 8, 8, 16, 16, 16]


def _in_squares(images: torch.Tensor, side: int) -> torch.Tensor:
    return F.interpolate(F.avg_pool2d(images, side), scale_factor=float(side), mode="nearest")


def test_drift_is_a_share_of_the_squared_scores_of_real_images() -> None:
    batch = ImageBatch(random_images(4))
    game = GAN(adversarial=Wasserstein(), clip=9.0, networks=Convolutional(norm="none")).tiny()
    pair = Pair(game.build(SPEC16).generator, Linear(one_hot(3.0)))
    plain, more = (
        replace(game, drift=drift).discriminator_loss(pair, batch, Noise.of(0, 1, 2, 3), Progress()).total
        for drift in (0.0, 0.5)
    )
    squared = (3.0 * batch.images[:, 2, 1, 2]).square().mean()
    assert (more - plain).item() == pytest.approx(0.5 * squared.item(), rel=1e-4)
    assert ProGAN().drift == 1e-3 and math.isclose(ProGAN().penalty.weight, 10.0)
