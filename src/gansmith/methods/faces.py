"""The default: RpGAN's game with a generator that leaves no grain."""

from dataclasses import dataclass, replace

from torch import nn

from gansmith.core.spec import DataSpec
from gansmith.methods.rpgan import RpGAN
from gansmith.networks.bilinear import BilinearGenerator
from gansmith.networks.bundle import Pair
from gansmith.networks.dcgan import DCGANDiscriminator


@dataclass(frozen=True, kw_only=True)
class Faces(RpGAN):
    """RpGAN with a bilinear generator.

    Example:
        >>> Faces(generator_width=32).build(DataSpec(height=64, width=64))
    """

    slim: bool = False
    top: int = 0

    def build(self, spec: DataSpec) -> Pair:
        generator = BilinearGenerator(
            spec, self.latent, self.generator_width, max_channels=self.max_channels, slim=self.slim
        )
        critic = DCGANDiscriminator(
            spec, self.discriminator_width, max_channels=self.top or self.max_channels, norm="none"
        )
        for module in critic.modules():
            if isinstance(module, nn.Conv2d):  # Without normalization the scale has to be right itself.
                nn.init.kaiming_normal_(module.weight, a=0.2)
        return Pair(generator, critic)

    def tiny(self) -> "Faces":
        return replace(self, latent=6, generator_width=4, discriminator_width=4)
