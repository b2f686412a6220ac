"""A generator with a waist: noise and label through an encoder, a bottleneck and an unpooling decoder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, full
from gansmith.methods.batches import AttributeBatch, AttributePrompt
from gansmith.methods.cdcgan import ConditionalDCGAN, ConditionalDiscriminator
from gansmith.networks.bundle import Pair
from gansmith.networks.conditional import Embedding, beside
from gansmith.networks.dcgan import initialize
from gansmith.networks.resolution import resolution_steps


def _convolution(channels: int, wanted: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, wanted, 3, 1, 1, bias=False),
        nn.BatchNorm2d(wanted),
        nn.LeakyReLU(0.2, inplace=True),
    )


class EncoderDecoderGenerator(nn.Module):
    """Z and the label, drawn as a map of noise at full size, are pooled down, squeezed and unpooled again.

    Unpooling puts each value where the encoder's pooling found its largest (Zeiler 2011), so the decoder
    knows where things were; the label's embedding joins the features at every size of the decoder.

    Args:
        spec: the images wanted, and the names of classes or attributes.
        column: ``labels`` or ``attributes``.
        sizes: numbers in z, in the embedding of the condition, and in the waist.
        width: channels at full size; doubled at each pooling, up to 512.
    """

    def __init__(self, spec: DataSpec, column: str, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        latent, embedding, bottleneck = sizes
        height, base_width, steps = resolution_steps(spec.height, spec.width)
        widths = [min(width * 2**i, 512) for i in range(steps + 1)]
        self._spec, self.base = spec, (widths[-1], height, base_width)
        cells = widths[-1] * height * base_width
        self.embedding = Embedding(spec, column, embedding)
        self.first = nn.Linear(latent + embedding, spec.height * spec.width)
        self.start = _convolution(1, widths[0])
        self.encoder = nn.ModuleList(_convolution(narrow, wide) for narrow, wide in pairwise(widths))
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
        self.bottleneck = nn.Sequential(
            nn.Linear(cells, bottleneck), nn.LeakyReLU(0.2), nn.Linear(bottleneck, cells)
        )
        wide_first = widths[::-1]
        self.decoder = nn.ModuleList(
            _convolution(wide + embedding, narrow) for wide, narrow in pairwise(wide_first)
        )
        self.last = nn.Conv2d(widths[0] + embedding, spec.channels, 3, 1, 1)
        initialize(self)

    def forward(self, latents: Latents, condition: Tensor) -> Images:
        label = self.embedding(condition)
        shape = (-1, 1, self._spec.height, self._spec.width)
        features = self.start(self.first(torch.cat([latents, label], dim=1)).view(shape))
        places = []
        for block in self.encoder:
            features, place = self.pool(block(features))
            places.append(place)
        features = self.bottleneck(features.flatten(1)).view(-1, *self.base)
        for block, place in zip(self.decoder, reversed(places), strict=True):
            features = block(beside(self.unpool(features, place), label))
        images: Tensor = self.last(beside(features, label))
        return self._spec.to_network(full(images).tanh())


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderGAN(ConditionalDCGAN):
    """Conditional DCGAN's game and judge with this generator.

    Example:
        >>> EncoderDecoderGAN(width=16, bottleneck=128)
    """

    width: int = 32
    bottleneck: int = 256  # Numbers in the waist.

    def build(self, spec: DataSpec) -> Pair:
        column = self.columns[0]
        sizes = (self.latent, self.embedding, self.bottleneck)
        return Pair(
            EncoderDecoderGenerator(spec, column, sizes, self.width),
            ConditionalDiscriminator(spec, column, self.embedding, 2 * self.width),
        )

    def tiny(self) -> "EncoderDecoderGAN":
        return replace(self, latent=6, width=4, embedding=4, bottleneck=8)


@dataclass(frozen=True, kw_only=True)
class AttributeEncoderDecoderGAN(EncoderDecoderGAN):
    """The same with attributes, each 0 or 1, in place of a class."""

    batch_type: ClassVar[type[Any]] = AttributeBatch
    prompt_type: ClassVar[type[Any] | None] = AttributePrompt
