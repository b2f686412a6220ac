"""The verb classify: labels, attributes and detectors, in one message whatever is wrong."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_products import run

from gansmith.data.open import open_data
from gansmith.errors import DataError
from gansmith.metrics.scores.accuracy import accuracy
from gansmith.models.classifier import open_classifier
from gansmith.robustness.held_out import held_out
from gansmith.runs.run import Run

pytestmark = pytest.mark.usefixtures("catalogue")


def test_accuracy_is_a_share_of_each_class_and_of_all() -> None:
    logits = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    found = accuracy(logits, torch.tensor([0, 0, 1, 1]), ("cat", "dog"))
    assert {name: value.value for name, value in found.items()} == {
        "accuracy": 0.75, "accuracy cat": 1.0, "accuracy dog": 0.5}  # fmt: skip
    facts = accuracy(logits, torch.tensor([[1, 0], [1, 1], [0, 1], [0, 0]]), ("a", "b"))
    assert (facts["accuracy"].value, facts["accuracy a"].value) == (0.75, 0.75)
    with pytest.raises(DataError, match="held-out"):
        accuracy(logits[:0], torch.zeros(0, dtype=torch.int64), ("cat", "dog"))


def test_it_learns_resumes_and_tells_the_same(judge: Path, pictures: Path) -> None:
    kept = json.loads((judge / "accuracy.json").read_text())
    assert kept["accuracy"]["value"] > 0.9 and kept["accuracy"]["low"] < kept["accuracy"]["value"]
    again = run("classify", pictures, "--run", judge, "--size", "16", "--device", "cpu", "--json").stdout
    assert json.loads(again) == kept
    classifier = open_classifier(str(judge), "cpu")
    assert classifier.names == ("dark", "light") and classifier.column == "labels"
    shares = classifier.probabilities(classifier.logits_of(torch.zeros(300, 3, 16, 16, dtype=torch.uint8)))
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(300))
    data = open_data(str(pictures), classifier.recipe.data, fields=("images", "labels"))
    mine = Run.open(judge).facts_of_data()["fingerprint"]
    assert len(held_out(classifier, data, None, mine).images) == 40, "those it has never seen"
    assert len(held_out(classifier, data, 7, mine).truth) == 7
    assert len(held_out(classifier, data, None, "other").images) == 160, "all of other data are new to it"


def test_attributes_are_told_where_there_are_no_labels(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    rows = ["file_name,smiling,glasses"]
    for row, file in enumerate(sorted(pictures.rglob("*.png"))[:60]):
        shutil.copy(file, tmp_path / "flat" / file.name)
        rows.append(f"{file.name},{row % 2},{row // 2 % 2}")
    (tmp_path / "flat" / "metadata.csv").write_text("\n".join(rows) + "\n")
    words = ("classify", tmp_path / "flat", "--run", tmp_path / "run", "--size", "16", "--device", "cpu")
    said = run(*words, "--set", "train.images=64", "--json").stdout
    assert set(json.loads(said)) == {"accuracy", "accuracy smiling", "accuracy glasses"}
    wrong = run(*words, "--on", "labels", code=2).output
    assert "labels" in wrong and "Traceback" not in wrong


def test_a_detector_tells_real_from_generated(
    detector: Path, gan: Path, pictures: Path, tmp_path: Path
) -> None:
    found = json.loads((detector / "accuracy.json").read_text())
    assert set(found) == {"accuracy", "accuracy generated", "accuracy real"}
    assert found["accuracy"]["value"] > 0.9, "an untrained generator is told at once"
    words = ("classify", pictures, "--against", gan, "--run", tmp_path / "run", "--device", "cpu")
    said = run(*words, "--size", "32", code=2).output
    assert "their own size, 16" in " ".join(said.split())
    assert "--against tells" in run(*words, "--on", "labels", code=2).output
    wrong = run("classify", pictures, "--against", detector, "--run", tmp_path / "x", code=2).output
    assert "makes images" in wrong, "a classifier generates nothing"


def test_mistakes_are_one_message(judge: Path, gan: Path, pictures: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(flat / "a.png")
    said = run("classify", flat, "--run", tmp_path / "run", "--size", "16", code=2).output
    assert "needs labels or attributes" in said and not (tmp_path / "run").exists()
    said = run("classify", pictures, "--recipe", "dcgan28", "--run", tmp_path / "run", code=2).output
    assert "recipe of a classifier" in said
    said = run("generate", judge, "-o", tmp_path / "out", "--seeds", "0", code=2).output
    assert "needs a model that makes images" in said
    said = run("evaluate", judge, pictures, "--features", "inception", code=2).output
    assert "needs a model that makes images" in said, "before the weights of a network are asked for"
    with pytest.raises(Exception, match="needs a classifier"):
        open_classifier(str(gan), "cpu")
