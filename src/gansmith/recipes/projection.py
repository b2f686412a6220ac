"""The projection discriminator (Miyato and Koyama 2018), narrow enough for a CPU."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.methods.projection import AttributeProjection, Projection


def projection(size: int, method: Projection, name: str = "projection") -> Recipe:
    """Adam with betas (0, 0.9), one move each, and rates of 4e-4 and twice that for the discriminator.

    The paper has 2e-4 and five moves of the discriminator; in a run of minutes the number of generator moves
    matters more, and the higher rate of the discriminator stands in for its moves (Heusel 2017).
    """
    what = "attributes" if isinstance(method, AttributeProjection) else "labels"
    return Recipe(
        name=f"{name}{size}",
        about=f"Projection critic and conditional norm at {size} px, by {what}.",
        method=method,
        optimizers={
            "discriminator": Adam(lr=8e-4, betas=(0.0, 0.9)),
            "generator": Adam(lr=4e-4, betas=(0.0, 0.9)),
        },
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=64_000 if size < 64 else 120_000, batch=32),
    )


_CPU = Projection(width=16, discriminator_moves=1)
_CPU_ATTRIBUTES = AttributeProjection(width=16, discriminator_moves=1)

RECIPES: dict[str, Callable[[], Recipe]] = {
    "projection28": lambda: projection(28, _CPU),
    "projection32": lambda: projection(32, _CPU),
    "projection64": lambda: projection(64, _CPU),
    "projection-attributes32": lambda: projection(32, _CPU_ATTRIBUTES, "projection-attributes"),
    "projection-attributes64": lambda: projection(64, _CPU_ATTRIBUTES, "projection-attributes"),
}
