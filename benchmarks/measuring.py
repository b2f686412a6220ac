"""What the benchmarks share: loops that take turns, the machine's own limit, and one kind of table.

A figure is a ratio taken in one run: two loops take turns of a few seconds each, so that whatever else the
machine does disturbs both alike. The limit is what a large product of matrices reaches in the same
number format, with the same threads, in the same run.
"""

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gansmith.config.recipe import Recipe
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.loader import Loader
from gansmith.engine.trainer import Trainer
from gansmith.training.setup import resolve

Step = Callable[[], object]
Clock = Callable[[], float]
HEADER = "| measured | figure | beside | ratio (least to greatest) | share of the matrix-product peak |"


@dataclass(frozen=True)
class Row:
    """A line of the table; ``ratios`` are of neighbouring turns, more than 1 where ours is better."""

    what: str
    figure: str
    beside: str = "-"
    ratios: Sequence[float] = ()
    share: float | None = None

    def __str__(self) -> str:
        ratio = spread(self.ratios) if self.ratios else "-"
        share = "-" if self.share is None else f"{100 * self.share:.0f} %"
        return f"| {self.what} | {self.figure} | {self.beside} | {ratio} | {share} |"


def spread(ratios: Sequence[float]) -> str:
    """Median, least and greatest."""
    return f"{statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"


def print_table(rows: Sequence[Row]) -> None:
    """The machine in a line, and the table."""
    print(f"\n{machine()}\n\n{HEADER}\n|---|---|---|---|---|")
    for row in rows:
        print(row, flush=True)


def machine() -> str:
    """What this was measured on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()}, {torch.get_num_threads()} threads, {device}, torch {torch.__version__}"


def wait_for(device: torch.device) -> None:
    """Until all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def stretch(step: Step, seconds: float, device: torch.device, clock: Clock = time.perf_counter) -> float:
    """Seconds a step takes by a clock, over as many as fit into ``seconds``, one at least."""
    wait_for(device)
    start, steps = clock(), 0
    while steps == 0 or clock() - start < seconds:
        step()
        steps += 1
        if steps % 8 == 0 or device.type == "cpu":
            wait_for(device)  # A queue without an end would hide how long it takes.
    wait_for(device)
    return (clock() - start) / steps


def take_turns(
    loops: Mapping[str, Step],
    rounds: int,
    seconds: float,
    device: torch.device,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds a step takes, for each loop and round; the first turn of each is not counted.

    On a machine that others use, ``time.process_time`` counts only what this process had of it.
    """
    for step in loops.values():
        stretch(step, 0.0, device)
    times: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, step in loops.items():
            times[name].append(stretch(step, seconds, device, clock))
    return times


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """How many times as fast ours is, of neighbouring turns."""
    return [a / b for a, b in zip(theirs, ours, strict=True)]


def peak(kind: torch.dtype, device: torch.device, tries: int = 5) -> float:
    """Operations a second of a large product of matrices, the best of several."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    seconds = min(stretch(lambda: a @ b, 0.2, device) for _ in range(tries))
    return 2.0 * side**3 / seconds


class Operations(TorchDispatchMode):
    """Counts as torch's FlopCounterMode does, whose tracking of modules fails at second derivatives."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator, and count it where its formula is known."""
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def operations(step: Step) -> float:
    """Multiplications and additions of a step's products and convolutions, forwards and backwards."""
    with Operations() as counter:
        step()
    return float(counter.total)


def our_trainer(recipe: Recipe, images: Tensor, device: torch.device) -> Trainer[Any, Any, Any]:
    """A trainer of the recipe over pictures in memory, uint8 [n, 3, size, size], of ten classes in turn."""
    columns = {"images": images, "labels": torch.arange(len(images)) % 10}
    data = MemoryDataSet("pictures in memory", columns)
    recipe = resolve(recipe, data)
    loader: Loader[Any] = Loader(data, recipe.method.batch_type, recipe.data, recipe.train.seed, device)
    return Trainer(recipe, loader, device)


def with_settings(recipe: Recipe, **train: Any) -> Recipe:
    """The recipe with other numbers of training."""
    return replace(recipe, train=replace(recipe.train, **train))


def noise_pictures(count: int, size: int) -> Tensor:
    """Pictures of noise; what a step costs does not depend on what they show."""
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)
