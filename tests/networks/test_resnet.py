"""Residual networks: the paper's parameter counts, and the details that are usually wrong."""

import pytest
import torch
import torch.nn.functional as F
from helpers import random_images
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.networks.architectures import SNResNet
from gansmith.networks.resnet import (
    ResidualCritic,
    ResidualGenerator,
    SpectralBlock,
    SpectralDiscriminator,
    SpectralFeatures,
    initialize_residual,
)
from gansmith.recipes import named


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def spec(size: int) -> DataSpec:
    return DataSpec(height=size, width=size)


@pytest.mark.parametrize(
    ("networks", "size", "generator", "discriminator"),
    [
        (named("sngan32-paper").method.networks, 32, 4_276_739, 1_053_824),
        (SNResNet(max_channels=1024), 64, 12_220_675, 10_141_441),
        (SNResNet(max_channels=1024, halvings=5, flat=1), 128, 32_150_787, 29_017_857),
    ],
)
def test_parameters_are_those_of_the_authors_networks(
    networks: SNResNet, size: int, generator: int, discriminator: int
) -> None:
    with torch.device("meta"):
        assert count(networks.generator(spec(size), 128)) == generator
        assert count(networks.discriminator(spec(size))) == discriminator


def block(**options) -> SpectralBlock:
    torch.manual_seed(0)
    made = SpectralBlock(3, 5, halves=True, **options)
    initialize_residual(made, glorot=True)
    return made


def test_the_first_block_sees_the_image_without_an_activation() -> None:
    images = -random_images(2, 8).abs() - 0.1  # A ReLU would leave nothing of these.
    first, later = block(first=True), block()
    dark = torch.zeros_like(images)
    assert (first.conv2(F.relu(first.conv1(images))) != 0).any()
    assert torch.allclose(later(images), later(dark) + later.skip(F.avg_pool2d(images, 2)), atol=1e-6)
    assert not torch.allclose(first(images), first(dark) + first.skip(F.avg_pool2d(images, 2)), atol=1e-3)


def test_a_block_pools_before_its_short_cut_which_is_the_same_as_after() -> None:
    made, features = block(), random_images(2, 8)
    inner = made.conv2(F.relu(made.conv1(F.relu(features))))
    expected = F.avg_pool2d(inner, 2) + F.avg_pool2d(made.skip(features), 2)
    assert torch.allclose(made(features), expected, atol=1e-6)


def test_hidden_channels_are_those_that_come_in_but_for_the_image() -> None:
    assert block().conv1.out_channels == 3
    assert block(first=True).conv1.out_channels == 5


def test_a_flat_block_adds_its_features_as_they_are() -> None:
    made = SpectralBlock(4, 4, halves=False)
    nn.init.zeros_(made.conv2.weight)
    nn.init.zeros_(made.conv2.bias)
    features = torch.randn(2, 4, 3, 3)
    assert isinstance(made.skip, nn.Identity) and torch.equal(made(features), features)


def test_features_are_summed_over_positions_not_averaged() -> None:
    """An image tiled twice in both directions scores four times as much where borders play no part."""
    torch.manual_seed(0)
    small = SpectralFeatures(spec(16), 4, 8, halvings=1)
    images = random_images(2)
    with torch.no_grad():
        for convolution in (small.blocks[0].conv1, small.blocks[0].conv2):
            convolution.weight[:, :, torch.arange(3) != 1] = 0.0  # 1 x 1 in effect: no borders.
            convolution.weight[:, :, :, torch.arange(3) != 1] = 0.0
        once, four_times = small(images), small(images.repeat(1, 1, 2, 2))
    assert torch.allclose(four_times, 4.0 * once, rtol=1e-4)


@pytest.mark.parametrize("glorot", [False, True])
def test_weights_have_the_spread_of_their_initialization(glorot: bool) -> None:
    torch.manual_seed(0)
    network = ResidualGenerator(spec(16), 32, 32, 64)
    initialize_residual(network, glorot=glorot)
    wide_in = network.blocks[0].conv1  # 64 to 64 channels.
    narrowing = network.blocks[1].conv1  # 64 to 32.

    def bound(layer: nn.Conv2d) -> float:
        fan_in, fan_out = 9 * layer.in_channels, 9 * layer.out_channels
        variance = 4.0 / (fan_in + fan_out) if glorot else 2.0 / fan_in
        return (3.0 * variance) ** 0.5

    for layer in (wide_in, narrowing):
        assert layer.weight.abs().max().item() == pytest.approx(bound(layer), rel=0.01)
        assert (layer.bias == 0).all()
    skip = network.blocks[0].skip  # A gain of 1.
    assert skip.weight.abs().max().item() == pytest.approx((3.0 * 2.0 / 128) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("height", "width", "channels", "grid"),
    [(28, 28, 1, (3, 3)), (32, 32, 3, (2, 2)), (64, 64, 3, (2, 2)), (24, 40, 3, (3, 5)), (8, 8, 3, (2, 2))],
)
def test_sizes_go_down_to_2_or_3_pixels(height: int, width: int, channels: int, grid) -> None:
    at = DataSpec(height=height, width=width, channels=channels)
    features = SpectralFeatures(at, 4, 16)
    images = torch.randn(2, channels, height, width)
    assert features.blocks(images).shape[2:] == grid
    scores = SpectralDiscriminator(features)(images)
    assert scores.shape == (2,) and scores.dtype == torch.float32


def test_an_image_cannot_be_halved_below_a_pixel() -> None:
    assert SpectralFeatures(spec(16), 4, 8, halvings=4)(random_images(2)).shape == (2, 8)
    with pytest.raises(SettingError, match=r"halvings=5 at 16x16. Try method\.networks\.halvings=4"):
        SpectralFeatures(spec(16), 4, 8, halvings=5)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_a_critic_has_the_norm_it_was_asked_for(norm) -> None:
    critic = ResidualCritic(spec(16), 4, 8, norm)
    kinds = {type(m) for m in critic.modules() if isinstance(m, nn.BatchNorm2d | nn.GroupNorm)}
    assert kinds == {"batch": {nn.BatchNorm2d}, "layer": {nn.GroupNorm}, "none": set()}[norm]


def test_a_layer_norm_is_over_all_features_of_one_image() -> None:
    from gansmith.networks.norm import norm_layer

    features: Tensor = torch.randn(3, 4, 5, 5) * torch.tensor([1.0, 10.0, 0.1]).view(3, 1, 1, 1)
    found = norm_layer("layer", 4)(features).flatten(1)
    assert torch.allclose(found.mean(dim=1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(found.var(dim=1, unbiased=False), torch.ones(3), atol=1e-2)
