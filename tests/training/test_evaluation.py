"""A run that is measured while it goes on keeps its numbers and its best weights."""

import json
from pathlib import Path

import pytest
import torch
from helpers import random_bytes, small_named

from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.data.dataset import MemoryDataSet
from gansmith.errors import GansmithError
from gansmith.metrics.outputs import history
from gansmith.models.load import open_generator
from gansmith.runs.checkpoint import Checkpoint
from gansmith.runs.run import Run
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
