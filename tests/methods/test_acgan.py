"""ACGAN: two heads, and both of its likelihoods in closed form."""

import math

import pytest
import torch
from helpers import random_images
from torch import nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.losses.classification import right
from gansmith.losses.penalties import R1, NoPenalty
from gansmith.methods.acgan import ACGAN, AttributeACGAN
from gansmith.methods.batches import AttributeBatch, LabelledBatch, LabelPrompt
from gansmith.networks.bundle import Pair

LOG2, LOG3 = math.log(2.0), math.log(3.0)
SPEC = DataSpec(height=16, width=16, class_names=("a", "b", "c"), attribute_names=("hat", "glasses"))
LABELS = torch.tensor([0, 1, 2, 1])
BATCH = LabelledBatch(random_images(4), LABELS)
ATTRIBUTES = AttributeBatch(BATCH.images, torch.tensor([[0, 1], [1, 1], [1, 0], [0, 0]], dtype=torch.uint8))


def noise() -> Noise:
    return Noise.of(0, 1, 2, 3)


def silenced(method: ACGAN) -> Pair:
    networks = method.build(SPEC)
    for head in (networks.discriminator.source, networks.discriminator.auxiliary):
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    return networks


@pytest.mark.parametrize(
    ("kind", "batch", "unsure"), [(ACGAN, BATCH, LOG3), (AttributeACGAN, ATTRIBUTES, LOG2)]
)
@pytest.mark.parametrize("auxiliary", [0.0, 1.0, 2.5])
def test_heads_that_say_nothing_cost_the_closed_form(kind, batch, unsure, auxiliary) -> None:
    method = kind(latent=6, width=4, embedding=3, auxiliary=auxiliary, penalty=NoPenalty())
    networks = silenced(method)
    loss = method.discriminator_loss(networks, batch, noise(), Progress())
    # Source and class, each on real images and on fakes.
    assert loss.total.item() == pytest.approx(2 * LOG2 + auxiliary * 2 * unsure, abs=1e-5)
    loss = method.generator_loss(networks, batch, noise(), Progress())
    assert loss.total.item() == pytest.approx(LOG2 + auxiliary * unsure, abs=1e-5)


class Knows(nn.Module):
    """A judge that reads the class off the first pixel, and is 0 about the source."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shown = images[:, 0, 0, 0]
        return 0.0 * shown, -100.0 * (shown[:, None] - torch.arange(3.0)).abs()


class Shows(nn.Module):
    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return labels.float()[:, None, None, None].expand(-1, 3, 16, 16) + 0.0 * latents[:, :1, None, None]


def test_reals_count_by_their_label_and_fakes_by_what_was_asked() -> None:
    networks, method = Pair(Shows(), Knows()), ACGAN(penalty=NoPenalty())
    obeys = LabelledBatch(Shows()(torch.zeros(4, 1), LABELS), LABELS)
    loss = method.discriminator_loss(networks, obeys, noise(), Progress())
    assert loss.total.item() == pytest.approx(2 * LOG2, abs=1e-4)
    assert loss.parts["class accuracy on real"].item() == loss.parts["class accuracy on fake"].item() == 1.0
    wrong = LabelledBatch(obeys.images, torch.tensor([1, 1, 2, 1]))  # The first real image is not of class 1.
    loss = method.discriminator_loss(networks, wrong, noise(), Progress())
    assert loss.total.item() == pytest.approx(2 * LOG2 + 100.0 / 4, abs=1e-3)
    assert loss.parts["class accuracy on real"].item() == 0.75
    assert loss.parts["class accuracy on fake"].item() == 1.0


def test_the_class_of_fakes_counts_as_much_as_it_is_told_to() -> None:
    method = ACGAN(latent=6, width=4, embedding=3, on_fakes=0.0, penalty=NoPenalty())
    loss = method.discriminator_loss(silenced(method), BATCH, noise(), Progress())
    assert loss.total.item() == pytest.approx(2 * LOG2 + LOG3, abs=1e-5)


def test_r1_is_of_the_source_and_not_of_the_class() -> None:
    class Sums(nn.Module):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return 0.5 * images.flatten(1).sum(dim=1), 0.0 * images[:, :, 0, 0]

    networks = Pair(Shows(), Sums())  # A slope of 1/2 in each of 768 numbers.
    loss = ACGAN(penalty=R1(gamma=2.0)).discriminator_loss(networks, BATCH, noise(), Progress())
    assert loss.parts["penalty"].item() == pytest.approx(0.25 * 768, rel=1e-5)


def test_shares_of_what_is_told_right() -> None:
    assert right(torch.eye(3), torch.tensor([0, 1, 0])).item() == pytest.approx(2 / 3)
    logits, truth = torch.tensor([[1.0, -1.0], [1.0, 1.0]]), torch.tensor([[1, 0], [0, 1]])
    assert right(logits, truth.to(torch.uint8)).item() == 0.75


def test_scores_are_of_the_source_alone() -> None:
    method = ACGAN(latent=6, width=4, embedding=3)
    networks = method.build(SPEC).eval()
    scores = method.critic_scores(networks, BATCH.images, LabelPrompt(LABELS))
    assert torch.equal(scores, networks.discriminator(BATCH.images)[0])
    held_out = method.validation_metrics(networks, BATCH, noise())
    assert set(held_out) == {"accuracy", "class accuracy"}


@pytest.mark.parametrize(("kind", "outputs"), [(ACGAN, 3), (AttributeACGAN, 2)])
def test_there_is_an_output_for_each_class_or_attribute(kind, outputs: int) -> None:
    judge = kind(latent=6, width=4, embedding=3).build(SPEC).discriminator
    scores, logits = judge(BATCH.images)
    assert scores.shape == (4,) and logits.shape == (4, outputs)
    assert scores.dtype == logits.dtype == torch.float32
