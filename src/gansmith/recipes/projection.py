"""The projection discriminator (Miyato and Koyama 2018), narrow enough for a CPU."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.methods.projection import AttributeProjection, Projection


def projection(size: int, method: Projection, name: str = "projection") -> Recipe:
    """Adam at 2e-4 with betas (0, 0.9), small batches for many steps."""
    adam = Adam(lr=2e-4, betas=(0.0, 0.9))
    what = "attributes" if isinstance(method, AttributeProjection) else "labels"
    return Recipe(
        name=f"{name}{size}",
        about=f"Projection critic and conditional norm at {size} px, by {what}.",
        method=method,
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=120_000, batch=64),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "projection28": lambda: projection(28, Projection(width=32, discriminator_moves=2)),
    "projection32": lambda: projection(32, Projection(width=32, discriminator_moves=2)),
    "projection64": lambda: projection(64, Projection(width=32, discriminator_moves=2)),
    "projection-attributes32": lambda: projection(
        32, AttributeProjection(width=32, discriminator_moves=2), "projection-attributes"
    ),
    "projection-attributes64": lambda: projection(
        64, AttributeProjection(width=32, discriminator_moves=2), "projection-attributes"
    ),
}
