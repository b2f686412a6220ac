"""Conditional DCGAN: both players are told the label (Mirza and Osindero 2014, on Radford's networks)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images
from gansmith.errors import at_least
from gansmith.losses.adversarial import AdversarialLoss, Logistic, accuracy
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import AttributeBatch, AttributePrompt, LabelledBatch, LabelPrompt
from gansmith.methods.pair import PairMethod
from gansmith.networks.bundle import Pair
from gansmith.networks.conditional_dcgan import ConditionalDiscriminator, ConditionalGenerator


@dataclass(frozen=True, kw_only=True)
class ConditionalDCGAN(PairMethod[Any, Any]):
    """G: max E[log D(G(z, y), y)]; D: max E[log D(x, y)] + E[log(1 - D(G(z, y), y))] (equation 2).

    Fakes are made, and judged, for the labels of the real images in the batch.

    Example:
        >>> method = ConditionalDCGAN(width=32)
        >>> networks = method.build(DataSpec(height=28, width=28, channels=1, class_names=("cat", "dog")))
        >>> dogs = method.generate(networks, LabelPrompt(torch.tensor([1, 1])), Noise.of(0, 1))
    """

    batch_type: ClassVar[type[Any]] = LabelledBatch
    prompt_type: ClassVar[type[Any] | None] = LabelPrompt

    latent: int = 100
    width: int = 64
    embedding: int = 16  # Numbers the condition becomes; many drown z, and all images of a class are one.
    adversarial: AdversarialLoss = Logistic()

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "width", "embedding")

    def build(self, spec: DataSpec) -> Pair:
        column = self.columns[0]
        return Pair(
            ConditionalGenerator(spec, column, self.latent, self.embedding, self.width),
            ConditionalDiscriminator(spec, column, self.embedding, self.width),
        )

    def tiny(self) -> "ConditionalDCGAN":
        return replace(self, latent=6, width=4, embedding=4)

    def turns(self) -> Sequence[Turn[Pair, Any]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.discriminator_loss),
            Turn(name="generator", player="generator", loss=self.generator_loss, reuse_fakes=True),
        )

    def discriminator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        """Real images with their label against fakes that were asked for the same."""
        prompt = self.prompt(batch)
        real = self.critic_scores(networks, batch.images, prompt)
        fake = self.critic_scores(networks, self.fakes(networks, prompt, noise).detach(), prompt)
        parts = {"D(x)": real.sigmoid().mean(), "D(G(z))": fake.sigmoid().mean()}
        return Loss(self.adversarial.discriminator(real, fake), parts)

    def generator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        """The discriminator should take the fake for a real image of its label."""
        prompt = self.prompt(batch)
        fake = self.critic_scores(networks, self.fakes(networks, prompt, noise), prompt)
        return Loss(self.adversarial.generator(fake), {"D(G(z))": fake.sigmoid().mean()})

    def fakes(self, networks: Pair, prompt: Any, noise: Noise) -> Images:
        """The same fakes for both players."""
        return noise.cached("fakes", lambda: self.generate(networks, prompt, noise))

    def validation_metrics(self, networks: Pair, batch: Any, noise: Noise) -> Mapping[str, Tensor]:
        scores = self.critic_scores(networks, batch.images, self.prompt(batch))
        return {"accuracy": accuracy(scores, real=True, loss=self.adversarial)}


@dataclass(frozen=True, kw_only=True)
class AttributeDCGAN(ConditionalDCGAN):
    """Conditional DCGAN with attributes, each 0 or 1, in place of a class.

    Example:
        >>> spec = DataSpec(height=32, width=32, attribute_names=("smiling", "glasses"))
        >>> networks = AttributeDCGAN().build(spec)
    """

    batch_type: ClassVar[type[Any]] = AttributeBatch
    prompt_type: ClassVar[type[Any] | None] = AttributePrompt
