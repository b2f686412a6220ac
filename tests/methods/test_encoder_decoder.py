"""The generator with a waist: what passes through it, and who sees the label."""

import pytest
import torch
from helpers import random_images

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.methods.batches import AttributeBatch, LabelledBatch
from gansmith.methods.cdcgan import ConditionalDiscriminator
from gansmith.methods.encoder_decoder import (
    AttributeEncoderDecoderGAN,
    EncoderDecoderGAN,
    EncoderDecoderGenerator,
)

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


def test_the_label_joins_every_size_of_the_decoder() -> None:
    generator = made()
    firsts = [block[0] for block in generator.decoder] + [generator.last]
    widths = [16, 8, 4]
    assert [layer.in_channels - EMBEDDING for layer in firsts] == widths
    assert generator.base == (16, 4, 4)


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
