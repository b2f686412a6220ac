"""Training from the outside: interrupted, killed, ill, out of disk, twice at once; nothing is lost."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sessions import Ear, data, final_tensors, go, recipe, same
from toys import Lazy, recipe_for

from gansmith.core.console import Silent
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.metadata.facts import Refused
from gansmith.errors import RunError, StorageError, TrainingError
from gansmith.images import grid as pictures
from gansmith.methods.base import Loss
from gansmith.models.load import open_generator
from gansmith.runs.checkpoint import Checkpoint
from gansmith.runs.logs import Logbook
from gansmith.runs.run import Run


def test_a_run_leaves_everything_it_promises(tmp_path: Path) -> None:
    outcome = go(tmp_path / "run")
    assert outcome.interruption.exit_code == 0 and outcome.images == 48
    for name in (
        "recipe.json",
        "environment.json",
        "data.json",
        "stats.jsonl",
        "curves.png",
        "animation.webp",
    ):
        assert (tmp_path / "run" / name).stat().st_size > 0, name
    assert [p.name for p in Run.open(tmp_path / "run").checkpoint_files()] == [
        "000000016.safetensors",
        "000000032.safetensors",
        "000000048.safetensors",
    ]
    assert len(list((tmp_path / "run" / "pictures").glob("*.png"))) == 4
    assert set(outcome.shown) == {"samples", "animation", "curves", "real and generated"}
    rows = Run.open(tmp_path / "run").rows()
    assert [row["images"] for row in rows] == [8, 16, 24, 32, 40, 48]
    assert {"discriminator/loss", "generator/loss", "seconds", "images_per_second"} <= rows[-1].keys()
    assert "r1/loss" in rows[0]  # Played in each third step only.
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    go(tmp_path / "run")
    before = final_tensors(tmp_path / "run")
    rows = Run.open(tmp_path / "run").rows()
    assert go(tmp_path / "run").images == 48
    assert same(before, final_tensors(tmp_path / "run")) and rows == Run.open(tmp_path / "run").rows()


def test_a_run_is_lengthened_and_stays_exact(tmp_path: Path) -> None:
    go(tmp_path / "straight")
    go(tmp_path / "two", recipe(images=24))
    assert Run.open(tmp_path / "two").recipe.train.images == 24
    go(tmp_path / "two")
    assert Run.open(tmp_path / "two").recipe.train.images == 48
    assert same(final_tensors(tmp_path / "straight"), final_tensors(tmp_path / "two"))


def test_another_recipe_is_refused_with_the_difference(tmp_path: Path) -> None:
    go(tmp_path / "run")
    with pytest.raises(RunError, match=r"train\.batch: 4 -> 8"):
        go(tmp_path / "run", recipe(batch=8))
    with pytest.raises(RunError, match=r"method\.every: 3 -> 2"):
        go(tmp_path / "run", recipe(Lazy(every=2)))
    with pytest.raises(RunError, match=r"data: made up \(40 pictures\) -> made up \(39 pictures\)"):
        go(tmp_path / "run", data=data(39))


class StopAt(Silent):
    """Sends this process a signal after some images."""

    def __init__(self, images: int, number: int) -> None:
        self.left, self.number = images, number

    def advance(self, images: int) -> None:
        self.left -= images
        if self.left == 0:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_save_and_stop_and_the_rest_is_as_if_never_stopped(
    tmp_path: Path, number: int, code: int
) -> None:
    go(tmp_path / "straight")
    handler = signal.getsignal(number)
    outcome = go(tmp_path / "run", console=StopAt(20, number))
    assert outcome.interruption.exit_code == code and outcome.images == 20
    assert Run.open(tmp_path / "run").checkpoint_files()[-1].stem == "000000020"
    go(tmp_path / "run")
    assert same(final_tensors(tmp_path / "straight"), final_tensors(tmp_path / "run"))
    assert signal.getsignal(number) is handler


_CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from gansmith.core.console import Silent
from sessions import go
class Slow(Silent):
    steps = 0
    def advance(self, images):
        self.steps += 1
        print(images, flush=True)
        time.sleep(60 if self.steps == 7 else 0.05)  # 28 images: past the checkpoint at 16, before 32.
go(Path({path!r}), console=Slow())
"""


def child(path: Path, code: str = _CHILD) -> "subprocess.Popen[str]":
    code = code.format(tests=str(Path(__file__).parents[1]), path=str(path))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True, env=environment
    )


def test_a_kill_loses_only_the_work_since_the_last_checkpoint(tmp_path: Path) -> None:
    go(tmp_path / "straight")
    with child(tmp_path / "run") as process:
        assert process.stdout is not None
        for _ in range(7):
            process.stdout.readline()
        process.kill()
    assert [p.stem for p in Run.open(tmp_path / "run").checkpoint_files()] == ["000000016"]
    ear = Ear()
    go(tmp_path / "run", console=ear)
    assert any("after 16 images" in line for line in ear.said)
    assert same(final_tensors(tmp_path / "straight"), final_tensors(tmp_path / "run"))
    images = [row["images"] for row in Run.open(tmp_path / "run").rows()]
    assert images == sorted(set(images))


_WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from gansmith.runs import checkpoint
from sessions import go
write, calls = checkpoint.write_tensors, []
def slow(path, tensors, metadata):
    write(path, tensors, metadata)
    calls.append(path)
    if len(calls) == 2:
        path.write_bytes(path.read_bytes()[:1000])
        print("writing", flush=True)
        time.sleep(60)
checkpoint.write_tensors = slow
go(Path({path!r}))
"""


def test_ctrl_c_twice_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    with child(tmp_path / "run", _WRITER) as process:
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in said and "stopped" in said
    found = Run.open(tmp_path / "run").newest()
    assert found is not None and found[0].facts["images"] == 16 and not found[1]
    assert go(tmp_path / "run").images == 48


def test_a_disk_that_is_full_for_tensorboard_is_said_once_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gansmith.runs import logs

    add, calls = logs._Events._add, []

    def full(events: Any, **facts: Any) -> None:
        calls.append(facts)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(events, **facts)

    monkeypatch.setattr(logs._Events, "_add", full)
    before, ear = set(threading.enumerate()), Ear()
    assert go(tmp_path / "run", console=ear).images == 48
    assert len([line for line in ear.said if "TensorBoard is left out" in line]) == 1
    assert len(calls) == 5 and len(Run.open(tmp_path / "run").rows()) == 6
    assert set(threading.enumerate()) <= before  # No thread of its own is left that could fail unseen.


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with child(tmp_path / "run") as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(RunError, match="Another process is training"):
                go(tmp_path / "run")
        finally:
            process.kill()


def test_a_damaged_newest_checkpoint_is_told_and_an_older_one_is_used(tmp_path: Path) -> None:
    go(tmp_path / "straight")
    go(tmp_path / "run", recipe(images=40))
    newest = Run.open(tmp_path / "run").checkpoint_files()[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    ear = Ear()
    go(tmp_path / "run", console=ear)
    assert any("damaged" in line for line in ear.said)
    assert same(final_tensors(tmp_path / "straight"), final_tensors(tmp_path / "run"))


class Ill(Lazy):
    """A loss that stops being a number."""

    def fool(self, networks: Any, batch: Any, noise: Any, progress: Any) -> Loss:
        loss = super().fool(networks, batch, noise, progress)
        return Loss(loss.total * (float("nan") if progress.images >= 24 else 1.0))


def test_a_nan_stops_training_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    ill = recipe(replace(Lazy()))
    ill = replace(ill, method=Ill())
    with pytest.raises(TrainingError, match="generator/loss became nan"):
        go(tmp_path / "run", ill)
    newest = Run.open(tmp_path / "run").checkpoint_files()[-1]
    assert newest.stem == "000000016"
    assert all(bool(t.isfinite().all()) for t in Checkpoint.load(newest).tensors.values())


def test_a_full_disk_does_not_stop_a_run_or_harm_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = Checkpoint.save, []

    def full_once(self: Checkpoint, path: Path) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise StorageError("Cannot write: the disk is full.")
        save(self, path)

    monkeypatch.setattr(Checkpoint, "save", full_once)
    ear = Ear()
    go(tmp_path / "run", console=ear)
    assert any("disk is full" in line for line in ear.said)
    stems = [p.stem for p in Run.open(tmp_path / "run").checkpoint_files()]
    assert stems == ["000000016", "000000048"]
    assert Run.open(tmp_path / "run").newest() is not None


def test_a_full_disk_at_the_end_is_an_error_and_the_last_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gansmith.runs import checkpoint

    save, calls = checkpoint.write_tensors, []

    def full(path: Path, tensors: Any, metadata: Any) -> None:
        calls.append(path)
        if len(calls) > 1:
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(path, tensors, metadata)

    monkeypatch.setattr(checkpoint, "write_tensors", full)
    with pytest.raises(StorageError):
        go(tmp_path / "run")
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["000000016.safetensors"]
    monkeypatch.setattr(checkpoint, "write_tensors", save)
    assert go(tmp_path / "run").images == 48


class Mover(Ear):
    """Does something to a run's directory after its first numbers."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__()
        self.work: Callable[[], object] | None = work

    def report(self, row: Any) -> None:
        if self.work is not None:
            self.work()
        self.work = None


def occupied(run: Path) -> None:
    run.rename(run.with_name("moved"))
    run.mkdir()
    (run / "mine.txt").write_text("not a run")


def free(run: Path) -> bool:
    """Whether another process could lock a run."""
    code = "import sys; from pathlib import Path; from gansmith.core.files import alone\n"
    code += "with alone(Path(sys.argv[1]), SystemExit(3)): pass"
    return subprocess.run([sys.executable, "-c", code, run / "run.lock"]).returncode == 0


@pytest.mark.parametrize(
    ("work", "place"),
    [
        (shutil.rmtree, "run"),
        (lambda run: run.rename(run.with_name("moved")), "run"),
        (lambda run: (run / "recipe.json").unlink(), "run-recovered-1"),
        (occupied, "run-recovered-1"),
    ],
)
def test_a_run_that_is_moved_or_removed_is_made_anew_and_resumes(
    tmp_path: Path, work: Any, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    ear = Mover(lambda: work(run))
    held = []
    noted = Logbook.write

    def locked(book: Logbook, row: Mapping[str, float]) -> None:
        noted(book, row)
        if (tmp_path / place / "data.json").exists():
            held.append(not free(tmp_path / place))

    monkeypatch.setattr(Logbook, "write", locked)
    outcome = go(run, recipe(images=32), console=ear)
    assert held and all(held)  # No second process may train in the new directory; afterwards one may.
    assert free(tmp_path / place)
    assert outcome.run.path == tmp_path / place
    assert any(f"The run goes on in {tmp_path / place}, made anew" in line for line in ear.said)
    assert go(tmp_path / place).images == 48
    assert same(final_tensors(tmp_path / place), final_tensors_of_whole(tmp_path))


def final_tensors_of_whole(folder: Path) -> dict[str, torch.Tensor]:
    go(folder / "whole")
    return final_tensors(folder / "whole")


def test_a_batch_larger_than_the_data_repeats_pictures_and_says_so(tmp_path: Path) -> None:
    ear = Ear()
    assert go(tmp_path / "run", data=data(3), console=ear).images == 48
    assert any("larger than the training set, 2 pictures" in line for line in ear.said)


def test_a_foreign_directory_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match=r"thesis\.txt"):
        go(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_grid_shows_what_generate_makes(tmp_path: Path) -> None:
    """Seeds 0 to 63 of the finished run are the pictures of its last grid."""
    from gansmith.models.write import pictures as generate

    go(tmp_path / "run")
    made = torch.cat(
        [batch for _, batch in generate(open_generator(str(tmp_path / "run"), "cpu"), range(64))]
    )
    expected = pictures.grid(made)
    with Image.open(tmp_path / "run" / "pictures" / "000000048.png") as picture:
        shown = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)
    assert (shown.int() - expected.int()).abs().max() <= 1


def test_borrowing_through_recipes(tmp_path: Path) -> None:
    from toys import SecondStage

    go(tmp_path / "one")
    second = recipe_for(SecondStage(), ("refiner",), images=8)
    outcome = go(tmp_path / "two", replace(second, borrow={"generator": str(tmp_path / "one")}))
    ours, theirs = final_tensors(tmp_path / "two"), final_tensors(tmp_path / "one")
    assert outcome.images == 8
    for name in ("linear.weight", "linear.bias"):
        assert torch.equal(ours[f"networks.generator.{name}"], theirs[f"average.generator.{name}"])


def test_stats_are_one_json_object_a_line(tmp_path: Path) -> None:
    go(tmp_path / "run")
    lines = (tmp_path / "run" / "stats.jsonl").read_text().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines) and len(lines) == 6


def test_a_damaged_last_checkpoint_is_set_aside_and_made_again(tmp_path: Path) -> None:
    go(tmp_path / "run", recipe(images=40))
    good = final_tensors(tmp_path / "run")
    last = Run.open(tmp_path / "run").checkpoint_files()[-1]
    last.write_bytes(last.read_bytes()[:1000])
    go(tmp_path / "run", recipe(images=40))
    assert same(good, dict(Checkpoint.load(last).tensors))
    assert last.with_suffix(".damaged").exists()


def test_a_shorter_length_is_refused_and_a_longer_one_is_told(tmp_path: Path) -> None:
    go(tmp_path / "run", console=StopAt(20, signal.SIGTERM))
    with pytest.raises(RunError, match=r"train\.images: 48 -> 24"):
        go(tmp_path / "run", recipe(images=24))
    ear = Ear()
    go(tmp_path / "run", recipe(images=64), console=ear)
    assert "From here on train.images: 48 -> 64." in ear.said


def test_pictures_that_come_or_go_are_noticed(tmp_path: Path) -> None:
    """A file that was unreadable for a while changes which pictures are trained on: no silent resume."""
    go(tmp_path / "run")
    other = data(39)
    other.fingerprint = "40-0"
    with pytest.raises(RunError, match=r"40 pictures\) -> made up \(39 pictures"):
        go(tmp_path / "run", data=other)


def test_what_cannot_be_shown_is_left_out_and_said(tmp_path: Path) -> None:
    go(tmp_path / "run")
    (tmp_path / "run" / "stats.jsonl").unlink()
    for picture in (tmp_path / "run" / "pictures").iterdir():
        picture.write_bytes(b"not a picture")
    ear = Ear()
    outcome = go(tmp_path / "run", console=ear)
    assert outcome.interruption.exit_code == 0
    assert any(line.startswith("animation.webp is left out") for line in ear.said)
    assert any(line.startswith("curves.png is left out") for line in ear.said)


class Lazily(MemoryDataSet):
    """Meets a bad file only when it comes to it."""

    def fetch(self, rows: torch.Tensor, columns: Any = None) -> Any:
        self.refused = (Refused("late.jpg", "truncated"),)
        return super().fetch(rows, columns)


def test_bad_files_met_on_the_way_are_listed(tmp_path: Path) -> None:
    images = torch.zeros(40, 3, 16, 16, dtype=torch.uint8)
    ear = Ear()
    go(tmp_path / "run", data=Lazily("late", {"images": images}), console=ear)
    assert json.loads((tmp_path / "run" / "data.json").read_text())["refused"] == [["late.jpg", "truncated"]]
