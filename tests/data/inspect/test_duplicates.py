"""Planted groups are found, whatever else is in the set, and no input makes the search slow or large."""

import itertools
import time

import numpy as np
import pytest

from gansmith.data.inspect.duplicates import FARTHEST, exact, near
from gansmith.errors import SettingError


def random_hashes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def flipped(value, bits):
    for bit in bits:
        value ^= 1 << int(bit)
    return value


def by_comparing_all(hashes, distance):
    """Connected groups, found the slow way."""
    values = [int(value) for value in hashes]
    group = list(range(len(values)))
    for i, j in itertools.combinations(range(len(values)), 2):
        if (values[i] ^ values[j]).bit_count() <= distance:
            group = [group[i] if number == group[j] else number for number in group]
    rows = [tuple(i for i, number in enumerate(group) if number == kind) for kind in dict.fromkeys(group)]
    return sorted(row for row in rows if len(row) > 1)


def test_equal_files_are_grouped_in_ascending_order():
    digests = np.array([5, 7, 5, 2**64 - 1, 7, 5, 0, 2**64 - 1], dtype=np.uint64)
    assert exact(digests) == [(0, 2, 5), (1, 4), (3, 7)]


@pytest.mark.parametrize("find", [exact, near])
@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_pictures_have_no_groups(find, count):
    assert find(np.zeros(count, dtype=np.uint64)) == []


@pytest.mark.parametrize("distance", range(FARTHEST + 1))
def test_a_pair_is_found_up_to_the_distance_and_not_beyond(distance):
    rng = np.random.default_rng(distance)
    for _ in range(20):
        value = int(random_hashes(1, seed=int(rng.integers(1000)))[0])
        bits = rng.permutation(64)
        at, beyond = flipped(value, bits[:distance]), flipped(value, bits[: distance + 1])
        assert near(np.array([value, at], dtype=np.uint64), distance) == [(0, 1)]
        assert near(np.array([value, beyond], dtype=np.uint64), distance) == []


@pytest.mark.parametrize("distance", [0, 1, 3, 5, 8])
def test_groups_are_those_of_comparing_all_pairs(distance):
    rng = np.random.default_rng(0)
    centres = random_hashes(12)
    hashes = [int(centres[rng.integers(12)]) for _ in range(120)]
    hashes = [flipped(value, rng.permutation(64)[: rng.integers(0, 7)]) for value in hashes]
    hashes = np.array(hashes, dtype=np.uint64)
    assert near(hashes, distance) == by_comparing_all(hashes, distance)


def test_a_chain_is_one_group_though_its_ends_are_far_apart():
    chain = [flipped(0, range(end)) for end in range(0, 64, 3)]
    shuffled = np.random.default_rng(0).permutation(chain).astype(np.uint64)
    assert near(shuffled, 3) == [tuple(range(len(chain)))]
    assert near(shuffled, 2) == []


def test_planted_copies_are_found_among_fifty_thousand():
    hashes = random_hashes(50_000)
    rng = np.random.default_rng(1)
    rows = rng.permutation(50_000)[:200]
    for source, copy in rows.reshape(-1, 2):
        hashes[copy] = flipped(int(hashes[source]), rng.permutation(64)[:3])
    start = time.process_time()
    assert near(hashes, 3) == sorted(tuple(sorted(map(int, pair))) for pair in rows.reshape(-1, 2))
    assert time.process_time() - start < 5


def test_many_equal_hashes_are_one_group():
    hashes = np.full(100_000, 7, dtype=np.uint64)
    assert near(hashes) == [tuple(range(100_000))]


def ones(words):
    return np.unpackbits(words[..., None].view(np.uint8), axis=-1).sum(axis=-1)


@pytest.mark.parametrize("free_bits", [range(18), range(46, 64), range(0, 54, 3)])
def test_bits_that_never_vary_hide_no_pair(free_bits):
    """All hashes agree in most bits, wherever these are."""
    chosen = np.random.default_rng(0).integers(0, 2, (1000, len(free_bits)), dtype=np.uint64)
    hashes = (chosen << np.array(free_bits, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
    group = np.full(1000, -1)
    for number, rows in enumerate(near(hashes, 2)):
        group[list(rows)] = number
    one, other = np.nonzero(np.triu(ones(hashes[:, None] ^ hashes) <= 2, k=1))
    assert len(one) > 100
    assert np.array_equal(group[one], group[other])
    assert set(np.flatnonzero(group >= 0)) == {*one.tolist(), *other.tolist()}


def test_a_ball_of_crowded_hashes_is_bounded_and_never_made_up():
    """Up to six bits from one centre: crowds in every block, and groups that grow through them."""
    bits = np.random.default_rng(0).integers(0, 64, (20_000, 6)).astype(np.uint64)
    hashes = np.bitwise_xor.reduce(np.uint64(1) << bits, axis=1)
    start = time.process_time()
    groups = near(hashes, 3)
    assert time.process_time() - start < 5
    assert sum(map(len, groups)) > 1000
    for group in groups[:50]:  # Every member is near another one.
        members = hashes[list(group)]
        for row in range(min(len(members), 20)):
            assert ones(np.delete(members, row) ^ members[row]).min() <= 3


@pytest.mark.parametrize("distance", [-1, FARTHEST + 1])
def test_a_distance_out_of_range_is_refused(distance):
    with pytest.raises(SettingError, match=f"Received: distance={distance}"):
        near(random_hashes(4), distance)
