"""Weights, gradients and an optimizer's memory of them, shown in the order in which they lie in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


@contextmanager
def in_memory_order(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """While this lasts, weights of convolutions that lie channels last have them last in shape, too.

    On a processor torch's fused optimizers copy each gradient that does not lie in the order of its shape,
    which for 4x4 weights takes longer than the move itself. Views of the same memory spare that, and a
    move of each number by itself is the same in any order. Outside nothing is changed.

    Example:
        >>> with in_memory_order(optimizer):
        ...     optimizer.step()
    """
    turned = [p for group in optimizer.param_groups for p in group["params"] if _lies_channels_last(p)]
    for parameter in turned:
        _turn(optimizer, parameter, _LAST)
    try:
        yield
    finally:
        for parameter in turned:
            _turn(optimizer, parameter, _FIRST)


def _lies_channels_last(parameter: nn.Parameter) -> bool:
    grad = parameter.grad
    return (
        parameter.device.type == "cpu"
        and parameter.dim() == 4
        and grad is not None
        and not grad.is_contiguous()
        and grad.stride() == parameter.stride()
        and parameter.is_contiguous(memory_format=torch.channels_last)
    )


def _turn(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, order: tuple[int, ...]) -> None:
    grad, parameter.grad = parameter.grad, None
    parameter.data = parameter.data.permute(order)
    parameter.grad = None if grad is None else grad.permute(order)
    state = optimizer.state.get(parameter, {})
    for name, value in state.items():
        if isinstance(value, Tensor) and value.dim() == 4:
            state[name] = value.permute(order)
