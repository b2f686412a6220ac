"""Tiny trained models that the tests of a module share; the catalogue is as it was afterwards."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from promises import RECIPES
from test_products import run

from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.recipes import CATALOGUE


def small(name: str, *settings: str) -> Recipe:
    """A recipe of the catalogue, narrow and short."""
    recipe = override(RECIPES[name], "train.log_every=400", "data.validation=0.25", *settings)
    return replace(recipe, name=name)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noise, one darker: easy to tell, and a change of 0.2 turns them around."""
    folder = tmp_path_factory.mktemp("pictures")
    draws = np.random.default_rng(0)
    for row in range(160):
        name = ("dark", "light")[row % 2]
        (folder / name).mkdir(exist_ok=True)
        pixels = draws.integers(60, 150, (16, 16, 3)) + 40 * (row % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{row:03}.png")
    return folder


@pytest.fixture(scope="module")
def catalogue() -> Iterator[pytest.MonkeyPatch]:
    """The catalogue's classifiers made small, so that verbs which choose one are quick."""
    patch = pytest.MonkeyPatch()
    quick = ("train.images=800", "train.batch=16", "optimizers.classifier.lr=0.01")
    patch.setitem(CATALOGUE, "classifier32", lambda: small("classifier28", *quick))
    traits = RECIPES["classifier-attributes32"]
    patch.setitem(CATALOGUE, "classifier-attributes32", lambda: override(traits, *quick))
    patch.setitem(CATALOGUE, "dcgan28", lambda: small("dcgan28", "train.images=64"))
    yield patch
    patch.undo()


@pytest.fixture(scope="module")
def judge(pictures: Path, tmp_path_factory: pytest.TempPathFactory, catalogue: pytest.MonkeyPatch) -> Path:
    """The run of a classifier of both classes."""
    place = tmp_path_factory.mktemp("runs") / "judge"
    said = run("classify", pictures, "--run", place, "--size", "16", "--device", "cpu").output
    assert "accuracy dark" in said and "held-out pictures" in said
    return place


@pytest.fixture(scope="module")
def gan(pictures: Path, tmp_path_factory: pytest.TempPathFactory, catalogue: pytest.MonkeyPatch) -> Path:
    """The run of a generator that has hardly begun."""
    place = tmp_path_factory.mktemp("runs") / "gan"
    run("train", pictures, "--recipe", "dcgan28", "--run", place, "--device", "cpu")
    return place


@pytest.fixture(scope="module")
def detector(
    gan: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory, catalogue: pytest.MonkeyPatch
) -> Path:
    """The run of a detector of that generator's pictures."""
    place = tmp_path_factory.mktemp("runs") / "detector"
    run("classify", pictures, "--against", gan, "--run", place, "--device", "cpu")
    return place
