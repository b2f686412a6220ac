"""Telling real from made by a score: known scores, ties, intervals that cover, and bad input."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gansmith.errors import DataError
from gansmith.metrics.scores.critic_auc import critic_auc, roc


def area_below(made: Tensor, real: Tensor) -> float:
    """Of the ROC curve, by trapezoids."""
    found = roc(made, real)
    return float(torch.trapezoid(found.true_positive, found.false_positive))


def test_known_scores_have_known_numbers() -> None:
    made, real = torch.tensor([-2.0, -1.0, 1.0]), torch.tensor([-0.5, 2.0])
    found = critic_auc(made, real)
    assert found["accuracy_fake"].value == pytest.approx(2 / 3)
    assert found["accuracy_real"].value == 0.5
    assert found["accuracy"].value == pytest.approx((2 / 3 + 1 / 2) / 2)
    # Of 6 pairs, the real one is above in 2 with -0.5 and 3 with 2.
    assert found["auc"].value == pytest.approx(5 / 6)
    assert area_below(made, real) == pytest.approx(5 / 6)


def test_ties_count_half() -> None:
    made, real = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.0, 1.0])
    # 0 ties 0 twice, is below 1 once; 1 is above 0 twice, ties 1 once: (1 + 1 + 0.5) / 6.
    assert critic_auc(made, real)["auc"].value == pytest.approx(2.5 / 6)
    assert area_below(made, real) == pytest.approx(2.5 / 6)
    found = critic_auc(made, real)
    assert found["accuracy_fake"].value == 0.25
    assert found["accuracy_real"].value == pytest.approx((0.5 + 0.5 + 1) / 3)


@pytest.mark.parametrize(("shift", "area"), [(10.0, 1.0), (-10.0, 0.0)])
def test_perfect_and_reversed_scores_have_a_width_still(shift: float, area: float) -> None:
    found = critic_auc(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 30) + shift)["auc"]
    assert found.value == area
    assert found.low is not None and found.high is not None
    assert 0 <= found.low <= area <= found.high <= 1
    assert 0.05 < found.high - found.low < 0.2


def test_a_discriminator_that_says_the_same_of_all_is_at_chance() -> None:
    found = critic_auc(torch.full((200,), 3.0), torch.full((100,), 3.0))
    assert found["auc"].value == 0.5
    assert found["accuracy"].value == 0.5
    assert found["auc"].note == "All scores are equal."
    assert critic_auc(torch.zeros(200), torch.zeros(100))["accuracy"].value == 0.5
    assert roc(torch.zeros(3), torch.zeros(2)).false_positive.tolist() == [0, 1]


def test_accuracy_does_not_depend_on_how_many_of_each_there_are() -> None:
    made, real = torch.tensor([-1.0, 1.0]), torch.tensor([1.0])
    found = critic_auc(made.repeat(500), real)["accuracy"].value
    assert found == critic_auc(made, real.repeat(500))["accuracy"].value == 0.75


def test_the_threshold_of_probabilities_is_a_half() -> None:
    made, real = torch.tensor([0.2, 0.7]), torch.tensor([0.6, 0.9])
    assert critic_auc(made, real, threshold=0.5)["accuracy"].value == 0.75
    assert critic_auc(made, real)["accuracy"].value == 0.5


def test_the_intervals_cover_the_truth() -> None:
    generator = np.random.default_rng(0)
    truth = {"auc": 0.5 * math.erfc(-0.5), "accuracy": 0.5 * math.erfc(-0.5 / math.sqrt(2))}
    inside = dict.fromkeys(truth, 0)
    for _ in range(200):
        found = critic_auc(generator.normal(size=80), generator.normal(1.0, size=120), threshold=0.5)
        for name, true in truth.items():
            value = found[name]
            assert value.low is not None and value.high is not None
            inside[name] += value.low <= true <= value.high
    assert all(182 <= count for count in inside.values())


def test_the_curve_runs_from_corner_to_corner_and_never_back() -> None:
    generator = torch.Generator().manual_seed(0)
    made, real = torch.randn(50, generator=generator), torch.randn(60, generator=generator) + 1
    found = roc(made, real)
    for side in (found.false_positive, found.true_positive):
        assert (side[0], side[-1]) == (0, 1)
        assert (side.diff() >= 0).all()
    assert area_below(made, real) == pytest.approx(critic_auc(made, real)["auc"].value)


def test_few_and_endless_scores() -> None:
    found = critic_auc(torch.tensor([-math.inf, -1.0]), torch.tensor([math.inf]))
    assert found["auc"].value == 1
    assert "2 generated and 1 real scores" in found["auc"].note
    assert critic_auc(torch.randn(100), torch.randn(100))["auc"].note == ""


def test_bad_input_is_refused() -> None:
    scores = torch.zeros(3)
    for function in (critic_auc, roc):
        with pytest.raises(DataError, match=r"At least 1 generated .* Received: 0"):
            function(scores[:0], scores)
        with pytest.raises(DataError, match=r"one score. Received: shape \[3, 1\]"):
            function(scores, scores[:, None])
        with pytest.raises(DataError, match="Received: 1 nan"):
            function(scores, torch.tensor([0.0, math.nan]))
