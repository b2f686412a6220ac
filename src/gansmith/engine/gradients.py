"""Gradients of one player brought together over processes, while the backward pass is still going on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gansmith.core.distributed import World

_BUCKET = 2**21  # Numbers sent at a time: 8 MB, where a message's latency no longer counts.


@dataclass
class _Bucket:
    """Weights whose gradients travel together."""

    parameters: list[nn.Parameter]
    missing: int = 0  # Gradients that are not there yet.
    sent: tuple[Tensor, Any] | None = field(default=None, repr=False)

    def flat(self) -> Tensor:
        """All gradients in a row; zeros where a weight has none."""
        return torch.cat(
            [
                torch.zeros_like(p).reshape(-1) if p.grad is None else p.grad.reshape(-1)
                for p in self.parameters
            ]
        )


class GradientAverage:
    """Means of a player's gradients over the processes.

    No wrapper around a network does this, because losses here may call a network several times and
    differentiate it twice. Weights get their gradients once in each backward pass, last layers first;
    a bucket leaves as soon as it and all before it are complete, so every process sends in the same order.

    Args:
        parameters: of the player.
        world: the processes. Alone, nothing is done at all.

    Example:
        >>> weight = nn.Parameter(torch.ones(3))
        >>> with GradientAverage([weight], SINGLE_PROCESS).last_backward():
        ...     weight.sum().backward()
    """

    def __init__(self, parameters: Sequence[nn.Parameter], world: World) -> None:
        self._world = world
        self._buckets = _buckets(parameters) if world.size > 1 else []
        self._home = {parameter: bucket for bucket in self._buckets for parameter in bucket.parameters}
        self._next = 0
        self._listening = False
        for parameter in self._home:
            parameter.register_post_accumulate_grad_hook(self._arrived)  # type: ignore[no-untyped-call]

    @contextmanager
    def last_backward(self) -> Iterator[None]:
        """Around the backward pass after which the gradients are complete; at its end they are averaged."""
        if self._world.size == 1:
            yield
            return
        self._next, self._listening = 0, True
        for bucket in self._buckets:
            bucket.missing, bucket.sent = len(bucket.parameters), None
        try:
            yield
        finally:
            self._listening = False
        while self._next < len(self._buckets):  # Weights that took no part in this loss.
            self._send()
        for bucket in self._buckets:
            self._receive(bucket)

    def _arrived(self, parameter: Tensor) -> None:
        if not self._listening:
            return
        self._home[parameter].missing -= 1  # type: ignore[index]
        while self._next < len(self._buckets) and self._buckets[self._next].missing == 0:
            self._send()

    def _send(self) -> None:
        bucket = self._buckets[self._next]
        flat = bucket.flat()
        bucket.sent = (flat, self._world.begin_sum(flat))
        self._next += 1

    def _receive(self, bucket: _Bucket) -> None:
        assert bucket.sent is not None
        flat, handle = bucket.sent
        self._world.end_sum(handle)
        flat /= self._world.size
        parts = torch.split(flat, [parameter.numel() for parameter in bucket.parameters])
        for parameter, part in zip(bucket.parameters, parts, strict=True):
            if parameter.grad is not None:
                parameter.grad.copy_(part.view_as(parameter.grad))
        bucket.sent = None


def _buckets(parameters: Sequence[nn.Parameter]) -> list[_Bucket]:
    """In the order in which gradients come, up to the size of a message."""
    buckets: list[_Bucket] = []
    numbers = _BUCKET
    for parameter in reversed(parameters):
        if numbers >= _BUCKET:
            buckets.append(_Bucket([]))
            numbers = 0
        buckets[-1].parameters.append(parameter)
        numbers += parameter.numel()
    return buckets
