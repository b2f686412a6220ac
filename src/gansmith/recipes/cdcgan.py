"""Conditional DCGAN: an embedding of the label beside z, and a plane of it beside the image."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.methods.cdcgan import AttributeDCGAN, ConditionalDCGAN


def cdcgan(size: int, method: ConditionalDCGAN, name: str = "cdcgan") -> Recipe:
    """DCGAN's Adam, at 2e-4 with beta1 0.5, and small batches for many steps."""
    adam = Adam(lr=2e-4, betas=(0.5, 0.999))
    what = "attributes" if isinstance(method, AttributeDCGAN) else "labels"
    return Recipe(
        name=f"{name}{size}",
        about=f"Conditional DCGAN at {size} px, by {what}.",
        method=method,
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=150_000, batch=32),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "cdcgan28": lambda: cdcgan(28, ConditionalDCGAN()),
    "cdcgan32": lambda: cdcgan(32, ConditionalDCGAN()),
    "cdcgan64": lambda: cdcgan(64, ConditionalDCGAN()),
    "cdcgan-attributes32": lambda: cdcgan(32, AttributeDCGAN(), "cdcgan-attributes"),
    "cdcgan-attributes64": lambda: cdcgan(64, AttributeDCGAN(), "cdcgan-attributes"),
}
