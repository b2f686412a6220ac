"""SRResNet: small images enlarged by a residual network that learns the mean (Ledig et al. 2016)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images
from gansmith.errors import at_least
from gansmith.methods.base import Loss, Method, Turn
from gansmith.methods.batches import PairBatch, SourcePrompt
from gansmith.networks.bundle import Networks
from gansmith.networks.srresnet import SRResNet


class Enlarger(Networks):
    """A generator alone: nobody judges it.

    Example:
        >>> spec = DataSpec(height=32, width=32, source_shrink=4)
        >>> networks = SuperResolution(width=8, blocks=1).build(spec)
        >>> networks.generator(torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 3, 32, 32])
    """

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator


@dataclass(frozen=True, kw_only=True)
class SuperResolution(Method[Enlarger, PairBatch, SourcePrompt]):
    """G: min E(y - G(x))^2, the first half of SRGAN (equation 4).

    Example:
        >>> SuperResolution(width=32, blocks=8)
    """

    batch_type: ClassVar[type[PairBatch]] = PairBatch
    prompt_type: ClassVar[type[Any] | None] = SourcePrompt

    width: int = 64
    blocks: int = 16

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "blocks")

    def build(self, spec: DataSpec) -> Enlarger:
        return Enlarger(SRResNet(spec, self.width, self.blocks))

    def tiny(self) -> "SuperResolution":
        return replace(self, width=4, blocks=1)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"generator": ("generator",)}

    def turns(self) -> Sequence[Turn[Enlarger, PairBatch]]:
        return (Turn(name="generator", player="generator", loss=self.generator_loss),)

    def generator_loss(self, networks: Enlarger, batch: PairBatch, noise: Noise, progress: Progress) -> Loss:
        made = self.generate(networks, self.prompt(batch), noise)
        return Loss(F.mse_loss(made, batch.target), {"l1": F.l1_loss(made, batch.target)})

    def generate(self, networks: Enlarger, prompt: SourcePrompt, noise: Noise) -> Images:
        images: Images = networks.generator(prompt.source)
        return images

    def validation_metrics(self, networks: Enlarger, batch: PairBatch, noise: Noise) -> Mapping[str, Tensor]:
        """PSNR of held-out images in decibels (of all channels and pixels), beside that of bicubic."""
        made = self.generate(networks, self.prompt(batch), noise)
        plain = F.interpolate(batch.source, batch.target.shape[2:], mode="bicubic").clamp(-1.0, 1.0)
        return {"psnr": _psnr(made, batch.target), "bicubic": _psnr(plain, batch.target)}


def _psnr(made: Tensor, wanted: Tensor) -> Tensor:
    """10 log10(2^2 / mean squared error) of each image, on average."""
    errors = (made - wanted).square().mean(dim=(1, 2, 3)).clamp(min=1e-10)
    return (10.0 * (4.0 / errors).log10()).mean()
