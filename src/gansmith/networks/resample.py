"""Doubling, halving and smoothing by small filters, the same on every device, differentiable twice.

Sizes are changed by [1, 3, 3, 1] in both directions (Karras 2020, appendix B), zeros beyond the border. It
keeps a constant image as it is, but for the pixels at the border.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TAPS = (1.0, 3.0, 3.0, 1.0)
_BINOMIAL = (1.0, 2.0, 1.0)


def _filter(features: Tensor, gain: float, of: tuple[float, ...] = _TAPS) -> Tensor:
    """The filter for each channel, [channels, 1, taps, taps], which adds up to ``gain``."""
    taps = torch.tensor(of, device=features.device, dtype=features.dtype)
    kernel = torch.outer(taps, taps) * (gain / sum(of) ** 2)
    return kernel.expand(features.shape[1], 1, len(of), len(of))


def smooth_double(features: Tensor) -> Tensor:
    """[batch, channels, h, w] -> [batch, channels, 2h, 2w]; bilinear but for the border."""
    return F.conv_transpose2d(features, _filter(features, 4.0), stride=2, padding=1, groups=features.shape[1])


def smooth_halve(features: Tensor) -> Tensor:
    """[batch, channels, 2h, 2w] -> [batch, channels, h, w]."""
    return F.conv2d(features, _filter(features, 1.0), stride=2, padding=1, groups=features.shape[1])


def smooth(features: Tensor, padding: int, gain: float = 1.0) -> Tensor:
    """The filter alone: each side becomes 2 x ``padding`` - 3 longer."""
    return F.conv2d(features, _filter(features, gain), padding=padding, groups=features.shape[1])


class Smooth(nn.Module):
    """Each channel by [1, 2, 1] / 4 in both directions, the size kept and edges repeated; nothing to learn.

    What changes from pixel to pixel is taken away altogether, as what a transposed convolution leaves behind
    it does.

    Example:
        >>> Smooth()(torch.eye(3)[None, None])[0, 0, 1]
        tensor([0.3125, 0.3750, 0.3125])
    """

    def forward(self, images: Tensor) -> Tensor:
        wide = F.pad(images, (1, 1, 1, 1), mode="replicate")
        return F.conv2d(wide, _filter(images, 1.0, _BINOMIAL), groups=images.shape[1])
