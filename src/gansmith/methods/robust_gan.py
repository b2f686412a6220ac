"""A critic trained under attack: the common game, in which it sees the images that fool it most.

Rob-GAN (Liu and Hsieh 2019) attacks the real images of a discriminator with classes; here both kinds are
attacked, and any of the common games can be played.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gansmith.attacks.gradient import PGD, Attack
from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, per_image
from gansmith.errors import SettingError
from gansmith.losses.penalties import Critic
from gansmith.methods.gan import GAN
from gansmith.networks.bundle import Pair, in_eval_mode


@dataclass(frozen=True, kw_only=True)
class RobustGAN(GAN):
    """D: min E[L_D(D(x + d), D(G(z) + d'))], d lowering D(x + d) and d' raising D(G(z) + d') in a ball.

    G: min L_G(D(G(z))), against the critic as it is.

    Args:
        attack: on the critic's score, in eval mode.

    Example:
        >>> RobustGAN(networks=Convolutional(norm="spectral"), attack=PGD(epsilon=4 / 255, steps=3))
    """

    attack: Attack = PGD(epsilon=2 / 255, steps=1, step=1.25)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.networks.per_image():
            raise SettingError(
                "An attack needs a discriminator that judges each image by itself. Received: batch norm, "
                "which mixes them. Try method.networks.norm=spectral."
            )

    def build(self, spec: DataSpec) -> Pair:
        if spec.scale is not None:
            raise SettingError(
                "An attack's epsilon is of pixels from black to white. Received: data.standardize=true, "
                "which stretches them. Leave it out."
            )
        return super().build(spec)

    def _judged(
        self, networks: Pair, critic: Critic, real: Images, fakes: Images, noise: Noise
    ) -> tuple[Images, Images]:
        """Real images made to look fake, and fakes made to look real."""
        with in_eval_mode(networks.discriminator):
            hidden = self.attack(critic, _lower, _exact(real), noise.fork("real"))
            return hidden, self.attack(critic, per_image, _exact(fakes), noise.fork("fake"))


def _exact(images: Images) -> Images:
    """In float32 at least: a step of an attack is lost in bfloat16."""
    return images.to(torch.promote_types(images.dtype, torch.float32))


def _lower(scores: Tensor) -> Tensor:
    return -per_image(scores)
