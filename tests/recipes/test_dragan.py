"""DRAGAN's numbers, and its game on other networks."""

import pytest

from gansmith.config.overrides import override
from gansmith.losses.adversarial import Logistic
from gansmith.losses.penalties import DRAGAN
from gansmith.networks.architectures import SNResNet
from gansmith.recipes import named


@pytest.mark.parametrize("size", [28, 32, 64])
def test_the_recipe_is_the_logistic_loss_with_lambda_10(size: int) -> None:
    method = named(f"dragan{size}").method
    assert method.adversarial == Logistic()
    assert (method.penalty, method.penalty.weight, method.penalty.c) == (DRAGAN(), 10.0, 0.5)
    assert method.networks.per_image()


def test_the_same_game_on_residual_networks() -> None:
    method = override(named("dragan32"), "method.networks=SNResNet", "method.penalty.weight=5").method
    assert (method.networks, method.penalty) == (SNResNet(), DRAGAN(weight=5.0))
