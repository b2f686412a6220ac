"""Spread and overfitting against closed forms."""

import math

import pytest
import torch
from helpers import random_images

from gansmith.training.health.statistics import SIDE, overfitting, spread, spread_ratio


def flat(*levels: float, size: int = 4, channels: int = 3) -> torch.Tensor:
    """Pictures of one level each."""
    return torch.tensor(levels)[:, None, None, None].expand(-1, channels, size, size).contiguous()


def test_two_flat_pictures_are_as_far_apart_as_their_levels() -> None:
    assert spread(flat(-0.25, 0.5)) == pytest.approx(0.75)


def test_spread_is_the_mean_over_all_pairs() -> None:
    assert spread(flat(0.0, 0.25, 1.0)) == pytest.approx((0.25 + 1.0 + 0.75) / 3)


def test_distance_is_a_root_mean_square() -> None:
    pictures = torch.zeros(2, 1, 2, 2)
    pictures[1, 0, 0, 0] = 1.0
    assert spread(pictures) == pytest.approx(0.5)  # sqrt(1 / 4)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_equal_pictures_have_a_spread_of_exactly_0(count: int) -> None:
    assert spread(random_images(1).expand(count, -1, -1, -1).contiguous()) == 0.0


def test_large_pictures_are_averaged_over_areas_first() -> None:
    fine = torch.zeros(2, 1, 2 * SIDE, 2 * SIDE)
    fine[1, :, ::2, ::2] = 1.0  # A quarter of each area.
    assert spread(fine) == pytest.approx(0.25)
    assert spread(flat(-1.0, 1.0, size=40)) == pytest.approx(2.0)


def test_oblong_pictures_keep_their_short_side() -> None:
    pictures = torch.zeros(2, 1, 2, 4 * SIDE)
    pictures[1, :, 0] = 1.0
    assert spread(pictures) == pytest.approx(math.sqrt(0.5))


def test_half_precision_is_measured_in_single() -> None:
    pictures = random_images(6).bfloat16()
    assert spread(pictures) == spread(pictures.float())


def test_the_ratio_is_1_for_equals_and_follows_contrast() -> None:
    real = random_images(12)
    assert spread_ratio(real, real) == 1.0
    assert spread_ratio(0.25 * real, real) == pytest.approx(0.25)
    assert spread_ratio(real[:1].expand(5, -1, -1, -1), real) == 0.0  # Of other numbers, too.


def test_there_is_no_ratio_to_pictures_without_spread() -> None:
    assert spread_ratio(random_images(4), flat(0.5, 0.5, size=16)) is None
    assert spread_ratio(random_images(4), random_images(1)) is None


# ---- overfitting ----------------------------------------------------------------------------------------

TRAINING, MADE = torch.tensor([3.9, 4.0, 4.1]), torch.tensor([-0.1, 0.0, 0.1])


@pytest.mark.parametrize(("held_out", "share"), [(4.0, 0.0), (3.0, 0.25), (0.0, 1.0), (5.0, -0.25)])
def test_overfitting_is_the_way_from_training_to_made(held_out: float, share: float) -> None:
    found = overfitting(TRAINING, torch.full((2,), held_out), MADE)
    assert found == pytest.approx(share, abs=1e-6)


def test_overfitting_does_not_hang_on_scale_or_offset() -> None:
    held_out = torch.tensor([2.0, 3.0])
    expected = overfitting(TRAINING, held_out, MADE)
    assert expected == pytest.approx(0.375)
    moved = (1e-3 * scores - 7.0 for scores in (TRAINING.double(), held_out.double(), MADE.double()))
    assert overfitting(*moved) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("held_out", "share"), [(-50.0, 1.0), (50.0, -1.0)])
def test_overfitting_is_bounded(held_out: float, share: float) -> None:
    assert overfitting(TRAINING, torch.full((2,), held_out), MADE) == share


def test_no_quotient_of_noise() -> None:
    """The difference must be more than three standard errors of the two means: sqrt(0.01 / 3 * 2) here."""
    error = math.sqrt(2 * 0.01 / 3)
    held_out = torch.zeros(3)
    assert overfitting(MADE + 2.9 * error, held_out, MADE) is None
    assert overfitting(MADE + 3.1 * error, held_out, MADE) == pytest.approx(1.0, abs=1e-6)


def test_nothing_is_said_of_a_critic_that_prefers_made_pictures() -> None:
    assert overfitting(MADE, TRAINING, TRAINING) is None
    assert overfitting(torch.zeros(4), torch.zeros(4), torch.zeros(4)) is None


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("bad", [torch.zeros(0), torch.zeros(1), torch.tensor([0.0, math.nan, math.inf])])
def test_too_few_scores_and_no_numbers_give_nothing(place: int, bad: torch.Tensor) -> None:
    kinds = [TRAINING, torch.full((2,), 3.0), MADE]
    kinds[place] = bad
    assert overfitting(*kinds) is None
