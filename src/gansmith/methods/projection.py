"""The projection discriminator and class-conditional batch norm (Miyato and Koyama 2018)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.errors import at_least
from gansmith.losses.adversarial import AdversarialLoss, Hinge, accuracy
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import AttributeBatch, AttributePrompt, LabelledBatch, LabelPrompt
from gansmith.methods.pair import PairMethod
from gansmith.networks.bundle import Pair
from gansmith.networks.conditional import ConditionalBatchNorm2d, Embedding
from gansmith.networks.resnet import (
    SpectralFeatures,
    UpBlock,
    initialize_residual,
    residual_widths,
)
from gansmith.networks.resolution import resolution_steps
from gansmith.networks.spectral import spectral_norm


class ConditionalResidualGenerator(nn.Module):
    """Z and a condition -> images, by residual blocks with conditional batch norm.

    Example:
        >>> generator = ConditionalResidualGenerator(spec, "labels", latent=128, embedding=64, width=32)
        >>> images = generator(torch.randn(4, 128), torch.tensor([0, 1, 2, 3]))
    """

    def __init__(self, spec: DataSpec, column: str, latent: int, embedding: int, width: int) -> None:
        super().__init__()
        height, base_width, steps = resolution_steps(spec.height, spec.width)
        widths = residual_widths(width, 512, steps)[::-1]
        norm = partial(ConditionalBatchNorm2d, size=embedding)
        self.base, self._spec = (widths[0], height, base_width), spec
        self.embedding = Embedding(spec, column, embedding)
        self.stem = nn.Linear(latent, widths[0] * height * base_width)
        self.blocks = nn.ModuleList(UpBlock(wide, narrow, norm) for wide, narrow in pairwise(widths))
        self.norm = nn.BatchNorm2d(widths[-1])
        self.last = nn.Conv2d(widths[-1], spec.channels, 3, 1, 1)
        initialize_residual(self)
        for module in self.modules():
            if isinstance(module, ConditionalBatchNorm2d):  # A gain of 1 and a shift of 0 at the start.
                nn.init.zeros_(module.gain.weight)
                nn.init.zeros_(module.shift.weight)

    def forward(self, latents: Latents, condition: Tensor) -> Images:
        embedded, features = self.embedding(condition), self.stem(latents).view(-1, *self.base)
        for block in self.blocks:
            features = block(features, embedded)
        images: Tensor = self.last(F.relu(self.norm(features)))
        return self._spec.to_network(full(images).tanh())


class ProjectionDiscriminator(nn.Module):
    """A score for the image, plus how well its features agree with the condition: psi(h) + <e(y), h> (eq. 3).

    All weights are spectrally normalized, the embedding's, too.

    Example:
        >>> critic = ProjectionDiscriminator(spec, "labels", width=32)
        >>> critic(torch.zeros(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])).shape
        torch.Size([4])
    """

    def __init__(self, spec: DataSpec, column: str, width: int) -> None:
        super().__init__()
        self.features = SpectralFeatures(spec, width, 512)
        self.head = nn.Linear(self.features.channels, 1)
        self.embedding = Embedding(spec, column, self.features.channels)
        nn.init.xavier_uniform_(self.embedding.table.weight)
        initialize_residual(self, glorot=True)
        spectral_norm(self)

    def forward(self, images: Images, condition: Tensor) -> Scores:
        features = self.features(images)
        own, agreement = self.head(features)[:, 0], (self.embedding(condition) * features).sum(dim=1)
        return full(torch.add(own, agreement))


@dataclass(frozen=True, kw_only=True)
class Projection(PairMethod[Any, Any]):
    """The hinge game between them, with several moves of the discriminator for each of the generator.

    Example:
        >>> Projection(width=32, discriminator_moves=1)
    """

    batch_type: ClassVar[type[Any]] = LabelledBatch
    prompt_type: ClassVar[type[Any] | None] = LabelPrompt

    latent: int = 128
    width: int = 64
    embedding: int = 64  # Numbers that steer the generator's norms.
    adversarial: AdversarialLoss = Hinge()
    discriminator_moves: int = 5

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "width", "embedding", "discriminator_moves")

    def build(self, spec: DataSpec) -> Pair:
        column = self.columns[0]
        return Pair(
            ConditionalResidualGenerator(spec, column, self.latent, self.embedding, self.width),
            ProjectionDiscriminator(spec, column, self.width),
        )

    def tiny(self) -> "Projection":
        return replace(self, latent=6, width=4, embedding=4)

    def turns(self) -> Sequence[Turn[Pair, Any]]:
        moves = self.discriminator_moves
        return (
            Turn(name="discriminator", player="discriminator", loss=self.discriminator_loss, repeats=moves),
            Turn(name="generator", player="generator", loss=self.generator_loss),
        )

    def discriminator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        """E[max(0, 1 - D(x, y))] + E[max(0, 1 + D(G(z, y), y))]."""
        prompt = self.prompt(batch)
        real = self.critic_scores(networks, batch.images, prompt)
        fake = self.critic_scores(networks, self.generate(networks, prompt, noise), prompt)
        return Loss(self.adversarial.discriminator(real, fake), {"margin": real.mean() - fake.mean()})

    def generator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        """-E[D(G(z, y), y)]."""
        prompt = self.prompt(batch)
        fake = self.critic_scores(networks, self.generate(networks, prompt, noise), prompt)
        return Loss(self.adversarial.generator(fake))

    def validation_metrics(self, networks: Pair, batch: Any, noise: Noise) -> Mapping[str, Tensor]:
        scores = self.critic_scores(networks, batch.images, self.prompt(batch))
        return {"accuracy": accuracy(scores, real=True, loss=self.adversarial)}


@dataclass(frozen=True, kw_only=True)
class AttributeProjection(Projection):
    """The projection GAN with attributes, each 0 or 1, in place of a class.

    Example:
        >>> spec = DataSpec(height=32, width=32, attribute_names=("smiling", "glasses"))
        >>> networks = AttributeProjection(width=32).build(spec)
    """

    batch_type: ClassVar[type[Any]] = AttributeBatch
    prompt_type: ClassVar[type[Any] | None] = AttributePrompt
