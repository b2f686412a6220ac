"""Balls around pictures: clusters with known answers, ties, blocks, and agreement with torch-fidelity."""

import math

import numpy as np
import pytest
import torch
from fidelity import theirs
from torch import Tensor

from gansmith.errors import DataError, SettingError
from gansmith.metrics.math.distances import Space, Tile
from gansmith.metrics.scores.prdc import neighbours

MEBI = 2**20


def normal(count: int, size: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed)) + shift


def apart(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances from differences in float64."""
    return (x.double()[:, None] - y.double()).square().sum(2)


def radius(x: Tensor, k: int) -> Tensor:
    return apart(x, x).fill_diagonal_(math.inf).sort(1).values[:, k - 1]


def plain(made: Tensor, real: Tensor, k: int = 3, k_density: int = 5) -> dict[str, float]:
    """The four metrics from their definitions."""
    between = apart(made, real)
    inside = between < radius(real, k_density) * (1 - 1e-12)
    return {
        "precision": float((between <= radius(real, k) * (1 + 1e-12)).any(1).double().mean()),
        "recall": float((between.T <= radius(made, k) * (1 + 1e-12)).any(1).double().mean()),
        "density": float(inside.sum(1).double().mean()) / k_density,
        "coverage": float(inside.any(0).double().mean()),
    }


def values(made: Tensor, real: Tensor, **settings: int) -> dict[str, float]:
    return {name: value.value for name, value in neighbours(made, real, **settings).items()}


def test_equal_sets_have_one_everywhere() -> None:
    features = normal(60, 4, 0)
    assert values(features, features.clone()) == dict.fromkeys(
        ("precision", "recall", "density", "coverage"), 1.0
    )


def test_sets_far_apart_have_zero_everywhere_and_an_interval() -> None:
    found = neighbours(normal(50, 4, 0), normal(60, 4, 1, 1000.0))
    assert {each.value for each in found.values()} == {0.0}
    assert found["precision"].low == 0
    assert found["precision"].high == pytest.approx(1.96**2 / (50 + 1.96**2), rel=1e-3)
    assert found["recall"].high == pytest.approx(1.96**2 / (60 + 1.96**2), rel=1e-3)


def test_a_generator_of_half_the_clusters_has_full_precision_and_half_recall() -> None:
    left, right = normal(100, 3, 0), normal(100, 3, 1, 1000.0)
    found = values(left, torch.cat([left, right]))
    assert found == {"precision": 1.0, "recall": 0.5, "density": 1.0, "coverage": 0.5}
    back = values(torch.cat([left, right]), left)
    assert back == {"precision": 0.5, "recall": 1.0, "density": 0.5, "coverage": 1.0}


def test_numbers_on_a_line_can_be_counted_by_hand() -> None:
    real = torch.tensor([[0.0], [1.0], [3.0], [10.0]])  # Radii for k = 1: 1, 1, 2, 7.
    made = torch.tensor([[4.0], [5.5], [20.0]])  # Radii for k = 1: 1.5, 1.5, 14.5.
    found = values(made, real, nearest=1, nearest_density=1)
    # 4 is in the balls of 3 and 10, 5.5 in that of 10, 20 in none. Of the real, 3 is in the ball of 4,
    # and 10 in that of 20.
    assert found == {"precision": 2 / 3, "recall": 0.5, "density": 1.0, "coverage": 0.5}


def test_the_surface_of_a_ball_belongs_to_it_for_precision_alone() -> None:
    real, made = torch.tensor([[0.0], [1.0]]), torch.tensor([[-1.0], [-50.0]])
    found = values(made, real, nearest=1, nearest_density=1)
    assert found == {"precision": 0.5, "recall": 1.0, "density": 0.0, "coverage": 0.0}


LATTICE = torch.randint(0, 3, (300, 4), generator=torch.Generator().manual_seed(3)).float()
SETS = {
    "normal": (normal(300, 8, 0, 0.3), normal(200, 8, 1)),
    "many ties": (LATTICE[:160] + 1000, LATTICE[160:] + 1000),
    "far from the origin": (normal(120, 16, 0) * 1e-3 + 100, normal(100, 16, 1) * 1e-3 + 100),
    "huge": (normal(90, 4, 0) * 1e30, normal(80, 4, 1) * 1e30),
    "tiny": (normal(90, 4, 0) * 1e-30, normal(80, 4, 1) * 1e-30),
    "one collapsed": (torch.full((70, 4), 0.1), normal(60, 4, 0)),
    "nearly collapsed": (torch.cat([normal(40, 4, 0), normal(40, 4, 1) * 1e-6]), normal(60, 4, 2)),
    "smallest": (normal(6, 1, 0), normal(6, 1, 1)),
}


@pytest.mark.parametrize("memory", [MEBI, 2**30])
@pytest.mark.parametrize("name", SETS)
def test_the_metrics_are_their_definitions_in_float64(name: str, memory: int) -> None:
    made, real = SETS[name]
    assert values(made, real, memory=memory) == pytest.approx(plain(made, real), abs=1e-9)
    assert values(made.double(), real, memory=memory) == pytest.approx(plain(made, real), abs=1e-9)


@pytest.mark.parametrize("memory", [4000, 20_000, 2**24])
def test_blocks_of_any_size_find_the_same_radii(memory: int) -> None:
    rows = normal(57, 5, 0)
    space = Space.of((rows,), memory)
    for k, found in zip((1, 3, 56), space.radii(rows, (1, 3, 56)), strict=True):
        torch.testing.assert_close(found * space.scale**2, radius(rows, k), rtol=1e-12, atol=0.0)


def test_what_float32_cannot_decide_is_decided_by_float64() -> None:
    # A million and one against a million and two: equal in float32, not in float64.
    x, y = torch.tensor([[0.0, 0.0]]).double(), torch.tensor([[1000.0, 1.0], [1000.0, -1.0]]).double()
    space = Space.of((x, y), MEBI)
    a, b = space.placed(x), space.placed(y)
    tile = Tile(space, space.between(a, b), (a[1], b[1]), x, y)
    radii = torch.tensor([1000000.5, 1000001.5]).double() / space.scale**2
    assert tile.within(radii, closed=True).tolist() == [[False, True]]
    exact = torch.full((2,), 1000001.0).double() / space.scale**2
    assert tile.within(exact, closed=True).all()
    assert not tile.within(exact, closed=False).any()


def test_blocks_keep_to_the_memory() -> None:
    for size, memory in ((2048, 2**30), (2048, 2**24), (3, MEBI)):
        side = Space(torch.zeros(size), 1.0, memory).side
        assert 24 * side**2 + 16 * side * size <= memory < 24 * (side + 2) ** 2 + 16 * (side + 2) * size


def test_the_intervals_are_the_spread_over_judged_pictures() -> None:
    real = normal(200, 4, 0)
    found = [neighbours(normal(200, 4, k, 0.5), real) for k in range(1, 41)]
    for name in ("precision", "density"):
        told = np.mean([(each[name].high - each[name].low) / (2 * 1.96) for each in found])
        assert told == pytest.approx(np.std([each[name].value for each in found]), rel=0.35)


def test_notes_tell_of_few_uneven_and_doubled_pictures() -> None:
    real = normal(50, 3, 0)
    even, uneven = neighbours(normal(60, 3, 1), real), neighbours(normal(101, 3, 1), real)
    assert (
        even["recall"].note
        == "Few pictures: 60 generated and 50 real, where 10000 or more of each are usual."
    )
    assert "compare it for equal numbers only" in uneven["recall"].note
    doubled = neighbours(real, torch.cat([real, real[:1].repeat(5, 1)]))
    assert "6 real pictures have 5 duplicates" in doubled["coverage"].note
    assert "duplicates" not in doubled["precision"].note
    assert doubled["precision"].value == 1


def test_constant_sets_are_finite() -> None:
    found = values(torch.full((30, 4), 0.1), torch.full((40, 4), 0.1))
    assert found == {"precision": 1.0, "recall": 1.0, "density": 0.0, "coverage": 0.0}


def test_bad_input_is_refused() -> None:
    a = normal(6, 3, 0)
    with pytest.raises(DataError, match=r"At least 6 generated pictures .* Received: 5"):
        neighbours(a[:5], a)
    with pytest.raises(DataError, match=r"At least 8 real pictures .* Received: 6"):
        neighbours(normal(20, 3, 0), a, nearest=7)
    for bad in (a[:0], a[:1]):
        with pytest.raises(DataError, match=f"real pictures .* Received: {len(bad)}"):
            neighbours(a, bad)
    with pytest.raises(DataError, match="3 numbers per generated picture, 2 per real"):
        neighbours(a, a[:, :2])
    with pytest.raises(DataError, match="finite"):
        neighbours(a * float("nan"), a)
    with pytest.raises(SettingError, match="nearest=0"):
        neighbours(a, a, nearest=0)
    with pytest.raises(SettingError, match="memory=1000"):
        neighbours(a, a, memory=1000)


@pytest.mark.parametrize("size", [4, 64])
def test_it_agrees_with_torch_fidelity(size: int) -> None:
    made, real = normal(400, size, 0, 0.3), normal(300, size, 1)
    expected = theirs("metric_prc").prc_features_to_metric(made, real, verbose=False)
    found = values(made, real)
    assert found["precision"] == pytest.approx(expected["precision"], rel=1e-6)
    assert found["recall"] == pytest.approx(expected["recall"], rel=1e-6)
    assert 0 < found["recall"] < 1
    assert theirs("defaults").DEFAULTS["prc_neighborhood"] == 3
