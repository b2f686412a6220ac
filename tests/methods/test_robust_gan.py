"""A critic under attack: the game's loss at the images that fool it most, in closed form."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gansmith.attacks.gradient import FGSM, PGD
from gansmith.config.overrides import override
from gansmith.core.noise import Noise
from gansmith.core.normalization import Scale
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.losses.adversarial import Hinge
from gansmith.methods.batches import ImageBatch
from gansmith.methods.robust_gan import RobustGAN
from gansmith.networks.architectures import Convolutional
from gansmith.networks.bundle import Pair
from gansmith.recipes import named

NETWORKS = Convolutional(norm="spectral")


class Sums(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).sum(dim=1)


class Grey(nn.Module):
    def forward(self, latents: Tensor, *_: Any) -> Tensor:
        return torch.full((len(latents), 3, 2, 2), -0.02)


def test_the_critic_sees_what_fools_it_and_the_generator_plays_against_it_as_it_is() -> None:
    """Scores are sums of 12 pixels: 0.24 and -0.24 before, 12 x 2 epsilon nearer to each other after."""
    method = RobustGAN(networks=NETWORKS, adversarial=Hinge(), attack=FGSM(epsilon=0.005))
    networks = Pair(Grey(), Sums())
    batch = ImageBatch(torch.full((2, 3, 2, 2), 0.02))
    loss = method.discriminator_loss(networks, batch, Noise.of(0, 1), Progress())
    assert loss.total.item() == pytest.approx(2 * (1 - (0.24 - 0.12)), rel=1e-4)
    assert loss.parts["margin"].item() == pytest.approx(0.24, rel=1e-4)
    assert networks.discriminator.training
    assert method.generator_loss(networks, batch, Noise.of(0, 1), Progress()).total.item() == pytest.approx(
        0.24
    )


def test_what_cannot_be_attacked_is_refused_in_words() -> None:
    with pytest.raises(SettingError, match="judges each image by itself"):
        RobustGAN()
    with pytest.raises(SettingError, match=r"data\.standardize"):
        scale = Scale((0.5,) * 3, (0.5,) * 3)
        RobustGAN(networks=NETWORKS).build(DataSpec(height=32, width=32, scale=scale))


def test_the_recipe_is_sngans_but_for_the_attack() -> None:
    ours, theirs = named("robust-gan32"), named("sngan-dcgan32")
    assert ours.method.networks == theirs.method.networks and ours.optimizers == theirs.optimizers
    assert ours.method.attack == PGD(epsilon=2 / 255, steps=1, step=1.25)
    changed = override(ours, "method.attack=PGD(epsilon=4/255,steps=3)")
    assert changed.method.attack == PGD(epsilon=4 / 255, steps=3)
