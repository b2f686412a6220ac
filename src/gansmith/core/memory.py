"""How much memory work takes on a device, and how much is free there, as far as the system tells."""

import importlib
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

_PROCESS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")  # Writing 5 makes the peak what is held now (proc(5)).
_MACHINE = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")  # Of a container with a limit of its own.
_UNKNOWN = "not measured: this system does not tell"


@dataclass(frozen=True)
class Memory:
    """Memory use that was measured, in bytes; None where the system does not report it.

    Example:
        >>> Memory(peak=3 * 10**9, before=10**9, free=4 * 10**9, measured_by="allocator").enough
        True
    """

    peak: int | None  # The most that was held since ``PeakMemory`` was made, what was held before included.
    before: int | None  # What was held when ``PeakMemory`` was made.
    free: int | None  # What could still be had then.
    measured_by: str

    @property
    def enough(self) -> bool:
        """Whether what came on top was free, as far as that is known."""
        if self.peak is None or self.before is None or self.free is None:
            return True
        return self.peak - self.before <= self.free


class PeakMemory:
    """Measures the peak memory of a device from here on: of a GPU, or of this process on the CPU.

    Example:
        >>> peak = PeakMemory(torch.device("cpu"))
        >>> peak.read().peak
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before, self._free = _held(device), free_memory(device)
        self.restart()

    def restart(self) -> None:
        """Forget the peak so far."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            with suppress(OSError):  # Not on Linux, or not permitted: the peak is then of the process's life.
                _RESET.write_text("5")

    def read(self) -> Memory:
        """What was seen so far."""
        peak, by = _peak(self._device)
        return Memory(peak, self._before, self._free, by)


def free_memory(device: torch.device) -> int | None:
    """Bytes that can still be had on a device; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    known = [free for free in (_table(_MACHINE).get("MemAvailable"), _left_in_group()) if free is not None]
    return min(known, default=None)


def machine_memory() -> int | None:
    """Bytes of memory in this machine, free or not; None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows.
        return None


def _left_in_group() -> int | None:
    try:
        limit, used = ((_GROUP / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        return max(int(limit) - int(used), 0)
    except (OSError, ValueError):  # No such group, or its limit is the word "max".
        return None


def _held(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return _table(_PROCESS).get("VmRSS") if device.type == "cpu" else None


def _peak(device: torch.device) -> tuple[int | None, str]:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), "torch.cuda.max_memory_allocated"
    if device.type != "cpu":
        return None, _UNKNOWN
    if (peak := _table(_PROCESS).get("VmHWM")) is not None:
        return peak, "the most resident memory of this process"
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows.
        return None, _UNKNOWN
    unit = 1 if sys.platform == "darwin" else 1024
    most = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return unit * most, "the most resident memory in the life of this process"


def _table(file: Path) -> dict[str, int]:
    """The lines ``Name: 12 kB`` of a file of the system, in bytes; empty where there is none."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    cells = (line.replace(":", " ").split() for line in lines)
    return {cell[0]: 1024 * int(cell[1]) for cell in cells if len(cell) == 3 and cell[2] == "kB"}
