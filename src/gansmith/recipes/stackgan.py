"""StackGAN: two stages that borrow a text encoder, as the paper has them, and narrow for a processor."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Linear
from gansmith.data.config import DataConfig
from gansmith.methods.stackgan import StackGAN, StackGANTwo, TextToImage


def stackgan(name: str, size: int, method: TextToImage, images: int, batch: int = 32) -> Recipe:
    """Adam at 2e-4 with beta1 0.5; the paper halves the rate every 50 passes, here it falls in a line."""
    adam = Adam(lr=2e-4, betas=(0.5, 0.999), schedule=Linear(start=0.5))
    stage = "two" if isinstance(method, StackGANTwo) else "one"
    return Recipe(
        name=name,
        about=f"StackGAN, stage {stage}: images of {size} px of a sentence.",
        method=method,
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=images, batch=batch, picture_every=20_000),
    )


_ONE = StackGAN(generator_width=64, discriminator_width=32)
_TWO = StackGANTwo(generator_width=32, discriminator_width=32)

RECIPES: dict[str, Callable[[], Recipe]] = {
    "stackgan32": lambda: stackgan("stackgan32", 32, _ONE, 60_000),
    "stackgan64": lambda: stackgan("stackgan64", 64, _ONE, 60_000),
    "stackgan-two64": lambda: stackgan("stackgan-two64", 64, _TWO, 30_000),
    "stackgan-two128": lambda: stackgan("stackgan-two128", 128, _TWO, 30_000),
    "stackgan-paper": lambda: stackgan("stackgan-paper", 64, StackGAN(), 5_000_000, 64),
    "stackgan-two-paper": lambda: stackgan(
        "stackgan-two-paper", 256, StackGANTwo(times=4, blocks=4), 5_000_000, 64
    ),
}
