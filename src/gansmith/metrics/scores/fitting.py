"""The few hundred steps in which a metric's own small network is trained, the same each time."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from gansmith.core.console import bar
from gansmith.core.tensors import BytePictures, Scalar
from gansmith.metrics.image_sets import PictureSet
from gansmith.metrics.math.intervals import full_precision
from gansmith.networks.classifiers import strided

BATCH = 128
_RATE = 3e-3
_SIDE = 32  # Pixels a side that a judge looks at, at most.
_MAX_TRAINING = 20_000  # Images it learns from.
_PASSES = 10
_FEWEST_STEPS, _MOST_STEPS = 40, 900
_PART = 256  # Images looked at a time.


def fit_judge(
    part: PictureSet, outputs: int, loss: Callable[[Tensor, Tensor], Scalar], seed: int, words: str
) -> nn.Module:
    """A small convolutional network trained on images, on one thread, so that it is the same each time.

    Args:
        part: the images; it learns from up to 20,000 of them, seen at 32 pixels a side at most.
        outputs: numbers it is to say of each.
        loss: of what it says of some images, [n, outputs], and of their numbers in the set, [n].
        seed: of its first weights and of the order of images.
        words: what a bar says meanwhile.

    Example:
        >>> def loss(said, rows):
        ...     return cross_entropy(said, labels[rows]).mean()
        >>> network = fit_judge(part, 2, loss, 0, "Judge")
        >>> says(network, part).shape
        torch.Size([1000, 2])
    """
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(part), generator=draw)[:_MAX_TRAINING].sort().values
    images = torch.cat([shown(chunk) for chunk in chunks(part, int(rows[-1]) + 1)])[rows]
    with one_thread(), full_precision(), torch.inference_mode(False), torch.enable_grad():
        with torch.random.fork_rng(devices=[]):  # Layers draw their first weights from torch's own generator.
            torch.manual_seed(seed)
            network = strided(images.shape[1], outputs)
        steps = min(_MOST_STEPS, max(_FEWEST_STEPS, _PASSES * math.ceil(len(rows) / BATCH)))

        def of_batch(batch: Tensor) -> Scalar:
            return loss(network(images[batch].float() / 127.5 - 1.0), rows[batch])

        fit(network, of_batch, len(rows), steps, seed, words)
    return network.requires_grad_(False).eval()


@torch.inference_mode()
def says(network: nn.Module, pictures: PictureSet) -> Tensor:
    """What a judge says of each image, [n, outputs]."""
    return torch.cat([says_of(network, chunk) for chunk in chunks(pictures, len(pictures))])


@torch.inference_mode()
def says_of(network: nn.Module, images: BytePictures) -> Tensor:
    """The same of uint8 images, [n, outputs]."""
    return torch.cat([network(shown(part).float() / 127.5 - 1.0) for part in torch.split(images, _PART)])


def shown(images: BytePictures) -> BytePictures:
    """What a judge looks at: sides of 32 pixels at most."""
    if max(images.shape[2:]) <= _SIDE:
        return images.cpu()
    factor = _SIDE / max(images.shape[2:])
    height, width = (max(8, round(side * factor)) for side in images.shape[2:])
    return functional.adaptive_avg_pool2d(images.float(), (height, width)).round().to(torch.uint8).cpu()


def chunks(pictures: PictureSet, stop: int) -> Iterator[BytePictures]:
    """The images up to ``stop``, some at a time."""
    for start in range(0, stop, _PART):
        yield pictures.some(start, min(start + _PART, stop))


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
