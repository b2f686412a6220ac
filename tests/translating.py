"""A model whose results are known for any picture, and pictures to give it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.methods.base import Method
from gansmith.methods.batches import PairBatch, SourcePrompt
from gansmith.models.generator import Generator, from_method
from gansmith.networks.bundle import Networks

SPEC = DataSpec(height=16, width=16)


@dataclass(frozen=True, kw_only=True)
class Negative(Method[Networks, PairBatch, SourcePrompt]):
    """Each pixel becomes its negative, so any size has a known result; enlarged where sources are small."""

    batch_type: ClassVar[type[Any]] = PairBatch
    prompt_type: ClassVar[type[Any] | None] = SourcePrompt

    def build(self, spec: DataSpec) -> Networks:
        return Networks()

    def players(self) -> dict[str, tuple[str, ...]]:
        return {}

    def turns(self) -> list[Any]:
        return []

    def generate(self, networks: Networks, prompt: SourcePrompt, noise: Noise) -> Tensor:
        times = max(16 // prompt.source.shape[2], 1)
        return -nn.functional.interpolate(prompt.source, scale_factor=times, mode="nearest")


def negative(**spec: Any) -> Generator:
    method = Negative()
    form = DataSpec(**({"height": 16, "width": 16} | spec))
    return from_method(method, Networks(), form, name="negative", recipe_name="toy", images_seen=7)


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def save(path: Path, values: np.ndarray, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **how)
    return path


def shown(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)
