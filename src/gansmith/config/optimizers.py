"""Optimizers as values: what a recipe says about them, and how torch is asked for one."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from gansmith.core.progress import Progress
from gansmith.core.schedules import Constant, Schedule
from gansmith.errors import SettingError


def _positive_rate(lr: float) -> None:
    if not 0 < lr < math.inf:
        raise SettingError(f"A learning rate must be positive. Received: lr={lr}.")


def _not_negative(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise SettingError(f"{name} must not be negative. Received: {name}={value}.")


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (Kingma and Ba 2014)."""

    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    eps: float = 1e-8
    schedule: Schedule = Constant()

    def __post_init__(self) -> None:
        _positive_rate(self.lr)
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise SettingError(f"Adam's betas must be in [0, 1). Received: betas={self.betas}.")
        _not_negative("eps", self.eps)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The torch optimizer for these parameters; fused where torch has it."""
        return torch.optim.Adam(parameters, lr=self.lr, betas=self.betas, eps=self.eps, fused=_fused())


@dataclass(frozen=True, kw_only=True)
class RMSprop:
    """RMSprop (Tieleman and Hinton 2012), as WGAN uses it."""

    lr: float = 5e-5
    alpha: float = 0.99
    eps: float = 1e-8
    schedule: Schedule = Constant()

    def __post_init__(self) -> None:
        _positive_rate(self.lr)
        if not 0.0 <= self.alpha < 1.0:
            raise SettingError(f"RMSprop's alpha must be in [0, 1). Received: alpha={self.alpha}.")
        _not_negative("eps", self.eps)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The torch optimizer for these parameters."""
        return torch.optim.RMSprop(parameters, lr=self.lr, alpha=self.alpha, eps=self.eps, foreach=True)


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum."""

    lr: float = 1e-2
    momentum: float = 0.9
    schedule: Schedule = Constant()

    def __post_init__(self) -> None:
        _positive_rate(self.lr)
        _not_negative("momentum", self.momentum)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The torch optimizer for these parameters; fused where torch has it."""
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum, fused=_fused())


Optimizer = Adam | RMSprop | SGD


def _fused() -> bool:
    return not torch.backends.mps.is_available()  # One kernel for all parameters: CPU and CUDA have it.


def set_rate(
    optimizer: torch.optim.Optimizer, config: Optimizer, progress: Progress, share: float = 1.0
) -> None:
    """Give ``optimizer`` a share of the learning rate its schedule asks for at this point of the run."""
    rate = config.lr * config.schedule(progress) * share
    for group in optimizer.param_groups:
        group["lr"] = rate
