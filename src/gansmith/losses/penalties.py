"""Regularisers of a critic: plain functions of a critic and images, so any critic fits.

A closure carries what else a critic needs (labels, growth, the other half of a pair). Penalties that
differentiate the critic do so in float32: squares of gradients lose too much in bfloat16.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.tensors import Images, Scalar, Scores, full
from gansmith.errors import SettingError, at_least

_FARTHEST = 1.0  # Half of what lies between black and white.

Critic = Callable[[Tensor], Tensor]
"""Images [batch, channels, height, width] -> scores [batch]."""


def remembered(critic: Critic) -> Critic:
    """The critic, which looks at the same tensor once: a finite difference begins where the game has been.

    Example:
        >>> critic = remembered(critic)
        >>> critic(images) is critic(images)
        True
    """
    seen: dict[int, tuple[Tensor, Tensor]] = {}

    def scores(images: Tensor) -> Tensor:
        if id(images) not in seen:
            seen[id(images)] = images, critic(images)  # The tensor is held, so that its number is its own.
        return seen[id(images)][1]

    return scores


def _gradients(critic: Critic, images: Images) -> Float[Tensor, "batch features"]:
    """Gradient of each score with respect to its own image; part of the graph, for a second backward."""
    with torch.autocast(images.device.type, enabled=False):
        images = full(images.detach()).requires_grad_(True)
        scores = critic(images)
        (gradients,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradients.flatten(1)


def zero_centred(critic: Critic, images: Images) -> Scalar:
    """E[|grad D|^2] / 2: R1 on real images, R2 on generated ones (Mescheder 2018, equations 9 and 10)."""
    return 0.5 * _gradients(critic, images).square().sum(dim=1).mean()


def slope_one(critic: Critic, images: Images) -> Scalar:
    """E[(|grad D| - 1)^2], the norm of each image by itself; DRAGAN and WGAN-GP choose the images."""
    # The small number keeps the derivative of the norm finite where the gradient is 0.
    norms = (_gradients(critic, images).square().sum(dim=1) + 1e-12).sqrt()
    return (norms - 1.0).square().mean()


def lipschitz(critic: Critic, real: Images, fake: Images, share: Float[Tensor, " batch"]) -> Scalar:
    """E[(|grad D| - 1)^2] on lines between real and generated images (Gulrajani 2017, equation 3).

    Args:
        share: where on its line each point lies, in [0, 1]: 1 is the real image.
    """
    share = share.view(-1, 1, 1, 1)
    return slope_one(critic, share * full(real) + (1.0 - share) * full(fake))


def directional(moved: Scores, scores: Scores, distance: float) -> Scalar:
    """E[((D(x + s e) - D(x)) / s)^2] / 2: ``zero_centred`` without a second derivative.

    For a random direction e with E[e e^T] = I (normal numbers, or random signs) the mean of
    (e . grad D)^2 is |grad D|^2, so for a small distance s both agree - for a larger one it is
    the critic's change over that distance that counts - at the price
    of a forward pass instead of a double backward.

    Args:
        moved: D(x + s e).
        scores: D(x) of the same images.
        distance: s, in units of images in [-1, 1].
    """
    return 0.5 * ((full(moved) - full(scores)) / distance).square().mean()


@runtime_checkable
class Penalty(Protocol):
    """A regularizer of a critic as a value; ``--set method.penalty=DRAGAN(weight=5)`` picks one by name.

    Example:
        >>> R1(gamma=10.0)(critic, real, fake, noise)
    """

    def __call__(self, critic: Critic, real: Images, fake: Images, noise: Noise) -> Scalar:
        """What is added to the critic's loss, weight included."""
        ...


@dataclass(frozen=True, kw_only=True)
class NoPenalty:
    """No regularization: the penalty is 0.

    Example:
        >>> NoPenalty()(critic, real, fake, noise)
        tensor(0.)
    """

    def __call__(self, critic: Critic, real: Images, fake: Images, noise: Noise) -> Scalar:
        """0."""
        return real.new_zeros(())


@dataclass(frozen=True, kw_only=True)
class GradientPenalty:
    """WGAN-GP's: slope 1 on lines between real and generated images (Gulrajani 2017, equation 3).

    Example:
        >>> GradientPenalty(weight=10.0)(critic, real, fake, noise)
    """

    weight: float = 10.0  # lambda.

    def __post_init__(self) -> None:
        at_least(self, 0, "weight", prefix="method.penalty.")

    def __call__(self, critic: Critic, real: Images, fake: Images, noise: Noise) -> Scalar:
        """``weight`` x ``lipschitz``."""
        return self.weight * lipschitz(critic, real, fake, noise.fork("penalty").uniform(1).flatten())


@dataclass(frozen=True, kw_only=True)
class DRAGAN:
    """Slope 1 around real images: at x + alpha d, d = c std(x) u (Kodali 2017; the authors' code).

    Alpha is one number an image, u one a pixel, both from U(0, 1). std(x) is one number, over all pixels of
    all real images worked on at a time: of the part, where a batch is cut into micro-batches or shared by
    processes. The authors advise to tune c to the range of the images; 0.5 goes with [-1, 1].

    Example:
        >>> DRAGAN(weight=5.0)(critic, real, fake, noise)
    """

    weight: float = 10.0  # lambda.
    c: float = 0.5

    def __post_init__(self) -> None:
        at_least(self, 0, "weight", "c", prefix="method.penalty.")

    def __call__(self, critic: Critic, real: Images, fake: Images, noise: Noise) -> Scalar:
        """``weight`` x E[(|grad D| - 1)^2]; ``fake`` has no part in it."""
        stream, images = noise.fork("penalty"), full(real)
        alpha = stream.uniform(1).view(-1, 1, 1, 1)
        direction = self.c * images.std() * stream.uniform(*images.shape[1:])
        return self.weight * slope_one(critic, images + alpha * direction)


@dataclass(frozen=True, kw_only=True)
class R1:
    """Slope 0 on real images (Mescheder 2018, equation 9).

    Example:
        >>> R1(gamma=10.0)(critic, real, fake, noise)
    """

    gamma: float = 1.0
    distance: float | None = None  # Of a finite difference, for images in [-1, 1]; None: exactly.

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, critic: Critic, real: Images, fake: Images, noise: Noise) -> Scalar:
        """Gamma / 2 x E[|grad D(x)|^2]."""
        return self.gamma * _slope_zero(critic, real, self.distance, noise.fork("R1"))


@dataclass(frozen=True, kw_only=True)
class R2:
    """Slope 0 on generated images (Mescheder 2018, equation 10).

    Example:
        >>> R2(gamma=10.0)(critic, real, fake, noise)
    """

    gamma: float = 1.0
    distance: float | None = None  # As in R1.

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, critic: Critic, real: Images, fake: Images, noise: Noise) -> Scalar:
        """Gamma / 2 x E[|grad D(G(z))|^2]."""
        return self.gamma * _slope_zero(critic, fake, self.distance, noise.fork("R2"))


@dataclass(frozen=True, kw_only=True)
class R1R2:
    """R1 and R2 with one weight, as R3GAN has them (Huang 2024).

    Example:
        >>> R1R2(gamma=0.1, distance=0.05)(critic, real, fake, noise)
    """

    gamma: float = 1.0
    distance: float | None = None  # As in R1.

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, critic: Critic, real: Images, fake: Images, noise: Noise) -> Scalar:
        """Gamma / 2 x (E[|grad D(x)|^2] + E[|grad D(G(z))|^2])."""
        both = (R1(gamma=self.gamma, distance=self.distance), R2(gamma=self.gamma, distance=self.distance))
        return torch.add(*(penalty(critic, real, fake, noise) for penalty in both))


def _check(penalty: R1 | R2 | R1R2) -> None:
    at_least(penalty, 0, "gamma", prefix="method.penalty.")
    if penalty.distance is None:
        return
    at_least(penalty, 1e-4, "distance", prefix="method.penalty.")  # Below, scores differ by rounding.
    if penalty.distance > _FARTHEST:
        raise SettingError(
            f"method.penalty.distance is a small step of images in [-1, 1], at most {_FARTHEST:g}: farther "
            f"off, a difference says nothing of the slope. Received: distance={penalty.distance}. Try 0.05."
        )


def _slope_zero(critic: Critic, images: Images, distance: float | None, noise: Noise) -> Scalar:
    """``zero_centred``, or ``directional`` along random signs: dearer to score, cheaper to differentiate."""
    if distance is None:
        return zero_centred(critic, images)
    moved = images + distance * noise.signs(*images.shape[1:])
    return directional(critic(moved), critic(images), distance)
