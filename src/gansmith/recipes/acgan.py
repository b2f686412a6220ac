"""ACGAN: an auxiliary classifier in the discriminator (Odena 2017)."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.methods.acgan import ACGAN, AttributeACGAN


def acgan(size: int, method: ACGAN, name: str = "acgan") -> Recipe:
    """Adam at 2e-4 with betas (0, 0.99); the class is learnt from real images alone.

    With fakes in it, as in the paper, the class head learns what young fakes show: asked for 0, a 5.
    """
    adam = Adam(lr=2e-4, betas=(0.0, 0.99))
    what = "attributes" if isinstance(method, AttributeACGAN) else "labels"
    return Recipe(
        name=f"{name}{size}",
        about=f"ACGAN at {size} px, by {what}.",
        method=method,
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=120_000, batch=32),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "acgan28": lambda: acgan(28, ACGAN(width=32, on_fakes=0.0)),
    "acgan32": lambda: acgan(32, ACGAN(width=32, on_fakes=0.0)),
    "acgan64": lambda: acgan(64, ACGAN(width=32, on_fakes=0.0)),
    "acgan-attributes32": lambda: acgan(32, AttributeACGAN(width=32, on_fakes=0.0), "acgan-attributes"),
    "acgan-attributes64": lambda: acgan(64, AttributeACGAN(width=32, on_fakes=0.0), "acgan-attributes"),
}
