"""Magnitude-preserving layers: lengths of kernels, scales of features, shares of branches."""

import math

import pytest
import torch
from helpers import SPEC16, small_named, trainer_of
from torch import nn

from gansmith.networks.bundle import project
from gansmith.networks.magnitude import _GAIN, R3MP, UnitConv2d, UnitStage, _act


@pytest.mark.parametrize("centred", [True, False])
def test_a_kernel_is_used_at_length_one_whatever_is_stored(centred: bool) -> None:
    torch.manual_seed(0)
    layer, features = UnitConv2d(8, 4, 3, groups=2, centred=centred), torch.randn(2, 8, 6, 6)
    before = layer(features)
    stored = layer.weight.detach()
    torch.testing.assert_close(stored.square().mean(dim=(1, 2, 3)), torch.ones(4))
    assert (float(stored.mean(dim=(1, 2, 3)).abs().max()) < 1e-6) == centred
    kernels = stored / stored.flatten(1).norm(dim=1)[:, None, None, None]
    torch.testing.assert_close(before, nn.functional.conv2d(features, kernels, padding=1, groups=2))
    with torch.no_grad():
        layer.weight.mul_(7.0)
    torch.testing.assert_close(layer(features), before)
    project(nn.Sequential(layer))
    torch.testing.assert_close(layer.weight.detach(), stored)


def test_a_leaky_relu_has_variance_one_about_its_mean() -> None:
    x = torch.linspace(-8, 8, 200_001, dtype=torch.float64)
    density = torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)
    y = _act(x)
    mean = torch.trapezoid(y * density, x)
    assert float(torch.trapezoid((y - mean).square() * density, x)) == pytest.approx(1.0, rel=1e-6)
    assert pytest.approx(1.0 / math.sqrt((1.04 - 0.64 / math.pi) / 2)) == _GAIN


def test_shares_of_branches_keep_the_scale() -> None:
    torch.manual_seed(0)
    stage, features = UnitStage(8, blocks=3, group=4), torch.randn(16, 8, 8, 8)
    torch.testing.assert_close(stage(features), features)
    with torch.no_grad():
        stage.shares.copy_(torch.atanh(torch.tensor([0.5, 0.25, 0.75]))[:, None].expand(3, 8))
        one = features + 0.5 * stage.blocks[0](features)
        two = one + 0.25 * stage.blocks[1](one / math.sqrt(1.25))
        three = two + 0.75 * stage.blocks[2](two / math.sqrt(1.3125))
        torch.testing.assert_close(stage(features), three / math.sqrt(1.3125 + 0.5625))
        assert float(stage(features).var()) == pytest.approx(1.0, rel=0.2)


def test_lengths_hold_after_a_step_and_features_keep_a_scale() -> None:
    trainer = trainer_of(small_named("r3gan32-mp"))
    trainer.step()
    layers = [m for m in trainer.networks.modules() if isinstance(m, UnitConv2d)]
    assert len(layers) > 10
    for layer in layers:
        torch.testing.assert_close(
            layer.weight.detach().square().mean(dim=(1, 2, 3)), torch.ones(len(layer.weight))
        )
    torch.manual_seed(0)
    look = R3MP(width=32, max_channels=64)
    with torch.no_grad():
        images = look.generator(SPEC16, 32)(torch.randn(64, 32))
        scores = look.discriminator(SPEC16)(torch.randn(64, 3, 16, 16))
    assert 0.2 < float(images.std()) < 0.7, "a contrast of a half"
    assert float(scores.abs().mean()) < 3.0
