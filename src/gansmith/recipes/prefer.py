"""Prefer: a short fine-tuning of a rated run, which stops where variety or quality would be lost."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, EvaluateConfig, TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.methods.prefer import Prefer


def prefer(size: int, name: str) -> Recipe:
    """Small steps from a run of the default; four looks at variety and quality.

    A discriminator under spectral norm, such as the default's, pulls less than one without: of a run without,
    such as ``rpgan64``, the weight of what is liked may be ten times as large (docs/methods/prefer.md).
    """
    adam = Adam(lr=2e-4, betas=(0.5, 0.999))
    return Recipe(
        name=name,
        about=f"Fine-tunes a rated generator of {size} px towards what was liked; its own game is the guard.",
        method=Prefer(weight=0.03),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size), mirror=True),
        train=TrainConfig(
            images=8_000,
            batch=32,
            average=Average(half_life=1000.0),
            picture_every=1_000,
            checkpoint_every=1_000,
            evaluate=EvaluateConfig(
                every=2_000,
                metrics="pr,swd",
                features="pixels",
                samples=1_000,
                guards={"recall": 0.5, "swd": 0.5},
            ),
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "prefer": lambda: prefer(64, "prefer"),
    "prefer32": lambda: prefer(32, "prefer32"),
}
