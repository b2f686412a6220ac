"""Steps of gansmith beside steps of the plain loop, on pictures in memory: rate, share of the peak, bytes."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import plain
import torch
from measuring import (
    Clock,
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

from gansmith.core.image_size import Size
from gansmith.engine.device import out_of_memory, pick_precision
from gansmith.recipes import named

WIDTH = 64
_SMALL = 16  # Pixels, where it is only to be seen that a script works.


@dataclass(frozen=True)
class Case:
    """A recipe, and the plain loop that trains the same networks."""

    name: str
    recipe: str
    size: int
    plain: Callable[..., Step] | None = None  # Written out; None: the method's own turns (plain.turns).


# A further method is a line here.
CASES = (
    Case("DCGAN-64", "dcgan64", 64, dcgan),
    Case("DCGAN-128", "dcgan128", 128, dcgan),
    Case("WGAN-GP-64", "wgan-gp64", 64, wgan_gp),
    Case("Faces-32", "faces32", 32),
    Case("Bilinear-32", "bilinear32", 32),
    Case("RpGAN-64", "rpgan64", 64),
    Case("WGAN-64", "wgan64", 64),
    Case("LSGAN-64", "lsgan64", 64),
    Case("DRAGAN-64", "dragan64", 64),
    Case("SNGAN-64", "sngan64", 64),
    Case("R3GAN-64", "r3gan64", 64),
    Case("R3GAN-MP-32", "r3gan32-mp", 32),
    Case("ProGAN-64", "progan64", 64),
    Case("StyleGAN2-64", "stylegan2-64", 64),
    Case("StyleGAN2-ADA-64", "stylegan2-64-ada", 64),
    Case("GAT-S-64", "gat64-s", 64),
    Case("CAT-M-64", "cat64-m", 64),
    Case("SAGAN-32", "sagan32-small", 32),
    Case("BigGAN-32", "biggan32-small", 32),
    Case("ACGAN-32", "acgan32", 32),
    Case("cDCGAN-32", "cdcgan32", 32),
    Case("Projection-32", "projection32", 32),
    Case("encoder-decoder-32", "encoder-decoder32", 32),
    Case("RobustGAN-32", "robust-gan32", 32),
)

# The same methods where a processor trains them.
SMALL_CASES = (
    *(case for case in CASES if case.size == 32 and case.recipe != "r3gan32-mp"),
    Case("Faces-64", "faces64", 64),
    Case("RpGAN-32", "rpgan32", 32),
    Case("WGAN-28", "wgan28", 28),
    Case("WGAN-GP-32", "wgan-gp32", 32),
    Case("LSGAN-32", "lsgan32", 32),
    Case("DRAGAN-32", "dragan32", 32),
    Case("SNGAN-32", "sngan32", 32),
    Case("R3GAN-32, narrow", "r3gan32-small", 32),
    Case("ProGAN-32, narrow", "progan32-small", 32),
    Case("StyleGAN2-32, narrow", "stylegan2-32-small", 32),
    Case("GAT-32, narrow", "gat32-small", 32),
    Case("CAT-32, narrow", "cat32-small", 32),
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
        clock: what is timed; ``time.process_time`` where others use the machine, too.
    """

    device: torch.device
    rounds: int = 3
    seconds: float = 2.0
    precisions: Sequence[str] = ("auto",)
    width: int = WIDTH
    compile: str = "off"
    clock: Clock = time.perf_counter

    @cached_property
    def peaks(self) -> dict[torch.dtype, float]:
        """Operations a second of a large product of matrices, by number format."""
        return {kind: peak(kind, self.device) for kind in (torch.float32, torch.bfloat16)}

    def rows(self, case: Case, batch: int) -> list[Row]:
        """A row for each precision of ours, beside the plain loop; what does not fit into memory says so."""
        images = noise_pictures(2 * batch, self.size(case))
        found = {name: self._loop(name, case, batch, images) for name in ("plain", *self.precisions)}
        fitting = {name: loop for name, loop in found.items() if loop is not None}
        loops = {name: loop.step for name, loop in fitting.items()}
        times = take_turns(loops, self.rounds, self.seconds, self.device, self.clock)
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

    def size(self, case: Case) -> int:
        """Of its pictures; small where it is only to be seen that a script works."""
        return case.size if self.width == WIDTH else _SMALL

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
        real = (images[:batch].float() / 127.5 - 1).to(self.device)
        if name == "plain" and case.plain is not None:
            return case.plain(lambda: real, self.size(case), self.device, self.width)
        precision = "float32" if name == "plain" else name
        recipe = with_settings(named(case.recipe), batch=batch, precision=precision)
        recipe = with_settings(recipe, engine=replace(recipe.train.engine, compile=compiled))
        if self.width != WIDTH:
            data = replace(recipe.data, size=Size(_SMALL, _SMALL))
            recipe = replace(recipe, method=self._narrow(case, recipe.method), data=data)
        trainer = our_trainer(recipe, images, self.device)
        if name == "plain":
            return plain.turns(trainer.recipe, real, self.device)
        trainer.images = recipe.train.images * 9 // 10 // batch * batch  # Where growth has ended.
        return trainer.step

    def _narrow(self, case: Case, method: Any) -> Any:
        if case.plain is None:
            return method.tiny()
        names = [field for field in vars(method) if field.endswith("width")]
        return replace(method, **dict.fromkeys(names, self.width))

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
