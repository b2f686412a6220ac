"""Training for a time: the length follows from the speed, and a run keeps it."""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CPU, small_named
from promises import everything
from sessions import Ear, final_tensors, go, same

from gansmith.config.recipe import Recipe
from gansmith.config.training import EvaluateConfig
from gansmith.engine.trainer import Trainer
from gansmith.runs.checkpoint import Checkpoint
from gansmith.runs.run import Run
from gansmith.training import duration, evaluation
from gansmith.training.duration import Budget, Pace, _affordable, as_begun, lasting
from gansmith.training.evaluation import Examiner


def recipe(**train: Any) -> Recipe:
    found = small_named("faces8")
    return replace(found, train=replace(found.train, images=4000, batch=8, **train))


class Clock:
    """Time that goes on by so many seconds with each step of a trainer, and stands still otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, each: float) -> None:
        self.now, step = 0.0, Trainer.step
        monkeypatch.setattr(duration, "time", self)

        def counted(trainer: Trainer[Any, Any, Any]) -> Any:
            self.now += each
            return step(trainer)

        monkeypatch.setattr(Trainer, "step", counted)

    def perf_counter(self) -> float:
        return self.now


def test_the_length_follows_from_the_speed_and_all_that_is_counted_in_images_follows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Clock(monkeypatch, each=0.2)
    before = recipe(picture_every=400, checkpoint_every=1000, log_every=640)
    after, speed, _ = lasting(before, everything(40, 16), 60.0, CPU)
    assert speed == pytest.approx(8 / 0.2)
    assert 0.95 * 60 * speed <= after.train.images <= 60 * speed
    assert after.train.images % 8 == 0
    share = after.train.images / 4000
    assert after.train.picture_every == pytest.approx(400 * share, abs=8)
    assert after.train.checkpoint_every == pytest.approx(1000 * share, abs=8)
    assert after.train.log_every <= 640
    assert replace(after, train=before.train) == before  # Nothing else has changed.


def test_twice_the_time_is_twice_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch, each=0.5)
    lengths = [lasting(recipe(), everything(40, 16), seconds, CPU)[0].train.images for seconds in (60, 120)]
    assert lengths[1] / lengths[0] == pytest.approx(2.0, rel=0.05)


def test_a_short_time_still_is_a_run() -> None:
    after = lasting(recipe(), everything(40, 16), 1.0, CPU).recipe
    assert after.train.images >= 8


def test_measuring_leaves_the_random_numbers_of_the_run_as_they_were() -> None:
    data = everything(40, 16)
    first = weights(data)
    lasting(recipe(), data, 1.0, CPU)
    assert all(torch.equal(a, b) for a, b in zip(first, weights(data), strict=True))


def weights(data: Any) -> list[torch.Tensor]:
    from gansmith.training.setup import ready

    whole, loader = ready(recipe(), data, CPU)
    trainer: Trainer[Any, Any, Any] = Trainer(whole, loader, CPU)
    trainer.step()
    loader.close()
    return [p.detach().clone() for p in trainer.networks.parameters()]


def test_a_run_keeps_its_length(tmp_path: Path) -> None:
    assert as_begun(recipe(), tmp_path / "new") is None
    evaluate = EvaluateConfig(every=66)
    begun = recipe(picture_every=77, checkpoint_every=88, log_every=99, evaluate=evaluate)
    Run.create(tmp_path / "run", begun, {})
    every = {"picture_every": 1, "checkpoint_every": 1, "evaluate": replace(evaluate, every=1)}
    asked = replace(begun, train=replace(begun.train, images=5, **every))
    assert as_begun(asked, tmp_path / "run") == begun


def test_measuring_takes_a_small_share(monkeypatch: pytest.MonkeyPatch) -> None:
    assert duration.SHARE <= 0.05
    start = time.perf_counter()
    duration._speed(_trainer(), 0.5, duration.SINGLE_PROCESS)
    assert time.perf_counter() - start >= 0.5


def _trainer() -> Trainer[Any, Any, Any]:
    from gansmith.training.setup import ready

    whole, loader = ready(recipe(), everything(40, 16), CPU)
    return Trainer(whole, loader, CPU)


# ---- keeping to the time while training -----------------------------------------------------------------


@pytest.mark.parametrize("guess", [64, 4000])
def test_a_run_ends_in_time_whatever_was_measured_before_and_resumes_exactly(
    guess: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, each=10.0)
    every = {"log_every": 80, "picture_every": 4000, "checkpoint_every": 64, "keep_checkpoints": 99}
    asked = replace(recipe(), train=replace(recipe(**every).train, images=guess))
    ear = Ear()
    go(tmp_path / "run", asked, data=everything(40, 16), console=ear, seconds=300.0)
    assert clock.now == pytest.approx(300.0, rel=0.05)
    assert any("To end in time" in line for line in ear.said)
    run = Run.open(tmp_path / "run")
    images = [int(path.stem) for path in run.checkpoint_files()]
    assert images[-1] == run.recipe.train.images != guess
    # From the last correction on, the rest comes out as it did.
    lengths = {at: Checkpoint.load(run.checkpoint(at)).facts["recipe"]["train"]["images"] for at in images}
    first = next(at for at in images if all(lengths[x] == images[-1] for x in images if x >= at))
    shutil.copytree(run.path, tmp_path / "again")
    for at in images:
        if at > first:
            Run.open(tmp_path / "again").checkpoint(at).unlink()
    go(tmp_path / "again", run.recipe, data=everything(40, 16))
    assert same(final_tensors(tmp_path / "again"), final_tensors(run.path))


@pytest.mark.parametrize("expected", [0.5, 2.0])  # Times what an evaluation takes.
def test_evaluations_are_scaled_and_count_in_the_time(
    expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, took = Clock(monkeypatch, each=3.0), [5.0]

    def look(examiner: Examiner, trainer: Trainer[Any, Any, Any]) -> None:
        del examiner
        clock.now += took[0]
        looked.append(trainer.images)

    looked: list[int] = []
    monkeypatch.setattr(Examiner, "look", look)
    monkeypatch.setattr(evaluation, "_TRIAL", 20)
    evaluate = EvaluateConfig(every=1000, metrics="fid", features="pixels", samples=20)
    every = {"picture_every": 4000, "log_every": 800, "checkpoint_every": 400}
    begin = clock.now
    found = lasting(recipe(evaluate=evaluate, **every), everything(40, 16), 200.0, CPU)
    assert found.examining == pytest.approx(5.0) and looked == [looked[0]] * 2
    train = found.recipe.train
    assert train.images // train.evaluate.every == 4, "as often as the recipe has it: a tenth of the time"
    length = train.images
    assert length / 8 * 3.0 + 4 * 5.0 + (clock.now - begin) == pytest.approx(200.0, rel=0.03)
    looked.clear()
    took[0] *= expected  # The small trial was wrong.
    budget = Budget(200.0 - (clock.now - begin), found.examining)
    go(tmp_path / "run", found.recipe, data=everything(40, 16), seconds=budget)
    assert clock.now - begin == pytest.approx(200.0, rel=0.05) and 3 <= len(looked) <= 5
    kept = Run.open(tmp_path / "run").recipe.train
    assert kept.evaluate.every == train.evaluate.every and kept.images != length


def test_evaluations_on_the_way_are_counted_in_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace(images=0, seconds=100.0, examining=30.0)
    train = replace(recipe().train, evaluate=EvaluateConfig(every=1000))
    clock = Clock(monkeypatch, each=0.0)
    clock.now = pace._begin + 10.0
    assert pace.length(500, train) == 2000, "50 a second for 30 of the 90 s left, and two evaluations"
    assert pace.length(500, train, due=True) == 1992, "one now, one on the way, and none at 2000"
    assert _affordable(4, seconds=20.0, one=30.0, fewest=1) == 1


def test_the_right_length_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, each=0.0)
    pace, train = Pace(images=0, seconds=20.0), recipe().train
    clock.now = 10.0  # Half of the time, and half of the images.
    assert pace.length(2000, train) == 4000
    assert pace.length(2040, train) == 4000  # 4080 is near enough.
    assert pace.length(1000, train) == 2000


def test_grids_and_checkpoints_take_a_small_share() -> None:
    assert _affordable(40, seconds=6.0, one=0.1) == 40
    assert _affordable(40, seconds=6.0, one=0.5) == 12
    assert _affordable(40, seconds=6.0, one=60.0) == duration.FEWEST
    assert _affordable(0, seconds=6.0, one=0.1) == 1
