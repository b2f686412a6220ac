"""RpGAN: R3GAN's game on DCGAN's generator, for minutes on a processor."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Cosine
from gansmith.data.config import DataConfig
from gansmith.methods.rpgan import RpGAN


def rpgan(size: int, images: int, width: int = 64) -> Recipe:
    """The recipe at one size; ``images`` is the length its schedules are laid out for.

    Small batches: in a run of minutes the number of steps matters more than the size of each. Below 64 px
    the penalty is stronger: with 0.03 a critic of flat drawings at 32 px won for good in one run of three.
    From 64 px on images are smoothed as they leave the generator: they were grainy.
    """
    gamma = 0.03 if size >= 64 else 0.1
    adam = Adam(lr=4e-4, betas=(0.0, 0.99), schedule=Cosine(end=0.1))
    return Recipe(
        name=f"rpgan{size}",
        about=f"RpGAN at {size} px: relativistic pairs and gentle penalties on DCGAN's generator.",
        method=RpGAN(generator_width=width, discriminator_width=width, gamma=gamma, smooth=size >= 64),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size), mirror=True),
        train=TrainConfig(
            images=images,
            batch=32,
            average=Average(half_life=4000.0, rampup=0.05, floor=500.0),
            picture_every=max(images // 40, 500),
            checkpoint_every=max(images // 20, 1000),
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "rpgan8": lambda: rpgan(8, 60_000),
    "rpgan28": lambda: rpgan(28, 120_000),
    "rpgan32": lambda: rpgan(32, 120_000),
    "rpgan64": lambda: rpgan(64, 56_000),
    "rpgan128": lambda: rpgan(128, 400_000, width=32),
}
