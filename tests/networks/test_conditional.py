"""Embeddings of labels and attributes, batch norm that a condition steers, and planes of it."""

import pytest
import torch
from torch import nn

from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.networks.conditional import ConditionalBatchNorm2d, Embedding, beside

SPEC = DataSpec(height=8, width=8, class_names=("a", "b", "c"), attribute_names=("hat", "glasses"))


def test_a_label_chooses_a_row() -> None:
    embed = Embedding(SPEC, "labels", 5)
    found = embed(torch.tensor([2, 0, 2]))
    assert torch.equal(found, embed.table.weight[[2, 0, 2]])
    assert embed.table.weight.shape == (3, 5)


def test_attributes_are_minus_one_and_one_times_their_directions() -> None:
    embed = Embedding(SPEC, "attributes", 5)
    hat, glasses = embed.table.weight.T
    found = embed(torch.tensor([[0, 0], [1, 0], [1, 1]], dtype=torch.uint8))
    torch.testing.assert_close(found, torch.stack([-hat - glasses, hat - glasses, hat + glasses]))


@pytest.mark.parametrize("column", ["labels", "attributes"])
def test_data_without_the_column_are_refused_in_words(column: str) -> None:
    with pytest.raises(SettingError, match=f"Received: a spec with no {column}"):
        Embedding(DataSpec(height=8, width=8), column, 5)


def test_conditional_batch_norm_starts_as_batch_norm() -> None:
    features, condition = torch.randn(4, 3, 5, 5), torch.randn(4, 2)
    plain = nn.BatchNorm2d(3, affine=False)
    norm = ConditionalBatchNorm2d(3, 2)
    torch.testing.assert_close(norm(features, condition), plain(features))
    assert type(norm.norm) is nn.BatchNorm2d  # What processes that train together know how to share.
    assert norm.norm.weight is None


def test_its_gain_is_one_plus_a_linear_function_of_the_condition() -> None:
    norm = ConditionalBatchNorm2d(2, 2)
    with torch.no_grad():
        norm.gain.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        norm.shift.weight.copy_(torch.tensor([[0.0, 5.0], [2.0, 0.0]]))
    features, condition = torch.randn(6, 2, 4, 4), torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3)
    normed = nn.BatchNorm2d(2, affine=False)(features)
    found = norm(features, condition)
    torch.testing.assert_close(found[:3, 0], 2.0 * normed[:3, 0])
    torch.testing.assert_close(found[:3, 1], normed[:3, 1] + 2.0)
    torch.testing.assert_close(found[3:, 0], normed[3:, 0] + 5.0)
    torch.testing.assert_close(found[3:, 1], torch.zeros(3, 4, 4))


def test_its_statistics_are_those_of_all_conditions_together() -> None:
    norm = ConditionalBatchNorm2d(1, 2)
    features = torch.cat([torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)])
    found = norm(features, torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3))
    assert found[:3].max() < -0.9 and found[3:].min() > 0.9


def test_planes_are_the_same_everywhere() -> None:
    features, condition = torch.randn(2, 3, 4, 5), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    joined = beside(features, condition)
    assert joined.shape == (2, 5, 4, 5)
    assert torch.equal(joined[:, :3], features)
    assert torch.equal(joined[1, 3:].flatten(1).unique(dim=1), torch.tensor([[3.0], [4.0]]))
