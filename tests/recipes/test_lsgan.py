"""LSGAN's numbers, and its game on other networks."""

import pytest
import torch

from gansmith.config.overrides import override
from gansmith.losses.adversarial import LeastSquares
from gansmith.losses.penalties import NoPenalty
from gansmith.networks.architectures import ResNet
from gansmith.recipes import named


@pytest.mark.parametrize("size", [28, 32, 64])
def test_the_recipe_is_least_squares_on_dcgans_networks(size: int) -> None:
    method = named(f"lsgan{size}").method
    assert method.adversarial == LeastSquares() and method.penalty == NoPenalty()
    names = {type(module).__name__ for module in method.tiny().build(named(f"lsgan{size}").spec()).modules()}
    assert {"DCGANGenerator", "DCGANDiscriminator"} <= names
    assert "Sigmoid" not in names, "scores are compared with 0 and 1 as they are"


@pytest.mark.parametrize("size", [8, 28, 32])
def test_the_default_is_the_same_with_scores_times_2_and_the_same_fakes_for_both(size: int) -> None:
    method = named(f"faces{size}").method
    same = override(named("lsgan32"), "method.networks.scale=2", "method.reuse_fakes=true")
    assert method == same.method


def test_targets_are_1_for_real_and_0_for_fake() -> None:
    """Also beyond them: a score of 3 is as wrong as one of -1, which no sigmoid would allow to be said."""
    loss = LeastSquares()
    scores = torch.tensor([1.0, 3.0, -1.0])
    assert loss.discriminator(scores, torch.zeros(3)).item() == pytest.approx(0.5 * 8 / 3)
    assert loss.discriminator(torch.ones(3), scores).item() == pytest.approx(0.5 * 11 / 3)
    assert loss.generator(scores).item() == pytest.approx(0.5 * 8 / 3)


def test_the_same_game_on_residual_networks() -> None:
    assert override(named("lsgan32"), "method.networks=ResNet(width=8)").method.networks == ResNet(width=8)
