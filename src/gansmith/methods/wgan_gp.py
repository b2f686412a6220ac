"""WGAN-GP: the critic's slope is held at 1 by a penalty, so residual networks train (Gulrajani 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.errors import at_least
from gansmith.losses.adversarial import Wasserstein
from gansmith.losses.penalties import lipschitz
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import ImageBatch
from gansmith.methods.pair import PairMethod
from gansmith.networks.bundle import Pair
from gansmith.networks.resnet import ResidualCritic, ResidualGenerator


@dataclass(frozen=True, kw_only=True)
class WGANGP(PairMethod[ImageBatch, None]):
    """D: min E[D(G(z))] - E[D(x)] + lambda E[(|grad D(x')| - 1)^2]; G: min -E[D(G(z))] (equation 3).

    Example:
        >>> WGANGP(width=32, penalty=10.0).build(DataSpec(height=32, width=32))
    """

    batch_type: ClassVar[type[ImageBatch]] = ImageBatch

    latent: int = 128
    width: int = 64  # Channels at full size.
    max_channels: int = 512
    norm: Literal["none", "layer"] = "layer"  # Of the critic; the penalty is per image, so never batch norm.
    penalty: float = 10.0  # lambda.
    critic_moves: int = 5

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "width", "max_channels", "critic_moves")
        at_least(self, 0, "penalty")

    def build(self, spec: DataSpec) -> Pair:
        return Pair(
            ResidualGenerator(spec, self.latent, self.width, self.max_channels),
            ResidualCritic(spec, self.width, self.max_channels, self.norm),
        )

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"critic": ("discriminator",), "generator": ("generator",)}

    def tiny(self) -> "WGANGP":
        return replace(self, latent=6, width=4)

    def turns(self) -> Sequence[Turn[Pair, ImageBatch]]:
        return (
            Turn(name="critic", player="critic", loss=self.critic_loss, repeats=self.critic_moves),
            Turn(name="generator", player="generator", loss=self.generator_loss),
        )

    def critic_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """Equation 3."""
        critic, fakes = networks.discriminator, networks.generator(self.latents(noise))
        wasserstein = Wasserstein().discriminator(critic(batch.images), critic(fakes))
        slope = lipschitz(critic, batch.images, fakes, noise.uniform(1).flatten())
        return Loss(
            wasserstein + self.penalty * slope, {"distance": -wasserstein.detach(), "penalty": slope.detach()}
        )

    def generator_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """-E[D(G(z))]."""
        return Loss(Wasserstein().generator(networks.discriminator(networks.generator(self.latents(noise)))))

    def validation_metrics(self, networks: Pair, batch: ImageBatch, noise: Noise) -> Mapping[str, Tensor]:
        real = networks.discriminator(batch.images)
        fake = networks.discriminator(networks.generator(self.latents(noise)))
        return {"distance": real.mean() - fake.mean()}
