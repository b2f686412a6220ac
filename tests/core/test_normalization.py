"""Standardized pictures: the numbers, the way back, and what cannot be standardized."""

import json
import math

import pytest
import torch
from helpers import random_bytes
from torch import Tensor

from gansmith.core.normalization import Scale, measure
from gansmith.data.loading.loader import to_float
from gansmith.errors import DataError
from gansmith.images.grid import to_bytes

SCALE = Scale(mean=(0.1, -0.2, 0.3), std=(0.5, 0.25, 0.125))


def uneven_bytes(count: int, channels: int = 3) -> Tensor:
    """Channels of different means and spreads."""
    spread = torch.tensor([1, 2, 5])[:channels].view(1, -1, 1, 1)
    return (random_bytes(count, channels=channels) // spread + spread).clamp(max=255).to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_measured_pictures_become_mean_0_and_variance_1_in_each_channel(channels: int) -> None:
    pictures = uneven_bytes(20, channels)
    values = measure([pictures]).to_network(to_float(pictures)).double()
    assert values.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.0] * channels, abs=1e-6)
    variance = values.var(dim=(0, 2, 3), correction=0)
    assert variance.tolist() == pytest.approx([1.0] * channels, abs=1e-5)
    assert values.abs().max() > 1.0


def test_the_scale_of_two_levels_in_closed_form() -> None:
    """A quarter white on black: mean -1/2, variance 4 * 1/4 * 3/4."""
    picture = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    picture[0, 0, 0, 0] = 255
    scale = measure([picture])
    assert scale.mean == pytest.approx((-0.5,), abs=1e-12)
    assert scale.std == pytest.approx((math.sqrt(0.75),), abs=1e-12)


@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_groups_and_order_do_not_change_a_bit(size: int) -> None:
    pictures = uneven_bytes(20)
    assert measure(pictures.split(size)) == measure([pictures])
    assert measure(iter(pictures.flip(0).split(size))) == measure([pictures])


def test_sizes_may_differ_and_count_by_pixels() -> None:
    wide, narrow = uneven_bytes(4), uneven_bytes(5)[:, :, :4, :9]
    scale = measure([wide, narrow])
    pixels = torch.cat([part.transpose(0, 1).flatten(1) for part in (wide, narrow)], dim=1).double()
    assert scale.mean == pytest.approx((pixels.mean(dim=1) / 127.5 - 1).tolist())
    assert scale.std == pytest.approx((pixels.std(dim=1, correction=0) / 127.5).tolist())


def test_a_large_level_with_a_small_spread_keeps_its_digits() -> None:
    """One pixel in ten thousand differs by one level; a difference of two large sums would lose it."""
    picture = torch.full((1, 1, 100, 100), 254, dtype=torch.uint8)
    picture[0, 0, 0, 0] = 255
    assert measure([picture] * 50).std == pytest.approx((math.sqrt(1e-4 * (1 - 1e-4)) / 127.5,), rel=1e-10)


def test_every_level_comes_back_as_it_was() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    for scale in (SCALE, measure([uneven_bytes(5)]), Scale((0.9, 0.0, -0.9), (0.01, 1.0, 0.003))):
        values = scale.to_network(to_float(levels))
        assert torch.equal(to_bytes(scale.to_picture(values)), levels)
        assert torch.allclose(scale.to_picture(values), to_float(levels), atol=1e-5)


def test_the_formula_for_each_channel_and_the_form_of_the_result() -> None:
    images = to_float(random_bytes(2)).contiguous(memory_format=torch.channels_last)
    values = SCALE.to_network(images)
    for channel in range(3):
        expected = (images[:, channel] - SCALE.mean[channel]) / SCALE.std[channel]
        assert torch.allclose(values[:, channel], expected, atol=1e-6)
    assert values.dtype == torch.float32
    assert values.stride() == images.stride()


def test_the_way_to_pictures_carries_gradients_also_after_inference() -> None:
    with torch.inference_mode():
        SCALE.to_picture(torch.zeros(1, 3, 2, 2))
    values = torch.zeros(1, 3, 2, 2, requires_grad=True)
    SCALE.to_picture(values).sum().backward()
    assert values.grad is not None
    assert values.grad[0, :, 0, 0].tolist() == list(SCALE.std)


def test_json_keeps_every_bit() -> None:
    scale = measure([uneven_bytes(5)])
    assert Scale.from_json(json.loads(json.dumps(scale.to_json()))) == scale
    assert Scale.from_json({"mean": [0], "std": [1]}) == Scale((0.0,), (1.0,))


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [],
        "mean",
        {},
        {"mean": [0.0]},
        {"mean": [0.0], "std": [1.0], "more": [2.0]},
        {"mean": 0.0, "std": 1.0},
        {"mean": ["0"], "std": [1.0]},
        {"mean": [True], "std": [1.0]},
        {"mean": [0.0, 0.0], "std": [1.0]},
        {"mean": [], "std": []},
        {"mean": [0.0], "std": [0.0]},
        {"mean": [0.0], "std": [-1.0]},
        {"mean": [math.nan], "std": [1.0]},
        {"mean": [0.0], "std": [math.inf]},
    ],
)
def test_what_is_no_scale_is_refused(tree: object) -> None:
    with pytest.raises(DataError, match=r"A scale .* Received: "):
        Scale.from_json(tree)


@pytest.mark.parametrize("channels", [1, 4])
def test_pictures_of_other_channels_are_refused(channels: int) -> None:
    images = torch.zeros(1, channels, 2, 2)
    for way in (SCALE.to_network, SCALE.to_picture):
        with pytest.raises(DataError, match=rf"3 channels.*Received: pictures with {channels}\."):
            way(images)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_channel_that_never_varies_is_told_by_its_name(channel: int) -> None:
    pictures = uneven_bytes(4)
    pictures[:, channel] = 7
    name = ("red", "green", "blue")[channel]
    with pytest.raises(DataError, match=rf"the {name} channel.*Received: 7 .*data\.standardize=false"):
        measure([pictures])


def test_even_grey_pictures_of_different_levels_do_vary() -> None:
    pictures = torch.tensor([10, 20], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 3, 3)
    assert measure([pictures]).std == pytest.approx((5 / 127.5,))
    with pytest.raises(DataError, match="the grey channel"):
        measure([pictures[:1]])
    with pytest.raises(DataError, match="the 1 channel"):
        measure([torch.tensor([[[[1, 2]], [[3, 3]]]], dtype=torch.uint8)])


@pytest.mark.parametrize("groups", [[], [torch.zeros(0, 3, 4, 4, dtype=torch.uint8)]])
def test_no_pictures_have_no_scale(groups: list[Tensor]) -> None:
    with pytest.raises(DataError, match="Received: none"):
        measure(groups)


def test_groups_of_unlike_channels_are_refused() -> None:
    with pytest.raises(DataError, match="Received: 3 and 1"):
        measure([random_bytes(2), random_bytes(2, channels=1)])
