"""Several processes train as one does: the same losses and weights, one voice, and a run that resumes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from together import BATCH, IDLE, METHODS, Rows, cases, rows, slope, steps_of
from toys import TOYS

from gansmith.core import distributed, launch
from gansmith.core.distributed import SINGLE_PROCESS, my_device, share_tensors
from gansmith.engine.micro_batch import micro_batch
from gansmith.errors import SettingError, TrainingError
from gansmith.runs.run import Run

HERE = Path(__file__).parents[1]
TOY = tuple(TOYS)
CLOSE = 1e-9
CLOSE_IN_FLOAT32 = 1e-2  # Room for activations that are zero but for rounding: see docs/engine.md.


def torchrun(processes: int, *command: str, **options) -> subprocess.Popen:
    paths = os.pathsep.join([str(HERE), str(HERE.parent / "src")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
    ]
    return subprocess.Popen(
        [*launcher, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,
    )


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], prefix: str) -> float:
    """Relative distance of all tensors with this prefix, as one vector."""
    names = [name for name in one if name.startswith(prefix) and one[name].is_floating_point()]
    assert names and one.keys() == other.keys()
    apart = sum(float((one[name].double() - other[name].double()).square().sum()) for name in names)
    size = sum(float(one[name].double().square().sum()) for name in names)
    return (apart / size) ** 0.5


def assert_same(one: Rows, other: Rows, close: float) -> None:
    """Losses, gradients, weights, memory and averages, step by step."""
    for (row, state), (its_row, its_state) in zip(one, other, strict=True):
        assert row.keys() == its_row.keys()
        for name in row:
            # Other numbers may compare images with the mean of their part of the batch.
            if name.endswith(("/loss", "/gradient")):
                assert its_row[name] == pytest.approx(row[name], rel=close, abs=0.01 * close), name
        averaged = ("average.",) if any(name.startswith("average.") for name in state) else ()
        for kind in ("gradients.", "networks.", *averaged):
            assert distance(state, its_state, kind) < close, kind


@pytest.fixture(scope="module")
def alone() -> dict[str, Rows]:
    return {name: rows(recipe, steps=steps_of(name)) for name, recipe in cases().items()}


def start(processes: int, out: Path, names: Iterable[str]) -> dict:
    process = torchrun(processes, str(HERE / "together.py"), str(out), *names)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return torch.load(out) | {"processes": processes}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Every case in two processes."""
    return start(2, tmp_path_factory.mktemp("together") / "rows.pt", cases())


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """In four, the toys, which have all that a method may do, and what is no method of its own."""
    names = [name for name in cases() if name.removesuffix("/64") not in METHODS or name.startswith(TOY)]
    return start(4, tmp_path_factory.mktemp("together") / "rows.pt", names)


@pytest.fixture(params=["two", "four"])
def together(request: pytest.FixtureRequest) -> dict:
    return request.getfixturevalue(request.param)


def in_both(methods: Iterable[str]) -> pytest.MarkDecorator:
    """Each method in two processes, and toys in four, too."""
    pairs = [(name, "two") for name in methods] + [(name, "four") for name in methods if name in TOYS]
    return pytest.mark.parametrize(("method", "together"), pairs, indirect=["together"])


@in_both(METHODS)
def test_losses_weights_and_memory_are_those_of_one_process(method: str, together: dict, alone: dict) -> None:
    case = f"{method}/64"
    networks = [v for n, v in alone[case][0][1].items() if n.startswith("gradients.")]
    assert all(value.dtype == torch.float64 for value in networks)
    assert_same(alone[case], together["rows"][case], CLOSE)


@in_both([name for name in METHODS if not name.startswith(IDLE)])
def test_gradients_in_float32_are_those_of_one_process(method: str, together: dict, alone: dict) -> None:
    assert_same(alone[method][:1], together["rows"][method][:1], CLOSE_IN_FLOAT32)


def test_micro_batches_in_several_processes_add_up_to_the_batch(together: dict, alone: dict) -> None:
    # Batch norm is in the generator of this one, so parts are compared with parts of the same size.
    assert together["processes"] * 4 <= BATCH
    state, its_state = alone["rpgan-parts"][0][1], together["rows"]["rpgan-parts"][0][1]
    assert distance(state, its_state, "networks.discriminator") < 1e-2
    assert distance(state, its_state, "networks.discriminator") > 0


def test_statistics_of_each_process_are_another_batch_norm(together: dict, alone: dict) -> None:
    state, its_state = alone["dcgan"][0][1], together["rows"]["dcgan-own-statistics"][0][1]
    assert distance(state, its_state, "gradients.") > 10 * CLOSE_IN_FLOAT32


def test_every_process_ends_with_the_same_weights(together: dict) -> None:
    assert together["equal"] is True
    assert together["mean rank"] == (together["processes"] - 1) / 2


def test_batch_norm_over_processes_can_be_differentiated_twice(together: dict) -> None:
    for mine, whole in zip(together["slope"], slope(), strict=True):
        assert torch.allclose(mine, whole, rtol=1e-9, atol=1e-9)
    assert any(float(whole.abs().max()) > 0.1 for whole in slope())


def test_several_processes_resume_bit_for_bit(together: dict) -> None:
    assert together["resumed"] is True


# ---- a run --------------------------------------------------------------------------------------------


def workers(of: subprocess.Popen) -> dict[int, int]:
    """Rank -> process number of torchrun's children that have begun."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent != of.pid:
                continue
            environment = (entry / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        ranks = [int(part[5:]) for part in environment if part.startswith(b"RANK=")]
        found |= {rank: int(entry.name) for rank in ranks}
    return found


def until(condition, process: subprocess.Popen, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)


def endless(run: Path) -> list[str]:
    """A tiny training that goes on until somebody stops it."""
    settings = ["batch=8", "images=200000", "log_every=64", "picture_every=1000000", "checkpoint_every=64"]
    command = ["train", "digits", "--recipe", "dcgan28", "--run-dir", str(run), "--device", "cpu"]
    for setting in (
        *(f"train.{s}" for s in settings),
        "method.generator_width=2",
        "method.discriminator_width=2",
    ):
        command += ["--set", setting]
    return command


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")
def test_a_killed_process_ends_all_with_one_message_and_the_run_resumes(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = endless(run)
    process = torchrun(2, "-m", "gansmith", *command)
    until(lambda: len(list(run.glob("checkpoints/*.safetensors"))) > 1, process)
    os.kill(workers(process)[1], signal.SIGKILL)
    before = time.monotonic()
    said, _ = process.communicate(timeout=60)
    assert time.monotonic() - before < 30
    assert process.returncode != 0
    assert said.count("gansmith: ") == 1, said
    assert "Another process of this command has ended" in said
    saved = int(Run.open(run).checkpoint_files()[-1].stem)
    assert saved >= 128
    # One process goes on with what two had begun.
    command[command.index("train.images=200000")] = f"train.images={saved + 64}"
    text = (run / "recipe.json").read_text().replace("200000", str(saved))
    (run / "recipe.json").write_text(text)
    again = [sys.executable, "-m", "gansmith", *command]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent / "src")}
    done = subprocess.run(again, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"Resuming {run} after {saved} images." in done.stderr
    assert int(Run.open(run).checkpoint_files()[-1].stem) == saved + 64


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")
def test_processes_whose_launcher_was_killed_save_and_stop(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = torchrun(2, "-m", "gansmith", *endless(run))
    until(lambda: len(list(run.glob("checkpoints/*.safetensors"))) > 1, process)
    process.kill()
    said, _ = process.communicate(timeout=60)  # Ends once the last of them has closed its end.
    assert "Stopped and saved after" in said
    saved = int(Run.open(run).checkpoint_files()[-1].stem)
    assert f"Stopped and saved after {saved} images" in said


def test_a_mistake_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("not a run")
    process = torchrun(
        2, "-m", "gansmith", "train", "digits", "--recipe", "dcgan28", "--run-dir", str(tmp_path / "mine")
    )
    said, _ = process.communicate(timeout=120)
    assert said.count("gansmith: ") == 1, said
    assert "A run is a directory" in said
    assert (tmp_path / "mine").read_text() == "not a run"


# ---- parts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "processes", "most", "expected"),
    [(64, 1, None, 64), (64, 4, None, 16), (64, 2, 10, 8), (30, 1, 8, 6), (7, 1, 3, 1), (8, 1, 100, 8)],
)
def test_a_micro_batch_fills_a_processes_part_evenly(batch, processes, most, expected: int) -> None:
    assert micro_batch(batch, processes, most) == expected


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(SettingError, match=r"train.batch=30 and 4 processes. Try train.batch=32"):
        micro_batch(30, 4)


def test_alone_sharing_changes_nothing() -> None:
    value = torch.tensor([1.0, 2.0])
    SINGLE_PROCESS.average([value])
    SINGLE_PROCESS.broadcast_([value])
    SINGLE_PROCESS.barrier()
    assert value.tolist() == [1.0, 2.0]
    assert SINGLE_PROCESS.max(3) == 3 and SINGLE_PROCESS.broadcast({"a": 1}) == {"a": 1}
    assert SINGLE_PROCESS.span(7) == (0, 7)
    collected = SINGLE_PROCESS.gather(value)
    assert collected is not None and torch.equal(collected[0], value)
    assert share_tensors(SINGLE_PROCESS, {"a": value}).keys() == {"a"}
    with distributed.process_group(torch.device("cpu")) as world:
        assert world is SINGLE_PROCESS


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_every_process_takes_the_processor_where_there_is_no_gpu(name: str, monkeypatch) -> None:
    assert my_device(name) == name
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert my_device(name) == "cpu"


def test_every_process_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert my_device("auto") == my_device("cuda") == "cuda:1"
    with pytest.raises(SettingError, match="Use --device cuda"):
        my_device("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SettingError, match="There is no GPU here"):
        my_device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SettingError, match="torchrun --nproc-per-node 1"):
        my_device("auto")


def test_the_first_process_speaks_unless_another_has_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_claims", [])
    assert launch.speaks()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert not launch.speaks()
    launch.claim(True)
    assert launch.speaks()


def test_a_broken_connection_is_told_in_words() -> None:
    with pytest.raises(
        TrainingError, match=r"the same command resumes a run\. The system says: Connection closed"
    ):
        with distributed._others_alive():
            raise RuntimeError("[/src/pair.cc:537] Connection closed by peer [127.0.0.1]. And more\nmore")
