"""Attacks keep to their ball and to the range of pixels, exactly, and are optimal where that is known."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.attacks.ball import Ball
from gansmith.attacks.gradient import FGSM, PGD, PGDL2, RFGSM, Attack, Chance, gradient
from gansmith.core.noise import Noise
from gansmith.errors import SettingError

COUNT, SHAPE = 6, (3, 8, 8)
LINF = (FGSM(), RFGSM(), RFGSM(first=1.0), PGD(steps=3), PGD(steps=2, restarts=2), PGD(steps=1, step=1.25))
ALL = (*LINF, Chance(), PGDL2(steps=3), PGDL2(steps=2, restarts=3, step=2.0))
every_attack = pytest.mark.parametrize("attack", ALL, ids=lambda attack: attack.title)


def pictures(seed: int = 0, low: float = -1.0, high: float = 1.0) -> Tensor:
    """Pixels over the whole range, many of them black and white."""
    draws = torch.Generator().manual_seed(seed)
    wide = torch.rand(COUNT, *SHAPE, generator=draws) * 1.6 - 0.3
    return (wide.clamp(0.0, 1.0) * (high - low) + low).clamp(low, high)


def model(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 3)).eval()


def seeds() -> Noise:
    return Noise.of(*range(COUNT))


LABELS = torch.arange(COUNT) % 3


def loss(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, LABELS[: len(logits)], reduction="none")


@every_attack
@pytest.mark.parametrize("epsilon", [1e-9, 1 / 255, 0.3, 1.0])
@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0)])
def test_results_are_in_the_ball_and_in_the_range_exactly(
    attack: Attack, epsilon: float, low: float, high: float
) -> None:
    attack = replace(attack, epsilon=epsilon, low=low, high=high)
    images = pictures(int(epsilon * 1000), low, high)
    before, network = images.clone(), model()
    found = attack(lambda x: network((x - low) / (high - low)), loss, images, seeds())
    change = found.double() - images.double()
    assert torch.equal(images, before) and not found.requires_grad
    assert float(found.min()) >= low and float(found.max()) <= high
    radius = epsilon * (high - low)
    size = change.abs().max() if attack.norm == "linf" else change.flatten(1).norm(dim=1).max()
    assert float(size) <= radius
    if epsilon >= 1 / 255:
        assert float(size) >= 0.9 * min(radius, 0.5 * (high - low)), "and it uses the room it has"


@every_attack
def test_the_loss_rises_and_the_same_seeds_give_the_same(attack: Attack) -> None:
    network, images = model().double(), pictures().double()
    found = attack(network, loss, images, seeds())
    gained = (loss(network(found)) - loss(network(images))).detach()
    assert float(gained.mean()) > 0 or attack in (RFGSM(first=1.0), Chance()), (
        "a random step alone promises nothing"
    )
    assert torch.equal(attack(network, loss, images, seeds()), found)
    one = attack(network, lambda logits: F.cross_entropy(logits, LABELS[2:3], reduction="none"),
                 images[2:3], Noise.of(2))  # fmt: skip
    torch.testing.assert_close(one, found[2:3], rtol=0, atol=1e-5)  # Nothing is shared over a batch.


def test_fgsm_is_the_best_there_is_on_a_linear_model() -> None:
    """L(x) = w.x rises by at most epsilon' |w|_1 in the L-inf ball, and by epsilon' |w|_2 in the L2 ball."""
    weights = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)).double()
    images = torch.zeros(COUNT, *SHAPE, dtype=torch.float64)

    def linear(x: Tensor) -> Tensor:
        return (x * weights).flatten(1).sum(dim=1)

    def itself(answers: Tensor) -> Tensor:
        return answers

    assert torch.equal(gradient(linear, itself, images), weights.expand_as(images))
    best = 2 * 0.1 * weights.abs().sum()  # epsilon' = 0.1 of a range of 2.
    found = FGSM(epsilon=0.1)(linear, itself, images)
    torch.testing.assert_close(linear(found), best.expand(COUNT), rtol=1e-12, atol=0)
    for attack in (PGD(epsilon=0.1, steps=10), PGD(epsilon=0.1, steps=1, step=2.0)):
        torch.testing.assert_close(linear(attack(linear, itself, images, seeds())), best.expand(COUNT))
    lucky = linear(RFGSM(epsilon=0.1)(linear, itself, images, seeds()))
    assert bool((lucky < best).all()), "half of epsilon went where chance would"
    euclid = 2 * 0.1 * weights.norm()
    found = PGDL2(epsilon=0.1, steps=20, step=10.0)(linear, itself, images, seeds())
    torch.testing.assert_close(linear(found), euclid.expand(COUNT), rtol=1e-4, atol=0)


def test_r_fgsm_goes_alpha_at_random_and_the_rest_along_the_gradient() -> None:
    """On a linear model every number moves by alpha +- (epsilon - alpha), the second sign the gradient's."""
    images = torch.zeros(COUNT, *SHAPE)
    found = RFGSM(epsilon=0.2, first=0.25)(lambda x: x.flatten(1).sum(dim=1), lambda a: a, images, seeds())
    levels = found.unique()
    torch.testing.assert_close(levels, torch.tensor([0.2, 0.4]))  # 0.3 - 0.1 and 0.3 + 0.1.
    assert 0.4 < float((found > 0.3).float().mean()) < 0.6


def test_a_random_start_fills_its_ball() -> None:
    images, noise = torch.zeros(400, 1, 2, 2), Noise(torch.arange(400))
    flat = Ball(epsilon=0.25).random(images, noise)
    torch.testing.assert_close(flat.var(), torch.tensor(0.5**2 / 3), rtol=0.1, atol=0)  # Uniform in +-0.5.
    length = Ball(epsilon=0.25, norm="l2").random(images, noise).flatten(1).norm(dim=1)
    torch.testing.assert_close(
        length.mean(), torch.tensor(0.5 * 4 / 5), rtol=0.05, atol=0
    )  # E r = R n/(n+1).


def test_restarts_keep_the_worst_of_each_image_by_what_was_asked() -> None:
    network, images = model(), pictures()
    single = [PGD(epsilon=0.2, steps=1, step=0.1), PGD(epsilon=0.2, steps=1, step=0.1, restarts=8)]
    few, many = (loss(network(a(network, loss, images, seeds()))) for a in single)
    assert bool((many >= few).all()) and bool((many > few).any())
    least = single[1](network, loss, images, seeds(), worst=lambda logits: -loss(logits))
    assert bool((loss(network(least)) < many).all())


@pytest.mark.parametrize("attack", [FGSM, PGD, PGDL2])
@pytest.mark.parametrize("epsilon", [0.0, -1 / 255, float("nan"), float("inf")])
def test_an_epsilon_that_means_nothing_is_refused(attack: Any, epsilon: float) -> None:
    with pytest.raises(SettingError, match="epsilon is above 0"):
        attack(epsilon=epsilon)


def test_other_mistakes_are_told() -> None:
    with pytest.raises(SettingError, match="Did you mean 4/255"):
        FGSM(epsilon=4)
    assert PGDL2(epsilon=4.0).ball.radius == 8.0, "an L2 ball may be larger than one pixel's range"
    with pytest.raises(SettingError, match="steps must be at least 1"):
        PGD(steps=0)
    with pytest.raises(SettingError, match="step is above 0"):
        PGD(step=float("nan"))
    with pytest.raises(SettingError, match="share of epsilon"):
        RFGSM(first=1.5)
    images = pictures()
    with pytest.raises(SettingError, match="answers have none"):
        FGSM()(lambda x: model()(x).detach(), loss, images)
    with pytest.raises(SettingError, match="answers have none"):
        FGSM()(lambda x: torch.zeros(COUNT, 3, requires_grad=True), loss, images)
    with pytest.raises(SettingError, match="nan or infinite"):
        FGSM()(lambda x: (x * 0).flatten(1).sum(dim=1).log(), lambda a: a, images)
    with pytest.raises(SettingError, match=r"Received: -3 to 3"):
        FGSM()(model(), loss, images * 3)
    network = model()
    with torch.inference_mode():  # Wherever it is called from.
        assert FGSM()(network, loss, pictures()).shape == images.shape


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_well_known_library_finds_as_much(norm: str) -> None:
    """torchattacks' FGSM is ours to the last bit but rounding; its PGD succeeds as often."""
    torchattacks = pytest.importorskip("torchattacks", reason="the library to compare with is not installed")
    network, images = model(), pictures(low=0.0)
    labels = network(images).argmax(dim=1)

    def own(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, reduction="none")

    if norm == "linf":
        theirs = torchattacks.FGSM(network, eps=0.05)(images, labels)
        ours = FGSM(epsilon=0.05, low=0.0)(network, own, images)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
        library, attack = (
            torchattacks.PGD(network, 0.1, 0.02, 20),
            PGD(epsilon=0.1, steps=20, step=0.2, low=0.0),
        )
    else:
        library = torchattacks.PGDL2(network, 1.0, 0.2, 20)
        attack = PGDL2(epsilon=1.0, steps=20, step=0.2, low=0.0)
    theirs, ours = library(images, labels), attack(network, own, images, seeds())
    torch.testing.assert_close(own(network(ours)).mean(), own(network(theirs)).mean(), rtol=0.02, atol=0)
    assert float(((network(ours).argmax(1) != labels) ^ (network(theirs).argmax(1) != labels)).sum()) <= 1
