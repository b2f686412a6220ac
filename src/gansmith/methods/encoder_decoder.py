"""A generator with a bottleneck: noise and label through an encoder, and out by an unpooling decoder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, full
from gansmith.errors import at_least
from gansmith.methods.base import Loss
from gansmith.methods.batches import AttributeBatch, AttributePrompt
from gansmith.methods.cdcgan import ConditionalDCGAN
from gansmith.networks.bundle import Pair
from gansmith.networks.conditional import Embedding, beside
from gansmith.networks.conditional_dcgan import ConditionalDiscriminator
from gansmith.networks.conv import ProjectLatent, ScoreHead
from gansmith.networks.dcgan import initialize
from gansmith.networks.resolution import resolution_steps


class EncoderDecoderGenerator(nn.Module):
    """Z and the label, drawn as a map of noise at full size, are pooled down, squeezed and unpooled again.

    Unpooling repeats each value over a block of two by two. Places of the encoder's maxima, where others put
    the values, would be a way past the bottleneck, and of noise they say nothing. The label's embedding joins
    the features at every size of the decoder; batch norm on both sides of the bottleneck keeps what comes
    through it as large as the label's numbers, which would drown it otherwise.

    Args:
        spec: the images wanted, and the names of classes or attributes.
        column: ``labels`` or ``attributes``.
        sizes: numbers in z, in the embedding of the condition, and in the bottleneck.
        width: channels at full size; doubled at each pooling, up to 512.

    Example:
        >>> generator = EncoderDecoderGenerator(spec, "labels", sizes=(64, 16, 32), width=32)
        >>> images = generator(torch.randn(4, 64), torch.tensor([0, 1, 2, 3]))
    """

    def __init__(self, spec: DataSpec, column: str, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        latent, embedding, bottleneck = sizes
        height, base_width, steps = resolution_steps(spec.height, spec.width)
        widths = [min(width * 2**i, 512) for i in range(steps + 1)]
        grid = (height, base_width)
        self._spec = spec
        self.embedding = Embedding(spec, column, embedding)
        self.noise_map = nn.Linear(latent + embedding, spec.height * spec.width)
        self.start = _normed(nn.Conv2d(1, widths[0], 3, 1, 1, bias=False))
        self.encoder = nn.ModuleList(
            _normed(nn.Conv2d(narrow, wide, 3, 1, 1, bias=False)) for narrow, wide in pairwise(widths)
        )
        self.bottleneck = _normed(ScoreHead(widths[-1], bottleneck, grid, bias=False))
        self.spread = _normed(ProjectLatent(bottleneck + embedding, widths[-1], grid, bias=False))
        self.decoder = nn.ModuleList(
            _normed(nn.Conv2d(wide + embedding, narrow, 3, 1, 1, bias=False))
            for wide, narrow in pairwise(widths[::-1])
        )
        self.last = nn.Conv2d(widths[0] + embedding, spec.channels, 3, 1, 1)
        initialize(self)

    def forward(self, latents: Latents, condition: Tensor) -> Images:
        label = self.embedding(condition)
        label = label / label.shape[1] ** 0.5  # As loud as one channel of features, or z would be drowned.
        noise_map = self.noise_map(torch.cat([latents, label], dim=1))
        features = self.start(noise_map.view(-1, 1, self._spec.height, self._spec.width))
        for block in self.encoder:
            features = F.max_pool2d(block(features), 2)
        features = self.spread(beside(self.bottleneck(features), label))
        for block in self.decoder:
            unpooled = F.interpolate(features, scale_factor=2, mode="nearest")
            features = block(beside(unpooled, label))
        images: Tensor = self.last(beside(features, label))
        return self._spec.to_network(full(images).tanh())


def _normed(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), nn.LeakyReLU(0.2, inplace=True))


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderGAN(ConditionalDCGAN):
    """Conditional DCGAN's game and judge with this generator.

    Example:
        >>> EncoderDecoderGAN(width=16, bottleneck=128)
    """

    width: int = 32
    bottleneck: int = 128  # Numbers in the bottleneck.
    mode_seeking: float = 0.0  # Weight of the loss that keeps two z of a label apart (Mao 2019); 0: none.

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "bottleneck")
        at_least(self, 0, "mode_seeking")

    def build(self, spec: DataSpec) -> Pair:
        column = self.columns[0]
        sizes = (self.latent, self.embedding, self.bottleneck)
        return Pair(
            EncoderDecoderGenerator(spec, column, sizes, self.width),
            ConditionalDiscriminator(spec, column, self.embedding, 4 * self.width),
        )

    def generator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        """The game's, and 1 / (|G(z1, y) - G(z2, y)| / |z1 - z2|), for a generator that would forget z."""
        loss = super().generator_loss(networks, batch, noise, progress)
        if self.mode_seeking == 0:
            return loss
        prompt, draws = self.prompt(batch), (noise.fork("z1"), noise.fork("z2"))
        first, second = (self.latents(each) for each in draws)
        images = [self.synthesize(networks, z, noise, prompt) for z in (first, second)]
        apart = (images[0] - images[1]).abs().flatten(1).mean(dim=1) / (first - second).abs().mean(dim=1)
        seeking = (1.0 / (apart + 1e-5)).mean()
        return Loss(loss.total + self.mode_seeking * seeking, {**loss.parts, "apart": apart.mean().detach()})

    def tiny(self) -> "EncoderDecoderGAN":
        return replace(self, latent=6, width=4, embedding=4, bottleneck=8)


@dataclass(frozen=True, kw_only=True)
class AttributeEncoderDecoderGAN(EncoderDecoderGAN):
    """The encoder-decoder GAN with attributes, each 0 or 1, in place of a class.

    Example:
        >>> spec = DataSpec(height=32, width=32, attribute_names=("smiling", "glasses"))
        >>> networks = AttributeEncoderDecoderGAN().build(spec)
    """

    batch_type: ClassVar[type[Any]] = AttributeBatch
    prompt_type: ClassVar[type[Any] | None] = AttributePrompt
