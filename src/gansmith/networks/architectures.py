"""Pairs of networks as values, so that any game can be played with any of them."""

import math
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError, at_least
from gansmith.networks.biggan import Attentive
from gansmith.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansmith.networks.magnitude import R3MP
from gansmith.networks.norm import Norm
from gansmith.networks.progan import Progressive
from gansmith.networks.r3gan import R3
from gansmith.networks.resnet import (
    ResidualCritic,
    ResidualGenerator,
    SpectralDiscriminator,
    SpectralFeatures,
    initialize_residual,
)
from gansmith.networks.spectral import spectral_norm
from gansmith.networks.stylegan2 import StyleBased
from gansmith.networks.transformer import Transformer

__all__ = [
    "R3",
    "R3MP",
    "AnyNorm",
    "Architecture",
    "Attentive",
    "ConditionalArchitecture",
    "Convolutional",
    "Progressive",
    "ResNet",
    "SNResNet",
    "StyleBased",
    "Transformer",
]

AnyNorm = Literal["batch", "layer", "none", "spectral"]


@runtime_checkable
class Architecture(Protocol):
    """A generator and a discriminator for any size; one of your own is a frozen dataclass.

    Example:
        >>> ResNet(width=32).generator(DataSpec(height=32, width=32), latent=128)
    """

    def generator(self, spec: DataSpec, latent: int) -> nn.Module:
        """Z [batch, latent] -> images in the networks' range."""
        ...

    def discriminator(self, spec: DataSpec) -> nn.Module:
        """Images -> scores [batch]."""
        ...

    def tiny(self) -> "Architecture":
        """The same, as narrow as it goes."""
        ...

    def per_image(self) -> bool:
        """Whether each score depends on its own image alone, as penalties of slopes need it."""
        ...


@runtime_checkable
class ConditionalArchitecture(Protocol):
    """As ``Architecture``, with networks that are given a column of the prompt, ``labels`` or ``attributes``.

    Example:
        >>> R3(width=32).conditional_generator(spec, latent=64, column="labels")
    """

    def conditional_generator(self, spec: DataSpec, latent: int, column: str) -> nn.Module:
        """(Z [batch, latent], the column) -> images in the networks' range."""
        ...

    def conditional_discriminator(self, spec: DataSpec, column: str) -> nn.Module:
        """(Images, the column) -> scores [batch]."""
        ...

    def tiny(self) -> "ConditionalArchitecture":
        """The same, as narrow as it goes."""
        ...

    def per_image(self) -> bool:
        """As in ``Architecture``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Convolutional:
    """DCGAN's networks (Radford 2015), the discriminator with any norm.

    Example:
        >>> Convolutional(norm="spectral").discriminator(DataSpec(height=32, width=32))
    """

    width: int = 64  # Channels at full size.
    max_channels: int = 512
    norm: AnyNorm = "batch"  # Of the discriminator.
    scale: float = 1.0  # What its scores are multiplied by: under spectral norm, how fast they may change.
    smooth: bool = False  # Images leave the generator through [1, 2, 1] / 4 in both directions.

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "max_channels", prefix="method.networks.")
        if not 0 < self.scale < math.inf:
            raise SettingError(
                "method.networks.scale is what scores are multiplied by, a number above 0. "
                f"Received: {self.scale}. Try 3."
            )

    def generator(self, spec: DataSpec, latent: int) -> nn.Module:
        """Transposed convolutions with batch norm."""
        return DCGANGenerator(spec, latent, self.width, max_channels=self.max_channels, smooth=self.smooth)

    def discriminator(self, spec: DataSpec) -> nn.Module:
        """Convolutions of stride 2."""
        norm = _inner(self.norm)
        network = DCGANDiscriminator(spec, self.width, max_channels=self.max_channels, norm=norm)
        for module in network.modules() if norm != "batch" else ():
            if isinstance(module, nn.Conv2d):  # Without batch norm the scale has to be right itself.
                nn.init.kaiming_normal_(module.weight, a=0.2)
        if self.scale != 1.0:
            network.main.append(_Times(self.scale))
        return spectral_norm(network) if self.norm == "spectral" else network

    def tiny(self) -> "Convolutional":
        """Four channels at full size."""
        return replace(self, width=4)

    def per_image(self) -> bool:
        """Batch norm mixes the images of a batch."""
        return self.norm != "batch"


@dataclass(frozen=True, kw_only=True)
class ResNet:
    """Residual networks as WGAN-GP has them (Gulrajani 2017), the discriminator with any norm.

    Example:
        >>> ResNet(width=32, norm="none").discriminator(DataSpec(height=32, width=32))
    """

    width: int = 64  # Channels at full size.
    max_channels: int = 512
    norm: AnyNorm = "layer"  # Of the discriminator.

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "max_channels", prefix="method.networks.")

    def generator(self, spec: DataSpec, latent: int) -> nn.Module:
        """Residual blocks that double the size, with batch norm."""
        return ResidualGenerator(spec, latent, self.width, self.max_channels)

    def discriminator(self, spec: DataSpec) -> nn.Module:
        """Residual blocks that halve it, and a linear layer over all positions."""
        critic = ResidualCritic(spec, self.width, self.max_channels, _inner(self.norm))
        return spectral_norm(critic) if self.norm == "spectral" else critic

    def tiny(self) -> "ResNet":
        """Four channels at full size."""
        return replace(self, width=4)

    def per_image(self) -> bool:
        """Batch norm mixes the images of a batch."""
        return self.norm != "batch"


@dataclass(frozen=True, kw_only=True)
class SNResNet:
    """Residual networks as SNGAN has them (Miyato 2018, appendix B), the discriminator with spectral norm.

    The first block of the discriminator sees the image itself and the last features are summed over all
    positions. The paper at 32 px: ``width=256, max_channels=256, discriminator_width=128,
    discriminator_max_channels=128, halvings=2, flat=2, bias=False``; at 64 px: ``max_channels=1024``.

    Example:
        >>> SNResNet(width=32).discriminator(DataSpec(height=32, width=32))
    """

    width: int = 64  # Channels at full size.
    max_channels: int = 512
    discriminator_width: int | None = None  # Channels of its first block; None: the generator's width.
    discriminator_max_channels: int | None = None  # None: the generator's.
    halvings: int | None = None  # Blocks of the discriminator that halve; None: down to 2 or 3 pixels.
    flat: int = 0  # Further blocks that keep the size.
    bias: bool = True  # Of the discriminator's last layer.

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "max_channels", prefix="method.networks.")
        at_least(self, 0, "flat", prefix="method.networks.")
        optional = ("discriminator_width", "discriminator_max_channels", "halvings")
        given = [name for name in optional if getattr(self, name) is not None]
        at_least(self, 1, *given, prefix="method.networks.")

    def generator(self, spec: DataSpec, latent: int) -> nn.Module:
        """Residual blocks that double the size, with batch norm."""
        network = ResidualGenerator(spec, latent, self.width, self.max_channels)
        initialize_residual(network, glorot=True)
        return network

    def discriminator(self, spec: DataSpec) -> nn.Module:
        """Residual blocks that halve it, and a sum over positions before the last layer."""
        features = SpectralFeatures(
            spec,
            self.discriminator_width or self.width,
            self.discriminator_max_channels or self.max_channels,
            halvings=self.halvings,
            flat=self.flat,
        )
        return SpectralDiscriminator(features, bias=self.bias)

    def tiny(self) -> "SNResNet":
        """Four channels at full size."""
        return replace(self, width=4, discriminator_width=None, max_channels=16)

    def per_image(self) -> bool:
        """No norm here mixes images."""
        return True


class _Times(nn.Module):
    """Scores times a number."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, scores: Tensor) -> Tensor:
        return self.scale * scores


def _inner(norm: AnyNorm) -> Norm:
    """What stands between the layers; spectral norm is about their weights and needs nothing there."""
    return "none" if norm == "spectral" else norm
