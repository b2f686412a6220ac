"""Several processes that train one model together, started by torchrun: who this is, and what they share."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from gansmith.core import launch, stopping
from gansmith.core.launch import launched
from gansmith.errors import SettingError, TrainingError

_PATIENCE = timedelta(hours=2)  # Others wait while the first one evaluates; a dead one is noticed at once.


@dataclass(frozen=True)
class World:
    """The place of this process among those that train together; a single one is rank 0 of 1.

    Every process must call the sharing methods in the same order. They raise ``TrainingError`` where
    another process has gone.

    Example:
        >>> World(rank=1, size=4).span(100)
        (25, 50)
    """

    rank: int = 0
    size: int = 1
    control: Any = None  # A group for small things on the processor, whatever the device.

    def __deepcopy__(self, memo: dict[int, Any]) -> "World":
        """The same: a copy of a network belongs to the same processes."""
        return self

    @property
    def is_main(self) -> bool:
        """Whether this is the process that speaks and writes."""
        return self.rank == 0

    @property
    def rank_and_size(self) -> tuple[int, int]:
        """(rank, size), as a loader wants it."""
        return self.rank, self.size

    def span(self, count: int) -> tuple[int, int]:
        """(start, stop) of this process's share of ``count`` things."""
        return self.rank * count // self.size, (self.rank + 1) * count // self.size

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in one message; float, on one device."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self.end_sum(self.begin_sum(flat))
        flat /= self.size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [p.view_as(t) for p, t in zip(parts, tensors, strict=True)])

    def begin_sum(self, tensor: Tensor) -> Any:
        """Begin to replace a tensor by its sum over the processes; ``end_sum`` of what this gives ends it."""
        with _others_alive():
            return dist.all_reduce(tensor, async_op=True)

    def end_sum(self, handle: Any) -> None:
        """Wait for what ``begin_sum`` began."""
        with _others_alive():
            handle.wait()

    def broadcast_(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the first one's values, in place."""
        if self.size > 1:
            with _others_alive():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)

    def max(self, number: int) -> int:
        """The largest of the processes' whole numbers."""
        if self.size == 1:
            return number
        held = torch.tensor([number], dtype=torch.int64)
        with _others_alive():
            dist.all_reduce(held, dist.ReduceOp.MAX, group=self.control)
        return int(held)

    def broadcast(self, value: Any) -> Any:
        """The main process's value, anything JSON can hold; the others' argument is ignored."""
        if self.size == 1:
            return value
        text = bytearray(json.dumps(value).encode()) if self.is_main else bytearray()
        held = torch.zeros(self.max(len(text)), dtype=torch.uint8)
        if self.is_main:
            held.copy_(torch.frombuffer(text, dtype=torch.uint8))
        with _others_alive():
            dist.broadcast(held, 0, group=self.control)
        return json.loads(bytes(held.tolist()))

    def gather(self, tensor: Tensor) -> list[Tensor] | None:
        """The processes' tensors, in order of rank, at the first process; None at the others.

        Each [n, ...] with the same shape behind the first dimension and the same type; moved to the CPU.
        """
        held = tensor.detach().cpu().contiguous()
        if self.size == 1:
            return [held]
        longest = self.max(len(held))
        lengths = torch.zeros(self.size, dtype=torch.int64)
        lengths[self.rank] = len(held)
        padded = held.new_zeros(longest, *held.shape[1:])
        padded[: len(held)] = held
        parts = [torch.empty_like(padded) for _ in range(self.size)] if self.is_main else None
        with _others_alive():
            dist.all_reduce(lengths, group=self.control)
            dist.gather(padded, parts, 0, group=self.control)
        return None if parts is None else [part[:n] for part, n in zip(parts, lengths.tolist(), strict=True)]

    def all_gather(self, tensor: Tensor) -> list[Tensor]:
        """The processes' tensors, in order of rank, at every process; all of one shape."""
        if self.size == 1:
            return [tensor]
        parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(self.size)]
        with _others_alive():
            dist.all_gather(parts, tensor.contiguous())
        return parts

    def barrier(self) -> None:
        """Wait until all processes are here."""
        self.max(0)


SINGLE_PROCESS = World()


def share_tensors(world: World, tensors: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """The first process's named tensors, at every process, on the CPU; the others give None."""
    if world.size == 1:
        return dict(tensors or {})
    shapes = {name: [str(t.dtype), list(t.shape)] for name, t in (tensors or {}).items()}
    shared = {}
    for name, (kind, shape) in world.broadcast(shapes).items():
        dtype = getattr(torch, kind.removeprefix("torch."))
        held = tensors[name].detach().cpu().contiguous() if tensors else torch.empty(shape, dtype=dtype)
        with _others_alive():
            dist.broadcast(held, 0, group=world.control)
        shared[name] = held
    return shared


def my_device(name: str) -> str:
    """The device of this process: with several of them each takes the GPU of its own number.

    Raises:
        SettingError: one GPU was named for all of them, or there are fewer GPUs than processes.
    """
    if not launched():
        return name
    if ":" in name:
        raise SettingError(
            f"Each process takes a GPU of its own, so --device names none. Received: {name}. "
            "Use --device cuda."
        )
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return "cpu"
    local, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if name == "cuda" and not there:
        raise SettingError("There is no GPU here. Received: --device cuda. Use --device cpu.")
    if name in ("auto", "cuda") and local >= there:
        raise SettingError(
            f"Every process needs a GPU of its own. Received: process {local + 1} on a machine with {there}. "
            f"Use torchrun --nproc-per-node {there}, or --device cpu."
        )
    return f"cuda:{local}" if name in ("auto", "cuda") else name


@contextmanager
def process_group(device: torch.device) -> Iterator[World]:
    """The processes that torchrun started, joined for as long as the block lasts; alone without torchrun."""
    if not launched():
        yield SINGLE_PROCESS
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    control = dist.new_group(backend="gloo", timeout=_PATIENCE)
    world = World(dist.get_rank(), dist.get_world_size(), control)
    try:
        yield world
        world.barrier()  # Nobody hangs up while another still listens.
    except BaseException:
        launch.claim(_first_to_speak())  # Before this one's end is noticed, and told, by the others.
        raise
    dist.destroy_process_group()
    # Whoever still holds the world must not hold the group: its threads are to end here, not with Python.
    object.__setattr__(world, "control", None)


def _first_to_speak() -> bool:
    """True at the first process that asks, False at all others: for the one message when a run breaks."""
    try:
        store = dist.TCPStore(  # type: ignore[attr-defined]
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            timeout=timedelta(seconds=5),
        )
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return bool(store.add(f"gansmith/spoken/{attempt}", 1) == 1)
    except (KeyError, ValueError, RuntimeError):  # The store went down with its owner.
        return launch.speaks()


@contextmanager
def _others_alive() -> Iterator[None]:
    """What the library says when a connection breaks, in words."""
    try:
        yield
    except RuntimeError as error:
        message = (
            "Another process of this command has ended, so all of them stop. What was saved is kept, and the "
            f"same command resumes a run. The system says: {_first_sentence(error)}"
        )
        stopping.lost(message)
        raise TrainingError(message) from error


def _first_sentence(error: BaseException) -> str:
    """Without the place in the library's source that it begins with."""
    said = re.sub(r"^\[[^\]]*\]\s*", "", str(error).strip())
    return said.splitlines()[0].partition(". ")[0].rstrip(".") + "."
