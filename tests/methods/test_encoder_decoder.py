"""The generator with a bottleneck: what passes through it, and who sees the label."""

import pytest
import torch
from helpers import random_images
from torch import nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.methods.batches import AttributeBatch, LabelledBatch
from gansmith.methods.encoder_decoder import (
    AttributeEncoderDecoderGAN,
    EncoderDecoderGAN,
    EncoderDecoderGenerator,
)
from gansmith.networks.conditional_dcgan import ConditionalDiscriminator

SPEC = DataSpec(height=16, width=16, class_names=("a", "b", "c"), attribute_names=("hat", "glasses"))
LABELS = torch.tensor([0, 1, 2, 1])
LATENT, EMBEDDING, WAIST = 6, 4, 8


def made(spec: DataSpec = SPEC, column: str = "labels") -> EncoderDecoderGenerator:
    return EncoderDecoderGenerator(spec, column, (LATENT, EMBEDDING, WAIST), 4)


@pytest.mark.parametrize(("height", "width", "channels"), [(28, 28, 1), (32, 32, 3), (24, 40, 3)])
def test_images_at_several_sizes(height: int, width: int, channels: int) -> None:
    spec = DataSpec(height=height, width=width, channels=channels, class_names=("a", "b", "c"))
    images = made(spec)(torch.randn(4, LATENT), LABELS)
    assert images.shape == (4, channels, height, width)
    assert images.abs().max().item() <= 1.0


def test_all_that_z_says_passes_through_the_bottleneck() -> None:
    """Cut there, images no longer depend on z, but still on the label: the decoder sees it itself."""
    generator = made()
    for _ in range(50):  # Running statistics must be those of what passes by.
        generator(torch.randn(8, LATENT), torch.arange(8) % 3)
    narrow = generator.eval().bottleneck[0]
    assert narrow.out_channels == WAIST
    assert generator.spread[0].in_channels == WAIST + EMBEDDING
    latents, label = torch.randn(2, LATENT), torch.tensor([1])
    with torch.no_grad():
        before = generator(latents, label.expand(2))
        nn.init.zeros_(narrow.weight)
        one, other = generator(latents[:1], label), generator(latents[1:], label)
        of_another_class = generator(latents[:1], torch.tensor([2]))
    assert (before[0] - before[1]).abs().max().item() > 1e-6
    torch.testing.assert_close(one, other)
    assert (one - of_another_class).abs().max().item() > 1e-6


def test_the_label_joins_every_size_of_the_decoder() -> None:
    generator = made()
    firsts = [block[0] for block in generator.decoder] + [generator.last]
    assert [layer.in_channels - EMBEDDING for layer in firsts] == [16, 8, 4]


@pytest.mark.parametrize("embedding", [4, 16, 50])
def test_the_label_does_not_drown_z(embedding: int) -> None:
    """Untrained images of one class differ more than the means of classes do."""
    torch.manual_seed(0)
    spec = DataSpec(height=28, width=28, channels=1, class_names=tuple("0123456789"))
    generator = EncoderDecoderGAN(width=16, embedding=embedding).build(spec).generator
    labels = torch.arange(10).repeat_interleave(16)
    with torch.no_grad():
        by_class = generator(torch.randn(160, 100), labels).view(10, 16, -1)
    assert by_class.std(dim=1).mean() > by_class.mean(dim=1).std(dim=0).mean()


def test_its_game_is_conditional_dcgans() -> None:
    method = EncoderDecoderGAN(latent=6, width=4, embedding=3, bottleneck=8)
    networks = method.build(SPEC)
    assert isinstance(networks.discriminator, ConditionalDiscriminator)
    batch = LabelledBatch(random_images(4), LABELS)
    loss = method.discriminator_loss(networks, batch, Noise.of(0, 1, 2, 3), Progress())
    assert set(loss.parts) >= {"D(x)", "D(G(z))"} and loss.total.isfinite()


def test_attributes_take_the_place_of_labels() -> None:
    method = AttributeEncoderDecoderGAN(latent=6, width=4, embedding=3, bottleneck=8)
    rows = torch.tensor([[0, 1], [1, 1], [1, 0], [0, 0]], dtype=torch.uint8)
    batch = AttributeBatch(random_images(4), rows)
    networks = method.build(SPEC)
    images = method.generate(networks, method.prompt(batch), Noise.of(0, 1, 2, 3))
    assert images.shape == (4, 3, 16, 16)


def test_mode_seeking_asks_for_images_that_differ_as_their_z_do() -> None:
    """One over the ratio of the two distances: 1 where images differ as much as their z do."""

    class Tiled(nn.Module):
        """An image whose every pixel is the first number of z, times a factor."""

        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, latents: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
            return self.factor * latents[:, :1, None, None].expand(-1, 3, 16, 16)

    plain, seeking = (
        EncoderDecoderGAN(latent=1, width=4, embedding=4, bottleneck=8, mode_seeking=weight)
        for weight in (0.0, 0.5)
    )
    batch = LabelledBatch(random_images(4, seed=0), LABELS)
    networks = plain.build(SPEC)
    for factor, wanted in ((1.0, 1.0), (0.25, 4.0)):
        networks.generator = Tiled(factor)
        losses = [
            method.generator_loss(networks, batch, Noise.of(0, 1, 2, 3), Progress())
            for method in (plain, seeking)
        ]
        assert (losses[1].total - losses[0].total).item() == pytest.approx(0.5 * wanted, rel=1e-3)
        assert losses[1].parts["apart"].item() == pytest.approx(factor, rel=1e-4)
