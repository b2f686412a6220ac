"""A text encoder, learnt together with an image encoder from images and their captions."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Cosine
from gansmith.data.config import DataConfig
from gansmith.methods.text import JointEmbedding


def text(size: int) -> Recipe:
    """Batches of 128, for each image is told from the captions of all others."""
    return Recipe(
        name=f"text{size}",
        about=f"A text encoder, learnt from images of {size} px and their captions.",
        method=JointEmbedding(),
        optimizers={"encoders": Adam(lr=1e-3, betas=(0.9, 0.99), schedule=Cosine(end=0.05))},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=100_000, batch=128, average=None, picture_every=25_000),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {"text32": lambda: text(32), "text64": lambda: text(64)}
