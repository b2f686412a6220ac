"""Mean and covariance: closed forms, streams, merging, and features no one can measure."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gansmith.errors import DataError
from gansmith.metrics.math.moments import BLOCK, Moments, MomentsAccumulator


def rows(count: int = 3000, size: int = 5, seed: int = 0, offset: float = 1000.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(count, size, generator=generator) @ torch.randn(size, size, generator=generator)
    return mixed + offset


def stream(features: Tensor, batch: int, keep: int = 0) -> MomentsAccumulator:
    accumulator = MomentsAccumulator(keep)
    for part in features.split(batch):
        accumulator.add(part)
    return accumulator


def assert_near(one: Moments, two: Moments, tolerance: float = 1e-12) -> None:
    """Equal relative to the standard deviations of both features."""
    spread = two.covariance.diagonal().sqrt()
    assert one.count == two.count
    assert ((one.mean - two.mean).abs() <= tolerance * two.mean.abs()).all()
    assert ((one.covariance - two.covariance).abs() <= tolerance * spread[:, None] * spread).all()


def test_moments_are_those_of_numpy() -> None:
    features = rows(500)
    found = Moments.of(features.numpy())
    exact = features.double().numpy()
    assert found.count == 500
    assert found.size == 5
    np.testing.assert_allclose(found.mean, exact.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(exact, rowvar=False), rtol=1e-11)


@pytest.mark.parametrize("batch", [1, 7, 500, BLOCK, 1400, 1500])
def test_the_size_of_batches_changes_nothing_at_all(batch: int) -> None:
    features = rows(1500)
    found, whole = stream(features, batch).moments(), Moments.of(features)
    assert torch.equal(found.mean, whole.mean)
    assert torch.equal(found.covariance, whole.covariance)


def test_order_and_merging_change_the_rounding_only() -> None:
    features = rows()
    shuffled = features[torch.randperm(3000, generator=torch.Generator().manual_seed(1))]
    assert_near(stream(shuffled, 100).moments(), Moments.of(features))
    first, second = stream(features[:1300], 64), stream(features[1300:], 300)
    first.merge(second)
    assert_near(first.moments(), Moments.of(features))
    empty = MomentsAccumulator()
    empty.merge(MomentsAccumulator())
    empty.merge(first)
    assert_near(empty.moments(), Moments.of(features))
    few = stream(features[:10], 10)
    few.merge(stream(features[10:20], 5))
    assert_near(few.moments(), Moments.of(features[:20]))


def test_moments_can_be_looked_at_while_the_stream_goes_on() -> None:
    features = rows(1500)
    accumulator = stream(features[:700], 100)
    assert_near(accumulator.moments(), Moments.of(features[:700]))
    accumulator.add(features[700:])
    assert torch.equal(accumulator.moments().covariance, Moments.of(features).covariance)


def test_a_buffer_used_again_does_not_change_what_was_added() -> None:
    accumulator, buffer = MomentsAccumulator(), torch.zeros(2, 3, dtype=torch.float64)
    for value in (1.0, 3.0):
        buffer.fill_(value)
        accumulator.add(buffer)
    assert accumulator.moments().mean.tolist() == [2, 2, 2]
    assert accumulator.count == 4


def test_the_sample_is_random_and_does_not_depend_on_the_batches() -> None:
    features = torch.arange(3000.0)[:, None].repeat(1, 2)
    one, two = (
        stream(features, 10, keep=300).moments().sample,
        stream(features, 999, keep=300).moments().sample,
    )
    assert one is not None and two is not None
    assert torch.equal(one, two)
    assert len(one.unique(dim=0)) == 300
    assert 1300 < float(one.mean()) < 1700  # The mean of 300 of 0..2999 has a standard error of 47.
    assert stream(features, 100).moments().sample is None
    merged = stream(features, 100, keep=50)
    merged.merge(stream(features + 3000, 100, keep=50))
    kept = merged.moments().sample
    assert kept is not None
    assert len(kept) == 50
    assert 0 < int((kept[:, 0] >= 3000).sum()) < 50


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.zeros(0, 3), "Received: 0"),
        (torch.zeros(1, 3), "At least 2 measured pictures"),
        (torch.zeros(4), r"shape \[4\]"),
        (torch.zeros(4, 0), r"shape \[4, 0\]"),
        (torch.tensor([[1.0], [float("nan")], [2.0]]), "in 1 of 3 rows .* first in row 1"),
        (torch.tensor([[float("inf")], [1.0]]), "first in row 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(features: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Moments.of(features)


def test_a_stream_refuses_what_does_not_fit() -> None:
    accumulator = MomentsAccumulator()
    with pytest.raises(DataError, match="At least 2"):
        accumulator.moments()
    accumulator.add(torch.zeros(1, 3))
    with pytest.raises(DataError, match="At least 2"):
        accumulator.moments()
    with pytest.raises(DataError, match=r"3 numbers a picture. Received: 4"):
        accumulator.add(torch.zeros(2, 4))
    with pytest.raises(DataError, match="nan"):
        accumulator.add(torch.full((2, 3), float("nan")))
    with pytest.raises(DataError, match="one length"):
        accumulator.merge(stream(torch.zeros(2, 4), 2))
    assert accumulator.count == 1


def test_saved_moments_are_checked() -> None:
    mean, covariance = torch.zeros(3).double(), torch.eye(3).double()
    with pytest.raises(DataError, match="a row and a column"):
        Moments(mean, covariance[:2, :2], 9)
    with pytest.raises(DataError, match="finite"):
        Moments(mean * float("nan"), covariance, 9)
    with pytest.raises(DataError, match="finite"):
        Moments.of(torch.tensor([[1e200], [-1e200]]).double() * 1e100)
    with pytest.raises(DataError, match="Received: 1"):
        Moments(mean, covariance, 1)


def test_half_precision_whole_and_read_only_numbers_are_fine() -> None:
    numbers = np.arange(6, dtype=np.int64).reshape(3, 2)
    numbers.flags.writeable = False
    assert Moments.of(numbers).mean.tolist() == [2, 3]
    assert Moments.of(torch.tensor([[1.0], [2.0]], dtype=torch.float16)).mean.tolist() == [1.5]
    assert Moments.of(torch.tensor([[1.0], [2.0]], requires_grad=True)).covariance.tolist() == [[0.5]]
