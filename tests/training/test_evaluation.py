"""A run that is measured while it goes on keeps its numbers and its best weights."""

import json
from pathlib import Path

import pytest
import torch
from helpers import random_bytes, small_named

from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.core.console import Silent
from gansmith.data.dataset import MemoryDataSet
from gansmith.errors import GansmithError
from gansmith.metrics.outputs import history
from gansmith.models.load import open_generator
from gansmith.runs.checkpoint import Checkpoint
from gansmith.runs.run import Run
from gansmith.training.evaluation import beyond
from gansmith.training.session import train


def data() -> MemoryDataSet:
    return MemoryDataSet("made up", {"images": random_bytes(40)}, "made up")


def recipe(*settings: str) -> Recipe:
    made = small_named("dcgan64", images=32, checkpoint_every=16, picture_every=16, log_every=8)
    for setting in ("train.evaluate.every=8", "train.evaluate.features=pixels", *settings):
        made = override(made, setting)
    return override(made, "train.evaluate.samples=20")


def test_numbers_are_kept_by_images_and_the_best_weights_as_a_file(tmp_path: Path) -> None:
    train(recipe("train.evaluate.metrics=fid,pr"), data(), tmp_path / "run", device="cpu")
    rows = history(tmp_path / "run")
    assert [row["images"] for row in rows] == [8, 16, 24, 32]
    values = [row["fid"]["value"] for row in rows]
    best = Checkpoint.load(tmp_path / "run" / "best.safetensors")
    assert best.facts["images"] == rows[values.index(min(values))]["images"]
    assert (tmp_path / "run" / "evaluation" / "evaluation.json").exists()
    assert (
        open_generator(str(tmp_path / "run" / "best.safetensors"), "cpu").images_seen == best.facts["images"]
    )


def test_measuring_changes_nothing_of_the_run(tmp_path: Path) -> None:
    train(recipe(), data(), tmp_path / "measured", device="cpu")
    train(recipe("train.evaluate.every=0"), data(), tmp_path / "plain", device="cpu")
    first, second = (Run.open(tmp_path / name).newest() for name in ("measured", "plain"))
    assert first is not None and second is not None
    assert first[0].tensors.keys() == second[0].tensors.keys()
    assert all(torch.equal(value, second[0].tensors[name]) for name, value in first[0].tensors.items())
    assert not (tmp_path / "plain" / "metrics.jsonl").exists()


def test_a_resumed_run_goes_on_measuring_and_may_begin_or_stop_to(tmp_path: Path) -> None:
    train(recipe("train.images=16", "train.evaluate.every=0"), data(), tmp_path / "run", device="cpu")
    train(recipe("train.images=32"), data(), tmp_path / "run", device="cpu")
    assert [row["images"] for row in history(tmp_path / "run")] == [24, 32]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.evaluate.metrics=fod", "Did you mean 'fid'"),
        ("train.evaluate.metrics=memorization", "finished run"),
        ("train.evaluate.features=pixles", "Did you mean 'pixels'"),
        ("train.evaluate.every=-1", "at least 0"),
    ],
)
def test_mistakes_are_told_before_training(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(GansmithError, match=message):
        train(recipe(setting), data(), tmp_path / "run", device="cpu")
    if (tmp_path / "run" / "stats.jsonl").exists():
        assert json.loads((tmp_path / "run" / "stats.jsonl").read_text() or "[]") == []


def test_a_guard_is_a_share_of_what_a_number_was_at_first() -> None:
    first = {"recall": {"value": 0.4}, "fid": {"value": 10.0}, "precision": {"value": None}}
    guards = {"recall": 0.5, "fid": 0.2, "precision": 0.0}
    assert beyond(guards, first, {"recall": {"value": 0.21}, "fid": {"value": 11.9}}) is None
    said = beyond(guards, first, {"recall": {"value": 0.19}, "fid": {"value": 12.1}})
    assert said == (
        "recall fell from 0.4 to 0.19, by more than 50% and fid rose from 10 to 12.1, by more than 20%"
    )
    assert beyond(guards, first, {"recall": {"value": 0.9}, "fid": {"value": 1.0}}) is None, "better is fine"


def test_a_run_stops_where_a_guard_is_touched_and_keeps_what_was_within(tmp_path: Path) -> None:
    """Noise that was to be learnt is further away at some time; then the run goes back."""
    said = Told()
    wild = (
        "optimizers.generator.lr=0.05",
        "train.evaluate.metrics=swd",
        "train.keep_checkpoints=1",
        "train.checkpoint_every=4",
        "train.images=40",
        "train.average=none",
    )
    loose, tight = "train.evaluate.guards.swd=1e9", "train.evaluate.guards.swd=1e-9"
    free = train(recipe(*wild, loose), data(), tmp_path / "free", device="cpu")
    assert free.images == 40
    swds = {row["images"]: row["swd"]["value"] for row in history(tmp_path / "free")}
    assert list(swds) == [0, 8, 16, 24, 32, 40], "measured before the first step, too"
    worse = next(images for images, swd in swds.items() if swd > swds[0] * (1 + 1e-9))
    outcome = train(recipe(*wild, tight), data(), tmp_path / "run", device="cpu", console=said)
    assert outcome.images == worse - 8 and outcome.interruption.signal is None
    (alarm,) = outcome.run.alarms()
    assert alarm["alarm"] == "guard" and alarm["images"] == outcome.images
    assert f"by image {worse}" in alarm["message"] and alarm["message"] in said.text
    newest = outcome.run.newest()
    assert newest is not None and newest[0].facts["images"] == outcome.images
    there = Checkpoint.load(tmp_path / "free" / "checkpoints" / "000000040.safetensors")
    again = train(recipe(*wild, loose), data(), tmp_path / "run", device="cpu")
    assert again.images == 40, "with a looser guard it goes on"
    found = again.run.newest()
    assert found is not None and all(torch.equal(v, there.tensors[n]) for n, v in found[0].tensors.items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("train.evaluate.guards.recall=0.5", "train.evaluate.metrics=fid"), "Received: recall"),
        (("train.evaluate.guards.density=0.5", "train.evaluate.metrics=prdc"), "neither is"),
        (("train.evaluate.guards.fid=-1",), "from 0. Received: -1"),
        (("train.evaluate.guards.fid=0.5", "train.evaluate.every=0"), "never measures"),
    ],
)
def test_guards_that_cannot_watch_are_refused(
    tmp_path: Path, settings: tuple[str, ...], message: str
) -> None:
    with pytest.raises(GansmithError, match=message):
        train(recipe(*settings), data(), tmp_path / "run", device="cpu")


class Told(Silent):
    """Keeps what is said."""

    text = ""

    def say(self, message: str) -> None:
        self.text += message
