"""Penalties against critics whose gradients are known."""

import pytest
import torch
from helpers import Linear, one_hot, random_images
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.losses.penalties import directional, lipschitz, zero_centred

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
