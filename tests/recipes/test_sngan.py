"""SNGAN's numbers; its networks are tested in tests/networks."""

import pytest

from gansmith.config.overrides import override
from gansmith.core.schedules import Linear
from gansmith.losses.adversarial import Hinge
from gansmith.losses.penalties import NoPenalty
from gansmith.networks.architectures import Convolutional, SNResNet
from gansmith.networks.spectral import SpectralNorm
from gansmith.recipes import named

NAMES = [*(f"sngan{size}" for size in (28, 32, 64)), *(f"sngan-dcgan{size}" for size in (28, 32, 64))]


@pytest.mark.parametrize("name", [*NAMES, "sngan32-paper"])
def test_the_recipe_is_the_hinge_loss_with_spectral_norm(name: str) -> None:
    recipe = named(name)
    method = recipe.method
    assert method.adversarial == Hinge() and method.penalty == NoPenalty()
    assert isinstance(method.networks, Convolutional if "dcgan" in name else SNResNet)
    pair = method.tiny().build(recipe.spec())
    assert any(isinstance(module, SpectralNorm) for module in pair.discriminator.modules())
    assert not any(isinstance(module, SpectralNorm) for module in pair.generator.modules())


def test_the_papers_numbers_are_the_papers() -> None:
    recipe = named("sngan32-paper")
    assert recipe.method.discriminator_moves == 5 and recipe.method.latent == 128
    assert recipe.train.batch == 64 and recipe.train.images == 50_000 * 64
    for adam in recipe.optimizers.values():
        assert (adam.lr, adam.betas, adam.schedule) == (2e-4, (0.0, 0.9), Linear(end=0.0))  # type: ignore[attr-defined]


def test_the_same_game_on_dcgans_networks() -> None:
    method = override(named("sngan32"), "method.networks=Convolutional(norm=spectral)").method
    assert method.networks == Convolutional(norm="spectral")
