"""R3GAN's numbers: the game, its schedules, and the conditions of the paper's data."""

import pytest
import torch
from torch import nn

from gansmith.config.optimizers import set_rate
from gansmith.core.progress import Progress
from gansmith.losses.adversarial import Relativistic
from gansmith.losses.penalties import R1R2
from gansmith.methods.gan import GAN, ConditionalGAN
from gansmith.recipes import CATALOGUE, named

NAMES = [name for name in CATALOGUE if name.startswith("r3gan")]


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_is_relativistic_with_r1_and_r2_at_every_step(name: str) -> None:
    method = named(name).method
    assert method.adversarial == Relativistic() and isinstance(method.penalty, R1R2)
    assert [(turn.every, turn.new_batch) for turn in method.turns()] == [(1, False), (1, True)]


@pytest.mark.parametrize(
    ("name", "batch", "images", "gamma", "half_life", "p"),
    [
        ("r3gan32-cifar10", 512, 20e6, 0.05, 5e6, 0.55),
        ("r3gan64-ffhq", 256, 20e6, 2.0, 0.5e6, 0.3),
        ("r3gan256-ffhq", 256, 20e6, 150.0, 0.5e6, 0.3),
        ("r3gan32-imagenet", 4096, 200e6, 0.5, 50e6, 0.5),
        ("r3gan64-imagenet", 4096, 200e6, 1.0, 50e6, 0.4),
    ],
)
def test_the_papers_numbers(
    name: str, batch: int, images: float, gamma: float, half_life: float, p: float
) -> None:
    recipe = named(name)
    assert (recipe.train.batch, recipe.train.images) == (batch, images)
    assert recipe.method.penalty == R1R2(gamma=gamma) and recipe.method.latent == 64
    assert type(recipe.method) is (GAN if "ffhq" in name else ConditionalGAN)
    assert recipe.train.average is not None
    for share, expected in ((0.0, 0.0), (0.5, half_life / 2), (1.0, half_life), (2.0, half_life)):
        progress = Progress(images=round(share * images), total_images=round(images), batch=batch)
        decay = recipe.train.average.decay(progress)
        assert decay == pytest.approx(0.5 ** (batch / expected) if expected else 0.0)
        assert recipe.method.penalty_schedule(progress) == pytest.approx(1.0 - 0.9 * min(share, 1.0))
        strength = recipe.method.augment.strength(progress, None).item()
        assert strength == pytest.approx(p * min(share, 1.0), abs=1e-6)
        for adam in recipe.optimizers.values():
            optimizer = adam.build([nn.Parameter(torch.zeros(1))])
            set_rate(optimizer, adam, progress)
            (group,) = optimizer.param_groups
            assert group["lr"] == pytest.approx(2e-4 - 1.5e-4 * min(share, 1.0))
            assert group["betas"] == pytest.approx((0.0, 0.9 + 0.09 * min(share, 1.0)))
