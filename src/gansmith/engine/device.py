"""What a run uses of this machine: device, number format, order in memory, compiler; chosen once and said."""

import ctypes
import functools
import sys
import time
from dataclasses import dataclass

import torch
from torch import nn

from gansmith.config.training import EngineConfig, Precision, TrainConfig
from gansmith.errors import SettingError

_PROBES = 8  # Of each number format.
_CLEAR = 1.5  # Times as fast.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # Names of mallopt(3).


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` takes a GPU where there is one, then Apple's, then the processor.

    Raises:
        SettingError: the named device is not on this machine.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, found in there.items() if found))
    kind = name.partition(":")[0]
    if not there.get(kind, False):
        found = ", ".join(kind for kind, yes in there.items() if yes)
        raise SettingError(f"The device must be one this machine has: {found}. Received: {name!r}.")
    return torch.device(name)


def pick_precision(wanted: Precision, device: torch.device) -> torch.dtype:
    """The format of the networks' arithmetic; weights and losses are float32 in any case."""
    if wanted == "float32":
        return torch.float32
    if wanted == "bfloat16":
        return torch.bfloat16
    return torch.bfloat16 if _fast_bfloat16(device) else torch.float32


def _fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is done in hardware; emulated, it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _faster_in_bfloat16()


@functools.cache
def _faster_in_bfloat16() -> bool:
    """Whether this processor convolves faster in bfloat16 than in float32: both are timed, once a process.

    What a processor says of itself is not enough: without hardware for it bfloat16 takes 15 times as long,
    and hardware that is there need not be what torch uses. They take turns, and the least time of each
    counts, so that other programs disturb little. Where times are near each other, what the processor says
    decides: a run that goes on must not change its arithmetic by chance.
    """
    said = bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    least = dict.fromkeys((torch.float32, torch.bfloat16), float("inf"))
    for _ in range(_PROBES):
        for dtype in least:
            least[dtype] = min(least[dtype], _convolution_seconds(dtype))
        gain = least[torch.float32] / least[torch.bfloat16]
        if gain > _CLEAR if said else gain < 1 / _CLEAR:  # As was said, and clearly.
            return said
    return gain > 1 / _CLEAR if said else gain > _CLEAR


def _convolution_seconds(dtype: torch.dtype) -> float:
    """How long a convolution of a discriminator takes, there and back, once its kernels are made."""
    last = torch.channels_last
    images = torch.ones(8, 32, 32, 32, dtype=dtype).contiguous(memory_format=last)
    weight = torch.ones(64, 32, 4, 4, dtype=dtype).contiguous(memory_format=last).requires_grad_()
    seconds = 0.0
    for _ in range(2):  # The first one makes them.
        start = time.perf_counter()
        nn.functional.conv2d(images, weight, stride=2, padding=1).sum().backward()  # type: ignore[no-untyped-call]
        seconds = time.perf_counter() - start
    return seconds


@dataclass(frozen=True)
class Choices:
    """What was chosen for a run on this machine.

    Example:
        >>> Choices.of(TrainConfig(precision="float32"), torch.device("cpu")).precision
        torch.float32
    """

    device: torch.device
    precision: torch.dtype
    channels_last: bool
    tf32: bool
    keeps_memory: bool
    compiled: bool
    graphs: bool

    @classmethod
    def of(cls, train: TrainConfig, device: torch.device) -> "Choices":
        """What ``train.precision`` and ``train.engine`` ask for, with every ``auto`` decided."""
        engine: EngineConfig = train.engine
        precision = pick_precision(train.precision, device)
        on_cuda = device.type == "cuda"
        return cls(
            device=device,
            precision=precision,
            # Apple's kernels for channels last have had wrong results and gain nothing.
            channels_last=device.type != "mps"
            if engine.layout == "auto"
            else engine.layout == "channels_last",
            tf32=on_cuda and (precision == torch.bfloat16 if engine.tf32 is None else engine.tf32),
            keeps_memory=engine.keep_memory and device.type == "cpu" and sys.platform == "linux",
            compiled=engine.compile in ("on", "graphs"),
            graphs=engine.compile == "graphs" and on_cuda,
        )

    @property
    def memory_format(self) -> torch.memory_format:
        """The order of an image's numbers in memory."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device)
        words = [f"on {name} in {str(self.precision).removeprefix('torch.')}"]
        words += ["channels last"] if self.channels_last else []
        words += ["TF32"] if self.tf32 else []
        words += ["memory kept"] if self.keeps_memory else []
        words += [f"compiled{' into CUDA graphs' if self.graphs else ''}"] if self.compiled else []
        return ", ".join(words)

    def apply(self) -> None:
        """Set what torch keeps for the whole process."""
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = self.tf32
            torch.backends.cudnn.allow_tf32 = self.tf32
        if self.keeps_memory:
            _keep_memory()

    def prepare(self, network: nn.Module) -> None:
        """Compile a network in place, where that was chosen; its names and its copies stay plain."""
        if self.compiled:
            network.compile(mode="reduce-overhead" if self.graphs else None)


def _keep_memory() -> None:
    """Have the C library keep freed memory for the next tensor instead of giving it back to the system.

    Else every step asks for the same pages again, and the system fills each with zeros first, thousands of
    them. It is kept until the process ends, and is never more than was in use at once.
    """
    keep = getattr(ctypes.CDLL(None), "mallopt", None)  # Not every C library has it.
    if keep is not None:
        keep(_TRIM_THRESHOLD, 2**31 - 1)
        for size in (2**25, 2**30):  # Older libraries refuse the second.
            keep(_MMAP_THRESHOLD, size)


def not_compiled(network: nn.Module) -> bool:
    """Take a network's compilation back; whether there was one."""
    was = network._compiled_call_impl is not None
    network._compiled_call_impl = None
    return was


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and any(sign in words for sign in ("can't allocate memory", "not enough memory", "out of memory"))
    )
