"""Pairs of networks as values, so that any game can be played with any of them."""

from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

from torch import nn

from gansmith.core.spec import DataSpec
from gansmith.errors import at_least
from gansmith.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gansmith.networks.resnet import (
    ResidualCritic,
    ResidualGenerator,
    SpectralDiscriminator,
    SpectralFeatures,
)
from gansmith.networks.spectral import spectral_norm


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


@dataclass(frozen=True, kw_only=True)
class Convolutional:
    """DCGAN's networks (Radford 2015)."""

    width: int = 64  # Channels at full size.
    max_channels: int = 512
    norm: Literal["batch", "none", "spectral"] = "batch"  # Of the discriminator.

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "max_channels", prefix="method.networks.")

    def generator(self, spec: DataSpec, latent: int) -> nn.Module:
        """Transposed convolutions with batch norm."""
        return DCGANGenerator(spec, latent, self.width, max_channels=self.max_channels)

    def discriminator(self, spec: DataSpec) -> nn.Module:
        """Convolutions of stride 2."""
        momentum = 0.1 if self.norm == "batch" else None
        network = DCGANDiscriminator(spec, self.width, max_channels=self.max_channels, momentum=momentum)
        for module in network.modules() if self.norm != "batch" else ():
            if isinstance(module, nn.Conv2d):  # Without batch norm the scale has to be right itself.
                nn.init.kaiming_normal_(module.weight, a=0.2)
        if self.norm == "spectral":
            for module in list(network.modules()):
                if isinstance(module, nn.Conv2d):
                    spectral_norm(module)
        return network

    def tiny(self) -> "Convolutional":
        """Four channels at full size."""
        return replace(self, width=4)

    def per_image(self) -> bool:
        """Batch norm mixes the images of a batch."""
        return self.norm != "batch"


@dataclass(frozen=True, kw_only=True)
class ResNet:
    """Residual networks (Gulrajani 2017), with spectral norm as Miyato 2018 has them."""

    width: int = 64  # Channels at full size.
    max_channels: int = 512
    norm: Literal["none", "layer", "spectral"] = "layer"  # Of the discriminator.
    discriminator_width: int | None = None  # None: the generator's. For spectral norm alone, as the next two.
    halvings: int | None = None  # Blocks that halve; None: down to 2 or 3 pixels.
    flat: int = 0  # Further blocks that keep the size.

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "max_channels", prefix="method.networks.")

    def generator(self, spec: DataSpec, latent: int) -> nn.Module:
        """Residual blocks that double the size, with batch norm."""
        return ResidualGenerator(spec, latent, self.width, self.max_channels)

    def discriminator(self, spec: DataSpec) -> nn.Module:
        """Residual blocks that halve it."""
        if self.norm != "spectral":
            return ResidualCritic(spec, self.width, self.max_channels, self.norm)
        width = self.discriminator_width or self.width
        return SpectralDiscriminator(self.features(spec, width), bias=not self.flat)

    def features(self, spec: DataSpec, width: int) -> SpectralFeatures:
        """What a spectrally normalized discriminator sees before its last layer."""
        return SpectralFeatures(spec, width, self.max_channels, halvings=self.halvings, flat=self.flat)

    def tiny(self) -> "ResNet":
        """Four channels at full size."""
        return replace(self, width=4, discriminator_width=None)

    def per_image(self) -> bool:
        """No norm here mixes images."""
        return True
