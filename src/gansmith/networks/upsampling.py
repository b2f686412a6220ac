"""How a network that makes images doubles the size of its features, by name."""

from typing import Literal

from torch import nn

from gansmith.networks.conv import DoubledConv, UpConv

Up = Literal["transposed", "nearest", "bilinear"]
"""A transposed 4x4 convolution, as most papers have it, or an enlargement and a 3x3 convolution.

The first may leave a checkerboard (Odena 2016); the others do not.
"""


def up_layer(up: Up, channels: int, wanted: int, bias: bool = True) -> nn.Module:
    """[batch, channels, h, w] -> [batch, wanted, 2h, 2w].

    Example:
        >>> up_layer("nearest", 64, 32)(torch.randn(1, 64, 8, 8)).shape
        torch.Size([1, 32, 16, 16])
    """
    if up == "transposed":
        return UpConv(channels, wanted, bias=bias)
    if up == "nearest":
        return nn.Sequential(nn.Identity(), DoubledConv(channels, wanted, bias=bias))
    doubled = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(doubled, nn.Conv2d(channels, wanted, 3, 1, 1, bias=bias))
