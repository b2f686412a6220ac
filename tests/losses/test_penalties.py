"""Penalties against critics whose gradients are known."""

import pytest
import torch
from helpers import Linear, one_hot, random_images
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.errors import SettingError
from gansmith.losses.penalties import (
    DRAGAN,
    R1,
    R1R2,
    R2,
    GradientPenalty,
    NoPenalty,
    Penalty,
    directional,
    lipschitz,
    zero_centred,
)

WEIGHT = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1)) * 0.3
NORM = WEIGHT.norm().item()
SHARES = [torch.zeros(5), torch.ones(5), torch.full((5,), 0.5), torch.linspace(0, 1, 5)]


def value(scalar: Tensor) -> float:
    return scalar.item()


def images(seed: int = 0, count: int = 5) -> Tensor:
    return random_images(count, size=4, seed=seed)


def half_square(pictures: Tensor) -> Tensor:
    """A critic whose gradient is the picture."""
    return 0.5 * pictures.square().flatten(1).sum(dim=1)


@pytest.mark.parametrize("bias", [0.0, -3.0])
def test_a_linear_critic_costs_half_its_squared_slope(bias: float) -> None:
    assert value(zero_centred(Linear(WEIGHT, bias), images())) == pytest.approx(NORM**2 / 2, rel=1e-5)


@pytest.mark.parametrize("share", SHARES)
def test_a_linear_critic_costs_its_distance_from_slope_1_wherever_it_is_asked(share: Tensor) -> None:
    got = lipschitz(Linear(WEIGHT, 2.0), images(0), images(1), share)
    assert value(got) == pytest.approx((NORM - 1) ** 2, rel=1e-4)


def test_a_critic_of_slope_1_costs_nothing() -> None:
    assert value(lipschitz(Linear(WEIGHT / NORM), images(0), images(1), SHARES[3])) == pytest.approx(
        0.0, abs=1e-9
    )


def test_a_quadratic_critic_costs_the_squared_length_of_the_pictures() -> None:
    expected = images().flatten(1).square().sum(dim=1).mean() / 2
    assert value(zero_centred(half_square, images())) == pytest.approx(value(expected), rel=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_says_where_on_the_line_the_slope_is_taken(share: float) -> None:
    real, fake = images(0), images(1)
    between = share * real + (1 - share) * fake
    expected = (between.flatten(1).norm(dim=1) - 1).square().mean()
    got = lipschitz(half_square, real, fake, torch.full((5,), share))
    assert value(got) == pytest.approx(value(expected), rel=1e-5)


def test_each_picture_has_its_own_share() -> None:
    real, fake, share = images(0, 2), images(1, 2), torch.tensor([1.0, 0.0])
    expected = (torch.stack([real[0].norm(), fake[1].norm()]) - 1).square().mean()
    assert value(lipschitz(half_square, real, fake, share)) == pytest.approx(value(expected), rel=1e-5)


def test_the_penalties_can_be_minimized_by_the_critics_weights() -> None:
    critic = Linear(WEIGHT.clone())
    lipschitz(critic, images(0), images(1), SHARES[2]).backward()
    assert torch.allclose(critic.weight.grad, 2 * (NORM - 1) * WEIGHT / NORM, rtol=1e-4, atol=1e-6)
    critic.weight.grad = None
    zero_centred(critic, images()).backward()
    assert torch.allclose(critic.weight.grad, WEIGHT, rtol=1e-5, atol=1e-7)


def test_the_pictures_themselves_get_no_gradient() -> None:
    pictures = images().requires_grad_(True)
    critic = Linear(WEIGHT.clone())
    (zero_centred(critic, pictures) + lipschitz(critic, pictures, images(1), SHARES[3])).backward()
    assert pictures.grad is None
    assert critic.weight.grad.abs().sum() > 0


def test_where_the_slope_is_0_value_and_gradient_stay_finite() -> None:
    critic = Linear(torch.zeros(3, 4, 4))
    penalty = lipschitz(critic, images(0), images(1), SHARES[3])
    penalty.backward()
    assert value(penalty) == pytest.approx(1.0, abs=1e-5)
    assert critic.weight.grad.isfinite().all()


@pytest.mark.parametrize("weight", [0.5, -2.0])
def test_for_a_single_weight_any_signs_give_the_exact_penalty(weight: float) -> None:
    critic, pictures = Linear(one_hot(weight, size=4)), images()
    moved = pictures + 0.25 * Noise(torch.arange(5)).signs(3, 4, 4)
    assert value(directional(critic(moved), critic(pictures), 0.25)) == pytest.approx(weight**2 / 2, rel=1e-4)


@pytest.mark.parametrize("kind", ["signs", "normal"])
def test_random_directions_agree_with_the_gradient_penalty_in_the_mean(kind: str) -> None:
    critic, count = Linear(WEIGHT), 4000
    pictures = images(count=1).expand(count, 3, 4, 4)
    directions = getattr(Noise(torch.arange(count)), kind)(3, 4, 4)
    scores, moved = critic(pictures), critic(pictures + 0.5 * directions)
    estimate = value(directional(moved, scores, 0.5))
    spread = value((((moved - scores) / 0.5).square() / 2).std()) / count**0.5
    assert spread < 0.1 * NORM**2
    assert estimate == pytest.approx(value(zero_centred(critic, pictures[:2])), abs=5 * spread)


def test_a_finite_difference_is_even_in_its_direction() -> None:
    critic, pictures, step = Linear(WEIGHT), images(), images(2)
    there, back = (directional(critic(pictures + sign * step), critic(pictures), 1.0) for sign in (1, -1))
    assert value(there) == pytest.approx(value(back), rel=1e-4)


def test_penalties_are_float32_where_the_rest_is_bfloat16() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(16, 1))
    formats: list[torch.dtype] = []

    def critic(pictures: Tensor) -> Tensor:
        scores = network(pictures)[:, 0]
        formats.append(scores.dtype)
        return scores

    pictures = images().requires_grad_(True)
    (gradients,) = torch.autograd.grad(critic(pictures).sum(), pictures)
    slopes = gradients.flatten(1).norm(dim=1)
    with torch.autocast("cpu", torch.bfloat16):
        difference = directional(critic(images(0)), critic(images(1)), 0.5)
        assert formats.pop() == formats.pop() == torch.bfloat16
        centred = zero_centred(critic, images())
        held = lipschitz(critic, images(), images(1), torch.ones(5))
    assert set(formats) == {torch.float32}
    assert difference.dtype == centred.dtype == held.dtype == torch.float32
    assert value(centred) == pytest.approx(slopes.square().mean().item() / 2, rel=1e-5)
    assert value(held) == pytest.approx((slopes - 1).square().mean().item(), rel=1e-5)


def noise(count: int = 5) -> Noise:
    return Noise(torch.arange(count))


def paid(penalty: Penalty, critic, real: Tensor, fake: Tensor) -> float:
    return value(penalty(critic, real, fake, noise(len(real))))


SLOPE_ONE = [GradientPenalty(weight=3.0), DRAGAN(weight=3.0)]
SLOPE_ZERO = [R1(gamma=3.0), R2(gamma=3.0), R1R2(gamma=1.5)]


@pytest.mark.parametrize("penalty", SLOPE_ONE, ids=str)
def test_a_linear_critic_pays_lambda_times_its_distance_from_slope_1(penalty: Penalty) -> None:
    got = paid(penalty, Linear(WEIGHT, 2.0), images(0), images(1))
    assert got == pytest.approx(3.0 * (NORM - 1) ** 2, rel=1e-4)


@pytest.mark.parametrize("penalty", SLOPE_ZERO, ids=str)
def test_a_linear_critic_pays_half_gamma_times_its_squared_slope(penalty: Penalty) -> None:
    got = paid(penalty, Linear(WEIGHT, 2.0), images(0), images(1))
    assert got == pytest.approx(1.5 * NORM**2, rel=1e-4)


@pytest.mark.parametrize(
    "penalty",
    [R1(gamma=3.0, distance=0.1), R2(gamma=3.0, distance=0.1), R1R2(gamma=1.5, distance=0.1)],
    ids=str,
)
def test_finite_differences_are_exact_for_a_critic_of_one_pixel(penalty: Penalty) -> None:
    critic = Linear(one_hot(2.0, size=4))
    assert paid(penalty, critic, images(0), images(1)) == pytest.approx(6.0, rel=1e-3)


@pytest.mark.parametrize(
    ("penalty", "of_real", "of_fake"), [(R1(gamma=2.0), 1, 0), (R2(gamma=2.0), 0, 1), (R1R2(gamma=2.0), 1, 1)]
)
def test_r1_is_of_real_images_and_r2_of_fakes(penalty: Penalty, of_real: int, of_fake: int) -> None:
    real, fake = images(0), images(1) * 0.3
    lengths = [batch.flatten(1).square().sum(dim=1).mean() for batch in (real, fake)]
    expected = of_real * lengths[0] + of_fake * lengths[1]
    assert paid(penalty, half_square, real, fake) == pytest.approx(value(expected), rel=1e-5)


def test_no_penalty_costs_nothing() -> None:
    assert paid(NoPenalty(), half_square, images(0), images(1)) == 0.0


def dragan_by_hand(real: Tensor, c: float, weight: float) -> float:
    """For the critic whose gradient is the image: alpha and u in the order they are drawn in."""
    stream = noise(len(real)).fork("penalty")
    alpha, u = stream.uniform(1)[:, :, None, None], stream.uniform(*real.shape[1:])
    perturbed = real + alpha * c * real.std() * u
    return value(weight * torch.stack([(each.norm() - 1).square() for each in perturbed]).mean())


@pytest.mark.parametrize(("c", "weight"), [(0.5, 10.0), (0.5, 1.0), (2.0, 10.0)])
def test_dragan_asks_for_each_images_own_slope_near_it(c: float, weight: float) -> None:
    real = images(0) * torch.tensor([0.1, 0.5, 1.0, 2.0, 4.0]).view(5, 1, 1, 1)  # Norms far apart.
    got = paid(DRAGAN(c=c, weight=weight), half_square, real, images(1))
    assert got == pytest.approx(dragan_by_hand(real, c, weight), rel=1e-5)


def test_dragan_moves_each_pixel_up_by_at_most_c_standard_deviations_of_the_batch() -> None:
    seen: list[Tensor] = []

    def critic(pictures: Tensor) -> Tensor:
        seen.append(pictures.detach())
        return half_square(pictures)

    real = images(0, 200)
    penalty = DRAGAN()
    assert (penalty.weight, penalty.c) == (10.0, 0.5)
    penalty(critic, real, images(1, 200), noise(200))
    moved = (seen[0] - real) / (0.5 * real.std())
    assert 0.0 < moved.min() and moved.max() < 1.0
    assert moved.mean().item() == pytest.approx(0.25, abs=0.03)  # Two numbers of mean 1/2, multiplied.
    tops = moved.flatten(1).max(dim=1).values  # The largest u is near 1, so this is alpha: one an image.
    assert tops.std().item() == pytest.approx(1 / 12**0.5, abs=0.05)
    assert moved.flatten(1).std(dim=1).min() > 0.0


def test_dragan_looks_at_no_fake() -> None:
    got = {paid(DRAGAN(), half_square, images(0), fake) for fake in (images(1), images(2) * 9.0)}
    assert len(got) == 1


@pytest.mark.parametrize(
    "penalty", [*SLOPE_ONE, *SLOPE_ZERO, R1(distance=0.1), R2(distance=0.1), R1R2(distance=0.1)], ids=str
)
def test_a_penalty_is_a_function_of_its_noise_and_can_be_minimized(penalty: Penalty) -> None:
    state = torch.get_rng_state()
    torch.manual_seed(1)
    first = paid(penalty, half_square, images(0), images(1))
    torch.manual_seed(2)
    mine = torch.get_rng_state()
    assert paid(penalty, half_square, images(0), images(1)) == first
    assert torch.equal(torch.get_rng_state(), mine), "torch's global generator is left alone"
    torch.set_rng_state(state)
    critic = Linear(WEIGHT.clone())
    penalty(critic, images(0), images(1), noise()).backward()
    assert critic.weight.grad.abs().sum() > 0
    assert isinstance(penalty, Penalty)


@pytest.mark.parametrize("penalty", [*SLOPE_ONE, *SLOPE_ZERO], ids=str)
def test_values_are_float32_where_the_rest_is_bfloat16(penalty: Penalty) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(16, 1))
    formats: list[torch.dtype] = []

    def critic(pictures: Tensor) -> Tensor:
        scores = network(pictures)[:, 0]
        formats.append(scores.dtype)
        return scores

    plain = paid(penalty, critic, images(0), images(1))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = paid(penalty, critic, images(0), images(1))
    assert set(formats) == {torch.float32}
    assert mixed == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DRAGAN(weight=-1.0), "method.penalty.weight must be at least 0"),
        (lambda: DRAGAN(c=-1.0), "method.penalty.c must be at least 0"),
        (lambda: GradientPenalty(weight=-1.0), "method.penalty.weight must be at least 0"),
        (lambda: R1(gamma=-1.0), "method.penalty.gamma must be at least 0"),
        (lambda: R1R2(distance=0.0), "method.penalty.distance must be at least 0.0001"),
        (lambda: R2(distance=3.0), "at most 1: farther off, a difference says nothing"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message: str) -> None:
    with pytest.raises(SettingError, match=message.replace(".", r"\.")):
        make()
