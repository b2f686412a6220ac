"""Training for a time: the length follows from the speed, and a run keeps it."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CPU, small_named
from promises import everything

from gansmith.config.recipe import Recipe
from gansmith.engine.trainer import Trainer
from gansmith.runs.run import Run
from gansmith.training import duration
from gansmith.training.duration import as_begun, lasting


def recipe(**train: Any) -> Recipe:
    found = small_named("faces8")
    return replace(found, train=replace(found.train, images=4000, batch=8, **train))


def slowed(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Steps that take so long, whatever the machine."""
    step = Trainer.step

    def slow(self: Trainer[Any, Any, Any]) -> Any:
        time.sleep(seconds)
        return step(self)

    monkeypatch.setattr(Trainer, "step", slow)


def test_the_length_follows_from_the_speed_and_all_that_is_counted_in_images_follows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slowed(monkeypatch, 0.05)
    before = recipe(picture_every=400, checkpoint_every=1000, log_every=640)
    after, speed = lasting(before, everything(40, 16), 60.0, CPU)
    assert speed <= 8 / 0.05
    assert 0.5 * 60 * speed <= after.train.images <= 60 * speed
    assert after.train.images % 8 == 0
    share = after.train.images / 4000
    assert after.train.picture_every == pytest.approx(400 * share, abs=8)
    assert after.train.checkpoint_every == pytest.approx(1000 * share, abs=8)
    assert after.train.log_every <= 640
    assert replace(after, train=before.train) == before  # Nothing else has changed.


def test_twice_the_time_is_twice_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    slowed(monkeypatch, 0.03)
    lengths = [lasting(recipe(), everything(40, 16), seconds, CPU)[0].train.images for seconds in (60, 120)]
    assert lengths[1] / lengths[0] == pytest.approx(2.0, rel=0.35)


def test_a_short_time_still_is_a_run() -> None:
    after, _ = lasting(recipe(), everything(40, 16), 1.0, CPU)
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
    begun = recipe(picture_every=77, checkpoint_every=88, log_every=99)
    Run.create(tmp_path / "run", begun, {})
    asked = replace(begun, train=replace(begun.train, images=5, picture_every=1, checkpoint_every=1))
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
