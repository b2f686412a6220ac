"""The Inception score: one class each, no class at all, splits, and agreement with torch-fidelity."""

import math

import numpy as np
import pytest
import torch
from fidelity import theirs
from torch import Tensor

from gansmith.errors import DataError, SettingError
from gansmith.metrics.scores import inception_score as module
from gansmith.metrics.scores.inception_score import inception_score


def one_hot(counts: list[int], classes: int, strength: float = 1e4) -> Tensor:
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    return strength * torch.nn.functional.one_hot(labels, classes).float()


def test_sure_pictures_of_all_classes_score_the_number_of_classes() -> None:
    found = inception_score(one_hot([10] * 7, 7), splits=1)
    assert found["is"].value == pytest.approx(7, rel=1e-12)
    assert found["is_std"].value == 0
    assert found["is"].low is None


@pytest.mark.parametrize(
    "logits", [torch.zeros(40, 9), one_hot([40], 9), torch.full((40, 9), -3.0), 5 * torch.ones(40, 9)]
)
def test_undecided_and_equal_pictures_score_one(logits: Tensor) -> None:
    assert inception_score(logits)["is"].value == pytest.approx(1, rel=1e-12)


def test_uneven_sure_pictures_score_the_exponent_of_the_entropy() -> None:
    shares = np.array([0.5, 0.25, 0.25])
    found = inception_score(one_hot([20, 10, 10], 5), splits=1)["is"].value
    assert found == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=1e-12)


def test_a_class_never_seen_does_not_make_it_nan() -> None:
    found = inception_score(torch.tensor([[0.0, -5000.0], [0.0, -5000.0]]), splits=1)["is"].value
    assert found == 1


def test_splits_without_shuffling_are_scored_one_by_one() -> None:
    # A split of one class scores 1, one of two classes scores 2.
    logits = torch.cat([one_hot([8], 2), one_hot([4, 4], 2), one_hot([4, 4], 2), one_hot([8], 2)])
    found = inception_score(logits, splits=4, seed=None)
    assert found["is"].value == pytest.approx(1.5)
    assert found["is_std"].value == pytest.approx(0.5)
    # Student's t with 3 degrees of freedom is 3.182; the low end would be below 1.
    assert found["is"].high == pytest.approx(2.0)
    assert found["is"].low == 1


def test_the_interval_is_student_s() -> None:
    logits = torch.cat([one_hot([8 - k % 2, k % 2, 8], 3) for k in range(10)])
    found = inception_score(logits, splits=10, seed=None)
    half = 2.262 * found["is_std"].value / 3
    assert found["is"].low == pytest.approx(found["is"].value - half, rel=1e-4)
    assert found["is"].high == pytest.approx(found["is"].value + half, rel=1e-4)


def test_few_pictures_a_split_are_noted() -> None:
    assert "Only 4 pictures a split for 9 classes" in inception_score(torch.zeros(40, 9))["is"].note
    assert inception_score(torch.zeros(40, 9), splits=1)["is"].note != ""
    assert inception_score(torch.zeros(45, 9), splits=1)["is"].note == ""


def test_bad_input_is_refused() -> None:
    with pytest.raises(SettingError, match="splits=0"):
        inception_score(torch.zeros(40, 3), splits=0)
    with pytest.raises(DataError, match=r"At least 20 generated pictures .* Received: 19"):
        inception_score(torch.zeros(19, 3))
    with pytest.raises(DataError, match="Received: 0"):
        inception_score(torch.zeros(0, 3))
    with pytest.raises(DataError, match="finite"):
        inception_score(torch.full((40, 3), float("nan")))


def test_it_agrees_with_torch_fidelity() -> None:
    reference = theirs("metric_isc")
    logits = 3 * torch.randn(523, 20, generator=torch.Generator().manual_seed(0))
    for splits, seed in ((10, 2020), (3, 7), (10, None)):
        expected = reference.isc_features_to_metric(logits, splits, seed is not None, seed)
        found = inception_score(logits, splits=splits, seed=seed)
        assert found["is"].value == pytest.approx(expected["inception_score_mean"], rel=1e-9)
        assert found["is_std"].value == pytest.approx(expected["inception_score_std"], rel=1e-6)
    defaults = theirs("defaults").DEFAULTS
    assert (module.SPLITS, module.SEED) == (defaults["isc_splits"], defaults["rng_seed"])
    assert defaults["samples_shuffle"]
