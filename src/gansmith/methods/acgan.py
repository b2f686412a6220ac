"""ACGAN: the discriminator also tells the class, of real images and of fakes (Odena 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Scalar, Scores, full
from gansmith.errors import at_least
from gansmith.losses.adversarial import AdversarialLoss, Logistic, accuracy
from gansmith.losses.classification import Logits, cross_entropy, right
from gansmith.losses.penalties import R1, Penalty
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import AttributeBatch, AttributePrompt, LabelledBatch, LabelPrompt
from gansmith.methods.pair import PairMethod
from gansmith.networks.bundle import Pair
from gansmith.networks.conditional_dcgan import ConditionalGenerator
from gansmith.networks.dcgan import DCGANDiscriminator, initialize


class AuxiliaryDiscriminator(nn.Module):
    """DCGAN's convolutions with two heads: the score, real or fake, and the logits of the classes.

    Without batch norm, which shows real and generated images apart, batch by batch: with it the discriminator
    soon wins, and every image of a class becomes the same (docs/methods/acgan.md has the figures).

    Args:
        spec: the images judged.
        outputs: classes or attributes.
        width: channels of the first layer; doubled at each further one.

    Example:
        >>> scores, logits = AuxiliaryDiscriminator(spec, outputs=10, width=64)(images)
    """

    def __init__(self, spec: DataSpec, outputs: int, width: int) -> None:
        super().__init__()
        convolutions: list[Any] = list(DCGANDiscriminator(spec, width, max_channels=512, norm="none").main)
        self.trunk = nn.Sequential(*convolutions[:-2], nn.Flatten())  # Without its head of one score.
        features = convolutions[-2].weight.numel()  # Which covers the whole grid.
        self.source, self.auxiliary = nn.Linear(features, 1), nn.Linear(features, outputs)
        initialize(self)
        for module in self.trunk:
            if isinstance(module, nn.Conv2d):  # Without a norm the scale has to be right itself.
                nn.init.kaiming_normal_(module.weight, a=0.2)

    def forward(self, images: Images) -> tuple[Scores, Logits]:
        features = self.trunk(images)
        return full(self.source(features))[:, 0], full(self.auxiliary(features))


@dataclass(frozen=True, kw_only=True)
class ACGAN(PairMethod[Any, Any]):
    """D: max L_S + L_C; G: max L_C - L_S (equations 2 and 3).

    L_S is the log-likelihood of the source, real or generated, and L_C that of the class, which on fakes is
    the class that was asked for.

    Example:
        >>> ACGAN(width=32, auxiliary=0.5)
    """

    batch_type: ClassVar[type[Any]] = LabelledBatch
    prompt_type: ClassVar[type[Any] | None] = LabelPrompt

    latent: int = 100
    width: int = 64
    embedding: int = 8  # Numbers the condition becomes: few, so that they do not drown z.
    auxiliary: float = 1.0  # Weight of L_C.
    on_fakes: float = 1.0  # Weight of L_C on fakes in the discriminator's loss, beside that of real images.
    adversarial: AdversarialLoss = Logistic()
    penalty: Penalty = R1(gamma=2.0)  # Keeps the discriminator gentle; NoPenalty for the paper's game.

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "width", "embedding")
        at_least(self, 0, "auxiliary", "on_fakes")

    def build(self, spec: DataSpec) -> Pair:
        column = self.columns[0]
        outputs = spec.classes if column == "labels" else spec.attributes
        return Pair(
            ConditionalGenerator(spec, column, self.latent, self.embedding, self.width),
            AuxiliaryDiscriminator(spec, outputs, self.width),
        )

    def tiny(self) -> "ACGAN":
        return replace(self, latent=6, width=4, embedding=4)

    def turns(self) -> Sequence[Turn[Pair, Any]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.discriminator_loss),
            Turn(name="generator", player="generator", loss=self.generator_loss, reuse_fakes=True),
        )

    def discriminator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        """-(L_S + L_C)."""
        prompt = self.prompt(batch)
        real, real_class = networks.discriminator(batch.images)
        fakes = self.fakes(networks, prompt, noise).detach()
        fake, fake_class = networks.discriminator(fakes)
        penalty = self.penalty(
            lambda images: self.critic_scores(networks, images, prompt), batch.images, fakes, noise
        )
        told = self.classification(real_class, prompt)
        told = told + self.on_fakes * self.classification(fake_class, prompt)
        parts = {
            "D(x)": real.sigmoid().mean(),
            "D(G(z))": fake.sigmoid().mean(),
            "class accuracy on real": right(real_class, prompt[0]),
            "class accuracy on fake": right(fake_class, prompt[0]),
            "penalty": penalty.detach(),
        }
        return Loss(self.adversarial.discriminator(real, fake) + self.auxiliary * told + penalty, parts)

    def generator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        """L_S - L_C."""
        prompt = self.prompt(batch)
        fake, fake_class = networks.discriminator(self.fakes(networks, prompt, noise))
        told = self.classification(fake_class, prompt)
        return Loss(self.adversarial.generator(fake) + self.auxiliary * told, {"class": told.detach()})

    def fakes(self, networks: Pair, prompt: Any, noise: Noise) -> Images:
        """The same fakes for both players."""
        return noise.cached("fakes", lambda: self.generate(networks, prompt, noise))

    def classification(self, logits: Logits, prompt: Any) -> Scalar:
        """-L_C: cross-entropy of classes, or of each attribute."""
        return cross_entropy(logits, prompt[0]).mean()

    def critic_scores(self, networks: Pair, images: Images, prompt: Any) -> Scores:
        scores: Scores = networks.discriminator(images)[0]
        return scores

    def validation_metrics(self, networks: Pair, batch: Any, noise: Noise) -> Mapping[str, Tensor]:
        scores, classes = networks.discriminator(batch.images)
        told = right(classes, self.prompt(batch)[0])
        return {"accuracy": accuracy(scores, real=True, loss=self.adversarial), "class accuracy": told}


@dataclass(frozen=True, kw_only=True)
class AttributeACGAN(ACGAN):
    """ACGAN with attributes, each 0 or 1, in place of a class.

    Example:
        >>> spec = DataSpec(height=32, width=32, attribute_names=("smiling", "glasses"))
        >>> networks = AttributeACGAN(width=32).build(spec)
    """

    batch_type: ClassVar[type[Any]] = AttributeBatch
    prompt_type: ClassVar[type[Any] | None] = AttributePrompt
