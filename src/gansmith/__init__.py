"""gansmith: from a folder of images to a generator you can trust, explore and ship."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Adam": "config.optimizers",
    "AdamW": "config.optimizers",
    "AttributeBatch": "methods.batches",
    "AttributePrompt": "methods.batches",
    "Average": "config.training",
    "Batch": "methods.base",
    "CaptionBatch": "methods.batches",
    "CaptionPrompt": "methods.batches",
    "Checkpoint": "runs.checkpoint",
    "DataConfig": "data.config",
    "DataSpec": "core.spec",
    "GansmithError": "errors",
    "Generator": "models.generator",
    "ImageBatch": "methods.batches",
    "ImageSpec": "core.spec",
    "LabelPrompt": "methods.batches",
    "LabelledBatch": "methods.batches",
    "LatentMethod": "methods.latent",
    "Loss": "methods.base",
    "Method": "methods.base",
    "Networks": "networks.bundle",
    "Noise": "core.noise",
    "NoiseToImage": "methods.latent",
    "Pair": "networks.bundle",
    "PairBatch": "methods.batches",
    "PairMethod": "methods.pair",
    "Progress": "core.progress",
    "PowerAverage": "config.training",
    "Prompt": "methods.base",
    "RMSprop": "config.optimizers",
    "Recipe": "config.recipe",
    "Run": "runs.run",
    "SGD": "config.optimizers",
    "Size": "core.image_size",
    "SourcePrompt": "methods.batches",
    "TrainConfig": "config.training",
    "Trainer": "engine.trainer",
    "Translation": "models.translate",
    "Turn": "methods.base",
    "Wish": "models.prompts",
    "evaluate": "metrics.evaluate",
    "generate": "models.write",
    "inspect": "data.inspect.inspect",
    "open_data": "data.open",
    "open_generator": "models.load",
    "prepare": "data.prepare.prepare",
    "project": "explore.projection",
    "read_origin": "images.origin",
    "reconstruct": "models.reconstruct",
    "report": "reporting.page",
    "train": "training.session",
    "translate": "models.translate",
    "walk": "explore.interpolation",
}
"""Public name -> its module, imported on first use: ``gansmith --help`` must not wait for torch."""

__all__ = sorted([*_HOMES, "__version__"])

if TYPE_CHECKING:
    from gansmith.config.optimizers import SGD as SGD
    from gansmith.config.optimizers import Adam as Adam
    from gansmith.config.optimizers import AdamW as AdamW
    from gansmith.config.optimizers import RMSprop as RMSprop
    from gansmith.config.recipe import Recipe as Recipe
    from gansmith.config.training import Average as Average
    from gansmith.config.training import PowerAverage as PowerAverage
    from gansmith.config.training import TrainConfig as TrainConfig
    from gansmith.core.image_size import Size as Size
    from gansmith.core.noise import Noise as Noise
    from gansmith.core.progress import Progress as Progress
    from gansmith.core.spec import DataSpec as DataSpec
    from gansmith.core.spec import ImageSpec as ImageSpec
    from gansmith.data.config import DataConfig as DataConfig
    from gansmith.data.inspect.inspect import inspect as inspect
    from gansmith.data.open import open_data as open_data
    from gansmith.data.prepare.prepare import prepare as prepare
    from gansmith.engine.trainer import Trainer as Trainer
    from gansmith.errors import GansmithError as GansmithError
    from gansmith.explore.interpolation import walk as walk
    from gansmith.explore.projection import project as project
    from gansmith.images.origin import read_origin as read_origin
    from gansmith.methods.base import Batch as Batch
    from gansmith.methods.base import Loss as Loss
    from gansmith.methods.base import Method as Method
    from gansmith.methods.base import Prompt as Prompt
    from gansmith.methods.base import Turn as Turn
    from gansmith.methods.batches import AttributeBatch as AttributeBatch
    from gansmith.methods.batches import AttributePrompt as AttributePrompt
    from gansmith.methods.batches import CaptionBatch as CaptionBatch
    from gansmith.methods.batches import CaptionPrompt as CaptionPrompt
    from gansmith.methods.batches import ImageBatch as ImageBatch
    from gansmith.methods.batches import LabelledBatch as LabelledBatch
    from gansmith.methods.batches import LabelPrompt as LabelPrompt
    from gansmith.methods.batches import PairBatch as PairBatch
    from gansmith.methods.batches import SourcePrompt as SourcePrompt
    from gansmith.methods.latent import LatentMethod as LatentMethod
    from gansmith.methods.latent import NoiseToImage as NoiseToImage
    from gansmith.methods.pair import PairMethod as PairMethod
    from gansmith.metrics.evaluate import evaluate as evaluate
    from gansmith.models.generator import Generator as Generator
    from gansmith.models.load import open_generator as open_generator
    from gansmith.models.prompts import Wish as Wish
    from gansmith.models.reconstruct import reconstruct as reconstruct
    from gansmith.models.translate import Translation as Translation
    from gansmith.models.translate import translate as translate
    from gansmith.models.write import generate as generate
    from gansmith.networks.bundle import Networks as Networks
    from gansmith.networks.bundle import Pair as Pair
    from gansmith.reporting.page import report as report
    from gansmith.runs.checkpoint import Checkpoint as Checkpoint
    from gansmith.runs.run import Run as Run
    from gansmith.training.session import train as train


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gansmith' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gansmith.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
