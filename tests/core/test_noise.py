"""Noise: streams that belong to seeds, and their statistics."""

import pytest
import torch
from torch import Tensor

from gansmith.core.noise import Noise, mix_seeds

MANY = 100_000
KINDS = ["uniform", "normal", "signs"]


def draw(noise: Noise, kind: str, *shape: int) -> Tensor:
    return getattr(noise, kind)(*shape)


def along_the_stream(kind: str) -> Tensor:
    return draw(Noise.of(7), kind, MANY)[0]


def across_the_seeds(kind: str) -> Tensor:
    return draw(Noise(torch.arange(MANY)), kind, 1)[:, 0]


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.double(), b.double()]))[0, 1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("others", [(), (3,), (0, 1, 2), (2**62, 9)])
def test_a_seed_keeps_its_numbers_in_any_batch(kind: str, others: tuple[int, ...]) -> None:
    alone = draw(Noise.of(5), kind, 2, 3)[0]
    assert torch.equal(draw(Noise.of(*others, 5), kind, 2, 3)[-1], alone)
    assert torch.equal(draw(Noise.of(5, *others), kind, 2, 3)[0], alone)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_seeds_only_orders_the_rows(kind: str) -> None:
    there, back = Noise.of(4, 8, 15), Noise.of(15, 8, 4)
    for shape in ((5,), (2, 2), ()):
        assert torch.equal(draw(there, kind, *shape), draw(back, kind, *shape).flip(0))


@pytest.mark.parametrize("cut", [1, 4, 9])
@pytest.mark.parametrize("kind", ["uniform", "signs"])
def test_two_draws_give_what_one_long_draw_gives(kind: str, cut: int) -> None:
    noise = Noise.of(1, 2)
    parts = torch.cat([draw(noise, kind, cut), draw(noise, kind, 10 - cut)], dim=1)
    assert torch.equal(parts, draw(Noise.of(1, 2), kind, 10))


@pytest.mark.parametrize("kind", KINDS)
def test_the_shape_only_folds_the_numbers(kind: str) -> None:
    folded, flat = draw(Noise.of(1, 2), kind, 3, 4), draw(Noise.of(1, 2), kind, 12)
    assert folded.shape == (2, 3, 4)
    assert folded.dtype == torch.float32
    assert torch.equal(folded.flatten(1), flat)


@pytest.mark.parametrize("kind", KINDS)
def test_successive_draws_and_distinct_seeds_differ(kind: str) -> None:
    noise = Noise.of(3, 4)
    once, again = draw(noise, kind, 64), draw(noise, kind, 64)
    assert not torch.equal(once, again)
    assert not torch.equal(once[0], once[1])


def test_an_odd_count_of_normal_numbers_does_not_repeat_itself() -> None:
    noise = Noise.of(3)
    drawn = torch.cat([noise.normal(3), noise.normal(3), noise.normal(1)], dim=1)
    assert len(drawn.unique()) == 7


@pytest.mark.parametrize("kind", KINDS)
def test_some_streams_continue_where_the_whole_stands(kind: str) -> None:
    noise = Noise.of(1, 2, 3)
    noise.uniform(5)
    part = noise.each(2)
    ahead = draw(part, kind, 4)
    assert len(part) == 2
    assert torch.equal(ahead, draw(noise, kind, 4)[::2])  # And the whole had stayed put.


@pytest.mark.parametrize("numbers", [along_the_stream, across_the_seeds])
@pytest.mark.parametrize(
    ("kind", "mean", "variance", "kurtosis", "spread"),
    [("normal", 0.0, 1.0, 3.0, (1.0, 2.0, 24.0)), ("uniform", 0.5, 1 / 12, 1.8, (1 / 12, 1 / 180, 1.0))],
)
def test_moments_are_those_of_the_distribution(kind, mean, variance, kurtosis, spread, numbers) -> None:
    drawn = numbers(kind).double()
    # Five standard errors; the spread of an estimate over n numbers is sqrt(spread / n).
    near = [5.0 * (value / MANY) ** 0.5 for value in spread]
    centred = drawn - drawn.mean()
    assert drawn.mean() == pytest.approx(mean, abs=near[0])
    assert centred.square().mean() == pytest.approx(variance, abs=near[1])
    assert (centred**4).mean() / centred.square().mean() ** 2 == pytest.approx(kurtosis, abs=near[2])


@pytest.mark.parametrize("numbers", [along_the_stream, across_the_seeds])
def test_uniform_numbers_fill_the_open_unit_interval(numbers) -> None:
    drawn = numbers("uniform")
    assert 0.0 < drawn.min() < 1e-3
    assert 1.0 - 1e-3 < drawn.max() < 1.0
    counts = torch.histc(drawn, bins=20, min=0.0, max=1.0)
    assert (counts - MANY / 20).abs().max() < 5.0 * (MANY / 20) ** 0.5


@pytest.mark.parametrize("bits", [0, -1])
def test_uniform_numbers_are_never_0_or_1_even_at_the_extreme_bits(bits: int, monkeypatch) -> None:
    noise = Noise.of(0)
    monkeypatch.setattr(noise, "_bits", lambda count: torch.full((1, count), bits))
    number = float(noise.uniform(1))
    assert 0.0 < number < 1.0
    assert noise.normal(2).isfinite().all()


@pytest.mark.parametrize("numbers", [along_the_stream, across_the_seeds])
def test_signs_are_balanced(numbers) -> None:
    signs = numbers("signs")
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(float(signs.mean())) < 5.0 / MANY**0.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 1000, 2**40])
def test_neighbouring_seeds_are_uncorrelated(kind: str, seed: int) -> None:
    one, other = draw(Noise.of(seed, seed + 1), kind, 20_000)
    assert abs(correlation(one, other)) < 5.0 / 20_000**0.5


@pytest.mark.parametrize("kind", KINDS)
def test_neighbouring_positions_are_uncorrelated(kind: str) -> None:
    stream = along_the_stream(kind)
    columns = draw(Noise(torch.arange(MANY)), kind, 2).T
    assert abs(correlation(stream[:-1], stream[1:])) < 5.0 / MANY**0.5
    assert abs(correlation(columns[0], columns[1])) < 5.0 / MANY**0.5
    assert abs(correlation(columns[0, :-1], columns[0, 1:])) < 5.0 / MANY**0.5


def test_the_two_halves_of_a_normal_draw_are_uncorrelated_in_size_too() -> None:
    half = along_the_stream("normal").view(2, -1)  # Cosines and sines of the same radii.
    assert abs(correlation(half[0].square(), half[1].square())) < 5.0 / (MANY / 2) ** 0.5


def test_mixed_seeds_of_small_integers_are_distinct_and_not_negative() -> None:
    singles = [mix_seeds(a) for a in range(50)]
    pairs = [mix_seeds(a, b) for a in range(30) for b in range(30)]
    mixed = [*singles, *pairs, mix_seeds()]
    assert len(set(mixed)) == len(mixed)
    assert all(0 <= seed < 2**63 for seed in mixed)


def test_mixed_seeds_depend_on_the_order() -> None:
    assert mix_seeds(1, 2) != mix_seeds(2, 1)
    assert mix_seeds(1, 2) == mix_seeds(1, 2)
    assert mix_seeds(0, 1) != mix_seeds(1)


def test_mixed_seeds_of_neighbours_differ_in_half_of_their_bits() -> None:
    flips = [(mix_seeds(a) ^ mix_seeds(a + 1)).bit_count() for a in range(400)]
    assert sum(flips) / len(flips) == pytest.approx(31.5, abs=5 * (63 / 4 / 400) ** 0.5)


def test_bulk_numbers_are_normal_independent_and_a_function_of_the_seed() -> None:
    noise = Noise.of(3, 4, 5)
    first, second = noise.bulk_normal(200, 101), noise.bulk_normal(200, 101)
    for numbers in (first, second):
        assert numbers.shape == (3, 200, 101) and numbers.dtype == torch.float32
        assert float(numbers.mean()) == pytest.approx(0.0, abs=0.02)
        assert float(numbers.std()) == pytest.approx(1.0, abs=0.02)
        assert float((numbers.abs() < 1.0).float().mean()) == pytest.approx(0.6827, abs=0.01)
    rows = torch.cat([first, second]).flatten(1)
    assert float((torch.corrcoef(rows) - torch.eye(6)).abs().max()) < 0.04
    assert torch.equal(Noise.of(4).bulk_normal(200, 101)[0], first[1])


def test_a_fork_does_not_depend_on_what_was_drawn() -> None:
    drawn = Noise.of(1, 2)
    drawn.normal(7)
    assert torch.equal(drawn.fork("maps").normal(5), Noise.of(1, 2).fork("maps").normal(5))
    assert not torch.equal(Noise.of(1, 2).fork("maps").normal(5), Noise.of(1, 2).fork("z").normal(5))


def test_bulk_numbers_are_finite_where_their_hash_is_the_smallest() -> None:
    """Once in about 2^26 draws the uniform number rounded to 0; this seed has two of them."""
    numbers = Noise.of(6).bulk_normal(2**20)[0]
    assert bool(torch.isfinite(numbers).all()) and float(numbers[438664]) < -6.0
