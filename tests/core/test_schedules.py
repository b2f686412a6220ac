"""Schedules: their values at the ends, the middle and beyond."""

import math

import pytest

from gansmith.core.progress import Progress
from gansmith.core.schedules import Constant, Cosine, Linear, Schedule, Step
from gansmith.errors import SettingError


def at(fraction: float) -> Progress:
    return Progress(images=round(1000 * fraction), total_images=1000, batch=10, data_images=100)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Constant(), (1.0, 1.0, 1.0, 1.0, 1.0)),
        (Linear(), (1.0, 0.75, 0.5, 0.0, 0.0)),
        (Linear(end=0.2), (1.0, 0.8, 0.6, 0.2, 0.2)),
        (Linear(end=0.0, start=0.5), (1.0, 1.0, 1.0, 0.0, 0.0)),
        (Linear(end=3.0), (1.0, 1.5, 2.0, 3.0, 3.0)),
        (Cosine(), (1.0, 0.5 + math.sqrt(0.125), 0.5, 0.0, 0.0)),
        (Cosine(start=0.0, end=2.0), (0.0, 1.0 - math.sqrt(0.5), 1.0, 2.0, 2.0)),
        (Cosine(end=0.2, until=0.5), (1.0, 0.6, 0.2, 0.2, 0.2)),
        (Cosine(end=0.2), (1.0, 0.2 + 0.8 * (0.5 + math.sqrt(0.125)), 0.6, 0.2, 0.2)),
    ],
)
def test_values_at_the_start_quarter_middle_end_and_beyond(schedule: Schedule, values) -> None:
    got = [schedule(at(fraction)) for fraction in (0.0, 0.25, 0.5, 1.0, 1.7)]
    assert got == pytest.approx(values, abs=1e-12)


def test_a_linear_schedule_is_flat_until_its_start_and_straight_after_it() -> None:
    schedule = Linear(end=0.0, start=0.6)
    assert [schedule(at(f)) for f in (0.0, 0.59, 0.6)] == [1.0, 1.0, 1.0]
    assert schedule(at(0.8)) == pytest.approx(0.5)
    assert schedule(at(0.9)) == pytest.approx(0.25)


def test_a_linear_schedule_that_starts_at_the_end_never_leaves_1() -> None:
    assert [Linear(start=1.0)(at(f)) for f in (0.0, 0.999, 1.0, 2.0)] == [1.0] * 4


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0, 1.0), (1.99, 1.0), (2, 0.1), (3.99, 0.1), (4, 0.01), (11, 1e-5)]
)
def test_steps_count_passes_over_the_pictures(epoch: float, factor: float) -> None:
    progress = Progress(images=round(100 * epoch), total_images=10_000, data_images=100)
    assert Step(epochs=2.0, factor=0.1)(progress) == pytest.approx(factor)


def test_steps_do_not_depend_on_the_length_of_the_run() -> None:
    short, long = (Progress(images=500, total_images=total, data_images=100) for total in (600, 60_000))
    assert Step(epochs=2.0)(short) == Step(epochs=2.0)(long) == 0.25


def test_a_cosine_that_is_over_before_it_begins_is_refused() -> None:
    with pytest.raises(SettingError, match=r"fraction of the run.*Received: until=0"):
        Cosine(until=0.0)


def test_steps_of_no_length_are_refused() -> None:
    with pytest.raises(SettingError, match=r"epochs must be positive\. Received: epochs=0"):
        Step(epochs=0.0)
