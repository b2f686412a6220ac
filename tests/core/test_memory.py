"""Memory is what the system says it is, and unknown where the system does not say."""

import mmap
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gansmith.core import memory as gauge
from gansmith.core.memory import Memory, PeakMemory, free_memory

CPU = torch.device("cpu")
BLOCK = 64 * 2**20
proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system has no /proc")


@proc
def test_the_peak_grows_by_what_is_touched_and_is_forgotten() -> None:
    watched = PeakMemory(CPU)
    with mmap.mmap(-1, BLOCK) as held:  # Not by the C library, which may have some at hand.
        for page in range(0, BLOCK, 4096):
            held[page] = 1
    memory = watched.read()
    assert memory.peak is not None and memory.before is not None and memory.free is not None
    assert memory.peak - memory.before >= 0.9 * BLOCK
    watched.restart()
    after = watched.read().peak
    assert after is not None and after < memory.peak - 0.5 * BLOCK
    assert memory.enough and "resident" in memory.measured_by


@pytest.mark.parametrize(
    ("peak", "before", "free", "enough"),
    [
        (300, 100, 200, True),
        (301, 100, 200, False),
        (None, 1, 1, True),
        (9, None, 1, True),
        (9, 1, None, True),
    ],
)
def test_enough(peak: int | None, before: int | None, free: int | None, enough: bool) -> None:
    assert Memory(peak, before, free, "").enough == enough


def made_up(monkeypatch: pytest.MonkeyPatch, folder: Path, **files: str) -> None:
    (folder / "group").mkdir()
    for name, text in files.items():
        (folder / name.replace("group_", "group/memory.")).write_text(text)
    for constant, name in (
        ("_PROCESS", "status"),
        ("_RESET", "no/where"),
        ("_MACHINE", "meminfo"),
        ("_GROUP", "group"),
    ):
        monkeypatch.setattr(gauge, constant, folder / name)


MEMINFO = "MemTotal:  900 kB\nMemAvailable:     500 kB\nHugePages_Total:       0\n"


def test_free_is_what_the_machine_can_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(monkeypatch, tmp_path, meminfo=MEMINFO)
    assert free_memory(CPU) == 500 * 1024


@pytest.mark.parametrize(
    ("limit", "used", "left"), [("409600", "204800", 204800), ("max", "5", 512000), ("10", "20", 0)]
)
def test_a_containers_limit_counts(
    limit: str, used: str, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up(monkeypatch, tmp_path, meminfo=MEMINFO, group_max=limit + "\n", group_current=used + "\n")
    assert free_memory(CPU) == left


def test_status_is_read_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(monkeypatch, tmp_path, status="Name:\tpython\nVmHWM:\t    70 kB\nVmRSS:\t    60 kB\n")
    memory = PeakMemory(CPU).read()
    assert (memory.peak, memory.before, memory.free) == (70 * 1024, 60 * 1024, None)


@pytest.mark.parametrize(("platform", "unit"), [("darwin", 1), ("linux", 1024)])
def test_without_proc_the_peak_of_the_life_is_asked_for(
    platform: str, unit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up(monkeypatch, tmp_path)

    class Usage:
        RUSAGE_SELF = 0

        @staticmethod
        def getrusage(who: int) -> Any:
            return type("Row", (), {"ru_maxrss": 7})

    monkeypatch.setitem(sys.modules, "resource", Usage)
    monkeypatch.setattr(gauge.sys, "platform", platform)
    memory = PeakMemory(CPU).read()
    assert memory.peak == 7 * unit and memory.before is None and "life" in memory.measured_by


def test_where_nothing_tells_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(monkeypatch, tmp_path)
    monkeypatch.setitem(sys.modules, "resource", None)
    for device in (CPU, torch.device("mps")):
        memory = PeakMemory(device).read()
        assert memory.peak is None and memory.free is None and memory.enough
        assert memory.measured_by.startswith("not measured")


def test_a_gpu_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    for name, value in (("memory_allocated", 10), ("max_memory_allocated", 90), ("mem_get_info", (70, 100))):
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    memory = PeakMemory(torch.device("cuda")).read()
    assert (memory.peak, memory.before, memory.free) == (90, 10, 70) and not memory.enough
