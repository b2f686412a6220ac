"""gansmith: from a folder of pictures to a generator you can trust, explore and ship."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Adam": "config.optimizers",
    "Average": "config.recipe",
    "Batch": "methods.base",
    "Checkpoint": "runs.checkpoint",
    "DataConfig": "config.recipe",
    "GansmithError": "errors",
    "Generator": "models.generator",
    "ImageBatch": "methods.batches",
    "DataSpec": "core.spec",
    "ImageSpec": "core.spec",
    "Loss": "methods.base",
    "Method": "methods.base",
    "Networks": "networks.bundle",
    "Noise": "core.noise",
    "NoiseToImage": "methods.latent",
    "Progress": "core.progress",
    "Prompt": "methods.base",
    "RMSprop": "config.optimizers",
    "Recipe": "config.recipe",
    "Run": "runs.run",
    "SGD": "config.optimizers",
    "Size": "core.image_size",
    "TrainConfig": "config.recipe",
    "Trainer": "engine.trainer",
    "Turn": "methods.base",
    "open_data": "data.open",
    "open_generator": "models.load",
    "train": "training.session",
}
"""Public name -> its module, imported on first use: ``gansmith --help`` must not wait for torch."""

__all__ = sorted([*_HOMES, "__version__"])

if TYPE_CHECKING:
    from gansmith.config.optimizers import SGD as SGD
    from gansmith.config.optimizers import Adam as Adam
    from gansmith.config.optimizers import RMSprop as RMSprop
    from gansmith.config.recipe import Average as Average
    from gansmith.config.recipe import DataConfig as DataConfig
    from gansmith.config.recipe import Recipe as Recipe
    from gansmith.config.recipe import TrainConfig as TrainConfig
    from gansmith.core.image_size import Size as Size
    from gansmith.core.noise import Noise as Noise
    from gansmith.core.progress import Progress as Progress
    from gansmith.core.spec import DataSpec as DataSpec
    from gansmith.core.spec import ImageSpec as ImageSpec
    from gansmith.data.open import open_data as open_data
    from gansmith.engine.trainer import Trainer as Trainer
    from gansmith.errors import GansmithError as GansmithError
    from gansmith.methods.base import Batch as Batch
    from gansmith.methods.base import Loss as Loss
    from gansmith.methods.base import Method as Method
    from gansmith.methods.base import Prompt as Prompt
    from gansmith.methods.base import Turn as Turn
    from gansmith.methods.batches import ImageBatch as ImageBatch
    from gansmith.methods.latent import NoiseToImage as NoiseToImage
    from gansmith.models.generator import Generator as Generator
    from gansmith.models.load import open_generator as open_generator
    from gansmith.networks.bundle import Networks as Networks
    from gansmith.runs.checkpoint import Checkpoint as Checkpoint
    from gansmith.runs.run import Run as Run
    from gansmith.training.session import train as train


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gansmith' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gansmith.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
