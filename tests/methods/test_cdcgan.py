"""Conditional DCGAN: who is told which label, and the game in closed form."""

import math

import pytest
import torch
from helpers import random_images, silence_head
from torch import nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.losses.adversarial import Hinge, Logistic
from gansmith.methods.batches import AttributeBatch, AttributePrompt, LabelledBatch, LabelPrompt
from gansmith.methods.cdcgan import AttributeDCGAN, ConditionalDCGAN
from gansmith.networks.bundle import Pair

LOG2 = math.log(2.0)
SPEC = DataSpec(height=16, width=16, class_names=("a", "b", "c"), attribute_names=("hat", "glasses"))
LABELS = torch.tensor([0, 1, 2, 1])
ATTRIBUTES = torch.tensor([[0, 1], [1, 1], [1, 0], [0, 0]], dtype=torch.uint8)
BATCH = LabelledBatch(random_images(4), LABELS)


def noise() -> Noise:
    return Noise.of(0, 1, 2, 3)


def tiny(**changes) -> ConditionalDCGAN:
    return ConditionalDCGAN(latent=6, width=4, embedding=3, **changes)


class Shows(nn.Module):
    """A generator whose images are the label, everywhere."""

    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (labels.float()[:, None, None, None] + 0.0 * latents[:, :1, None, None]).expand(-1, 3, 16, 16)


class Agrees(nn.Module):
    """A judge whose score is minus how far the image is from showing its label."""

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return -(images.mean(dim=(1, 2, 3)) - labels).abs()


@pytest.mark.parametrize(
    ("adversarial", "discriminator", "generator"), [(Logistic(), 2 * LOG2, LOG2), (Hinge(), 2.0, 0.0)]
)
def test_a_judge_that_says_nothing_costs_the_closed_form(adversarial, discriminator, generator) -> None:
    method = tiny(adversarial=adversarial)
    networks = method.build(SPEC)
    silence_head(networks.discriminator)
    loss = method.discriminator_loss(networks, BATCH, noise(), Progress())
    assert loss.total.item() == pytest.approx(discriminator, abs=1e-6)
    assert loss.parts["D(x)"].item() == loss.parts["D(G(z))"].item() == 0.5
    loss = method.generator_loss(networks, BATCH, noise(), Progress())
    assert loss.total.item() == pytest.approx(generator, abs=1e-6)


def test_fakes_are_made_and_judged_by_the_labels_of_the_batch() -> None:
    networks = Pair(Shows(), Agrees())
    real = LabelledBatch(torch.zeros(4, 3, 16, 16), LABELS)  # Off by 0, 1, 2, 1: a mean of softplus of these.
    on_real = torch.nn.functional.softplus(LABELS.float()).mean().item()
    loss = tiny().discriminator_loss(networks, real, noise(), Progress())
    assert loss.total.item() == pytest.approx(on_real + LOG2, abs=1e-6)
    loss = tiny().generator_loss(networks, real, noise(), Progress())
    assert loss.total.item() == pytest.approx(LOG2, abs=1e-6)


@pytest.mark.parametrize("kind", [ConditionalDCGAN, AttributeDCGAN])
def test_both_players_see_the_condition(kind) -> None:
    method = kind(latent=6, width=4, embedding=3)
    networks = method.build(SPEC).eval()
    column = LABELS if kind is ConditionalDCGAN else ATTRIBUTES
    same = torch.randn(1, 6).expand(4, 6)
    images = networks.generator(same, column)
    assert (images[0] - images[2]).abs().max().item() > 1e-6
    shown = BATCH.images[:1].expand(4, -1, -1, -1)
    scores = networks.discriminator(shown, column)
    assert scores.shape == (4,) and scores.unique().numel() == len(column.unique(dim=0))


def test_the_condition_does_not_drown_z() -> None:
    """Untrained images of one class differ more than the means of classes do."""
    torch.manual_seed(0)
    spec = DataSpec(height=28, width=28, channels=1, class_names=tuple("0123456789"))
    generator = ConditionalDCGAN(width=32).build(spec).generator
    labels = torch.arange(10).repeat_interleave(16)
    with torch.no_grad():
        by_class = generator(torch.randn(160, 100), labels).view(10, 16, -1)
    assert by_class.std(dim=1).mean() > by_class.mean(dim=1).std(dim=0).mean()


def test_the_prompt_is_the_condition_of_the_batch() -> None:
    assert torch.equal(tiny().prompt(BATCH).labels, LABELS)
    found = AttributeDCGAN().prompt(AttributeBatch(BATCH.images, ATTRIBUTES))
    assert isinstance(found, AttributePrompt) and torch.equal(found.attributes, ATTRIBUTES)


@pytest.mark.parametrize("kind", [ConditionalDCGAN, AttributeDCGAN])
def test_a_picture_does_not_depend_on_its_batch_in_eval_mode(kind) -> None:
    method = kind(latent=6, width=4, embedding=3)
    column = LABELS if kind is ConditionalDCGAN else ATTRIBUTES
    networks = method.build(SPEC).eval()
    with torch.no_grad():
        among = method.generate(networks, method.prompt_type(column), noise())
        alone = method.generate(networks, method.prompt_type(column[2:3]), Noise.of(2))
    assert torch.allclose(alone[0], among[2], atol=1e-6)


def test_both_players_see_the_same_fakes() -> None:
    method, cached = tiny(), Noise(torch.arange(4), {})
    networks = method.build(SPEC)
    first = method.fakes(networks, LabelPrompt(LABELS), cached)
    assert method.fakes(networks, LabelPrompt(LABELS), cached) is first
    assert [turn.reuse_fakes for turn in method.turns()] == [False, True]
