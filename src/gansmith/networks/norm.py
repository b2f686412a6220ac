"""The norms a discriminator may have between its layers, by name."""

from typing import Literal

from torch import nn

Norm = Literal["batch", "layer", "none"]


def norm_layer(norm: Norm, channels: int, momentum: float = 0.1) -> nn.Module:
    """The norm of this name for features [batch, channels, height, width].

    Batch norm ties the images of a batch together; a layer norm is over channels, height and width of each
    image, with a gain and a shift for each channel.

    Args:
        norm: its name.
        channels: of the features.
        momentum: of batch norm, in torch's sense (share of the newest batch).

    Example:
        >>> norm_layer("layer", 64)
        GroupNorm(1, 64, eps=1e-05, affine=True)
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels, momentum=momentum)
    return nn.GroupNorm(1, channels) if norm == "layer" else nn.Identity()
