"""R3GAN's networks: counts, the start that Fix-up promises, resampling, the condition."""

import math
from dataclasses import replace

import pytest
import torch
from helpers import random_images
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.networks.r3gan import R3, R3Block
from gansmith.networks.resample import Smooth, smooth, smooth_double, smooth_halve
from gansmith.recipes import named

SPEC = DataSpec(height=16, width=16)
LABELLED = replace(SPEC, class_names=("a", "b", "c"))


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "classes", "generator", "discriminator"),
    [
        ("r3gan32-cifar10", 10, 20_781_952, 21_280_512),  # 20.78 and 21.28 M.
        ("r3gan64-ffhq", 0, 22_429_824, 22_381_440),  # 22.43 and 22.38 M.
        ("r3gan256-ffhq", 0, 23_057_952, 23_009_568),  # 23.06 and 23.01 M.
        ("r3gan32-imagenet", 1000, 82_914_304, 86_548_992),
        ("r3gan64-imagenet", 1000, 103_570_432, 107_205_120),
    ],
)
def test_the_papers_networks_have_the_papers_parameters(
    name: str, classes: int, generator: int, discriminator: int
) -> None:
    recipe = named(name)
    spec = replace(recipe.spec(), class_names=tuple(str(i) for i in range(classes)))
    with torch.device("meta"):
        pair = recipe.method.build(spec)
    assert (count(pair.generator), count(pair.discriminator)) == (generator, discriminator)


def test_a_block_is_the_identity_at_the_start_and_its_layers_have_the_scale_of_fix_up() -> None:
    torch.manual_seed(0)
    block = R3Block(64, group=16, depth=10)
    features = torch.randn(2, 64, 8, 8)
    assert torch.equal(block(features), features)
    gain = math.sqrt(2 / 1.04) * 10**-0.25
    for layer, fan_in in ((block.widen, 64), (block.mix, 16 * 9)):
        assert layer.weight.std().item() == pytest.approx(gain / math.sqrt(fan_in), rel=0.05)
        assert layer.bias is None
    assert block.mix.groups == 128 // 16


def test_a_block_is_its_equation() -> None:
    torch.manual_seed(0)
    block, x = R3Block(4, group=4, depth=2), torch.randn(1, 4, 5, 5)
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    act = torch.nn.functional.leaky_relu
    inner = torch.einsum("oi,bihw->bohw", block.widen.weight[:, :, 0, 0], x)
    inner = act(inner + block.act1.bias[:, None, None], 0.2)
    inner = torch.nn.functional.conv2d(inner, block.mix.weight, padding=1, groups=2)
    inner = act(inner + block.act2.bias[:, None, None], 0.2)
    expected = x + torch.einsum("oi,bihw->bohw", block.narrow.weight[:, :, 0, 0], inner)
    torch.testing.assert_close(block(x), expected)


def test_a_constant_image_stays_constant_away_from_the_border() -> None:
    flat = torch.full((1, 3, 8, 8), 0.7)
    doubled, halved, same = smooth_double(flat), smooth_halve(flat), smooth(flat, padding=2)
    assert doubled.shape[-1] == 16 and halved.shape[-1] == 4 and same.shape[-1] == 9
    for image in (doubled[..., 1:-1, 1:-1], halved[..., 1:-1, 1:-1], same[..., 2:-2, 2:-2]):
        torch.testing.assert_close(image, torch.full_like(image, 0.7), rtol=0, atol=1e-6)


def test_doubling_is_bilinear_and_halving_its_transpose() -> None:
    image = random_images(2, size=8).double()
    bilinear = torch.nn.functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(smooth_double(image)[..., 1:-1, 1:-1], bilinear[..., 1:-1, 1:-1])
    large = random_images(2, size=16, seed=1).double()
    one, other = (smooth_double(image) * large).sum(), 4.0 * (image * smooth_halve(large)).sum()
    torch.testing.assert_close(one, other)


def test_smoothing_keeps_the_even_and_removes_what_changes_from_pixel_to_pixel() -> None:
    flat = torch.full((1, 3, 6, 8), 0.7)
    torch.testing.assert_close(Smooth()(flat), flat)
    stripes = torch.tensor([1.0, -1.0]).repeat(4).expand(1, 2, 8, 8)
    for grain in (stripes, stripes.mT, stripes * stripes.mT):
        torch.testing.assert_close(Smooth()(grain)[..., 1:-1, 1:-1], torch.zeros(1, 2, 6, 6))


@pytest.mark.parametrize("function", [smooth_double, smooth_halve, Smooth()])
def test_resampling_can_be_differentiated_twice(function) -> None:
    image = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    cubed = lambda x: function(x) ** 3  # noqa: E731
    assert gradcheck(cubed, (image,)) and gradgradcheck(cubed, (image,))


def test_images_are_not_squashed_in_training_and_clipped_in_pictures() -> None:
    torch.manual_seed(0)
    generator = R3(width=4, max_channels=8, group=4).generator(SPEC, 6)
    nn.init.normal_(generator.last.weight, 0.0, 10.0)
    z = torch.randn(3, 6)
    made = generator(z)
    assert bool((made.abs() > 1.0).any())
    assert torch.equal(generator.eval()(z), made.clamp(-1, 1))


@pytest.mark.parametrize("size", [(28, 28), (32, 48)])
def test_any_size_that_can_be_doubled(size) -> None:
    spec, networks = DataSpec(height=size[0], width=size[1]), R3().tiny()
    images = networks.generator(spec, 6)(torch.randn(2, 6))
    assert images.shape == (2, 3, *size) and networks.discriminator(spec)(images).shape == (2,)


def test_the_condition_enters_both_networks() -> None:
    torch.manual_seed(0)
    networks = R3().tiny()
    generator = networks.conditional_generator(LABELLED, 6, "labels")
    discriminator = networks.conditional_discriminator(LABELLED, "labels")
    z = torch.randn(1, 6).expand(2, -1)
    images = generator(z, torch.tensor([0, 1]))
    assert not torch.equal(images[0], images[1])
    scores = discriminator(images[:1].expand(2, -1, -1, -1), torch.tensor([0, 1]))
    # <head(features), e(y)>: scores are linear in the rows of the embedding.
    rows = discriminator.embedding.table.weight
    with torch.no_grad():
        rows.copy_(rows * torch.tensor([[1.0], [3.0], [0.0]]))
    again = discriminator(images[:1].expand(2, -1, -1, -1), torch.tensor([0, 1]))
    torch.testing.assert_close(again, scores * torch.tensor([1.0, 3.0]))


def test_groups_must_fit() -> None:
    with pytest.raises(SettingError, match=r"multiple of method\.networks\.group.*group=48"):
        R3(width=32, max_channels=32, group=48).generator(SPEC, 6)
