"""A feature network around any function of pictures: one picture gives the same numbers in every batch."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import torch
from torch import Tensor

from gansmith.core.tensors import BytePictures, Images
from gansmith.errors import DataError
from gansmith.metrics.features.base import Outputs
from gansmith.metrics.features.resize import Levels
from gansmith.metrics.math.intervals import full_precision

Found = tuple[Tensor, Tensor | None]
"""Features, and logits where there are any."""

_RUN, _RUN_GPU = 16, 64  # Pictures at a time, whatever was asked for: see gansmith.models.generator.


@dataclass(frozen=True, eq=False)
class Extractor:
    """A feature network that is shown whole levels only.

    name: what the user calls it.
    size: numbers per picture.
    facts: everything the numbers depend on, in words: weights, resizing, versions.
    forward: levels [run, 3, h, w] on ``device`` -> features [run, size] and logits.
    device: where it runs; results come back to the CPU.
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
        """The features of pictures [n, 1 or 3, h, w], float32 on the CPU.

        Raises:
            DataError: no pictures, other channels, or features that are not numbers.
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
        """Always ``run`` pictures: other sizes of a batch may round the last bit another way."""
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
    """A feature network that sees differences smaller than one level of a byte, too."""

    def unrounded(self, images: Images) -> Outputs:
        """The features of pictures [n, 1 or 3, h, w] in [-1, 1], as networks make them; as for bytes."""
        check_pictures(images)
        return self._outputs((images.float() + 1.0) * 127.5)


def check_pictures(pictures: Tensor) -> None:
    """DataError for a batch without pictures, or of other than 1 or 3 channels."""
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
