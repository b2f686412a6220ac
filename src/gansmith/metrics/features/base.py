"""What a feature network is: images in, numbers out, with a fingerprint of everything they depend on."""

import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from types import ModuleType
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from gansmith.core.tensors import BytePictures, Images
from gansmith.data.builtin.sets import import_torchvision
from gansmith.errors import DataError, MissingPackageError
from gansmith.metrics.features.resize import Levels
from gansmith.metrics.math.intervals import full_precision


@dataclass(frozen=True)
class Outputs:
    """What a feature network returns for a batch of images.

    Example:
        >>> open_pixels(torch.device("cpu"))(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)).features.shape
        torch.Size([2, 768])
    """

    features: Float[Tensor, "batch size"]
    logits: Float[Tensor, "batch classes"] | None = None  # Where the network tells classes apart.


@runtime_checkable
class FeatureNetwork(Protocol):
    """Turns images into features; an image's numbers do not depend on the batch around it.

    Example:
        >>> isinstance(open_pixels(torch.device("cpu")), FeatureNetwork)
        True
    """

    @property
    def name(self) -> str:
        """What the user calls it: ``inception``, ``face``, ..."""
        ...

    @property
    def size(self) -> int:
        """Numbers per image."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of the weights, the preprocessing and the library versions."""
        ...

    def __call__(self, pictures: BytePictures) -> Outputs:
        """The features of uint8 images [n, 1 or 3, h, w], float32 [n, size]."""
        ...


Found = tuple[Tensor, Tensor | None]
"""Features, and logits where there are any."""

_RUN, _RUN_GPU = 16, 64  # Images at a time, whatever was asked for: see gansmith.models.generator.


@dataclass(frozen=True, eq=False)
class Extractor:
    """A feature network that takes images as bytes only.

    name: what the user calls it.
    size: numbers per image.
    facts: everything the numbers depend on, in words: weights, resizing, versions.
    forward: levels [run, 3, h, w] on ``device`` -> features [run, size] and logits.
    device: where it runs; results come back to the CPU.

    Example:
        >>> network = Extractor("mean", 3, {}, lambda x: (x.mean((2, 3)), None), torch.device("cpu"))
        >>> network(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)).features.shape
        torch.Size([2, 3])
    """

    name: str
    size: int
    facts: Mapping[str, str]
    forward: Callable[[Levels], Found]
    device: torch.device

    @property
    def fingerprint(self) -> str:
        """Of all facts."""
        return fingerprint({"network": self.name, **self.facts})

    def __call__(self, pictures: BytePictures) -> Outputs:
        """The features of images [n, 1 or 3, h, w], float32 on the CPU.

        Raises:
            DataError: no images, other channels, or features that are not numbers.
        """
        check_pictures(pictures)
        return self._outputs(pictures)

    def _outputs(self, pictures: Tensor) -> Outputs:
        run = _RUN if self.device.type == "cpu" else _RUN_GPU
        found = [self._run(part, run) for part in torch.split(pictures, run)]
        features = torch.cat([part for part, _ in found])
        if not bool(features.isfinite().all()):
            raise DataError(
                f"Features must be finite numbers. Received: nan or inf from the network {self.name}. "
                "If its weights or its code are your own, look there."
            )
        logits = [part for _, part in found if part is not None]
        return Outputs(features, torch.cat(logits) if logits else None)

    def _run(self, part: Tensor, run: int) -> Found:
        """Always ``run`` images: other sizes of a batch may round the last bit another way."""
        count = len(part)
        full = torch.cat([part, part[:1].expand(run - count, -1, -1, -1)])
        levels = full.to(self.device).float().expand(-1, 3, -1, -1)
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact, full_precision():
            features, logits = self.forward(levels)
            kept = features[:count].float().cpu()
            return kept, None if logits is None else logits[:count].float().cpu()


@dataclass(frozen=True, eq=False)
class SmoothExtractor(Extractor):
    """A feature network that sees differences smaller than one level of a byte, too.

    Example:
        >>> open_pixels(torch.device("cpu")).unrounded(torch.zeros(2, 3, 8, 8)).features.shape
        torch.Size([2, 768])
    """

    def unrounded(self, images: Images) -> Outputs:
        """The features of images [n, 1 or 3, h, w] in [-1, 1], as networks make them; as for bytes."""
        check_pictures(images)
        return self._outputs((images.float() + 1.0) * 127.5)


def check_pictures(pictures: Tensor) -> None:
    """DataError for a batch without images, or of other than 1 or 3 channels."""
    if 0 in pictures.shape:
        raise DataError(
            f"There is nothing to measure: no pictures, or pictures without pixels. "
            f"Received: shape {list(pictures.shape)}."
        )
    if pictures.shape[1] not in (1, 3):
        raise DataError(f"Pictures are grey or RGB, 1 or 3 channels. Received: {pictures.shape[1]} channels.")


def fingerprint(facts: Mapping[str, str]) -> str:
    """32 hexadecimal digits that change when a fact changes."""
    lines = "\n".join(f"{name}: {facts[name]}" for name in sorted(facts))
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def versions(*packages: str) -> dict[str, str]:
    """The installed version of each package."""
    return {package: version(package) for package in packages}


EXTRA = "metrics"


def start(module: str, package: str, purpose: str) -> ModuleType:
    """A module of an optional package that stands on torchvision.

    torchvision is started first, for then it works even if its compiled part was built for another torch.

    Args:
        module: such as ``torchmetrics.functional.image``.
        package: its name for pip.
        purpose: what needs it, to begin a sentence with.

    Raises:
        MissingPackageError: it, or a package it needs, is not installed.
        DataError: it is installed and does not start.
    """
    if importlib.util.find_spec("torchvision") is None:
        raise MissingPackageError("torchvision", purpose, EXTRA)
    try:
        import_torchvision(purpose)
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or package).partition(".")[0]
        own = missing == module.partition(".")[0]
        raise MissingPackageError(package if own else missing, purpose, EXTRA) from error
    except (DataError, ImportError, OSError, RuntimeError) as error:
        raise DataError(
            f"{purpose} needs the package {package}, which is installed but does not start ({error}). "
            f"Install one that fits torch {torch.__version__}: pip install --force-reinstall {package}"
        ) from error
