"""Spectral normalization: a weight divided by its largest singular value (Miyato 2018, algorithm 1)."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from gansmith.core.tensors import full

_EPS = 1e-12
_FIRST = 15  # Power iterations when a layer is wrapped, so that eval mode is right before any training.
_LAYERS = (nn.modules.conv._ConvNd, nn.Linear, nn.Embedding)


class SpectralNorm(nn.Module):
    """A layer whose weight is divided by its largest singular value sigma, by one power iteration a pass.

    v = W'u / |W'u|, u = Wv / |Wv|, sigma = u'Wv, which is differentiated with respect to W alone. ``u`` is
    a buffer that moves in training mode only; in eval mode sigma follows from it and from the weight as it
    is. All of it is float32 under autocast, where a product in bfloat16 would be 1 % off. Each pass has a
    u of its own in its graph, so that D(x) - D(G(z)) can be differentiated after two passes, and twice.

    Parts of a batch are a pass each: with micro-batches u is a little nearer to its end.

    Args:
        layer: with a ``weight``, which has its values already: any convolution, linear layer or embedding.

    Example:
        >>> layer = SpectralNorm(nn.Linear(8, 4)).eval()
        >>> torch.linalg.matrix_norm(layer.weight, 2)  # About 1.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        matrix = self._matrix().detach()
        u = F.normalize(torch.randn(len(matrix), dtype=matrix.dtype, device=matrix.device), dim=0, eps=_EPS)
        for _ in range(0 if matrix.is_meta else _FIRST):
            u = _power_iteration(matrix, u)[0]
        self.u: Tensor
        self.register_buffer("u", u)

    @property
    def weight(self) -> Tensor:
        """The weight over its largest singular value, in the shape of the layer's; ``u`` stays."""
        return self._normalized()[0]

    def forward(self, *inputs: Tensor) -> Tensor:
        weight, u = self._normalized()
        if self.training:
            with torch.no_grad():
                self.u.copy_(u)
        output: Tensor = functional_call(self.layer, {"weight": weight}, inputs)
        return output

    def _normalized(self) -> tuple[Tensor, Tensor]:
        """The weight over sigma, and u one iteration further."""
        stored = self._stored()
        device = "cpu" if stored.is_meta else stored.device.type  # Nothing is computed on meta.
        with torch.autocast(device, enabled=False):
            order = self._order()
            matrix = self._matrix()
            u, v = _power_iteration(matrix.detach(), self.u)
            over, _ = _OverSigma.apply(matrix, u, v)  # type: ignore[no-untyped-call]
            shape = [stored.shape[i] for i in order]
            back = sorted(range(stored.dim()), key=order.__getitem__)
            return over.view(shape).permute(back), u

    def _stored(self) -> Tensor:
        return cast(Tensor, self.layer.weight)

    def _order(self) -> tuple[int, ...]:
        """The weight's dimensions, outputs first; the others as they lie in memory, so that none moves."""
        stored = self._stored()
        first = int(isinstance(self.layer, nn.modules.conv._ConvTransposeNd))  # [in, out, ...].
        others = [i for i in range(stored.dim()) if i != first]
        return (first, *sorted(others, key=stored.stride, reverse=True))

    def _matrix(self) -> Tensor:
        """The stored weight as [out, rest], in float32 at least; which column is which does not matter."""
        return full(self._stored()).permute(self._order()).flatten(1)


class _OverSigma(torch.autograd.Function):
    """(W, u, v) -> W / sigma and sigma = u'Wv; its way back goes over the weight four times, not eight.

    With C = W / sigma the gradient of <G, C> is (G - <G, C> uv') / sigma. Sigma is a result, too, so that
    this gradient can itself be differentiated with respect to W.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        sigma = (u @ (matrix @ v)).clamp(min=_EPS)
        over = matrix / sigma
        ctx.save_for_backward(over, sigma, u, v)
        return over, sigma

    @staticmethod
    def backward(ctx: Any, of_over: Tensor, of_sigma: Tensor) -> tuple[Tensor | None, ...]:
        over, sigma, u, v = ctx.saved_tensors
        with torch.autocast(over.device.type, enabled=False):
            share = (of_over * over).sum() - of_sigma * sigma
            return torch.addr(of_over, share * u, v, alpha=-1).div_(sigma), None, None


def _power_iteration(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right singular vector after one iteration from ``u``; both new tensors."""
    with torch.no_grad():
        v = F.normalize(matrix.T @ u, dim=0, eps=_EPS)
        return F.normalize(matrix @ v, dim=0, eps=_EPS), v


def spectral_norm(network: nn.Module) -> nn.Module:
    """The network with every convolution, linear layer and embedding in it spectrally normalized.

    Call it last: layers are wrapped as they are, so their weights must have been initialized.

    Example:
        >>> critic = spectral_norm(DCGANDiscriminator(spec, 64, norm="none"))
    """
    if isinstance(network, SpectralNorm):
        return network
    if isinstance(network, _LAYERS):
        return SpectralNorm(network)
    for name, child in network.named_children():
        setattr(network, name, spectral_norm(child))
    return network
