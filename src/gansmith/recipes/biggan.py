"""SAGAN (Zhang 2018) and BigGAN (Brock 2019): narrow for a processor, and the papers' numbers."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.losses.adversarial import Hinge
from gansmith.methods.biggan import BigGAN
from gansmith.methods.gan import ConditionalGAN
from gansmith.networks.biggan import Attentive


def sagan(size: int, networks: Attentive, train: TrainConfig, rate: float = 1e-4, name: str = "") -> Recipe:
    """The hinge game by class with attention; the discriminator learns at four times the generator's rate.

    Args:
        size: of the images.
        networks: with attention somewhere.
        train: length and batch.
        rate: of the generator; the paper's is 1e-4.
        name: what is added to the recipe's name.
    """
    return Recipe(
        name=f"sagan{size}{name}",
        about=f"SAGAN at {size} px: attention, class-conditional norm, projection, two rates.",
        method=ConditionalGAN(latent=128, networks=networks, adversarial=Hinge()),
        optimizers={
            "discriminator": Adam(lr=4.0 * rate, betas=(0.0, 0.9)),
            "generator": Adam(lr=rate, betas=(0.0, 0.9)),
        },
        data=DataConfig(size=Size(size, size), mirror=True),
        train=train,
    )


def biggan(
    size: int, method: BigGAN, train: TrainConfig, rates: tuple[float, float] = (5e-5, 2e-4), name: str = ""
) -> Recipe:
    """BigGAN's game.

    Args:
        size: of the images.
        method: with its networks.
        train: length and batch.
        rates: of the generator and the discriminator.
        name: what is added to the recipe's name.
    """
    generator, discriminator = rates
    return Recipe(
        name=f"biggan{size}{name}",
        about=f"BigGAN at {size} px: shared class embedding, orthogonal regularization, truncation.",
        method=method,
        optimizers={
            "discriminator": Adam(lr=discriminator, betas=(0.0, 0.999), eps=1e-6),
            "generator": Adam(lr=generator, betas=(0.0, 0.999), eps=1e-6),
        },
        data=DataConfig(size=Size(size, size), mirror=True),
        train=train,
    )


_SMALL = TrainConfig(images=64_000, batch=32)
_SAGAN_NARROW = Attentive(width=32, max_channels=128, attention=16, halvings=2)
_BIGGAN_NARROW = Attentive(
    width=32,
    max_channels=128,
    attention=16,
    halvings=2,
    shared=64,
    hierarchical=True,
    initial="orthogonal",
)
_BIGGAN_128 = Attentive(
    width=96, max_channels=1536, attention=64, shared=128, hierarchical=True, initial="orthogonal"
)
_BIGGAN_CIFAR = Attentive(
    width=256, max_channels=256, attention=0, shared=128, halvings=2, flat=2, initial="orthogonal"
)


def _paper(images: int, batch: int, half_life: float) -> TrainConfig:
    average = Average(half_life=half_life)
    return TrainConfig(
        images=images,
        batch=batch,
        average=average,
        picture_every=images // 100,
        checkpoint_every=images // 100,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "sagan32-small": lambda: sagan(32, _SAGAN_NARROW, _SMALL, rate=2e-4, name="-small"),
    "sagan128": lambda: sagan(128, Attentive(shared=128), _paper(256_000_000, 256, 180_000.0)),
    "biggan32-small": lambda: biggan(
        32, BigGAN(networks=_BIGGAN_NARROW), _SMALL, rates=(2e-4, 8e-4), name="-small"
    ),
    "biggan32-cifar10": lambda: biggan(
        32,
        BigGAN(networks=_BIGGAN_CIFAR, orthogonal=0.0, discriminator_moves=4),
        _paper(6_250_000, 50, 350_000.0),
        rates=(2e-4, 2e-4),
        name="-cifar10",
    ),
    "biggan128": lambda: biggan(
        128,
        BigGAN(latent=120, networks=_BIGGAN_128, discriminator_moves=2),
        _paper(280_000_000, 2048, 14_000_000.0),
    ),
}
