"""Counting modes: hand-made predictions, known divergences, and predictions that are none."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gansmith.errors import DataError, SettingError
from gansmith.metrics.scores.mode_count import modes, stacked


def test_every_mode_evenly_is_perfect() -> None:
    found = modes(torch.arange(1000).repeat(26))
    assert found["modes"].value == 1000
    assert found["modes"].low == found["modes"].high == 1000
    assert found["modes"].note == ""
    assert found["modes_kl"].value == pytest.approx(0, abs=1e-12)
    assert found["modes_kl"].low == 0


@pytest.mark.parametrize("found", [1, 10, 500])
def test_an_even_part_of_the_modes_has_a_known_divergence(found: int) -> None:
    result = modes(torch.arange(found).repeat(50), classes=1000)
    assert result["modes"].value == found
    assert result["modes_kl"].value == pytest.approx(math.log(1000 / found))


def test_uneven_shares_against_a_reference() -> None:
    predictions = np.repeat([0, 1, 2], [5, 3, 2])
    result = modes(predictions, classes=4, reference=torch.tensor([50, 25, 20, 5]))
    expected = 0.5 * math.log(0.5 / 0.5) + 0.3 * math.log(0.3 / 0.25) + 0.2 * math.log(0.2 / 0.2)
    assert result["modes_kl"].value == pytest.approx(expected)
    assert result["modes"].value == 3


def test_classes_without_real_pictures_cannot_be_missed() -> None:
    result = modes(torch.arange(3).repeat(100), classes=4, reference=torch.tensor([1, 1, 1, 0]))
    assert result["modes"].value == result["modes"].high == 3
    assert result["modes"].note == ""
    assert result["modes_kl"].value == pytest.approx(0, abs=1e-12)


def test_modes_met_once_make_the_number_unsure() -> None:
    result = modes(torch.cat([torch.arange(100).repeat(20), torch.arange(100, 104)]), classes=200)["modes"]
    assert (result.value, result.low, result.high) == (
        104,
        pytest.approx(100.08, abs=0.01),
        pytest.approx(107.92, abs=0.01),
    )


def test_too_few_pictures_are_told_with_what_a_perfect_generator_would_miss() -> None:
    note = modes(torch.arange(50).repeat(2), classes=50)["modes"].note
    assert note == f"A perfect generator would miss about {50 * 0.98**100:.3g} modes with 100 pictures."
    assert "come from having 100 pictures" in modes(torch.arange(50).repeat(2), classes=50)["modes_kl"].note


def test_the_intervals_are_not_narrower_than_the_spread_over_draws() -> None:
    shares = torch.linspace(1, 3, 50)
    generator = torch.Generator().manual_seed(0)
    found = [
        modes(torch.multinomial(shares, 2000, replacement=True, generator=generator), classes=50)
        for _ in range(60)
    ]
    spread = np.std([each["modes_kl"].value for each in found])
    told = np.mean([(each["modes_kl"].high - each["modes_kl"].low) / (2 * 1.96) for each in found])
    assert spread * 0.8 < told < spread * 1.6


def test_digits_of_three_channels_are_one_class() -> None:
    digits = torch.tensor([[0, 0, 0], [1, 2, 3], [9, 9, 9]])
    assert stacked(digits).tolist() == [0, 123, 999]
    assert stacked(digits.byte()).tolist() == [0, 123, 999]
    assert modes(stacked(digits))["modes"].value == 3


@pytest.mark.parametrize(
    ("digits", "message"),
    [
        (torch.tensor([[1, 2, 10]]), "from 1 to 10"),
        (torch.tensor([[1, -1, 3]]), "from -1 to 3"),
        (torch.tensor([[1, 2]]), r"shape \[1, 2\]"),
        (torch.tensor([[1.0, 2.0, 3.0]]), "float32"),
    ],
)
def test_what_is_no_digit_is_refused(digits: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        stacked(digits)


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (torch.tensor([5]), r"from 0 to 4. Received: shape \[1\], from 5 to 5"),
        (torch.tensor([-1, 2]), "from -1 to 2"),
        (torch.zeros(0, dtype=torch.int64), "Received: 0"),
        (torch.zeros(3, 5), "greatest logit"),
        (np.zeros(3), "float64"),
        (torch.zeros(3, 5, dtype=torch.int64), r"shape \[3, 5\]"),
        (torch.tensor([True]), "bool"),
    ],
)
def test_predictions_that_are_no_classes_are_refused(predictions: Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        modes(predictions, classes=5)


def test_bad_references_are_refused() -> None:
    predictions = torch.tensor([0, 1, 1])
    with pytest.raises(DataError, match=r"shape \[2\]"):
        modes(predictions, classes=3, reference=torch.ones(2))
    for bad in (torch.zeros(3), torch.tensor([1.0, -1.0, 3.0]), torch.tensor([1.0, math.nan, 1.0])):
        with pytest.raises(DataError, match="number of real pictures"):
            modes(predictions, classes=3, reference=bad)
    with pytest.raises(DataError, match="of 1 classes without real ones, such as class 1"):
        modes(predictions, classes=3, reference=torch.tensor([1, 0, 1]))
    with pytest.raises(SettingError, match="classes=1"):
        modes(predictions, classes=1)
