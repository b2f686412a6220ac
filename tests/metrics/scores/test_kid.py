"""The kernel distance: point masses, unbiasedness, intervals, and agreement with torch-fidelity."""

import numpy as np
import pytest
import torch
from fidelity import theirs
from torch import Tensor

from gansmith.errors import DataError, SettingError
from gansmith.metrics.scores import kid as kernel
from gansmith.metrics.scores.kid import kid, kid_full


def normal(count: int, size: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed)) + shift


def plain(x: Tensor, y: Tensor) -> float:
    """The unbiased discrepancy, from its definition."""
    x, y = x.double(), y.double()

    def k(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    own = [(k(z, z).sum() - k(z, z).trace()) / (len(z) * (len(z) - 1)) for z in (x, y)]
    return float(own[0] + own[1] - 2 * k(x, y).mean())


def test_point_masses_have_their_closed_form() -> None:
    # k(0, 0) = k(0, x) = 1 and k(x, x) = (|x|^2 / d + 1)^3 = 8.
    zeros, ones = torch.zeros(20, 3), torch.ones(30, 3)
    assert kid_full(ones, zeros).value == pytest.approx(8 + 1 - 2)
    found = kid(ones, zeros, subsets=3, subset_size=10)
    assert found["kid"].value == pytest.approx(7)
    assert found["kid_std"].value == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("memory", [1, 5000, 2**28])
def test_the_full_discrepancy_is_its_definition_whatever_the_blocks(memory: int) -> None:
    a, b = normal(40, 6, 0, 0.5), normal(25, 6, 1)
    assert kid_full(a, b, memory=memory).value == pytest.approx(plain(a, b), rel=1e-5)


def test_equal_distributions_are_around_zero_and_below_it_says_so() -> None:
    found = [kid_full(normal(60, 8, 2 * k), normal(60, 8, 2 * k + 1)) for k in range(60)]
    values = np.array([each.value for each in found])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(60)
    assert (values < 0).any() and (values > 0).any()
    for each in found:
        assert ("below zero" in each.note) == (each.value < 0)


@pytest.mark.parametrize("shift", [0.3, 1.0])
def test_the_interval_is_the_spread_over_draws(shift: float) -> None:
    full = [kid_full(normal(150, 8, 2 * k, shift), normal(200, 8, 2 * k + 1)) for k in range(36)]
    part = [
        kid(normal(150, 8, 2 * k, shift), normal(200, 8, 2 * k + 1), subsets=10, subset_size=50)["kid"]
        for k in range(36)
    ]
    for found in (full, part):
        told = np.mean([(each.high - each.low) / (2 * 1.96) for each in found])  # type: ignore[operator]
        assert told == pytest.approx(np.std([each.value for each in found]), rel=0.3)


def test_subsets_as_large_as_the_sets_still_have_an_interval() -> None:
    a, b = normal(50, 4, 0, 0.5), normal(50, 4, 1)
    found = kid(a, b, subsets=2, subset_size=50)["kid"]
    full = kid_full(a, b)
    assert found.value == pytest.approx(full.value, rel=1e-6)
    assert found.low == pytest.approx(full.low, rel=1e-6)


def test_small_sets_are_used_whole_and_it_is_said() -> None:
    a, b = normal(30, 4, 0, 1.0), normal(300, 4, 1)
    found = kid(a, b, subsets=3)["kid"]
    assert "A set has fewer than 1000 pictures: subsets of 30." in found.note
    assert kid(a, b, subsets=3, subset_size=30)["kid"].note == ""
    assert "Few pictures: 30 generated and 300 real" in kid_full(a, b).note


def test_the_seed_chooses_the_subsets() -> None:
    a, b = normal(100, 4, 0), normal(100, 4, 1)
    same = [kid(a, b, subsets=3, subset_size=20, seed=seed)["kid"].value for seed in (1, 1, 2)]
    assert same[0] == same[1] != same[2]


def test_training_s_fast_products_do_not_cost_digits() -> None:
    a, b = normal(40, 6, 0, 0.5), normal(25, 6, 1)
    torch.set_float32_matmul_precision("medium")
    try:
        assert kid_full(a, b).value == pytest.approx(plain(a, b), rel=1e-5)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_bad_input_is_refused() -> None:
    a = normal(10, 3, 0)
    with pytest.raises(SettingError, match="subsets=0"):
        kid(a, a, subsets=0)
    with pytest.raises(SettingError, match="subset_size=1"):
        kid(a, a, subset_size=1)
    for function in (kid, kid_full):
        with pytest.raises(DataError, match=r"2 generated pictures .* Received: 0"):
            function(a[:0], a)
        with pytest.raises(DataError, match=r"2 real pictures .* Received: 1"):
            function(a, a[:1])
        with pytest.raises(DataError, match="3 numbers per generated picture, 2 per real"):
            function(a, a[:, :2])
        with pytest.raises(DataError, match="finite"):
            function(a, a + float("inf"))


def test_it_agrees_with_torch_fidelity_on_its_own_subsets() -> None:
    reference = theirs("metric_kid")
    a, b = normal(1300, 32, 0, 0.6).abs(), normal(1200, 32, 1).abs()
    # Near zero their float32 sums lose digits, so there they are given float64.
    for x, y in ((a, b), (normal(1300, 32, 2, 0.1).double(), normal(1200, 32, 3).double())):
        expected = reference.kid_features_to_metric(x, y, kid_subsets=4, verbose=False)
        found = kid(x.float(), y.float(), subsets=4)
        assert found["kid"].value == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)
        assert found["kid_std"].value == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-4)
    defaults = theirs("defaults").DEFAULTS
    ours = (kernel.SUBSETS, kernel.SUBSET_SIZE, kernel.SEED)
    assert ours == (defaults["kid_subsets"], defaults["kid_subset_size"], defaults["rng_seed"])
