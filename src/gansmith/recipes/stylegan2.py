"""StyleGAN2 (Karras 2020), with the numbers of StyleGAN2-ADA's configurations (Karras, NeurIPS 2020)."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.augment.policies import ADA
from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.methods.stylegan2 import StyleGAN2


def lazily(adam: Adam, every: int) -> Adam:
    """Adam of a player that is regularized each n-th step, a step more: c = n / (n + 1), lr c, beta^c.

    Example:
        >>> lazily(Adam(lr=2.5e-3, betas=(0.0, 0.99)), every=16).lr
        0.002352941176470588
    """
    c = every / (every + 1)
    return replace(adam, lr=adam.lr * c, betas=(adam.betas[0] ** c, adam.betas[1] ** c))


def stylegan2(size: int, images: int, method: StyleGAN2 | None = None, batch: int = 32) -> Recipe:
    """The recipe at one size; gamma is the authors' rule, 0.0002 x pixels / batch.

    Args:
        size: of the images.
        images: how long.
        method: None: with the authors' width, 16384 / size channels at full size, at most 512.
        batch: also says the half-life of the average, 10,000 images for 32.
    """
    adam = Adam(lr=2.5e-3, betas=(0.0, 0.99))
    method = method or StyleGAN2(width=min(16384 // size, 512))
    chosen = replace(method, gamma=0.0002 * size**2 / batch)
    return Recipe(
        name=f"stylegan2-{size}",
        about=f"StyleGAN2 at {size} px.",
        method=chosen,
        optimizers={
            "discriminator": lazily(adam, chosen.r1_every),
            "generator": lazily(adam, chosen.path_every),
        },
        data=DataConfig(size=Size(size, size), mirror=True),
        train=TrainConfig(
            images=images,
            batch=batch,
            averaged=("mapping", "synthesis"),
            average=Average(half_life=10_000.0 * batch / 32, rampup=0.05, floor=0.0),
            picture_every=max(images // 40, 500),
            checkpoint_every=max(images // 20, 1000),
        ),
    )


def _small(size: int, images: int) -> Recipe:
    """For a processor: narrow, and a short average for a short run."""
    width = 32 if size >= 64 else 64
    method = StyleGAN2(latent=128, style=128, mapping_layers=2, width=width, max_channels=128)
    recipe = stylegan2(size, images, method, batch=16)
    average = Average(half_life=4000.0, rampup=0.05, floor=500.0)
    return replace(
        recipe,
        name=f"stylegan2-{size}-small",
        about=f"StyleGAN2 at {size} px, narrow, for half an hour on a processor.",
        train=replace(recipe.train, average=average),
    )


def _ada(size: int) -> Recipe:
    """Blitting, geometry and colour, p adapted (StyleGAN2-ADA's own default)."""
    recipe = stylegan2(size, 5_000_000, StyleGAN2(width=16384 // size, augment=ADA()))
    return replace(
        recipe,
        name=f"stylegan2-{size}-ada",
        about=f"StyleGAN2 with adaptive augmentation at {size} px, for few images.",
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "stylegan2-32-small": lambda: _small(32, 40_000),
    "stylegan2-64-small": lambda: _small(64, 40_000),
    "stylegan2-32": lambda: stylegan2(32, 5_000_000, StyleGAN2(width=512, mapping_layers=2)),
    "stylegan2-64": lambda: stylegan2(64, 5_000_000),
    "stylegan2-256": lambda: stylegan2(256, 25_000_000),
    "stylegan2-64-ada": lambda: _ada(64),
    "stylegan2-256-ada": lambda: _ada(256),
}
