"""Spectral normalization: a weight divided by its largest singular value (Miyato 2018, algorithm 1)."""

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gansmith.core.tensors import full

M = TypeVar("M", bound=nn.Module)

_EPS = 1e-12
_FIRST = 15  # Power iterations when a layer is made, so that eval mode is right before any training.


class SpectralNorm(nn.Module):
    """A weight -> the weight over its largest singular value sigma, by one power iteration a forward pass.

    Sigma = u W v is differentiated with respect to W alone. ``u`` is kept as a buffer and moves in training
    mode only; in eval mode v and sigma follow from it and the weight as it is. All of it is float32 under
    autocast, where a product in bfloat16 would be 1 % off.

    Args:
        weight: [out, ...]; the rest is one dimension.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.u: Tensor
        self.register_buffer(
            "u", F.normalize(torch.randn(len(matrix), device=weight.device), dim=0, eps=_EPS)
        )
        for _ in range(_FIRST):
            self._iterate(matrix)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        v = F.normalize(matrix.T @ self.u, dim=0, eps=_EPS)
        self.u.copy_(F.normalize(matrix @ v, dim=0, eps=_EPS))

    def forward(self, weight: Tensor) -> Tensor:
        device = "cpu" if weight.is_meta else weight.device.type  # Nothing is computed on meta.
        with torch.autocast(device, enabled=False):
            matrix = full(weight).flatten(1)
            if self.training:
                self._iterate(matrix.detach())
            u = self.u.clone()  # A later pass moves the buffer; the graph of this one must not see it.
            v = F.normalize(matrix.detach().T @ u, dim=0, eps=_EPS)
            sigma = u @ (matrix @ v)
            return weight / sigma


def spectral_norm(layer: M) -> M:
    """The layer with a spectrally normalized ``weight``; its own is ``parametrizations.weight.original``.

    Example:
        >>> layer = spectral_norm(nn.Linear(8, 4))
        >>> torch.linalg.matrix_norm(layer.eval().weight, 2)  # About 1.
    """
    parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))  # type: ignore[arg-type]
    return layer
