"""RpGAN's game with a generator that leaves no grain: for drawings in few, flat colours."""

from dataclasses import dataclass, replace

from torch import nn

from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.methods.rpgan import RpGAN
from gansmith.networks.bilinear import BilinearGenerator


@dataclass(frozen=True, kw_only=True)
class BilinearGAN(RpGAN):
    """RpGAN's game, a narrow generator that doubles bilinearly, and the same plain discriminator.

    Example:
        >>> BilinearGAN(generator_width=48).build(DataSpec(height=64, width=64))
    """

    generator_width: int = 32  # Channels at half of the full size.

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.smooth:
            raise SettingError(
                "method.smooth takes away what transposed convolutions leave. Received: smooth=true of a "
                "generator without them. Leave it out."
            )

    def generator(self, spec: DataSpec) -> nn.Module:
        """No transposed convolutions."""
        return BilinearGenerator(spec, self.latent, self.generator_width, max_channels=self.max_channels)

    def tiny(self) -> "BilinearGAN":
        return replace(self, latent=6, generator_width=4, discriminator_width=4)
