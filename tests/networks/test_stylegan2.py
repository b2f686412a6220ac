"""StyleGAN2's networks: counts, modulation both ways, scale at the start, second derivatives."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from gansmith.core.spec import DataSpec
from gansmith.methods.stylegan2 import StyleGAN2
from gansmith.networks.stylegan2 import (
    StyleBased,
    StyledConvolution,
    StyleDiscriminator,
    StyleMapping,
    StyleSynthesis,
    ToImage,
    modulated_convolution,
)

SPEC = DataSpec(height=16, width=16)


def count(*networks: nn.Module) -> int:
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


@pytest.mark.parametrize(
    ("size", "width", "layers", "generator", "discriminator"),
    [
        (32, 512, 2, 19_947_539, 21_507_073),
        (64, 256, 8, 23_819_544, 23_407_361),
        (64, 256, 2, 22_243_608, 23_407_361),
        (128, 128, 8, 24_525_213, 23_882_369),
        (256, 64, 8, 24_767_458, 24_001_089),
        (256, 64, 2, 23_191_522, 24_001_089),
        (1024, 32, 8, 30_370_060, 29_012_513),
    ],
)
def test_the_papers_networks_have_the_papers_parameters(
    size: int, width: int, layers: int, generator: int, discriminator: int
) -> None:
    """Trainable parameters: noise maps, averages and filters are none."""
    with torch.device("meta"):
        networks = StyleGAN2(width=width, mapping_layers=layers).build(DataSpec(height=size, width=size))
    assert count(networks.mapping) == layers * 262_656
    assert count(networks.mapping, networks.synthesis) == generator
    assert count(networks.discriminator) == discriminator


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("scaled", ["activations", "weights"])
def test_a_modulated_convolution_is_its_equation(up: bool, scaled) -> None:
    torch.manual_seed(0)
    features, weight = torch.randn(3, 5, 8, 8), torch.randn(4, 5, 3, 3)
    style = torch.randn(3, 5)
    expected = []
    for image, s in zip(features, style, strict=True):
        own = weight * s[:, None, None]
        own = own / (own.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if not up:
            expected.append(F.conv2d(image[None], own, padding=1))
            continue
        larger = F.conv_transpose2d(image[None], own.transpose(0, 1), stride=2)
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8.0
        kernel = 4.0 * torch.outer(taps, taps).expand(4, 1, 4, 4)
        expected.append(F.conv2d(larger, kernel, padding=1, groups=4))
    made = modulated_convolution(features, weight, style, up=up, scaled=scaled)
    torch.testing.assert_close(made, torch.cat(expected), rtol=1e-5, atol=1e-5)
    double = modulated_convolution(features, weight, style, up=up, scaled=scaled, gain=2.0)
    torch.testing.assert_close(double, 2.0 * made)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("scaled", ["activations", "weights"])
def test_a_modulated_convolution_can_be_differentiated_twice(up: bool, scaled) -> None:
    torch.manual_seed(0)
    shapes = (2, 2, 3, 3), (2, 2, 3, 3), (2, 2)
    inputs = tuple(torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes)

    def function(*tensors: torch.Tensor) -> torch.Tensor:
        return modulated_convolution(*tensors, up=up, scaled=scaled)

    assert gradcheck(function, inputs) and gradgradcheck(function, inputs)


def test_both_ways_of_modulation_make_the_same_images() -> None:
    torch.manual_seed(0)
    one, other = (StyleSynthesis(SPEC, 6, 4, 8, scaled) for scaled in ("activations", "weights"))
    other.load_state_dict(one.state_dict())
    w, noise = torch.randn(2, one.layers, 6), torch.randn(2, one.cells)
    torch.testing.assert_close(one(w, noise), other(w, noise), rtol=1e-5, atol=1e-5)


def test_a_layer_adds_noise_and_bias_and_keeps_the_scale() -> None:
    torch.manual_seed(0)
    layer = StyledConvolution(64, 64, 16, up=False, scaled="activations")
    features, w, noise = torch.randn(4, 64, 16, 16), torch.randn(4, 16), torch.randn(4, 1, 16, 16)
    made = layer(features, w, noise)
    assert made.square().mean().sqrt().item() == pytest.approx(1.0, rel=0.1)
    assert torch.equal(made, layer(features, w, torch.zeros_like(noise))), "the strength begins at 0"
    with torch.no_grad():
        layer.strength.fill_(0.5)
        layer.bias.fill_(100.0)
    own = modulated_convolution(features, layer.weight, layer.affine(w))
    expected = math.sqrt(2.0) * F.leaky_relu(own + 0.5 * noise + 100.0, 0.2)
    torch.testing.assert_close(layer(features, w, noise), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("up", [False, True])
def test_adain_is_its_equation(up: bool) -> None:
    """Each channel of each image: s (y - mean) / deviation + t of what leaves the leaky ReLU."""
    torch.manual_seed(0)
    layer = StyledConvolution(5, 4, 6, up=up, normalization="adain")
    with torch.no_grad():
        layer.strength.fill_(0.5)
        layer.bias.copy_(torch.randn(4))
    features, w = torch.randn(3, 5, 8, 8), torch.randn(3, 6)
    noise = torch.randn(3, 1, 16, 16) if up else torch.randn(3, 1, 8, 8)
    if up:
        made = F.conv_transpose2d(features, layer.weight.transpose(0, 1), stride=2)
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8.0
        made = F.conv2d(made, 4.0 * torch.outer(taps, taps).expand(4, 1, 4, 4), padding=1, groups=4)
    else:
        made = F.conv2d(features, layer.weight, padding=1)
    y = F.leaky_relu(made / math.sqrt(5 * 9) + 0.5 * noise + layer.bias[:, None, None], 0.2)
    mean, deviation = y.mean(dim=(2, 3), keepdim=True), y.std(dim=(2, 3), keepdim=True, correction=0)
    s, t = layer.affine(w)[:, :, None, None].chunk(2, dim=1)
    torch.testing.assert_close(
        layer(features, w, noise), s * (y - mean) / deviation + t, rtol=1e-4, atol=1e-4
    )


def test_under_adain_mean_and_deviation_are_the_styles() -> None:
    torch.manual_seed(0)
    layer = StyledConvolution(8, 4, 6, up=False, normalization="adain")
    w, noise = torch.randn(3, 6), torch.zeros(3, 1, 16, 16)
    made = layer(100.0 * torch.randn(3, 8, 16, 16) + 7.0, w, noise)
    s, t = layer.affine(w).chunk(2, dim=1)
    torch.testing.assert_close(made.mean(dim=(2, 3)), t, rtol=0, atol=1e-4)
    torch.testing.assert_close(made.std(dim=(2, 3), correction=0), s.abs(), rtol=1e-4, atol=1e-4)
    start = layer.affine.bias.detach()
    assert start[:4].eq(1).all() and start[4:].eq(0).all(), "s begins around 1, t around 0"


def test_adain_can_be_differentiated_twice() -> None:
    torch.manual_seed(0)
    layer = StyledConvolution(2, 2, 2, up=False, normalization="adain").double()
    inputs = tuple(
        torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 2, 3, 3), (2, 2))
    )
    noise = torch.zeros(2, 1, 3, 3, dtype=torch.float64)

    def function(features: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return layer(features, w, noise)

    assert gradcheck(function, inputs) and gradgradcheck(function, inputs)


def test_the_common_game_has_these_very_networks() -> None:
    """One w for all layers; the noise is drawn once and goes with the weights."""
    torch.manual_seed(0)
    networks = StyleBased(style=6, mapping_layers=2, width=4, max_channels=8)
    generator = networks.generator(SPEC, 5)
    with torch.no_grad():
        for layer in generator.synthesis.convolutions:
            layer.strength.fill_(1.0)
    z = torch.randn(3, 5)
    w = generator.mapping(z)[:, None].expand(-1, generator.synthesis.layers, -1)
    made = generator.synthesis(w, generator.noise.expand(3, -1))
    torch.testing.assert_close(generator(z), made)
    other = networks.generator(SPEC, 5)
    assert not torch.equal(other.noise, generator.noise)
    other.load_state_dict(generator.state_dict())
    torch.testing.assert_close(other(z), made)
    assert isinstance(networks.discriminator(SPEC), StyleDiscriminator)


def test_rgb_is_not_demodulated() -> None:
    torch.manual_seed(0)
    layer = ToImage(16, 3, 4)
    features, w = torch.randn(2, 16, 4, 4), torch.randn(2, 4)
    style = layer.affine(w) / 4.0
    expected = torch.einsum("oi,bi,bihw->bohw", layer.weight[:, :, 0, 0], style, features)
    torch.testing.assert_close(layer(features, w), expected)


def test_the_mapping_is_blind_to_the_length_of_z_and_keeps_the_scale() -> None:
    torch.manual_seed(0)
    mapping, z = StyleMapping(64, 64, 8), torch.randn(200, 64)
    w = mapping(z)
    torch.testing.assert_close(mapping(3.0 * z), w, rtol=1e-4, atol=1e-5)
    assert w.square().mean().sqrt().item() == pytest.approx(1.0, abs=0.25)


def test_the_critics_features_keep_their_scale() -> None:
    """Of flat images, which its filters leave alone; away from the border, where zeros come in."""
    torch.manual_seed(0)
    critic = StyleDiscriminator(DataSpec(height=64, width=64), 64, 64)
    features = F.leaky_relu(critic.first(torch.randn(64, 3, 1, 1).expand(-1, -1, 64, 64)), 0.2)
    for block in critic.blocks[:3]:
        features = block(features)
        centre = features[..., features.shape[2] // 2, features.shape[3] // 2]
        assert centre.square().mean().sqrt().item() == pytest.approx(1.0, abs=0.25)


def test_each_vector_of_w_plus_has_its_layers() -> None:
    """The last one is RGB's at full size alone, so it changes no coarse structure; the first changes all."""
    torch.manual_seed(0)
    synthesis = StyleSynthesis(SPEC, 6, 4, 8).eval()
    assert synthesis.layers == 2 * 3 and synthesis.cells == 16 + 2 * 64 + 2 * 256
    w, noise = torch.randn(1, 6, 6), torch.zeros(1, synthesis.cells)
    image = synthesis(w, noise)
    for layer in range(6):
        moved = w.clone()
        moved[:, layer] += 1.0
        assert not torch.equal(synthesis(moved, noise), image), layer


@pytest.mark.parametrize("size", [(28, 28), (32, 48)])
def test_any_size_that_can_be_doubled(size) -> None:
    spec = DataSpec(height=size[0], width=size[1], channels=1)
    synthesis, critic = StyleSynthesis(spec, 6, 4, 8), StyleDiscriminator(spec, 4, 8)
    images = synthesis(torch.randn(2, synthesis.layers, 6), torch.randn(2, synthesis.cells))
    assert images.shape == (2, 1, *size) and critic(images).shape == (2,)
