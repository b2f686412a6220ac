"""SRGAN as the paper has it, with VGG-19's features, and a narrow one that needs no download."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Linear
from gansmith.data.config import DataConfig
from gansmith.methods.srgan import SRGAN
from gansmith.networks.perceptual import VGG19, Classified


def _paper() -> Recipe:
    """200,000 steps of 16 images of 96 px, Adam from 1e-4 to a tenth of it (section 3.2)."""
    adam = Adam(lr=1e-4, betas=(0.9, 0.999), schedule=Linear(start=0.5, end=0.1))
    return Recipe(
        name="srgan-x4",
        about="SRGAN: the game after SRResNet, through VGG-19. Borrow a generator and name VGG's file.",
        method=SRGAN(features=VGG19()),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(96, 96), mirror=True, pairs="small:4"),
        train=TrainConfig(images=3_200_000, batch=16, average=Average(), precision="float32"),
    )


def _small() -> Recipe:
    """The widths of ``srresnet-x4-small``; a classifier's features, and the pixels."""
    adam = Adam(lr=2e-4, betas=(0.9, 0.999), schedule=Linear(start=0.5))
    return replace(
        _paper(),
        name="srgan-x4-small",
        about="A narrow SRGAN at 64 px, through a classifier's features. Borrow both.",
        method=SRGAN(
            width=32, blocks=4, discriminator_width=32, features=Classified(), content=0.05, pixels=1.0
        ),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(64, 64), mirror=True, pairs="small:4"),
        train=TrainConfig(images=60_000, batch=16, average=Average(half_life=1000.0)),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {"srgan-x4": _paper, "srgan-x4-small": _small}
"""data.pairs=small:2 makes the same for twice, after an SRResNet for twice."""
