"""Context encoder: the authors' networks to the parameter, its weighted loss, and what it leaves alone."""

import math

import pytest
import torch
from helpers import random_images, silence_head
from torch import nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.sources import made_pairs
from gansmith.errors import SettingError
from gansmith.methods.batches import HoleBatch, HolePrompt
from gansmith.methods.context_encoder import ContextEncoder, from_border
from gansmith.networks.bundle import Pair
from gansmith.networks.inpainting import ChannelwiseLinear
from gansmith.recipes import named

FOUR = (0, 1, 2, 3)
LOG2 = math.log(2.0)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def mask(size: int = 64, kind: str = "inner", rows: int = 4) -> torch.Tensor:
    masks = {
        "inner": [made_pairs.inner_hole(size, size)] * rows,
        "random": [made_pairs.random_hole(size, size, row) for row in range(rows)],
    }[kind]
    return torch.stack([torch.from_numpy(each).float() / 127.5 - 1.0 for each in masks])


@pytest.mark.parametrize(("code", "generator"), [(4000, 71_130_531), (100, 7_221_231)])
def test_parameters_of_the_authors(code: int, generator: int) -> None:
    """Counted from train.lua at 128 px: every convolution has a bias."""
    with torch.device("meta"):
        networks = ContextEncoder(code=code).build(DataSpec(height=128, width=128))
        assert count(networks.generator) == generator and count(networks.discriminator) == 2_766_529
        assert networks.generator(torch.empty(2, 3, 128, 128)).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("region", ["centre", "whole"])
@pytest.mark.parametrize("bottleneck", ["convolution", "channelwise"])
@pytest.mark.parametrize(("height", "width", "channels"), [(64, 64, 3), (48, 32, 1)])
def test_outside_the_hole_an_image_is_its_source_to_the_bit(
    region, bottleneck, height: int, width: int, channels: int
) -> None:
    method = ContextEncoder(
        generator_width=2, discriminator_width=2, code=4, region=region, bottleneck=bottleneck
    )
    spec = DataSpec(height=height, width=width, channels=channels)
    networks = method.build(spec).eval()
    hole = torch.from_numpy(made_pairs.random_hole(height, width, 3)).expand(2, 1, height, width) > 0
    source = torch.rand(2, channels, height, width) * 2.0 - 1.0
    prompt = HolePrompt(source, hole.float() * 2.0 - 1.0)
    made = method.generate(networks, prompt, Noise.of(0, 1))
    top, left, high, wide = method.reach(spec)
    reached = torch.zeros_like(hole)
    reached[:, :, top : top + high, left : left + wide] = True
    changed = (made != source).any(dim=1, keepdim=True)
    assert torch.equal(changed, hole & reached)
    assert method.critic_scores(networks, made, prompt).shape == (2,)


def test_a_channel_reaches_all_of_its_own_places_and_others_only_by_the_mixing() -> None:
    layer = ChannelwiseLinear(3, (4, 4))
    nn.init.dirac_(layer.mixed.weight)
    features = torch.randn(1, 3, 4, 4, requires_grad=True)
    layer(features)[0, 1, 0, 0].backward()
    reached = features.grad[0].abs() > 0
    assert reached[1].all() and not reached[0].any() and not reached[2].any()
    assert count(layer) == 3 * (16 * 16 + 16) + 3 * 3 + 3


class Constant(nn.Module):
    """A generator that predicts one level everywhere, in a region of the size asked for."""

    def __init__(self, side: int, level: float) -> None:
        super().__init__()
        self.side, self.level = side, level

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.full((len(images), 3, self.side, self.side), self.level)


def test_the_band_counts_ten_times_and_the_critic_a_thousandth() -> None:
    """At 64 px the middle half is 32 px and the hole 28: a band of two pixels, 240 of 1,024."""
    method = ContextEncoder(discriminator_width=2)
    critic = silence_head(method.tiny().build(DataSpec(height=64, width=64)).discriminator)
    networks = Pair(Constant(32, 0.25), critic)
    target = torch.full((4, 3, 64, 64), -0.25)
    batch = HoleBatch(target, target, mask())
    loss = method.generator_loss(networks, batch, Noise.of(*FOUR), Progress())
    distance = 0.25 * (28 * 28 + 10 * (32 * 32 - 28 * 28)) / 32**2
    assert loss.parts["l2"].item() == pytest.approx(distance, rel=1e-5)
    assert loss.total.item() == pytest.approx(0.999 * distance + 0.001 * LOG2, rel=1e-5)
    judged = method.discriminator_loss(networks, batch, Noise.of(*FOUR), Progress())
    assert judged.total.item() == pytest.approx(2.0 * LOG2, rel=1e-5), "not halved"


def test_of_random_holes_the_loss_is_of_hole_and_band_and_parts_add_up() -> None:
    method = ContextEncoder(region="whole", overlap=0)
    target, made = random_images(4, 32), random_images(4, 32, seed=1)
    holes = mask(32, "random")
    batch = HoleBatch(target, target, holes)
    inside = (holes > 0).expand_as(target)
    own = [(made[i] - target[i])[inside[i]].square().mean().item() for i in range(4)]
    whole = method.distance(made, batch).item()
    assert whole == pytest.approx(sum(own) / 4, rel=1e-5)
    far = made.clone()
    far[~inside] += 5.0
    assert method.distance(far, batch).item() == pytest.approx(whole, rel=1e-6), "what is known costs nothing"
    halves = [
        method.distance(made[i : i + 2], HoleBatch(*(c[i : i + 2] for c in batch))).item() for i in (0, 2)
    ]
    assert sum(halves) / 2 == pytest.approx(whole, rel=1e-5)


class Sums(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).sum(dim=1)


def test_with_holes_anywhere_the_critic_sees_the_composed_image() -> None:
    method = ContextEncoder(region="whole")
    networks = Pair(Constant(32, 0.5), Sums())
    source, holes = random_images(4, 32), mask(32, "random")
    composed = torch.where(holes > 0, torch.full_like(source, 0.5), source)
    loss = method.generator_loss(networks, HoleBatch(source, source, holes), Noise.of(*FOUR), Progress())
    wanted = nn.functional.softplus(-composed.flatten(1).sum(dim=1)).mean().item()
    assert loss.parts["game"].item() == pytest.approx(wanted, rel=1e-5)


def test_held_out_holes_are_told_beside_mean_colour_and_border() -> None:
    method = ContextEncoder()
    networks = Pair(Constant(32, 0.25), nn.Identity())
    target = torch.zeros(2, 3, 64, 64)
    batch = HoleBatch(target, target, mask(rows=2))
    found = method.validation_metrics(networks, batch, Noise.of(0, 1))
    assert found["psnr"].item() == pytest.approx(10.0 * math.log10(4.0 / 0.0625), abs=1e-3)
    assert found["l1"].item() == pytest.approx(0.25, rel=1e-6)
    for name in ("mean colour", "border"):
        assert found[f"l1 of {name}"].item() == pytest.approx(0.0, abs=1e-6), name


def test_a_hole_is_filled_from_its_border_ring_by_ring() -> None:
    """Of a slope the border's mean is the slope's own middle; a flat image comes back whole."""
    slope = torch.linspace(-1.0, 1.0, 9).expand(1, 1, 9, 9).clone()
    hole = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    hole[:, :, 3:6, 3:6] = True
    torn = slope.masked_fill(hole, 0.7)
    filled = from_border(torn, hole)
    assert torch.equal(filled[~hole], slope[~hole])
    assert filled[0, 0, 4, 4].item() == pytest.approx(0.0, abs=1e-6)
    # A corner of the hole has five known neighbours: three at -1/2, one at -1/4, one at 0.
    assert filled[0, 0, 3, 3].item() == pytest.approx((3 * -0.5 - 0.25 + 0.0) / 5, abs=1e-6)
    everything = torch.ones_like(hole)
    assert torch.equal(from_border(torn, everything), torn), "no border, nothing to copy"


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(SettingError, match="the picture itself, with a hole"):
        ContextEncoder().build(DataSpec(height=64, width=64, source_channels=1))
    with pytest.raises(SettingError, match=r"halves a picture twice or more\. Received: 8x8"):
        ContextEncoder().build(DataSpec(height=8, width=8))
    rates = {name: optimizer.lr for name, optimizer in named("context-encoder64").optimizers.items()}
    assert rates["generator"] == pytest.approx(10.0 * rates["discriminator"])
