"""BigGAN: the hinge game by class with orthogonal regularization, and images of truncated z (Brock 2019)."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.tensors import Latents, Scalar, full
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import AdversarialLoss, Hinge, PairedLoss
from gansmith.methods.base import Loss
from gansmith.methods.batches import AttributeBatch, AttributePrompt
from gansmith.methods.gan import ConditionalGAN
from gansmith.methods.pair import condition
from gansmith.networks.architectures import Attentive, ConditionalArchitecture
from gansmith.networks.bundle import Pair

_LOOKS = 16  # Passes that standing statistics are taken from.


@dataclass(frozen=True, kw_only=True)
class BigGAN(ConditionalGAN):
    """D: hinge; G: -E[D(G(z, y), y)] + beta sum |W W' . (1 - I)|^2 over its weights.

    ``truncate`` is the paper's: no number of z exceeds a threshold, and the norms' statistics are taken anew.

    Example:
        >>> BigGAN(latent=120, networks=Attentive(width=96, max_channels=1536, shared=128, hierarchical=True))
    """

    latent: int = 128
    networks: ConditionalArchitecture = Attentive(shared=128, initial="orthogonal")
    adversarial: AdversarialLoss | PairedLoss = Hinge()
    orthogonal: float = 1e-4  # beta.

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "orthogonal")

    def generator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        loss = super().generator_loss(networks, batch, noise, progress)
        if not self.orthogonal:
            return loss
        overlap = overlaps(networks.generator)
        return Loss(loss.total + self.orthogonal * overlap, {**loss.parts, "overlap": overlap.detach()})

    # ---- truncation -------------------------------------------------------------------------------

    def truncate(
        self, networks: Pair, latents: Latents, psi: float, space: str = "z", prompt: Any = None
    ) -> Latents:
        """Z from N(0, 1) within [-psi, psi]; each number keeps its rank, so a seed stays the image it was."""
        if not psi > 0:
            raise SettingError(f"BigGAN truncates z at a positive threshold. Received: {psi}. Try 0.5.")
        return truncated(latents, psi)

    def settle(self, networks: Pair, psi: float, prompt: Any, noise: Noise) -> None:
        """Take the norms' statistics anew, over images of truncated z: their mean over several passes."""
        norms = [module for module in networks.generator.modules() if isinstance(module, nn.BatchNorm2d)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.train().momentum = None  # The plain mean of all passes.
        latents = self.truncate(networks, self.latents(noise), psi)
        for part in range(_LOOKS):
            columns = (column[part::_LOOKS] for column in condition(prompt))
            with torch.no_grad():
                networks.generator(latents[part::_LOOKS], *columns)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.eval().momentum = momentum


@dataclass(frozen=True, kw_only=True)
class AttributeBigGAN(BigGAN):
    """The same with attributes, each 0 or 1, in place of a class.

    Example:
        >>> AttributeBigGAN().prompt_type.__name__
        'AttributePrompt'
    """

    batch_type: ClassVar[type[Any]] = AttributeBatch
    prompt_type: ClassVar[type[Any] | None] = AttributePrompt


def overlaps(network: nn.Module) -> Scalar:
    """Sum over weights of |W W' . (1 - I)|^2, W as [out, rest] (Brock 2019, equation 3).

    How much the filters of a layer point the same way; their lengths are free. Embeddings have no part in it.

    Example:
        >>> overlaps(nn.Linear(2, 2, bias=False))  # 2 (w1 . w2)^2
    """
    total: Tensor | None = None
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            rows = full(module.weight).flatten(1)
            products = rows @ rows.T
            squares = products.square().sum() - products.diagonal().square().sum()
            total = squares if total is None else total + squares
    return torch.zeros(()) if total is None else total


def truncated(latents: Latents, threshold: float) -> Latents:
    """Numbers from N(0, 1) -> from N(0, 1) within [-threshold, threshold], in the same order.

    The inverse of the truncated distribution at the rank of each number: distributed as if drawn again until
    all are inside (Brock 2019, section 3.1), and differentiable.
    """
    # Twice the probability between 0 and x is erf(x / sqrt(2)); of the inside it becomes its share.
    inside = math.erf(threshold / math.sqrt(2.0))
    share = torch.erf(full(latents) / math.sqrt(2.0)) * inside
    return (torch.erfinv(share) * math.sqrt(2.0)).clamp(-threshold, threshold)
