"""A generator that copies is caught, one that does not is not, and what cannot be told is said."""

import math

import pytest
import torch

from gansmith.errors import DataError
from gansmith.metrics.scores.memorization import memorization, nearest


def faces(count: int, seed: int, size: int = 8) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def test_honest_samples_are_not_accused() -> None:
    for seed in range(5):
        found = memorization(faces(300, 3 * seed), faces(1000, 3 * seed + 1), faces(300, 3 * seed + 2))
        assert not found.copying
        assert found.ratio.value == pytest.approx(1.0, abs=0.1)
        assert found.ratio.low is not None and found.ratio.high is not None
        assert found.ratio.low < found.ratio.value < found.ratio.high
        assert found.repeated.value < 0.1
        assert "No sign" in found.verdict or "hint" in found.verdict


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_copies_are_found_also_where_only_some_are(share: float) -> None:
    training = faces(1000, 0)
    made = faces(300, 1)
    copied = round(share * 300)
    made[:copied] = training[:copied] + 0.01 * faces(copied, 2)
    found = memorization(made, training, faces(300, 3))
    assert found.copying and "It copies" in found.verdict
    assert found.z.value < -3
    assert set(found.worst) <= set(range(copied))
    assert all(int(found.nearest.index[row]) == row for row in found.worst)


def test_samples_that_repeat_each_other_are_counted() -> None:
    made = faces(200, 1)
    made[100:150] = made[:50]
    found = memorization(made, faces(500, 2), faces(100, 3))
    assert found.repeated.value == pytest.approx(0.5)
    one = memorization(faces(1, 5).expand(50, -1), faces(500, 2), faces(100, 3))
    assert one.repeated.value == 1.0


def test_nearest_is_exact_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, others = faces(37, 0), faces(53, 1)
    wanted = torch.cdist(rows.double(), others.double()).min(1)
    monkeypatch.setattr("gansmith.metrics.scores.memorization._BLOCK", 53 * 5)
    found = nearest(rows, others)
    assert torch.equal(found.index, wanted.indices)
    torch.testing.assert_close(found.distance.double(), wanted.values, atol=1e-5, rtol=1e-5)
    own = nearest(rows, rows, same=True)
    assert bool((own.distance > 0).all()) and bool((own.index != torch.arange(37)).all())


def test_the_test_statistic_in_closed_form() -> None:
    # Made at distance 1, held out at distance 2 of the one training point: every sample is nearer.
    training = torch.zeros(2, 1)
    made, held_out = torch.full((10, 1), 1.0), torch.full((10, 1), 2.0)
    found = memorization(made, training, held_out)
    variance = 100 / 12 * (21 - 2 * (1000 - 10) / (20 * 19))
    assert found.z.value == pytest.approx(-50 / math.sqrt(variance))
    assert found.ratio.value == 0.5


def test_held_out_pictures_that_are_training_pictures_tell_nothing() -> None:
    training = faces(100, 0)
    found = memorization(faces(50, 1), training, training[:50])
    assert math.isnan(found.ratio.value) and "copies of training" in found.verdict


@pytest.mark.parametrize(
    "bad", [torch.zeros(1, 8), torch.zeros(0, 8), torch.zeros(5, 7), torch.full((5, 8), math.nan)]
)
def test_bad_features_are_told(bad: torch.Tensor) -> None:
    for place in range(3):
        kinds = [faces(9, 0), faces(9, 1), faces(9, 2)]
        kinds[place] = bad
        with pytest.raises(DataError, match=r"two or more|finite"):
            memorization(*kinds)
