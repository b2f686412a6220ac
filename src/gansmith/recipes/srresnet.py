"""SRResNet as the paper has it, and a narrow one for a processor."""

from collections.abc import Callable
from dataclasses import replace

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Linear
from gansmith.data.config import DataConfig
from gansmith.methods.srresnet import SuperResolution


def _paper() -> Recipe:
    """16 blocks of 64 channels, 16 images of 96 px a step, Adam at 1e-4 (section 3.2)."""
    return Recipe(
        name="srresnet-x4",
        about="SRResNet: pictures four times as large a side, by squared distance.",
        method=SuperResolution(),
        optimizers={"generator": Adam(lr=1e-4, betas=(0.9, 0.999))},
        data=DataConfig(size=Size(96, 96), mirror=True, pairs="small:4"),
        train=TrainConfig(images=16_000_000, batch=16, average=Average(), precision="float32"),
    )


def _small() -> Recipe:
    """Half the width, a quarter of the blocks, 64 px."""
    recipe = _paper()
    return replace(
        recipe,
        name="srresnet-x4-small",
        about="A narrow SRResNet at 64 px that a processor trains in minutes.",
        method=SuperResolution(width=32, blocks=4),
        optimizers={"generator": Adam(lr=1e-3, betas=(0.9, 0.999), schedule=Linear(start=0.5))},
        data=DataConfig(size=Size(64, 64), mirror=True, pairs="small:4"),
        train=TrainConfig(images=60_000, batch=16, average=Average(half_life=1000.0)),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {"srresnet-x4": _paper, "srresnet-x4-small": _small}
"""data.pairs=small:2 and small:8 make the same for twice and eight times."""
