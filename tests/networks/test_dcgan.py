"""DCGAN's networks: sizes, shapes, initial weights and the textbook's counts."""

import itertools
import math
import re

import pytest
import torch
import torch.nn.functional as F
from helpers import random_images
from torch import nn

from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.losses.adversarial import Logistic
from gansmith.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansmith.networks.resample import Smooth
from gansmith.networks.resolution import resolution_steps

SHAPES = [
    (8, 8, 3),
    (12, 8, 1),
    (16, 16, 1),
    (20, 28, 3),
    (32, 32, 3),
    (64, 96, 3),
]  # Height, width, channels.


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def convolutions(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("height", "width", "steps"),
    [
        (6, 6, (3, 3, 1)),
        (8, 8, (4, 4, 1)),
        (28, 28, (7, 7, 2)),
        (32, 32, (4, 4, 3)),
        (48, 48, (3, 3, 4)),
        (64, 64, (4, 4, 4)),
        (64, 96, (4, 6, 4)),
        (96, 64, (6, 4, 4)),
        (128, 128, (4, 4, 5)),
        (256, 256, (4, 4, 6)),
        (24, 88, (3, 11, 3)),
    ],
)
def test_a_size_is_a_small_grid_doubled(height: int, width: int, steps: tuple[int, int, int]) -> None:
    assert resolution_steps(height, width) == steps
    base_height, base_width, num_upsamplings = steps
    assert (base_height << num_upsamplings, base_width << num_upsamplings) == (height, width)


@pytest.mark.parametrize(
    ("height", "width", "near"),
    [(31, 31, "32"), (63, 64, "64"), (65, 65, "64"), (4, 4, "6"), (135, 135, "136")],
)
def test_a_refusal_says_the_size_width_first_and_the_nearest_that_works(
    height: int, width: int, near: str
) -> None:
    with pytest.raises(SettingError) as caught:
        resolution_steps(height, width)
    assert f"Received: {width}x{height}. Try data.size={near}." in str(caught.value)


def test_every_size_is_either_reached_or_told_one_near_it_that_is() -> None:
    for height, width in itertools.product(range(4, 270, 19), range(4, 270, 23)):
        try:
            resolution_steps(height, width)
        except SettingError as error:
            found = re.search(r"data\.size=(\d+)(?:x(\d+))?\.$", str(error))
            assert found is not None
            near_width = int(found[1])
            near_height = int(found[2] or near_width)
            resolution_steps(near_height, near_width)  # Or it raises again.
            if max(height, width) <= 4 * min(height, width):
                assert abs(math.log(near_width / width)) < 0.5
                assert abs(math.log(near_height / height)) < 0.5


@pytest.mark.parametrize(("height", "width", "channels"), SHAPES)
def test_pictures_have_the_shape_asked_for_and_lie_in_range(height: int, width: int, channels: int) -> None:
    spec = DataSpec(height=height, width=width, channels=channels)
    images = DCGANGenerator(spec, 5, 4)(torch.randn(3, 5))
    assert images.shape == (3, channels, height, width)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1.0


@pytest.mark.parametrize(
    "options", [{}, {"norm": "none"}, {"depth": 2}, {"softmax": True}, {"max_channels": 4}]
)
@pytest.mark.parametrize(("height", "width", "channels"), SHAPES)
def test_each_picture_gets_one_score(height: int, width: int, channels: int, options) -> None:
    network = DCGANDiscriminator(DataSpec(height=height, width=width, channels=channels), 4, **options)
    scores = network(torch.randn(3, channels, height, width))
    assert scores.shape == (3,)
    assert scores.dtype == torch.float32


def test_scores_and_pictures_are_float32_under_bfloat16() -> None:
    spec = DataSpec(height=8, width=8)
    with torch.autocast("cpu", torch.bfloat16):
        images = DCGANGenerator(spec, 4, 4)(torch.randn(2, 4))
        scores = DCGANDiscriminator(spec, 4)(images)
    assert images.dtype == scores.dtype == torch.float32


def test_the_textbook_networks_have_the_textbooks_number_of_weights() -> None:
    spec = DataSpec(height=64, width=64, channels=3)
    with torch.device("meta"):
        assert count(DCGANGenerator(spec, 100, 64)) == 3_576_704
        assert count(DCGANDiscriminator(spec, 64)) == 2_765_568


def test_no_layer_is_wider_than_the_most() -> None:
    spec = DataSpec(height=64, width=64)
    for network in (DCGANGenerator(spec, 4, 4, max_channels=8), DCGANDiscriminator(spec, 4, max_channels=8)):
        assert max(max(layer.weight.shape[:2]) for layer in convolutions(network)) == 8


def test_initial_weights_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    spec = DataSpec(height=32, width=32)
    softmax = DCGANDiscriminator(spec, 32, softmax=True)
    for network in (DCGANGenerator(spec, 64, 32), DCGANDiscriminator(spec, 32), softmax):
        for layer in [*convolutions(network), *(m for m in network.modules() if isinstance(m, nn.Linear))]:
            weight, size = layer.weight.detach(), layer.weight.numel()
            assert weight.std().item() == pytest.approx(0.02, abs=5 * 0.02 / (2 * size) ** 0.5)
            assert weight.mean().item() == pytest.approx(0.0, abs=5 * 0.02 / size**0.5)
        gains = torch.cat([norm.weight.detach() for norm in norms(network)])
        assert gains.mean().item() == pytest.approx(1.0, abs=5 * 0.02 / len(gains) ** 0.5)
        assert gains.std().item() == pytest.approx(0.02, abs=5 * 0.02 / (2 * len(gains)) ** 0.5)
        assert all((norm.bias == 0).all() for norm in norms(network))
    assert (softmax.main[-1].bias == 0).all()


def test_the_discriminator_normalizes_all_layers_but_its_first_and_its_head() -> None:
    layers = list(DCGANDiscriminator(DataSpec(height=64, width=64), 4).main)
    assert isinstance(layers[0], nn.Conv2d)
    assert isinstance(layers[1], nn.LeakyReLU)
    assert layers[1].negative_slope == 0.2
    behind = [type(after) for layer, after in itertools.pairwise(layers) if isinstance(layer, nn.Conv2d)]
    assert behind == [nn.LeakyReLU, nn.BatchNorm2d, nn.BatchNorm2d, nn.BatchNorm2d, nn.Flatten]


def test_the_generator_normalizes_all_layers_but_its_last() -> None:
    layers = list(DCGANGenerator(DataSpec(height=64, width=64), 4, 4).main)
    behind = [
        type(after) for layer, after in itertools.pairwise(layers) if isinstance(layer, nn.ConvTranspose2d)
    ]
    assert behind == [nn.BatchNorm2d] * 4 + [nn.Tanh]


def test_without_normalization_the_critic_has_biases_instead() -> None:
    network = DCGANDiscriminator(DataSpec(height=32, width=32), 4, norm="none")
    assert norms(network) == []
    assert all(layer.bias is not None and (layer.bias == 0).all() for layer in convolutions(network))
    normalized = DCGANDiscriminator(DataSpec(height=32, width=32), 4)
    assert all(layer.bias is None for layer in convolutions(normalized))


@pytest.mark.parametrize("momentum", [0.01, 0.9])
def test_momentum_reaches_every_batch_norm(momentum: float) -> None:
    spec = DataSpec(height=32, width=32)
    for network in (
        DCGANGenerator(spec, 4, 4, momentum=momentum),
        DCGANDiscriminator(spec, 4, momentum=momentum),
    ):
        assert len(norms(network)) >= 2
        assert {norm.momentum for norm in norms(network)} == {momentum}


@pytest.mark.parametrize(("softmax", "convolution_count"), [(True, 2), (False, 3)])
def test_a_light_discriminator_has_two_convolutions_before_its_head(
    softmax: bool, convolution_count: int
) -> None:
    network = DCGANDiscriminator(DataSpec(height=64, width=64), 4, depth=2, softmax=softmax)
    assert len(convolutions(network)) == convolution_count
    assert sum(layer.stride == (2, 2) for layer in convolutions(network)) == 2


def test_the_softmax_heads_score_is_the_difference_of_its_logits() -> None:
    torch.manual_seed(0)
    network = DCGANDiscriminator(DataSpec(height=16, width=16), 4, softmax=True).eval()
    images = random_images(6)
    logits, scores = network.main(images), network(images)
    assert torch.equal(scores, logits[:, 1] - logits[:, 0])
    assert torch.allclose(scores.sigmoid(), logits.softmax(dim=1)[:, 1])


def test_two_way_cross_entropy_is_the_logistic_loss_of_that_score() -> None:
    torch.manual_seed(0)
    network = DCGANDiscriminator(DataSpec(height=16, width=16), 4, softmax=True).eval()
    nn.init.normal_(network.main[-1].weight, 0.0, 300.0)
    real, fake = random_images(5, seed=0), random_images(5, seed=1)
    ones, zeros = torch.ones(5, dtype=torch.int64), torch.zeros(5, dtype=torch.int64)
    expected = F.cross_entropy(network.main(real), ones) + F.cross_entropy(network.main(fake), zeros)
    got = Logistic().discriminator(network(real), network(fake))
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)
    assert abs(expected.item() - 2 * math.log(2)) > 0.01  # Or any loss would pass.


def test_a_smooth_generator_has_the_same_weights_and_smooth_images() -> None:
    spec, z = DataSpec(height=16, width=16), torch.randn(4, 6)
    plain, smooth = (DCGANGenerator(spec, 6, 4, smooth=how).eval() for how in (False, True))
    for module in plain.modules():
        if isinstance(module, nn.ConvTranspose2d):
            module.weight.data *= 20.0
    smooth.load_state_dict(plain.state_dict())
    torch.testing.assert_close(smooth(z), Smooth()(plain.main[:-1](z[:, :, None, None])).tanh())
