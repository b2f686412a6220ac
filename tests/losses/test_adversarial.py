"""Adversarial losses against their closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F

from gansmith.errors import SettingError
from gansmith.losses.adversarial import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Logistic,
    Minimax,
    Relativistic,
    Wasserstein,
    accuracy,
    judged,
    relativistic,
)

LOG2 = math.log(2.0)
ALL = [Logistic(), Logistic(real=0.9, fake=0.1), Minimax(), LeastSquares(), Hinge(), Wasserstein()]
REAL, FAKE = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([-3.0, 0.25, 1.5])


@pytest.mark.parametrize(
    ("loss", "discriminator", "generator"),
    [
        (Logistic(), 2 * LOG2, LOG2),
        (Logistic(real=0.9, fake=0.1), 2 * LOG2, LOG2),
        (Minimax(), 2 * LOG2, -LOG2),
        (LeastSquares(), 0.5, 0.5),
        (Hinge(), 2.0, 0.0),
        (Wasserstein(), 0.0, 0.0),
    ],
)
def test_an_undecided_judge_costs_the_closed_form(loss: AdversarialLoss, discriminator, generator) -> None:
    undecided = torch.zeros(5)
    assert float(loss.discriminator(undecided, undecided)) == pytest.approx(discriminator, abs=1e-6)
    assert float(loss.generator(undecided)) == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize(("real", "fake"), [(1.0, 0.0), (0.9, 0.0), (0.9, 0.1), (0.7, 0.3)])
def test_label_smoothing_is_cross_entropy_with_soft_targets(real: float, fake: float) -> None:
    generator = torch.Generator().manual_seed(0)
    on_real, on_fake = 5 * torch.randn(2, 64, generator=generator)
    soft = F.binary_cross_entropy_with_logits
    expected = soft(on_real, torch.full_like(on_real, real)) + soft(on_fake, torch.full_like(on_fake, fake))
    assert float(Logistic(real, fake).discriminator(on_real, on_fake)) == pytest.approx(
        float(expected), abs=1e-6
    )
    assert float(Logistic(real, fake).generator(on_fake)) == pytest.approx(
        float(soft(on_fake, torch.ones_like(on_fake))), abs=1e-6
    )


@pytest.mark.parametrize(
    ("real", "fake"), [(1.9, 0.0), (0.2, 0.8), (0.5, 0.5), (1.0, -0.1), (float("nan"), 0.0)]
)
def test_labels_are_probabilities_and_the_right_way_round(real: float, fake: float) -> None:
    """A label of 1.9 has a loss that falls for ever: -0.9 s for a score s that grows."""
    with pytest.raises(SettingError, match=r"in \[0, 1\], and real above fake\. Received: .*Try Logistic"):
        Logistic(real, fake)


def test_the_best_score_under_smoothing_is_the_logit_of_the_label() -> None:
    score = torch.full((1,), math.log(0.9 / 0.1), requires_grad=True)
    Logistic(real=0.9).discriminator(score, torch.zeros(1)).backward()
    assert score.grad.item() == pytest.approx(0.0, abs=1e-6)


def test_against_a_sure_judge_only_the_saturating_gradient_vanishes() -> None:
    gradients = {}
    for loss in (Minimax(), Logistic()):
        score = torch.tensor([-30.0], requires_grad=True)
        loss.generator(score).backward()
        gradients[type(loss)] = score.grad.item()
    assert gradients[Minimax] == pytest.approx(0.0, abs=1e-12)
    assert gradients[Logistic] == pytest.approx(-1.0)


def test_saturating_and_not_share_the_discriminators_loss_and_the_generators_direction() -> None:
    assert Minimax().discriminator(REAL, FAKE) == pytest.approx(Logistic().discriminator(REAL, FAKE))
    for loss in (Minimax(), Logistic()):
        score = torch.zeros(1, requires_grad=True)
        loss.generator(score).backward()
        assert score.grad.item() == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("loss", "discriminator", "generator"),
    [
        (LeastSquares(), (1 + 4 + 0.25) / 6 + (9 + 0.0625 + 2.25) / 6, (16 + 0.5625 + 0.25) / 6),
        (Hinge(), (0 + 2 + 0.5) / 3 + (0 + 1.25 + 2.5) / 3, 1.25 / 3),
        (Wasserstein(), -1.25 / 3 - 1.5 / 3, 1.25 / 3),
    ],
)
def test_known_scores_give_the_papers_equations(loss: AdversarialLoss, discriminator, generator) -> None:
    assert float(loss.discriminator(REAL, FAKE)) == pytest.approx(discriminator, rel=1e-6)
    assert float(loss.generator(FAKE)) == pytest.approx(generator, rel=1e-6)


@pytest.mark.parametrize("loss", ALL, ids=repr)
def test_everyone_gains_by_moving_a_wrong_score_to_the_right_side(loss: AdversarialLoss) -> None:
    wrong, right = torch.full((4,), -0.9), torch.full((4,), 0.9)
    assert loss.discriminator(right, wrong) < loss.discriminator(wrong, right)
    assert loss.generator(right) < loss.generator(wrong)


@pytest.mark.parametrize("loss", ALL, ids=repr)
def test_extreme_scores_stay_finite(loss: AdversarialLoss) -> None:
    low, high = torch.full((2,), -1e4), torch.full((2,), 1e4)
    for real, fake in ((low, high), (high, low)):
        assert loss.discriminator(real, fake).isfinite()
        assert loss.generator(fake).isfinite()


@pytest.mark.parametrize("loss", ALL, ids=repr)
def test_every_choice_keeps_the_protocol(loss: AdversarialLoss) -> None:
    assert isinstance(loss, AdversarialLoss)


def test_equal_scores_in_a_pair_cost_log_2() -> None:
    assert float(relativistic(REAL, REAL)) == pytest.approx(LOG2)


def test_swapping_a_pair_changes_the_cost_by_the_margin() -> None:
    # softplus(d) - softplus(-d) = d.
    swapped = relativistic(REAL, FAKE) - relativistic(FAKE, REAL)
    assert float(swapped) == pytest.approx(float((FAKE - REAL).mean()), rel=1e-5)


def test_only_the_difference_of_a_pair_counts() -> None:
    assert float(relativistic(REAL + 7.0, FAKE + 7.0)) == pytest.approx(
        float(relativistic(REAL, FAKE)), rel=1e-5
    )
    assert float(relativistic(REAL - FAKE, torch.zeros(3))) == pytest.approx(float(relativistic(REAL, FAKE)))


def test_pairs_are_by_index() -> None:
    expected = sum(math.log1p(math.exp(f - r)) for r, f in zip(REAL.tolist(), FAKE.tolist(), strict=True)) / 3
    assert float(relativistic(REAL, FAKE)) == pytest.approx(expected, rel=1e-6)
    assert float(relativistic(REAL, FAKE.flip(0))) != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("scores", "on_real", "on_fake"),
    [([1.0, 2.0, -3.0, 4.0], 0.75, 0.25), ([0.0, 0.0], 0.0, 1.0), ([-1.0], 0.0, 1.0), ([5.0], 1.0, 0.0)],
)
def test_accuracy_is_the_share_on_the_right_side(scores: list[float], on_real: float, on_fake: float) -> None:
    assert float(accuracy(torch.tensor(scores), real=True)) == on_real
    assert float(accuracy(torch.tensor(scores), real=False)) == on_fake


@pytest.mark.parametrize(("loss", "boundary"), [(LeastSquares(), 0.5), (Hinge(), 0.0), (Logistic(), 0.0)])
def test_real_and_generated_are_parted_where_the_loss_parts_them(loss, boundary: float) -> None:
    real, fake = torch.tensor([boundary + 0.1, boundary - 0.1]), torch.tensor([boundary - 0.2] * 2)
    assert float(accuracy(real, real=True, loss=loss)) == 0.5
    assert float(accuracy(fake, real=False, loss=loss)) == 1.0
    above, below = judged(loss, real, fake)
    torch.testing.assert_close(above, torch.tensor([0.1, -0.1]))
    torch.testing.assert_close(below, torch.tensor([-0.2, -0.2]))


def test_of_a_relativistic_loss_only_differences_count() -> None:
    for shift in (0.0, 7.0):
        above, below = judged(
            Relativistic(), torch.tensor([2.0, 4.0]) + shift, torch.tensor([0.0, 2.0]) + shift
        )
        assert above.tolist() == [1.0, 3.0] and below.tolist() == [-3.0, -1.0]
