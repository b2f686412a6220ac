"""Pairs of networks as values: every norm at every size, and whether scores are of single images."""

import pytest
import torch
from helpers import random_images
from torch import nn

from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.networks.architectures import Architecture, Convolutional, ResNet, SNResNet
from gansmith.networks.spectral import SpectralNorm

EVERY: list[Architecture] = [
    *(Convolutional(norm=norm, width=4) for norm in ("batch", "layer", "none", "spectral")),
    *(ResNet(norm=norm, width=4) for norm in ("batch", "layer", "none", "spectral")),
    SNResNet(width=4, max_channels=16),
]
every_architecture = pytest.mark.parametrize("architecture", EVERY, ids=str)


@every_architecture
@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (28, 28, 1), (32, 48, 3)])
def test_a_pair_fits_its_images(architecture: Architecture, height: int, width: int, channels: int) -> None:
    spec = DataSpec(height=height, width=width, channels=channels)
    images = architecture.generator(spec, 5)(torch.randn(2, 5))
    assert images.shape == (2, channels, height, width) and images.abs().max() <= 1.0
    assert architecture.discriminator(spec)(images).shape == (2,)
    assert isinstance(architecture, Architecture)


@every_architecture
def test_per_image_says_whether_a_score_depends_on_the_others(architecture: Architecture) -> None:
    torch.manual_seed(0)
    network = architecture.discriminator(DataSpec(height=16, width=16))
    images = random_images(4)
    with torch.no_grad():
        for _ in range(80):  # Until spectral norm stands still.
            network.train()(images)
        among, beside = network(images), network(torch.cat([images[:1], images[1:] * 0.1]))
    assert torch.allclose(among[0], beside[0], atol=1e-4) == architecture.per_image()
    assert among.std() > 1e-5


@every_architecture
def test_a_discriminator_has_the_norm_it_was_asked_for(architecture: Architecture) -> None:
    network = architecture.discriminator(DataSpec(height=16, width=16))
    kinds = (nn.BatchNorm2d, nn.GroupNorm, SpectralNorm)
    found = {kind for kind in kinds if any(isinstance(module, kind) for module in network.modules())}
    norm = getattr(architecture, "norm", "spectral")
    wanted = {"batch": {nn.BatchNorm2d}, "layer": {nn.GroupNorm}, "none": set(), "spectral": {SpectralNorm}}
    assert found == wanted[norm]


@every_architecture
def test_a_tiny_form_is_narrow_and_of_the_same_kind(architecture: Architecture) -> None:
    tiny = architecture.tiny()
    assert type(tiny) is type(architecture) and tiny.per_image() == architecture.per_image()
    spec = DataSpec(height=16, width=16)
    assert sum(p.numel() for p in tiny.discriminator(spec).parameters()) < 20_000


def test_widths_reach_both_networks() -> None:
    spec = DataSpec(height=32, width=32)
    networks = SNResNet(width=4, max_channels=8, discriminator_width=6, discriminator_max_channels=10)
    widest = {
        name: max(m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d))
        for name, network in (
            ("generator", networks.generator(spec, 5)),
            ("discriminator", networks.discriminator(spec)),
        )
    }
    assert widest == {"generator": 8, "discriminator": 10}
    assert networks.discriminator(spec).features.blocks[0].conv1.layer.out_channels == 6


@pytest.mark.parametrize(
    "options",
    [{"width": 0}, {"max_channels": 0}, {"discriminator_width": 0}, {"halvings": 0}, {"flat": -1}],
)
def test_counts_must_be_positive(options: dict[str, int]) -> None:
    (name,) = options
    with pytest.raises(SettingError, match=rf"method\.networks\.{name} must be at least"):
        SNResNet(**options)


def test_scores_are_scaled() -> None:
    spec = DataSpec(height=16, width=16)
    scores = []
    for scale in (1.0, 3.0):
        torch.manual_seed(0)
        network = Convolutional(norm="spectral", width=4, scale=scale).discriminator(spec).eval()
        scores.append(network(random_images(4)))
    assert torch.allclose(scores[1], 3.0 * scores[0]) and scores[0].abs().max() > 1e-3


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_is_a_positive_number(scale: float) -> None:
    with pytest.raises(SettingError, match="above 0"):
        Convolutional(scale=scale)
