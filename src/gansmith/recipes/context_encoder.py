"""Context encoders: the authors' network for a hole in the middle, holes anywhere, and narrow ones."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Linear
from gansmith.data.config import DataConfig
from gansmith.methods.context_encoder import ContextEncoder


def context_encoder(size: int) -> Recipe:
    """The authors' train.lua: batches of 64, Adam, ten times the critic's rate for the generator."""
    return Recipe(
        name=f"context-encoder{size}",
        about=f"Context encoder at {size} px: the middle of a picture from what is around it.",
        method=ContextEncoder(),
        optimizers={
            "discriminator": Adam(lr=2e-4, betas=(0.5, 0.999)),
            "generator": Adam(lr=2e-3, betas=(0.5, 0.999)),
        },
        data=DataConfig(size=Size(size, size), mirror=True, pairs="hole:inner"),
        train=TrainConfig(images=7_500_000, batch=64, average=None, averaged=()),
    )


def _random(recipe: Recipe) -> Recipe:
    """Holes anywhere: the whole image is predicted, through a linear layer for each channel."""
    assert isinstance(recipe.method, ContextEncoder)
    return replace(
        recipe,
        name=recipe.name.replace("64", "64-random"),
        about=recipe.about.replace("the middle of a picture", "rectangles anywhere in a picture"),
        method=replace(recipe.method, region="whole", bottleneck="channelwise"),
        data=replace(recipe.data, pairs="hole:random"),
    )


def _small() -> Recipe:
    """Half of the width, a code of 512, averaged weights, a falling rate."""
    recipe = context_encoder(64)
    falling = Linear(start=0.5)
    return replace(
        recipe,
        name="context-encoder64-small",
        about="A narrow context encoder at 64 px for a processor: the middle of a picture.",
        method=ContextEncoder(generator_width=32, discriminator_width=32, code=512),
        optimizers={
            "discriminator": Adam(lr=2e-4, betas=(0.5, 0.999), schedule=falling),
            "generator": Adam(lr=2e-3, betas=(0.5, 0.999), schedule=falling),
        },
        train=TrainConfig(images=120_000, batch=32, average=Average(half_life=1000.0), picture_every=10_000),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "context-encoder64": lambda: context_encoder(64),
    "context-encoder128": lambda: context_encoder(128),
    "context-encoder64-random": lambda: _random(context_encoder(64)),
    "context-encoder64-small": _small,
    "context-encoder64-random-small": lambda: _random(_small()),
}
