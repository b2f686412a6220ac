"""The few hundred steps in which a metric's own small network is trained, the same each time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gansmith.core.console import bar
from gansmith.core.tensors import Scalar

BATCH = 128
_RATE = 3e-3


def fit(
    network: nn.Module, loss: Callable[[Tensor], Scalar], rows: int, steps: int, seed: int, words: str
) -> None:
    """Adam with a rate that rises and falls (Smith 2018), on batches of 128 rows.

    Args:
        network: is trained in place.
        loss: of some rows, by number.
        rows: there are.
        steps: to take.
        seed: of the order.
        words: what a bar says meanwhile.
    """
    optimizer = torch.optim.Adam(network.parameters(), _RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, steps)
    order = _order(rows, seed)
    with bar(words, steps, " steps") as shown:
        for _ in range(steps):
            total = loss(next(order))
            optimizer.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            shown.update()


def _order(count: int, seed: int) -> Iterator[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.split(torch.randperm(count, generator=draws), BATCH)


@contextmanager
def one_thread() -> Iterator[None]:
    """The order of a sum depends on the number of threads, and with it the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
