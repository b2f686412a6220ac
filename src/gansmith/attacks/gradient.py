"""Attacks that follow the gradient: FGSM, R-FGSM and PGD, on any callable and its loss.

An attack is a frozen value. What it is given is a ``model``, any differentiable callable of images, and a
``loss`` of what the model says, one number an image, which is raised. It knows nothing of labels: an attack
that aims at a class is one whose loss is low there.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from gansmith.attacks.ball import Ball, Norm, checked, lengths
from gansmith.core.noise import Noise
from gansmith.core.tensors import Images
from gansmith.errors import SettingError, at_least

Model = Callable[[Images], Any]
"""Images to answers of any form, differentiable by the images."""

ImageLoss = Callable[[Any], Float[Tensor, " batch"]]
"""Answers to one number an image, which an attack raises."""


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """What every attack has: how far it may go, and the range of pixels.

    Args:
        epsilon: the radius of the ball, in units of the range of pixels: 4/255 is four of 255 levels.
        low: black, as the model sees it.
        high: white.

    Example:
        >>> attack: Attack = PGD(epsilon=8 / 255, steps=10)
        >>> fooling = attack(network, lambda logits: cross_entropy(logits, labels, reduction="none"), images)
    """

    norm: ClassVar[Norm] = "linf"  # Of the ball: what an attack is, and no setting.

    epsilon: float = 8 / 255
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        checked(self.epsilon, self.norm)

    @property
    def ball(self) -> Ball:
        """Where the results lie."""
        return Ball(epsilon=self.epsilon, norm=self.norm, low=self.low, high=self.high)

    @property
    @abstractmethod
    def title(self) -> str:
        """What a table calls it."""

    def at(self, epsilon: float) -> "Attack":
        """The same attack with another epsilon."""
        return replace(self, epsilon=epsilon)

    def __call__(
        self,
        model: Model,
        loss: ImageLoss,
        images: Images,
        noise: Noise | None = None,
        worst: ImageLoss | None = None,
    ) -> Images:
        """Images of the ball at which the loss is higher, without gradients.

        The model is called as it is: put a network in eval mode first, or batch norm and dropout make
        another network of it.

        Args:
            model: images to answers.
            loss: of the answers, one number an image; what the gradient is taken of.
            images: with pixels from ``low`` to ``high``.
            noise: a seed for each image; None: seeds 0, 1, 2, ...
            worst: what decides between restarts, the highest kept; None: the loss.

        Raises:
            SettingError: the model cannot be differentiated, or a pixel is outside the range.
        """
        if noise is None:
            noise = Noise(torch.arange(len(images), device=images.device))
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(images.device.type, enabled=False),
        ):
            images = images.detach().clone()
            self._check_range(images)
            return self._search(model, loss, images, noise, worst or loss)

    @abstractmethod
    def _search(
        self, model: Model, loss: ImageLoss, images: Images, noise: Noise, worst: ImageLoss
    ) -> Images: ...

    def _check_range(self, images: Images) -> None:
        least, most = float(images.min()), float(images.max())
        if not (self.low <= least and most <= self.high):
            raise SettingError(
                f"An attack is given images in [{self.low:g}, {self.high:g}]. Received: {least:g} to "
                f"{most:g}. Normalize inside the model, so that epsilon means what it says."
            )


@dataclass(frozen=True, kw_only=True)
class FGSM(Attack):
    """x + epsilon sign(grad L(x)) (Goodfellow, Shlens and Szegedy 2015): the best there is, were L linear.

    Example:
        >>> FGSM(epsilon=8 / 255)(network, loss, images)
    """

    @property
    def title(self) -> str:
        """``FGSM``."""
        return "FGSM"

    def _search(
        self, model: Model, loss: ImageLoss, images: Images, noise: Noise, worst: ImageLoss
    ) -> Images:
        slope = gradient(model, loss, images)
        return self.ball.project(images + self.ball.radius * slope.sign(), images)


@dataclass(frozen=True, kw_only=True)
class RFGSM(Attack):
    """A random step, then FGSM with what is left of epsilon (Tramer et al. 2018, RAND+FGSM, equation 7).

    x' = x + alpha sign(N(0, I)); result x' + (epsilon - alpha) sign(grad L(x')).

    Args:
        first: alpha as a share of epsilon, 0 to 1.

    Example:
        >>> RFGSM(epsilon=8 / 255, first=0.5)(network, loss, images, Noise.of(*range(len(images))))
    """

    first: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.first <= 1.0:
            raise SettingError(f"first is a share of epsilon, 0 to 1. Received: first={self.first}.")

    @property
    def title(self) -> str:
        """``R-FGSM``."""
        return "R-FGSM"

    def _search(
        self, model: Model, loss: ImageLoss, images: Images, noise: Noise, worst: ImageLoss
    ) -> Images:
        alpha = self.first * self.ball.radius
        start = self.ball.project(images + alpha * noise.signs(*images.shape[1:]).to(images), images)
        slope = gradient(model, loss, start)
        return self.ball.project(start + (self.ball.radius - alpha) * slope.sign(), images)


@dataclass(frozen=True, kw_only=True)
class Chance(Attack):
    """A corner of the ball at random: what an attack that follows a gradient has to beat.

    Example:
        >>> Chance(epsilon=8 / 255)(network, loss, images, Noise.of(*range(len(images))))
    """

    @property
    def title(self) -> str:
        """``noise``."""
        return "noise"

    def _search(
        self, model: Model, loss: ImageLoss, images: Images, noise: Noise, worst: ImageLoss
    ) -> Images:
        return self.ball.project(
            images + self.ball.radius * noise.signs(*images.shape[1:]).to(images), images
        )


@dataclass(frozen=True, kw_only=True)
class PGD(Attack):
    """Steps along the sign of the gradient from a random start, back into the ball after each (Madry 2018).

    One step of 1.25 epsilon is the "fast" attack that Wong, Rice and Kolter (2020) train with.

    Args:
        steps: of each start.
        step: the length of one, in units of epsilon; None: 2.5 / steps, so that the far side can be reached.
        restarts: random starts, of which the worst of each image is kept.

    Example:
        >>> PGD(epsilon=0.3, steps=40, step=1 / 30, low=0.0)  # Madry's on MNIST: steps of 0.01.
    """

    steps: int = 10
    step: float | None = None
    restarts: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "steps", "restarts", prefix="attack.")
        if self.step is not None and not (math.isfinite(self.step) and self.step > 0):
            raise SettingError(f"step is above 0, in units of epsilon. Received: step={self.step}.")

    @property
    def title(self) -> str:
        """``PGD-50 x5``: steps, and restarts where there are several."""
        again = f" x{self.restarts}" if self.restarts > 1 else ""
        return f"PGD-{self.steps}{again}"

    def _search(
        self, model: Model, loss: ImageLoss, images: Images, noise: Noise, worst: ImageLoss
    ) -> Images:
        found = self._climb(model, loss, images, noise)
        if self.restarts == 1:
            return found
        height = _told(model, worst, found)
        for _ in range(self.restarts - 1):
            other = self._climb(model, loss, images, noise)
            level = _told(model, worst, other)
            higher = level > height
            found = torch.where(higher[:, None, None, None], other, found)
            height = torch.where(higher, level, height)
        return found

    def _climb(self, model: Model, loss: ImageLoss, images: Images, noise: Noise) -> Images:
        now = self.ball.random(images, noise)
        length = self.ball.radius * (2.5 / self.steps if self.step is None else self.step)
        for _ in range(self.steps):
            now = self.ball.project(now + length * self._way(gradient(model, loss, now)), images)
        return now

    def _way(self, slope: Images) -> Images:
        """The direction of a step."""
        return slope.sign()


@dataclass(frozen=True, kw_only=True)
class PGDL2(PGD):
    """PGD in the L2 norm: each image's gradient divided by its own length.

    Args:
        epsilon: the greatest L2 norm of the change of an image, pixels counted from 0 to 1.

    Example:
        >>> PGDL2(epsilon=0.5, steps=10)(network, loss, images)
    """

    norm: ClassVar[Norm] = "l2"

    epsilon: float = 0.5

    @property
    def title(self) -> str:
        """``PGD-L2-50 x5``."""
        return super().title.replace("PGD", "PGD-L2")

    def _way(self, slope: Images) -> Images:
        return slope / lengths(slope)


def gradient(model: Model, loss: ImageLoss, images: Images) -> Images:
    """The gradient of each image's loss by its own pixels.

    Raises:
        SettingError: there is none, or it is no number.
    """
    images = images.detach().requires_grad_(True)
    total = loss(model(images)).sum()
    slope = torch.autograd.grad(total, images, allow_unused=True)[0] if total.requires_grad else None
    if slope is None:
        raise SettingError(
            "An attack follows the gradient of the loss by the pixels. Received: a model whose answers have "
            "none, for they were detached, rounded or computed in inference mode. Attack the network itself."
        )
    if not bool(slope.isfinite().all()):
        raise SettingError(
            "An attack follows the gradient of the loss by the pixels. Received: one that is nan or "
            "infinite. Look whether training went wrong, and take logits rather than their logarithms."
        )
    return slope.detach()


def _told(model: Model, loss: ImageLoss, images: Images) -> Float[Tensor, " batch"]:
    with torch.no_grad():
        return loss(model(images))
