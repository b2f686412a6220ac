"""The projection discriminator: its score, its norms, and the hinge game."""

import pytest
import torch
from helpers import random_images
from torch import nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.methods.batches import AttributeBatch, AttributePrompt, LabelledBatch, LabelPrompt
from gansmith.methods.projection import AttributeProjection, Projection, ProjectionDiscriminator
from gansmith.networks.bundle import Pair
from gansmith.networks.conditional import ConditionalBatchNorm2d
from gansmith.networks.spectral import SpectralNorm

SPEC = DataSpec(height=16, width=16, class_names=("a", "b", "c"), attribute_names=("hat", "glasses"))
BATCH = LabelledBatch(random_images(4), torch.tensor([0, 1, 2, 1]))


def noise() -> Noise:
    return Noise.of(0, 1, 2, 3)


def tiny(**changes) -> Projection:
    return Projection(latent=6, width=4, embedding=4, **changes)


def test_the_score_is_that_of_the_image_plus_its_agreement_with_the_label() -> None:
    judge = ProjectionDiscriminator(SPEC, "labels", 4).eval()
    features = judge.features(BATCH.images)
    agreement = (judge.embedding.table.weight[BATCH.labels] * features).sum(dim=1)
    own = features @ judge.head.weight[0] + judge.head.layer.bias
    torch.testing.assert_close(judge(BATCH.images, BATCH.labels), own + agreement)


def test_its_features_are_sums_over_positions() -> None:
    judge = ProjectionDiscriminator(SPEC, "labels", 4).eval()
    grid = judge.features.blocks(BATCH.images).relu()
    assert grid.shape[2:] == (2, 2)
    torch.testing.assert_close(judge.features(BATCH.images), 4.0 * grid.mean(dim=(2, 3)))


@pytest.mark.parametrize("column", ["labels", "attributes"])
def test_every_weight_is_spectrally_normalized_the_embeddings_too(column: str) -> None:
    judge = ProjectionDiscriminator(SPEC, column, 4)
    labels = BATCH.labels if column == "labels" else torch.zeros(4, 2, dtype=torch.uint8)
    for _ in range(60):  # A power iteration each.
        judge(BATCH.images, labels)
    layers = [module for module in judge.eval().modules() if isinstance(module, SpectralNorm)]
    plain = [m for m in judge.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert judge.embedding.table in layers and len(layers) == len(plain)
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item()
        assert largest == pytest.approx(1.0, abs=0.1)


def test_the_embedding_starts_small_so_that_it_can_turn() -> None:
    """Spectral norm divides a step by the weight's size: from N(0, 1) labels are learnt ten times as late."""
    table = Projection(width=32).build(SPEC).discriminator.embedding.table
    assert table.layer.weight.abs().max().item() < 0.25


def test_the_generators_norms_follow_the_label_and_start_without_it() -> None:
    generator = tiny().build(SPEC).generator.eval()
    norms = [module for module in generator.modules() if isinstance(module, ConditionalBatchNorm2d)]
    assert len(norms) == 2 * len(generator.blocks)
    latents = torch.randn(1, 6).expand(3, 6)
    first = generator(latents, torch.tensor([0, 1, 2]))
    torch.testing.assert_close(first[0], first[1])
    nn.init.normal_(norms[0].shift.weight)
    moved = generator(latents, torch.tensor([0, 1, 2]))
    assert (moved[0] - moved[1]).abs().max().item() > 1e-3


class Says(nn.Module):
    """A judge that answers by the label alone."""

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).sum(dim=1) * 0.0 + torch.tensor([-3.0, 0.5, 2.0])[labels]


def test_the_hinge_game_in_closed_form() -> None:
    networks = Pair(tiny().build(SPEC).generator, Says())
    loss = tiny().discriminator_loss(networks, BATCH, noise(), Progress())
    # Scores are -3, .5, 2, .5: on reals relu(1 - s) is 4, .5, 0, .5; on fakes relu(1 + s) is 0, 1.5, 3, 1.5.
    assert loss.total.item() == pytest.approx((4 + 0.5 + 0 + 0.5) / 4 + (0 + 1.5 + 3 + 1.5) / 4)
    assert loss.parts["margin"].item() == pytest.approx(0.0)
    # The generator's loss has no hinge.
    assert tiny().generator_loss(networks, BATCH, noise(), Progress()).total.item() == pytest.approx(0.0)
    only_the_first = LabelledBatch(BATCH.images, torch.zeros(4, dtype=torch.int64))
    loss = tiny().generator_loss(networks, only_the_first, noise(), Progress())
    assert loss.total.item() == pytest.approx(3.0)


@pytest.mark.parametrize("moves", [1, 5])
def test_the_discriminator_moves_as_often_as_it_is_told(moves: int) -> None:
    turns = tiny(discriminator_moves=moves).turns()
    assert [(turn.player, turn.repeats) for turn in turns] == [("discriminator", moves), ("generator", 1)]


def test_scores_of_images_are_for_their_prompts() -> None:
    method = tiny()
    networks = method.build(SPEC).eval()
    ours = method.critic_scores(networks, BATCH.images, LabelPrompt(BATCH.labels))
    other = method.critic_scores(networks, BATCH.images, LabelPrompt((BATCH.labels + 1) % 3))
    assert ours.shape == (4,) and (ours - other).abs().min().item() > 0
    assert method.prompt(BATCH) == LabelPrompt(BATCH.labels)


def test_attributes_take_the_place_of_labels() -> None:
    method = AttributeProjection(latent=6, width=4, embedding=4)
    batch = AttributeBatch(BATCH.images, torch.tensor([[0, 1], [1, 1], [1, 0], [0, 0]], dtype=torch.uint8))
    networks = method.build(SPEC)
    assert networks.discriminator.embedding.table.weight.shape[1] == 2
    loss = method.discriminator_loss(networks, batch, noise(), Progress())
    loss.total.backward()
    assert method.generate(networks, AttributePrompt(batch.attributes), noise()).shape == (4, 3, 16, 16)
