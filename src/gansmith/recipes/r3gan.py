"""R3GAN: relativistic pairs, R1 and R2 on plain residual networks (Huang 2024)."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from gansmith.augment.policies import Pipeline
from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Cosine
from gansmith.data.config import DataConfig
from gansmith.losses.adversarial import Relativistic
from gansmith.losses.penalties import R1R2
from gansmith.methods.gan import GAN, ConditionalGAN
from gansmith.networks.architectures import Convolutional
from gansmith.networks.magnitude import R3MP
from gansmith.networks.r3gan import R3


class Preset(NamedTuple):
    """What the recipes differ in.

    Example:
        >>> r3gan("mine", _SMALL32._replace(size=64, images=1_000_000))
    """

    about: str
    size: int
    networks: R3 | R3MP | Convolutional
    batch: int
    images: int  # The length of all schedules.
    gamma: float  # Where it begins.
    half_life: float  # Of the average in images, where it ends.
    classes: bool = False
    lr: float = 2e-4
    distance: float | None = None  # Of a finite difference; None: two derivatives.
    augment: float = 0.0  # The probability of augmentation at the end; it begins at 0.
    mirror: bool = True


def r3gan(name: str, preset: Preset) -> Recipe:
    """The game with its schedules: half cosines, as the paper has them.

    The rate falls to a quarter, gamma to a tenth, beta2 rises from 0.9 to 0.99, and the half-life of the
    average from 0 to what the preset says.
    """
    game: dict[str, Any] = {
        "latent": 64,
        "networks": preset.networks,
        "adversarial": Relativistic(),
        "penalty": R1R2(gamma=preset.gamma, distance=preset.distance),
        "penalty_schedule": Cosine(end=0.1),
    }
    if preset.augment:
        rise = Cosine(start=0.0, end=1.0)
        game["augment"] = Pipeline(p=preset.augment, schedule=rise, color=0.5, cutout=1.0)
    adam = Adam(lr=preset.lr, betas=(0.0, 0.9), schedule=Cosine(end=0.25), memory_schedule=Cosine(end=0.1))
    average = Average(half_life=preset.half_life, rampup=1.0, floor=0.0, schedule=Cosine(start=0.0, end=1.0))
    return Recipe(
        name=name,
        about=preset.about,
        method=ConditionalGAN(**game) if preset.classes else GAN(**game),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(preset.size, preset.size), mirror=preset.mirror),
        train=TrainConfig(
            images=preset.images,
            batch=preset.batch,
            average=average,
            picture_every=max(preset.images // 40, 500),
            checkpoint_every=max(preset.images // 20, 1000),
        ),
    )


_CPU = "R3GAN at {} px on two processor cores: narrow, penalties by finite differences."
_PAPER = "R3GAN at {} px with the paper's numbers for {}."

# Over a distance of 0.05 in every pixel the penalties count for more than the slope, so gamma is small.
_SMALL32 = Preset(
    about=_CPU.format(32),
    size=32,
    networks=R3(width=64, max_channels=128),
    batch=32,
    images=40_000,
    gamma=0.1,
    half_life=4000.0,
    lr=4e-4,
    distance=0.05,
)
_SMALL64 = _SMALL32._replace(
    about=_CPU.format(64), size=64, networks=R3(width=32, max_channels=128), gamma=0.03
)
_MP32 = _SMALL32._replace(
    about="R3GAN at 32 px on magnitude-preserving layers, on two processor cores.",
    networks=R3MP(width=64, max_channels=128),
    lr=1e-2,
)
_STACKED = _SMALL32._replace(
    about="R3GAN's game on DCGAN's networks at 28 px, for stacked-mnist on one processor core.",
    size=28,
    networks=Convolutional(norm="none", width=64, max_channels=128),
    batch=64,
    images=150_000,
    mirror=False,  # Digits have a right way round.
)
_ONE_GPU = Preset(
    about="R3GAN at 64 px for one GPU and about half an hour: a third of the paper's width.",
    size=64,
    networks=R3(width=128, max_channels=256),
    batch=64,
    images=1_000_000,
    gamma=2.0,
    half_life=20_000.0,
    lr=4e-4,
)
_CIFAR10 = Preset(
    about=_PAPER.format(32, "CIFAR-10"),
    size=32,
    networks=R3(width=768, max_channels=768),
    batch=512,
    images=20_000_000,
    gamma=0.05,
    half_life=5e6,
    classes=True,
    augment=0.55,
)
_FFHQ64 = Preset(
    about=_PAPER.format(64, "FFHQ"),
    size=64,
    networks=R3(width=384, max_channels=768),
    batch=256,
    images=20_000_000,
    gamma=2.0,
    half_life=5e5,
    augment=0.3,
)
_FFHQ256 = _FFHQ64._replace(
    about=_PAPER.format(256, "FFHQ"), size=256, networks=R3(width=96, max_channels=768), gamma=150.0
)
_IMAGENET32 = Preset(
    about=_PAPER.format(32, "ImageNet"),
    size=32,
    networks=R3(width=1536, max_channels=1536, group=32),
    batch=4096,
    images=200_000_000,
    gamma=0.5,
    half_life=5e7,
    classes=True,
    augment=0.5,
)
_IMAGENET64 = _IMAGENET32._replace(about=_PAPER.format(64, "ImageNet"), size=64, gamma=1.0, augment=0.4)

_PRESETS = {
    "r3gan32-small": _SMALL32,
    "r3gan64-small": _SMALL64,
    "r3gan32-mp": _MP32,
    "r3gan28-stacked": _STACKED,
    "r3gan64": _ONE_GPU,
    "r3gan32-cifar10": _CIFAR10,
    "r3gan64-ffhq": _FFHQ64,
    "r3gan256-ffhq": _FFHQ256,
    "r3gan32-imagenet": _IMAGENET32,
    "r3gan64-imagenet": _IMAGENET64,
}

RECIPES: dict[str, Callable[[], Recipe]] = {
    name: partial(r3gan, name, preset) for name, preset in _PRESETS.items()
}
