"""DCGAN's two networks, told a label or attributes: a vector beside z, and planes beside the image."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores
from gansmith.networks.conditional import Embedding, beside
from gansmith.networks.dcgan import DCGANDiscriminator, DCGANGenerator


class ConditionalGenerator(nn.Module):
    """Z and an embedding of the condition, side by side, through DCGAN's generator.

    Args:
        spec: the images wanted, and the names of classes or attributes.
        column: ``labels`` or ``attributes``.
        latent: numbers in z.
        embedding: numbers the condition becomes.
        width: channels before the last layer; doubled towards the input.

    Example:
        >>> generator = ConditionalGenerator(spec, "labels", latent=100, embedding=16, width=64)
        >>> images = generator(torch.randn(2, 100), torch.tensor([3, 7]))
    """

    def __init__(self, spec: DataSpec, column: str, latent: int, embedding: int, width: int) -> None:
        super().__init__()
        self.embedding = Embedding(spec, column, embedding)
        self.network = DCGANGenerator(spec, latent + embedding, width, max_channels=512)

    def forward(self, latents: Latents, condition: Tensor) -> Images:
        images: Images = self.network(torch.cat([latents, self.embedding(condition)], dim=1))
        return images


class ConditionalDiscriminator(nn.Module):
    """DCGAN's discriminator of images beside their condition: each number of its embedding is a channel more.

    Args:
        spec: the images judged, and the names of classes or attributes.
        column: ``labels`` or ``attributes``.
        embedding: numbers the condition becomes, each a plane that is the same everywhere.
        width: channels of the first layer; doubled at each further one.

    Example:
        >>> scores = ConditionalDiscriminator(spec, "labels", embedding=16, width=64)(images, labels)
    """

    def __init__(self, spec: DataSpec, column: str, embedding: int, width: int) -> None:
        super().__init__()
        self.embedding = Embedding(spec, column, embedding)
        wider = replace(spec, channels=spec.channels + embedding)
        self.network = DCGANDiscriminator(wider, width, max_channels=512)

    def forward(self, images: Images, condition: Tensor) -> Scores:
        scores: Scores = self.network(beside(images, self.embedding(condition)))
        return scores
