"""The precision-recall curve: histograms with known curves, clusters that are left out, and bad input."""

import math

import pytest
import torch
from torch import Tensor

from gansmith.errors import DataError, SettingError
from gansmith.metrics.scores.prd import curve, prd

SPLIT = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]])


def clusters(counts: list[int], seed: int = 0) -> Tensor:
    """So many pictures in each corner of a square."""
    places = torch.cat([SPLIT[corner].repeat(count, 1) for corner, count in enumerate(counts)])
    return places + 0.1 * torch.randn(places.shape, generator=torch.Generator().manual_seed(seed))


def slopes(angles: int) -> Tensor:
    return torch.linspace(1e-10, math.pi / 2 - 1e-10, angles, dtype=torch.float64).tan()


def test_equal_histograms_have_the_best_curve() -> None:
    found = curve(torch.tensor([3, 5, 2]), torch.tensor([30, 50, 20]), 101)
    torch.testing.assert_close(found.precision, slopes(101).clamp(max=1))
    torch.testing.assert_close(found.recall, (1 / slopes(101)).clamp(max=1))
    for beta in (0.125, 1.0, 8.0):
        assert found.best(beta) == pytest.approx(1)


def test_a_made_half_of_an_even_distribution() -> None:
    # q = (1, 0) and p = (1/2, 1/2): alpha = min(t / 2, 1), beta = min(1/2, 1 / t).
    found = curve(torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]))
    t = slopes(1001)
    torch.testing.assert_close(found.precision, (t / 2).clamp(max=1))
    torch.testing.assert_close(found.recall, (1 / t).clamp(max=0.5))
    assert found.precision.max() == 1
    assert found.recall.max() == 0.5
    # The corner is precision 1, recall 1/2 at t = 2, which lies between two angles.
    assert found.best(8) == pytest.approx(65 * 0.5 / (64 * 1 + 0.5), rel=2e-3)
    assert found.best(1 / 8) == pytest.approx((1 + 1 / 64) * 0.5 / (1 / 64 + 0.5), rel=2e-3)


def test_made_and_real_exchanged_exchange_precision_and_recall() -> None:
    q, p = torch.tensor([5, 3, 0, 1]), torch.tensor([1, 3, 4, 0])
    there, back = curve(q, p), curve(p, q)
    torch.testing.assert_close(there.precision, back.recall.flip(0))
    torch.testing.assert_close(there.recall, back.precision.flip(0))
    assert there.best(8) == pytest.approx(back.best(1 / 8))


def test_histograms_that_never_meet_have_nothing() -> None:
    found = curve(torch.tensor([1, 0]), torch.tensor([0, 1]))
    assert found.precision.tolist() == found.recall.tolist() == [0] * 1001
    assert found.best(8) == 0


def test_the_sides_of_the_curve_never_turn_back() -> None:
    found = curve(torch.tensor([5, 3, 0, 1]), torch.tensor([1, 3, 4, 0]), 51)
    assert (found.precision.diff() >= 0).all()
    assert (found.recall.diff() <= 0).all()
    assert len(found.precision) == 51


def test_features_of_known_clusters_have_the_curve_of_their_histograms() -> None:
    made, real = [60, 20, 0, 0], [30, 30, 30, 30]
    found = prd(clusters(made), clusters(real, 1), clusters=4, runs=3)
    expected = curve(torch.tensor(made), torch.tensor(real))
    torch.testing.assert_close(found.curve.precision, expected.precision)
    torch.testing.assert_close(found.curve.recall, expected.recall)
    for name, beta in (("prd_f_8", 8), ("prd_f_1_8", 1 / 8)):
        value = found.values[name]
        assert value.value == pytest.approx(expected.best(beta))
        assert value.low is not None and value.high is not None
        assert 0 <= value.low < value.value < value.high <= 1
        assert "Few pictures: 80 generated and 120 real" in value.note


def test_features_far_from_the_origin_are_clustered_as_well() -> None:
    made, real = [60, 20, 0, 0], [30, 30, 30, 30]
    far = prd(clusters(made) + 1e6, clusters(real, 1) + 1e6, clusters=4, runs=1)
    assert far.values["prd_f_8"].value == pytest.approx(curve(torch.tensor(made), torch.tensor(real)).best(8))


def test_a_generator_that_drops_clusters_loses_recall_and_one_that_invents_them_precision() -> None:
    few, many = clusters([100, 100, 0, 0]), clusters([50, 50, 50, 50], 1)
    drops, invents = prd(few, many, clusters=4), prd(many, few, clusters=4)
    assert drops.values["prd_f_1_8"].value > 0.9 > 0.6 > drops.values["prd_f_8"].value
    assert invents.values["prd_f_8"].value > 0.9 > 0.6 > invents.values["prd_f_1_8"].value


def test_equal_sets_are_perfect_and_the_seed_repeats() -> None:
    features = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))
    found = prd(features, features, runs=2)
    assert found.values["prd_f_8"].value == pytest.approx(1)
    other = features[:200] + 0.2
    first, second = prd(features, other, runs=2, seed=4), prd(features, other, runs=2, seed=4)
    assert first.values == second.values
    assert torch.equal(first.curve.precision, second.curve.precision)


def test_constant_sets_share_their_one_cluster() -> None:
    found = prd(torch.full((30, 4), 0.1), torch.full((40, 4), 0.1), runs=1)
    assert found.values["prd_f_8"].value == pytest.approx(1)


def test_bad_input_is_refused() -> None:
    a = torch.randn(30, 3)
    with pytest.raises(DataError, match=r"At least 20 generated pictures .* Received: 19"):
        prd(a[:19], a)
    with pytest.raises(DataError, match="Received: 0"):
        prd(a, a[:0])
    with pytest.raises(DataError, match="3 numbers per generated picture, 2 per real"):
        prd(a, a[:, :2])
    with pytest.raises(DataError, match="finite"):
        prd(a, a * float("nan"))
    for settings in ({"clusters": 1}, {"runs": 0}, {"angles": 2}):
        (name,) = settings
        with pytest.raises(SettingError, match=f"{name}="):
            prd(a, a, **settings)
    with pytest.raises(DataError, match="same cells"):
        curve(torch.ones(3), torch.ones(4))
    with pytest.raises(DataError, match="histogram of the generated"):
        curve(torch.zeros(3), torch.ones(3))
    with pytest.raises(DataError, match="histogram of the real"):
        curve(torch.ones(3), torch.tensor([1.0, -1.0, 1.0]))
