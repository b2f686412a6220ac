"""gansmith: from a folder of pictures to a generator you can trust, explore and ship."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Adam": "optimisers",
    "Average": "recipe",
    "Batch": "method",
    "Checkpoint": "checkpoint",
    "DataConfig": "recipe",
    "GansmithError": "errors",
    "Generator": "generation",
    "ImageBatch": "data.batches",
    "ImageSpec": "method",
    "Loss": "method",
    "Method": "method",
    "Networks": "method",
    "Noise": "noise",
    "NoiseToImage": "method",
    "Progress": "progress",
    "Prompt": "method",
    "RMSprop": "optimisers",
    "Recipe": "recipe",
    "Run": "run",
    "SGD": "optimisers",
    "Size": "size",
    "TrainConfig": "recipe",
    "Trainer": "trainer",
    "Turn": "method",
    "open_data": "data.open",
    "open_generator": "models",
    "train": "session",
}
"""Public name -> its module, imported on first use: ``gansmith --help`` must not wait for torch."""

__all__ = sorted([*_HOMES, "__version__"])

if TYPE_CHECKING:
    from gansmith.checkpoint import Checkpoint as Checkpoint
    from gansmith.data.batches import ImageBatch as ImageBatch
    from gansmith.data.open import open_data as open_data
    from gansmith.errors import GansmithError as GansmithError
    from gansmith.generation import Generator as Generator
    from gansmith.method import Batch as Batch
    from gansmith.method import ImageSpec as ImageSpec
    from gansmith.method import Loss as Loss
    from gansmith.method import Method as Method
    from gansmith.method import Networks as Networks
    from gansmith.method import NoiseToImage as NoiseToImage
    from gansmith.method import Prompt as Prompt
    from gansmith.method import Turn as Turn
    from gansmith.models import open_generator as open_generator
    from gansmith.noise import Noise as Noise
    from gansmith.optimisers import SGD as SGD
    from gansmith.optimisers import Adam as Adam
    from gansmith.optimisers import RMSprop as RMSprop
    from gansmith.progress import Progress as Progress
    from gansmith.recipe import Average as Average
    from gansmith.recipe import DataConfig as DataConfig
    from gansmith.recipe import Recipe as Recipe
    from gansmith.recipe import TrainConfig as TrainConfig
    from gansmith.run import Run as Run
    from gansmith.session import train as train
    from gansmith.size import Size as Size
    from gansmith.trainer import Trainer as Trainer


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gansmith' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gansmith.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
