"""The smallest change of a latent that turns an answer around: a search for direction and length apart."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gansmith.core.tensors import Latents
from gansmith.errors import SettingError, at_least

Margin = Callable[[Latents], Float[Tensor, " batch"]]
"""Latents to how far the answer is from turning: above 0 as long as it has not."""


@dataclass(frozen=True, eq=False)
class Turned:
    """What a search found: latents whose answer has just turned, and for which there is none.

    Example:
        >>> found = SmallestTurn()(margin, latents)
        >>> found.latents[found.turned]
    """

    latents: Latents
    turned: Bool[Tensor, " batch"]


@dataclass(frozen=True, kw_only=True)
class SmallestTurn:
    """Steps down the margin on a sphere that grows until the answer turns and shrinks while it has.

    The decoupled direction and norm attack (Rony et al. 2019) without a range of pixels, and a bisection
    between the start and the best that was found.

    Args:
        steps: of the gradient.
        first: radius of the first sphere, as a share of each latent's length.
        grow: by what share the sphere grows or shrinks in a step.

    Example:
        >>> found = SmallestTurn()(lambda z: judge(decode(z)), latents)
        >>> (found.latents - latents).flatten(1).norm(dim=1)[found.turned]
    """

    steps: int = 60
    first: float = 0.1
    grow: float = 0.05

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", prefix="attack.")
        for name in ("first", "grow"):
            if not 0 < getattr(self, name) < 1:
                raise SettingError(f"{name} is a share above 0 and below 1. Received: {getattr(self, name)}.")

    def __call__(self, margin: Margin, latents: Latents) -> Turned:
        """The nearest latents that were found whose margin is not above 0.

        Args:
            margin: above 0 at ``latents``; those where it is not count as turned where they are.
            latents: [batch, *latent].

        Raises:
            SettingError: the margin cannot be differentiated by the latents.
        """
        with torch.inference_mode(False), torch.enable_grad():
            start = latents.detach().clone()
            return self._search(margin, start)

    def _search(self, margin: Margin, start: Latents) -> Turned:
        change, best = torch.zeros_like(start), start.clone()
        radius = self.first * _length(start)
        least = torch.where(_level(margin, start) <= 0, 0.0, math.inf)
        for step in range(self.steps):
            now = (start + change).requires_grad_(True)
            level = margin(now)
            if not level.requires_grad:
                raise SettingError(
                    "A latent attack follows the gradient of an answer by the latent. Received: a model "
                    "without one."
                )
            slope = torch.autograd.grad(level.sum(), now)[0]
            turned = level.detach() <= 0
            length = _flat(change).norm(dim=1)
            nearer = turned & (length < least)
            best = torch.where(_like(nearer, start), now.detach(), best)
            least = torch.where(nearer, length, least)
            radius = radius * torch.where(turned, 1.0 - self.grow, 1.0 + self.grow)
            share = 0.05 + 0.95 * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))  # Of the radius.
            change = change - _like(share * radius / _length(slope), start) * slope
            change = change * _like(radius / _length(change), start)
        turned = least.isfinite()
        return Turned(self._refined(margin, start, best, turned), turned)

    def _refined(self, margin: Margin, start: Latents, best: Latents, turned: Tensor) -> Latents:
        """The first point on the way from the start to the best at which the answer has turned."""
        low, high = torch.zeros(len(start)).to(start), torch.ones(len(start)).to(start)
        for _ in range(16):
            middle = (low + high) / 2
            there = _level(margin, start + _like(middle, start) * (best - start)) <= 0
            low, high = torch.where(there, low, middle), torch.where(there, middle, high)
        found = start + _like(high, start) * (best - start)
        return torch.where(_like(turned, start), found, start)


def _level(margin: Margin, latents: Latents) -> Tensor:
    with torch.no_grad():
        return margin(latents)


def _flat(latents: Latents) -> Tensor:
    return latents.flatten(1)


def _length(latents: Latents) -> Tensor:
    length: Tensor = _flat(latents).norm(dim=1).clamp(min=1e-12)
    return length


def _like(numbers: Tensor, latents: Latents) -> Tensor:
    """One number an image, to be multiplied with its latent."""
    return numbers.reshape(-1, *[1] * (latents.dim() - 1))
