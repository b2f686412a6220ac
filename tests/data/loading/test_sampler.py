"""The order of pictures: permutations that may be cut and started anywhere."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from gansmith.data.loading.sampler import Sampler, split


@pytest.mark.parametrize("length", [1, 2, 7, 100])
def test_every_pass_is_a_permutation_and_passes_differ(length: int) -> None:
    passes = Sampler(length, seed=3).rows(0, 4 * length).view(4, length)
    for order in passes:
        assert sorted(order.tolist()) == list(range(length))
    if length > 6:
        assert len({tuple(order.tolist()) for order in passes}) == 4


@pytest.mark.parametrize("step", [1, 3, 10, 11, 25, 47])
def test_rows_are_the_same_however_they_are_cut(step: int) -> None:
    whole = Sampler(10, seed=0).rows(0, 94)
    sampler = Sampler(10, seed=0)
    parts = [sampler.rows(start, min(step, 94 - start)) for start in range(0, 94, step)]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("position", [0, 1, 9, 10, 37, 1_000_003])
def test_the_order_starts_anywhere(position: int) -> None:
    used = Sampler(10, seed=0)
    used.rows(0, 5)
    ahead = Sampler(10, seed=0).rows(position, 30)
    assert torch.equal(used.rows(position, 30), ahead)
    assert torch.equal(Sampler(10, seed=0).rows(position + 7, 23), ahead[7:])


def test_going_back_gives_what_was_there() -> None:
    sampler = Sampler(10, seed=0)
    first = sampler.rows(3, 12)
    sampler.rows(200, 12)
    assert torch.equal(sampler.rows(3, 12), first)


def test_the_order_is_a_function_of_the_seed() -> None:
    assert torch.equal(Sampler(50, 1).rows(0, 50), Sampler(50, 1).rows(0, 50))
    assert not torch.equal(Sampler(50, 1).rows(0, 50), Sampler(50, 2).rows(0, 50))


def test_no_rows_are_no_rows() -> None:
    rows = Sampler(10, seed=0).rows(4, 0)
    assert rows.shape == (0,)
    assert rows.dtype == torch.int64


def test_two_threads_may_share_a_sampler() -> None:
    length, count = 5, 40
    whole = Sampler(length, seed=0).rows(0, count * 3)
    shared = Sampler(length, seed=0)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            parts = pool.map(lambda start: shared.rows(3 * start, 3), range(count))
            assert torch.equal(torch.cat(list(parts)), whole)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("length", [1, 2, 3, 40, 101])
def test_a_split_is_disjoint_complete_and_of_the_share(length: int, share: float) -> None:
    training, held_out = split(length, share, seed=5)
    assert sorted([*training.tolist(), *held_out.tolist()]) == list(range(length))
    assert training.tolist() == sorted(training.tolist())
    assert len(training) >= 1
    if share == 0:
        assert len(held_out) == 0
    elif length > 1:
        assert len(held_out) == min(max(round(length * share), 1), length - 1)


def test_a_split_is_a_function_of_the_seed() -> None:
    assert torch.equal(split(100, 0.2, 1)[1], split(100, 0.2, 1)[1])
    assert not torch.equal(split(100, 0.2, 1)[1], split(100, 0.2, 2)[1])
