"""Equalized layers, pixel norm and the deviation within groups, against their equations."""

import pytest
import torch
from torch.autograd import gradgradcheck

from gansmith.networks.equalized import EqualizedConv2d, EqualizedLinear, pixel_norm, with_deviation


def test_a_layers_weights_have_one_scale_and_its_output_that_of_its_input() -> None:
    torch.manual_seed(0)
    linear, conv = EqualizedLinear(400, 300), EqualizedConv2d(30, 40, 3)
    for layer in (linear, conv):
        assert layer.weight.std().item() == pytest.approx(1.0, rel=0.05)
    assert linear(torch.randn(50, 400)).std().item() == pytest.approx(1.0, rel=0.05)
    assert conv(torch.randn(8, 30, 16, 16), padding=0).std().item() == pytest.approx(1.0, rel=0.05)
    assert conv(torch.randn(2, 30, 8, 8)).shape == (2, 40, 8, 8)


def test_a_rate_changes_the_steps_and_not_the_start() -> None:
    torch.manual_seed(0)
    slow = EqualizedLinear(300, 200, bias=1.0, rate=0.01)
    x = torch.randn(40, 300)
    out = slow(x)
    assert out.mean().item() == pytest.approx(1.0, abs=0.05) and out.std().item() == pytest.approx(
        1.0, rel=0.05
    )
    with torch.no_grad():
        slow.bias.add_(1.0)
    torch.testing.assert_close(slow(x), out + 0.01, rtol=0, atol=1e-5)


def test_pixel_norm_leaves_a_mean_square_of_1() -> None:
    features = 7.0 * torch.randn(2, 5, 3, 3)
    torch.testing.assert_close(pixel_norm(features).square().mean(dim=1), torch.ones(2, 3, 3))
    flat = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert gradgradcheck(pixel_norm, (flat,))


def test_the_deviation_is_that_of_interleaved_groups() -> None:
    """Of 8 images in groups of 4, the even ones are a group and the odd ones another."""
    torch.manual_seed(0)
    features = torch.randn(8, 3, 2, 2)
    features[2:] = features[:2].repeat(3, 1, 1, 1)  # Image j + 2 is image j: no deviation.
    assert float(with_deviation(features, 4)[:, 3].abs().max()) <= 1.1e-4
    features = torch.zeros(8, 3, 2, 2)
    features[::2] = torch.tensor([0.0, 2.0, 0.0, 2.0]).view(4, 1, 1, 1)
    plane = with_deviation(features, 4)[:, 3]
    torch.testing.assert_close(plane[::2], torch.ones(4, 2, 2))
    assert float(plane[1::2].abs().max()) <= 1.1e-4


@pytest.mark.parametrize(("batch", "group", "size"), [(6, 4, 3), (5, 4, 1), (4, 8, 4)])
def test_a_group_that_does_not_divide_the_batch_is_made_smaller(batch: int, group: int, size: int) -> None:
    features = torch.randn(batch, 2, 3, 3)
    plane = with_deviation(features, group)[:, 2]
    rows = features.view(size, batch // size, 2, 3, 3)
    expected = (rows.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3)).repeat(size)
    torch.testing.assert_close(plane[:, 0, 0], expected)
