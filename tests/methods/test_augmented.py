"""Augmentation within the games: slopes reach the images as they were, pairs are treated alike, p is kept."""

from dataclasses import replace

import pytest
import torch
from helpers import SPEC16, Linear, facts_of, random_images, small_named, trainer_of

from gansmith.augment.operations import shift
from gansmith.augment.policies import ADA, DiffAugment, Pipeline
from gansmith.config.overrides import override
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.losses.adversarial import Wasserstein
from gansmith.losses.penalties import R1
from gansmith.methods.augmented import augmented
from gansmith.methods.batches import ImageBatch
from gansmith.methods.gan import GAN
from gansmith.networks.architectures import R3
from gansmith.networks.bundle import Pair
from gansmith.runs.checkpoint import Checkpoint

BATCH = ImageBatch(random_images(4))


def test_a_penalty_is_on_the_slope_through_the_augmentation() -> None:
    """Of a linear critic: its weights moved back by what moved the image, and 0 where it was moved out."""
    augment = DiffAugment(color=False, cutout=0.0, translation=0.25)
    method = GAN(networks=R3().tiny(), adversarial=Wasserstein(), penalty=R1(gamma=2.0), augment=augment)
    weight, noise = torch.randn(3, 16, 16), Noise.of(0, 1, 2, 3)
    pair = Pair(method.tiny().build(SPEC16).generator, Linear(weight))
    loss = method.tiny().discriminator_loss(pair, BATCH, noise, Progress())
    u = noise.fork("augment").uniform(7)
    x, y = (((2.0 * u[:, i] - 1.0) * 0.25 * 16).round().long() for i in (3, 4))
    slopes = shift(weight.expand(4, -1, -1, -1), -x, -y)
    expected = slopes.square().sum(dim=(1, 2, 3)).mean().item()
    assert loss.parts["penalty"].item() == pytest.approx(expected, rel=1e-4)
    assert int(x.abs().max()) > 0


def test_a_real_image_and_its_fake_are_treated_alike() -> None:
    networks = GAN(networks=R3()).tiny().build(SPEC16)
    seen = augmented(lambda images: images, Pipeline(p=1.0), networks, Noise.of(3, 4), Progress())
    images = random_images(2)
    assert torch.equal(seen(images), seen(images.clone())) and not torch.equal(seen(images), images)


@pytest.mark.parametrize("recipe", ["lsgan32", "stylegan2-32-small"])
def test_p_adapts_and_is_in_the_checkpoint(recipe: str, tmp_path) -> None:
    small = override(small_named(recipe, images=64), "method.augment=ADA(images=160)")
    trainer = trainer_of(small)
    trainer.networks.discriminator.register_forward_hook(lambda _, __, scores: scores.abs() + 1.0)  # p rises.
    for _ in range(8):
        trainer.step()
    assert trainer.networks.augmentation[0].item() == pytest.approx(2 * 4 * 4 / 160)
    Checkpoint(trainer.state(), facts_of(trainer)).save(tmp_path / "one.safetensors")
    again = trainer_of(small)
    again.load(Checkpoint.load(tmp_path / "one.safetensors").tensors, trainer.images)
    assert torch.equal(again.networks.augmentation, trainer.networks.augmentation)


def test_without_adaptation_there_is_no_buffer() -> None:
    method = GAN(networks=R3()).tiny()
    assert [name for name, _ in method.build(SPEC16).named_buffers() if "augment" in name] == []
    assert "augmentation" in dict(replace(method, augment=ADA()).build(SPEC16).named_buffers())
