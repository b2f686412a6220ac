"""The Frechet distance: closed forms, singular covariances, intervals, and agreement with torch-fidelity."""

import math

import numpy as np
import pytest
import torch
from fidelity import theirs
from torch import Tensor

from gansmith.errors import DataError, SettingError
from gansmith.metrics.scores.fid import Moments, fid, fid_infinity, floor


def normal(
    count: int, size: int, seed: int, scale: float | Tensor = 1.0, shift: float | Tensor = 0.0
) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed)) * scale + shift


def gaussian(mean: Tensor, covariance: Tensor, count: int = 10_000) -> Moments:
    return Moments(mean.double(), covariance.double(), count)


def test_gaussians_with_diagonal_covariances_have_their_closed_form() -> None:
    one, two = torch.tensor([1.0, 4.0, 9.0]), torch.tensor([4.0, 1.0, 9.0])
    shift = torch.tensor([1.0, 2.0, 2.0])
    found = fid(gaussian(torch.zeros(3), one.diag()), gaussian(shift, two.diag()))
    assert found.value == pytest.approx(9 + 1 + 1 + 0, rel=1e-13)
    assert (found.low, found.high, found.note) == (None, None, "")


def test_commuting_covariances_and_rotations_have_their_closed_form() -> None:
    turn = torch.linalg.qr(normal(6, 6, 0).double()).Q
    spreads = torch.arange(1.0, 7.0).double()
    one, two = turn * spreads.square() @ turn.T, turn * (spreads + 2).square() @ turn.T
    found = fid(gaussian(torch.zeros(6), one), gaussian(torch.zeros(6), two))
    assert found.value == pytest.approx(6 * 4, rel=1e-12)


def test_two_by_two_covariances_that_do_not_commute() -> None:
    # tr sqrt(M) of a 2 x 2 matrix is sqrt(tr M + 2 sqrt(det M)).
    one, two = torch.tensor([[2.0, 1.0], [1.0, 3.0]]), torch.tensor([[1.0, -0.5], [-0.5, 4.0]])
    product = (one @ two).double()
    shared = math.sqrt(float(product.trace()) + 2 * math.sqrt(float(torch.linalg.det(product))))
    expected = 5 + 5 - 2 * shared
    assert fid(gaussian(torch.zeros(2), one), gaussian(torch.zeros(2), two)).value == pytest.approx(expected)


@pytest.mark.parametrize(("count", "size"), [(500, 16), (10, 64), (2, 5)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_equal_sets_are_at_zero(count: int, size: int, offset: float) -> None:
    features = normal(count, size, 0, shift=offset)
    found = fid(features, features.clone())
    assert 0 <= found.value < 1e-6
    assert found.low == 0


def test_it_is_symmetric_and_grows_with_the_square_of_the_scale() -> None:
    a, b = normal(200, 8, 0), normal(300, 8, 1, 1.3, 0.2)
    assert fid(a, b).value == pytest.approx(fid(b, a).value, rel=1e-10)
    assert fid(10 * a.double(), 10 * b.double()).value == pytest.approx(100 * fid(a, b).value, rel=1e-6)


def test_fewer_pictures_than_features_give_the_right_number_and_a_note() -> None:
    # The features lie in a plane: turned into it, both covariances are regular.
    flat, other = normal(40, 2, 0), normal(50, 2, 1, 2.0)
    turn = torch.linalg.qr(normal(60, 60, 2)).Q[:2]
    found = fid(flat @ turn, other @ turn)
    assert found.value == pytest.approx(fid(flat, other).value, rel=1e-4)
    assert "Only 40 generated pictures for 60 features" in found.note
    assert "a perfect generator would score about" in found.note
    assert found.low is not None and found.high is not None
    assert 0 <= found.low < found.value < found.high


def test_covariances_of_spaces_that_never_meet_share_nothing() -> None:
    a, b = torch.zeros(50, 4), torch.zeros(60, 4)
    a[:, :2], b[:, 2:] = normal(50, 2, 0), normal(60, 2, 1)
    expected = sum(float(x.double().var(0).sum()) for x in (a, b))
    expected += float((a.double().mean(0) - b.double().mean(0)).square().sum())
    assert fid(a, b).value == pytest.approx(expected, rel=1e-12)


def test_constant_features_give_the_right_number_and_a_note() -> None:
    constant, other = torch.full((1000, 3), 0.1), normal(500, 3, 0).double()
    found = fid(constant, other)
    expected = (other.mean(0) - constant[0].double()).square().sum() + other.var(0).sum()
    assert found.value == pytest.approx(float(expected), rel=1e-12)
    assert "3 of 3 features are the same in all generated pictures." in found.note
    both = fid(constant, constant)
    assert both.value == 0
    partly = fid(torch.cat([constant, normal(1000, 3, 1)], 1), normal(1000, 6, 2))
    assert "3 of 6 features are the same in all generated pictures." in partly.note
    assert math.isfinite(partly.value)


def test_the_note_goes_away_with_enough_pictures() -> None:
    many = normal(10_000, 2, 0)
    assert fid(many, many[torch.arange(9999, -1, -1)]).note == ""
    assert "9999 generated and 10000 real" in fid(many[1:], many).note


def test_the_floor_is_what_two_samples_of_one_distribution_show() -> None:
    spreads = torch.linspace(0, -3, 16).exp().sqrt()
    expected = floor(gaussian(torch.zeros(16), spreads.square().diag()), 300, 500)
    found = [
        fid(normal(300, 16, 2 * k, spreads), normal(500, 16, 2 * k + 1, spreads)).value for k in range(60)
    ]
    assert np.mean(found) == pytest.approx(expected, rel=0.1)


def test_the_floor_of_one_feature_is_its_closed_form() -> None:
    # The means differ by var (1/n1 + 1/n2), the standard deviations by half of that.
    found = floor(gaussian(torch.zeros(1), torch.eye(1) * 4), 100, 50)
    assert found == pytest.approx(1.5 * 4 * (1 / 100 + 1 / 50))


def test_the_interval_is_the_spread_over_draws() -> None:
    found = [fid(normal(400, 8, 2 * k, 1.5, 0.3), normal(400, 8, 2 * k + 1)) for k in range(50)]
    spread = np.std([each.value for each in found])
    told = np.mean([(each.high - each.low) / (2 * 1.96) for each in found])  # type: ignore[operator]
    assert told == pytest.approx(spread, rel=0.25)


def test_moments_with_a_sample_have_nearly_the_interval_of_all_features() -> None:
    a, b = normal(4000, 6, 0, 1.2), normal(4000, 6, 1)
    whole, part = fid(a, b), Moments.of(a)
    part = Moments(part.mean, part.covariance, part.count, a[:1500])
    found = fid(part, b)
    assert found.value == whole.value
    assert found.high == pytest.approx(whole.high, rel=0.02)
    assert fid(Moments(part.mean, part.covariance, part.count), b).high is None


def test_the_number_without_pictures_to_count_is_free_of_the_bias() -> None:
    true = 8 * 0.2**2 + 0.5**2
    shift = torch.zeros(8)
    shift[0] = 0.5
    found = [
        fid_infinity(normal(300, 8, 2 * k, 1.2, shift), normal(300, 8, 2 * k + 1), seed=k) for k in range(20)
    ]
    plain = [fid(normal(300, 8, 2 * k, 1.2, shift), normal(300, 8, 2 * k + 1)).value for k in range(20)]
    error = np.std([each.value for each in found]) / math.sqrt(20)
    assert abs(np.mean([each.value for each in found]) - true) < 3 * error
    assert np.mean(plain) > true + 3 * error
    inside = [each.low <= true <= each.high for each in found]  # type: ignore[operator]
    assert sum(inside) >= 16


def test_an_extrapolation_says_what_it_cannot_do() -> None:
    a, b = normal(60, 8, 0), normal(60, 8, 1)
    assert "no line" in fid_infinity(a, b, points=6, min_count=10).note
    kept = fid_infinity(normal(300, 8, 0), Moments.of(b), points=6)
    assert "their number stays" in kept.note
    assert fid_infinity(a, b, seed=3) == fid_infinity(a, b, seed=3)
    below = [
        fid_infinity(normal(80, 4, 2 * k), normal(80, 4, 2 * k + 1), points=5, seed=k) for k in range(12)
    ]
    assert any(each.value < 0 and "noise" in each.note for each in below)
    assert all("noise" not in each.note for each in below if each.value >= 0)


def test_bad_extrapolations_are_refused() -> None:
    a = normal(40, 3, 0)
    with pytest.raises(SettingError, match="points=4"):
        fid_infinity(a, a, points=4)
    with pytest.raises(SettingError, match="min_count=1"):
        fid_infinity(a, a, min_count=1)
    with pytest.raises(DataError, match="differ in size"):
        fid_infinity(a, a, min_count=40)
    with pytest.raises(DataError, match="At least 20 generated"):
        fid_infinity(a[:19], a)
    with pytest.raises(DataError, match="3 numbers per generated picture, 2 per real"):
        fid_infinity(a, a[:, :2])


@pytest.mark.parametrize("bad", [0, 1])
def test_too_few_pictures_are_refused_by_name(bad: int) -> None:
    a = normal(5, 3, 0)
    with pytest.raises(DataError, match=f"2 generated pictures .* Received: {bad}"):
        fid(a[:bad], a)
    with pytest.raises(DataError, match=f"2 real pictures .* Received: {bad}"):
        fid(a, a[:bad])


def test_strange_features_are_refused() -> None:
    a = normal(5, 3, 0)
    with pytest.raises(DataError, match="3 numbers per generated picture, 4 per real one"):
        fid(a, normal(5, 4, 0))
    with pytest.raises(DataError, match="nan or inf in 5 of 5 rows of the real pictures"):
        fid(a, a * float("nan"))


@pytest.mark.parametrize(("made", "real"), [(300, 400), (20, 30)])
def test_it_agrees_with_torch_fidelity(made: int, real: int) -> None:
    reference = theirs("metric_fid")
    a, b = normal(made, 24, 0, 1.2, 0.1).abs(), normal(real, 24, 1).abs()
    statistics = [reference.fid_features_to_statistics(x) for x in (a, b)]
    expected = reference.fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert fid(a, b).value == pytest.approx(expected, rel=1e-5)
