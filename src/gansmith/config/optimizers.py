"""Optimizers as values: what a recipe says about them, and how torch is asked for one."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gansmith.core.progress import Progress
from gansmith.core.schedules import Constant, Schedule
from gansmith.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class Optimizer(ABC):
    """What every optimizer of a recipe has; a class of your own defines ``build``.

    Example:
        >>> Adam(lr=2e-4, betas=(0.5, 0.999), schedule=Warmup(images=10_000, then=Cosine(end=0.1)), clip=1.0)
    """

    lr: float
    schedule: Schedule = Constant()  # What the rate is multiplied by as the run goes on.
    clip: float | None = None  # Length that all gradients of a step together may have at most; None: any.

    def __post_init__(self) -> None:
        if not 0 < self.lr < math.inf:
            raise SettingError(f"A learning rate must be positive. Received: lr={self.lr}.")
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise SettingError(f"clip must be positive, or none. Received: clip={self.clip}.")

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The torch optimizer for these parameters."""


def _not_negative(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise SettingError(f"{name} must not be negative. Received: {name}={value}.")


def _betas(name: str, betas: tuple[float, float]) -> None:
    if not all(0.0 <= beta < 1.0 for beta in betas):
        raise SettingError(f"{name}'s betas must be in [0, 1). Received: betas={betas}.")


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2014).

    Example:
        >>> Adam(lr=1e-4, betas=(0.0, 0.99)).build(networks.generator.parameters())
    """

    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    eps: float = 1e-8
    memory_schedule: Schedule = (
        Constant()
    )  # What 1 - beta2 is multiplied by; R3GAN: .9 -> .99 by Cosine(0.1).

    def __post_init__(self) -> None:
        super().__post_init__()
        _betas("Adam", self.betas)
        _not_negative("eps", self.eps)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The torch optimizer for these parameters; fused where torch has it."""
        return torch.optim.Adam(parameters, lr=self.lr, betas=self.betas, eps=self.eps, fused=_fused())


@dataclass(frozen=True, kw_only=True)
class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter 2017).

    Biases and gains, all weights of one dimension, do not decay.

    Example:
        >>> AdamW(lr=2e-4, weight_decay=0.05).build(networks.generator.parameters())
    """

    lr: float = 2e-4
    betas: tuple[float, float] = (0.0, 0.99)
    eps: float = 1e-8
    weight_decay: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        _betas("AdamW", self.betas)
        _not_negative("eps", self.eps)
        _not_negative("weight_decay", self.weight_decay)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The torch optimizer for these parameters; fused where torch has it."""
        held = list(parameters)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in held if p.dim() > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in held if p.dim() <= 1], "weight_decay": 0.0},
        ]
        kept = [group for group in groups if group["params"]]
        return torch.optim.AdamW(kept, lr=self.lr, betas=self.betas, eps=self.eps, fused=_fused())


@dataclass(frozen=True, kw_only=True)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012), as WGAN uses it.

    Example:
        >>> RMSprop(lr=5e-5, schedule=Linear(start=0.5)).build(networks.discriminator.parameters())
    """

    lr: float = 5e-5
    alpha: float = 0.99
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.alpha < 1.0:
            raise SettingError(f"RMSprop's alpha must be in [0, 1). Received: alpha={self.alpha}.")
        _not_negative("eps", self.eps)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The torch optimizer for these parameters."""
        return torch.optim.RMSprop(parameters, lr=self.lr, alpha=self.alpha, eps=self.eps, foreach=True)


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    Example:
        >>> SGD(lr=0.01, momentum=0.9).build(networks.discriminator.parameters())
    """

    lr: float = 1e-2
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        _not_negative("momentum", self.momentum)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The torch optimizer for these parameters; fused where torch has it."""
        return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum, fused=_fused())


def _fused() -> bool:
    return not torch.backends.mps.is_available()  # One kernel for all parameters: CPU and CUDA have it.


def set_rate(
    optimizer: torch.optim.Optimizer, config: Optimizer, progress: Progress, share: float = 1.0
) -> None:
    """Give ``optimizer`` a share of the learning rate, and the betas, that its schedules ask for now."""
    rate = config.lr * config.schedule(progress) * share
    for group in optimizer.param_groups:
        group["lr"] = rate
        if isinstance(config, Adam) and config.memory_schedule != Constant():
            forgotten = (1.0 - config.betas[1]) * config.memory_schedule(progress)
            group["betas"] = (config.betas[0], 1.0 - min(forgotten, 1.0))
