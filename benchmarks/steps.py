"""Steps of gansmith beside steps of the plain loop, on pictures in memory: rate, share of the peak, bytes."""

import gc
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from measuring import (
    Row,
    Step,
    noise_pictures,
    operations,
    our_trainer,
    peak,
    ratios,
    take_turns,
    with_settings,
)
from plain import dcgan, wgan_gp
from torch import Tensor

from gansmith.engine.device import out_of_memory, pick_precision
from gansmith.recipes import named

WIDTH = 64


@dataclass(frozen=True)
class Case:
    """A recipe, and the plain loop that trains the same networks."""

    name: str
    recipe: str
    size: int
    plain: Callable[..., Step]


# A further method is a line here, and a plain loop in plain.py.
CASES = (
    Case("DCGAN-64", "dcgan64", 64, dcgan),
    Case("DCGAN-128", "dcgan128", 128, dcgan),
    Case("WGAN-GP-64", "wgan-gp64", 64, wgan_gp),
)


@dataclass(frozen=True)
class Loop:
    """A loop that fits into memory: its step, the operations of one, and what it took, in words."""

    step: Step
    operations: float
    memory: str


@dataclass(frozen=True)
class Bench:
    """How steps are measured.

    Args:
        device: where they run.
        rounds: turns of each loop.
        seconds: length of a turn.
        precisions: of ours; a row for each. The plain loop is in float32 as torch's defaults have it.
        width: of the networks; less than 64 only to see that a script works.
        compile: ours is compiled so: off, on, graphs.
    """

    device: torch.device
    rounds: int = 3
    seconds: float = 2.0
    precisions: Sequence[str] = ("auto",)
    width: int = WIDTH
    compile: str = "off"

    @cached_property
    def peaks(self) -> dict[torch.dtype, float]:
        """Operations a second of a large product of matrices, by number format."""
        return {kind: peak(kind, self.device) for kind in (torch.float32, torch.bfloat16)}

    def rows(self, case: Case, batch: int) -> list[Row]:
        """A row for each precision of ours, beside the plain loop; what does not fit into memory says so."""
        images = noise_pictures(2 * batch, case.size)
        found = {name: self._loop(name, case, batch, images) for name in ("plain", *self.precisions)}
        fitting = {name: loop for name, loop in found.items() if loop is not None}
        loops = {name: loop.step for name, loop in fitting.items()}
        times = take_turns(loops, self.rounds, self.seconds, self.device)
        figures, shares = dict.fromkeys(found, "does not fit into memory"), {}
        for name, loop in fitting.items():
            seconds = statistics.median(times[name])
            rate = batch / seconds
            figures[name] = f"{rate:,.{0 if rate >= 100 else 1}f} images/s{loop.memory}"
            shares[name] = loop.operations / seconds / self.peaks[self._kind(name)]
        beside = f"plain, float32: {figures['plain']}"
        beside += f", {100 * shares['plain']:.0f} %" if "plain" in shares else ""
        both = {name: ratios(times["plain"], times[name]) for name in times if "plain" in times}
        return [
            Row(
                f"{case.name}, batch {batch}, steps, {str(self._kind(name)).removeprefix('torch.')}",
                figures[name],
                beside,
                both.get(name, ()),
                shares.get(name),
            )
            for name in self.precisions
        ]

    def _loop(self, name: str, case: Case, batch: int, images: Tensor) -> "Loop | None":
        """The plain loop or one of ours, once it has run; None where memory is too small for it."""
        before = self._held()
        try:
            step = self._step(name, case, batch, images, self.compile)
            step()  # The optimizers' state is made here.
            memory = self._memory(step, before)
            # Compiled code keeps its operators to itself; the eager step has the same.
            eager = step if self.compile == "off" else self._step(name, case, batch, images, "off")
            return Loop(step, operations(eager), memory)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            if not out_of_memory(error):
                raise
            return None
        finally:
            gc.collect()

    def _step(self, name: str, case: Case, batch: int, images: Tensor, compiled: str) -> Step:
        if name == "plain":
            real = (images[:batch].float() / 127.5 - 1).to(self.device)
            return case.plain(lambda: real, case.size, self.device, self.width)
        recipe = with_settings(named(case.recipe), batch=batch, precision=name)
        recipe = with_settings(recipe, engine=replace(recipe.train.engine, compile=compiled))
        if self.width != WIDTH:
            names = [field for field in vars(recipe.method) if field.endswith("width")]
            recipe = replace(recipe, method=replace(recipe.method, **dict.fromkeys(names, self.width)))
        return our_trainer(recipe, images, self.device).step

    def _kind(self, name: str) -> torch.dtype:
        return torch.float32 if name == "plain" else pick_precision(name, self.device)

    def _held(self) -> int:
        return torch.cuda.memory_allocated(self.device) if self.device.type == "cuda" else 0

    def _memory(self, step: Step, before: int) -> str:
        """The most that torch holds in a step, weights included; nothing off a GPU."""
        if self.device.type != "cuda":
            return ""
        torch.cuda.reset_peak_memory_stats(self.device)
        step()
        return f", {(torch.cuda.max_memory_allocated(self.device) - before) / 2**30:.1f} GiB"
