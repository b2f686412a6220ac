"""Doubling and halving by a small smooth filter, the same on every device, differentiable twice.

The filter is [1, 3, 3, 1] in both directions (Karras 2020, appendix B), zeros beyond the border. It keeps a
constant image as it is, but for the pixels at the border.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_TAPS = (1.0, 3.0, 3.0, 1.0)


def _filter(features: Tensor, gain: float) -> Tensor:
    """The filter for each channel, [channels, 1, 4, 4], which adds up to ``gain``."""
    taps = torch.tensor(_TAPS, device=features.device, dtype=features.dtype)
    kernel = torch.outer(taps, taps) * (gain / 64.0)
    return kernel.expand(features.shape[1], 1, 4, 4)


def smooth_double(features: Tensor) -> Tensor:
    """[batch, channels, h, w] -> [batch, channels, 2h, 2w]; bilinear but for the border."""
    return F.conv_transpose2d(features, _filter(features, 4.0), stride=2, padding=1, groups=features.shape[1])


def smooth_halve(features: Tensor) -> Tensor:
    """[batch, channels, 2h, 2w] -> [batch, channels, h, w]."""
    return F.conv2d(features, _filter(features, 1.0), stride=2, padding=1, groups=features.shape[1])


def smooth(features: Tensor, padding: int, gain: float = 1.0) -> Tensor:
    """The filter alone: each side becomes 2 x ``padding`` - 3 longer."""
    return F.conv2d(features, _filter(features, gain), padding=padding, groups=features.shape[1])
