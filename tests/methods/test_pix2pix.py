"""pix2pix: the paper's networks to the parameter, its losses in closed form, and its noise."""

import math

import pytest
import torch
from helpers import random_images, silence_head
from torch import nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.methods.batches import PairBatch, SourcePrompt
from gansmith.methods.pix2pix import Pix2Pix
from gansmith.networks.bundle import Pair
from gansmith.networks.norm import InstanceNorm
from gansmith.networks.patchgan import PatchDiscriminator, field, fitting_layers
from gansmith.networks.unet import UNet
from gansmith.recipes import named

LOG2 = math.log(2.0)
SPEC = DataSpec(height=16, width=16)
BATCH = PairBatch(random_images(4), random_images(4, seed=1))


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("size", "generator"), [(256, 54_413_955), (128, 41_828_995)])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_parameters_of_the_paper(size: int, generator: int, norm) -> None:
    """Counted from the authors' layer tables; both norms have a gain and a shift for each channel."""
    with torch.device("meta"):
        networks = Pix2Pix(norm=norm).build(DataSpec(height=size, width=size))
        assert count(networks.generator) == generator
        assert count(networks.discriminator) == 2_768_705
        assert networks.discriminator(torch.empty(1, 6, 256, 256)).shape == (1, 30, 30)


@pytest.mark.parametrize(
    ("height", "width", "channels", "source"),
    [(64, 64, 3, 3), (32, 96, 3, 1), (48, 32, 1, 3), (12, 20, 1, 1)],
)
@pytest.mark.parametrize("up", ["transposed", "nearest", "bilinear"])
def test_any_size_and_channels_on_either_side(
    height: int, width: int, channels: int, source: int, up
) -> None:
    spec = DataSpec(height=height, width=width, channels=channels, source_channels=source)
    method = Pix2Pix(generator_width=2, discriminator_width=2, up=up)
    networks = method.build(spec)
    prompt = SourcePrompt(torch.zeros(2, source, height, width))
    made = method.generate(networks, prompt, Noise.of(0, 1))
    assert made.shape == (2, channels, height, width)
    assert method.critic_scores(networks, made, prompt).dim() == 3, "a score a patch"


def test_a_size_that_cannot_be_halved_twice_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match=r"Received: 65x64\. Try data\.size=64x64"):
        Pix2Pix().build(DataSpec(height=64, width=65))


def test_sources_of_another_size_are_refused() -> None:
    with pytest.raises(SettingError, match="as large as their sources"):
        Pix2Pix().build(DataSpec(height=16, width=16, source_shrink=4))


def test_a_critic_that_says_nothing_costs_half_the_games_loss() -> None:
    method = Pix2Pix(generator_width=2, discriminator_width=2, l1=10.0)
    networks = method.build(SPEC)
    silence_head(networks.discriminator)
    noise = Noise.of(0, 1, 2, 3)
    judged = method.discriminator_loss(networks, BATCH, noise, Progress())
    assert judged.total.item() == pytest.approx(LOG2, abs=1e-6), "(log 2 + log 2) / 2"
    made = method.generate(networks, method.prompt(BATCH), Noise.of(0, 1, 2, 3))
    distance = (made - BATCH.target).abs().mean().item()
    loss = method.generator_loss(networks, BATCH, Noise.of(0, 1, 2, 3), Progress())
    assert loss.total.item() == pytest.approx(LOG2 + 10.0 * distance, rel=1e-5)
    assert loss.parts["l1"].item() == pytest.approx(distance, rel=1e-6)


class Sums(nn.Module):
    """A critic whose scores are sums over channels, so that what it was shown can be read off them."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.sum(dim=1)


@pytest.mark.parametrize("conditional", [True, False])
def test_the_critic_sees_the_source_where_it_is_conditional(conditional: bool) -> None:
    method = Pix2Pix(conditional=conditional)
    networks = Pair(nn.Identity(), Sums())
    scores = method.critic_scores(networks, BATCH.target, method.prompt(BATCH))
    shown = BATCH.target.sum(1) + (BATCH.source.sum(1) if conditional else 0.0)
    torch.testing.assert_close(scores, shown)


def test_dropout_is_noise_of_the_picture_and_can_be_left_out_in_use() -> None:
    torch.manual_seed(0)
    images = random_images(2)
    network = UNet(SPEC, 4).eval()
    same, other = network(images, Noise.of(0, 1)), network(images, Noise.of(2, 1))
    assert torch.equal(same, network(images, Noise.of(0, 1))), "a function of the seed"
    assert not torch.allclose(same[0], other[0]) and torch.allclose(same[1], other[1], atol=1e-6)
    still = UNet(SPEC, 4, noise_at_test=False)
    assert not torch.equal(still(images, Noise.of(0, 1)), still(images, Noise.of(2, 3))), "in training"
    still.eval()
    assert torch.equal(still(images, Noise.of(0, 1)), still(images, Noise.of(2, 3)))


def test_instance_norm_is_torchs_and_keeps_the_bottleneck_out() -> None:
    features = torch.randn(3, 5, 7, 4)
    ours, theirs = InstanceNorm(5), nn.InstanceNorm2d(5, affine=True)
    for norm in (ours, theirs):
        nn.init.constant_(norm.weight, 1.5)
        nn.init.constant_(norm.bias, 0.25)
    torch.testing.assert_close(ours(features), theirs(features))
    network = UNet(SPEC, 4)
    norms = [any(isinstance(m, InstanceNorm) for m in layer.modules()) for layer in network.down]
    assert norms == [False, True, True, False]


def test_patches_are_as_large_as_they_are_said_to_be() -> None:
    """The gradient of one score reaches exactly the pixels of its patch."""
    assert [field(layers) for layers in (0, 1, 2, 3, 5)] == [1, 16, 34, 70, 286]
    for layers in (0, 1, 2):
        critic = PatchDiscriminator(1, (96, 96), 2, layers=layers, norm="batch").eval()
        images = torch.randn(1, 1, 96, 96, requires_grad=True)
        scores = critic(images)
        scores[0, scores.shape[1] // 2, scores.shape[2] // 2].backward()
        rows = images.grad[0, 0].abs().sum(1).nonzero()[:, 0]
        assert rows[-1] - rows[0] + 1 == field(layers)


def test_small_pictures_have_fewer_layers() -> None:
    assert [fitting_layers(3, side, side) for side in (8, 16, 24, 256)] == [1, 2, 3, 3]
    assert PatchDiscriminator(3, (16, 16), 4)(random_images(2)).shape == (2, 2, 2)


def test_held_out_pairs_tell_distance_and_change() -> None:
    method = Pix2Pix(generator_width=2, discriminator_width=2)
    networks = method.build(SPEC).eval()
    made = method.generate(networks, method.prompt(BATCH), Noise.of(0, 1, 2, 3))
    found = method.validation_metrics(networks, BATCH, Noise.of(0, 1, 2, 3))
    assert found["l1"].item() == pytest.approx((made - BATCH.target).abs().mean().item())
    assert found["change"].item() == pytest.approx((made - BATCH.source).abs().mean().item())


def test_the_recipes_are_the_papers() -> None:
    recipe = named("pix2pix256")
    assert recipe.method == Pix2Pix() and recipe.method.l1 == 100.0 and recipe.train.batch == 1
    for adam in recipe.optimizers.values():
        assert (adam.lr, adam.betas) == (2e-4, (0.5, 0.999))  # type: ignore[union-attr]
    assert recipe.data.augment.crop == pytest.approx(256 / 286) and recipe.data.mirror
