"""DCGAN as the textbook has it, at several sizes, with averaged weights for the images."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.losses.adversarial import Logistic
from gansmith.methods.dcgan import DCGAN


def dcgan(name: str, about: str, size: int, *, width: int = 64, images: int = 200_000) -> Recipe:
    """The paper's networks, loss, optimizer and initialization at one size (Radford 2015, section 4)."""
    adam = Adam(lr=2e-4, betas=(0.5, 0.999))
    return Recipe(
        name=name,
        about=about,
        method=DCGAN(generator_width=width, discriminator_width=width),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(
            images=images,
            batch=128,
            average=Average(half_life=4000.0, rampup=0.05, floor=500.0),
            log_every=1280,
        ),
    )


def _paper() -> Recipe:
    """Uniform z, 1024 channels at 4 x 4, images from the weights of the last step, in float32."""
    recipe = dcgan("dcgan64-paper", "The paper to the letter: uniform z, ngf 128, no average.", 64, width=128)
    return replace(
        recipe,
        method=DCGAN(generator_width=128, discriminator_width=128, prior="uniform"),
        train=replace(recipe.train, average=None, averaged=(), precision="float32"),
    )


def _steady() -> Recipe:
    """Two-sided label smoothing bounds how sure the discriminator can be; small batches give more steps."""
    recipe = dcgan(
        "dcgan64-steady", "The textbook's networks at 64 px, kept from collapse on a short run.", 64
    )
    return replace(
        recipe,
        method=DCGAN(adversarial=Logistic(real=0.9, fake=0.1)),
        data=replace(recipe.data, mirror=True),
        train=replace(recipe.train, batch=32, images=48_000),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "dcgan28": lambda: dcgan("dcgan28", "The textbook DCGAN at 28 px, for digits.", 28, images=300_000),
    "dcgan64": lambda: dcgan("dcgan64", "The textbook DCGAN at 64 px (ngf 64).", 64),
    "dcgan64-wide": lambda: dcgan(
        "dcgan64-wide", "The paper's wider networks at 64 px (ngf 128).", 64, width=128
    ),
    "dcgan64-paper": _paper,
    "dcgan64-steady": _steady,
    "dcgan128": lambda: dcgan("dcgan128", "The textbook DCGAN with one more doubling, at 128 px.", 128),
}
