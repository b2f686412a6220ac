"""A critic trained under attack, on the networks of sngan-dcgan."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.recipe import Recipe
from gansmith.losses.adversarial import Hinge
from gansmith.methods.robust_gan import RobustGAN
from gansmith.networks.architectures import Convolutional
from gansmith.recipes.sngan import RECIPES as SNGAN


def robust_gan(size: int) -> Recipe:
    """Hinge and spectral norm; one step of an attack, epsilon 2/255, on what the critic sees."""
    return replace(
        SNGAN[f"sngan-dcgan{size}"](),
        name=f"robust-gan{size}",
        about=f"A critic trained under attack at {size} px: hinge, spectral norm, epsilon 2/255.",
        method=RobustGAN(networks=Convolutional(norm="spectral"), adversarial=Hinge()),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "robust-gan32": lambda: robust_gan(32),
    "robust-gan64": lambda: robust_gan(64),
}
