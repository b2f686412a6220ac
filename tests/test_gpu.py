"""What only an accelerator can show: every recipe trains and resumes there, and shows the same pictures."""

from pathlib import Path

import pytest
import torch
from helpers import small
from promises import RECIPES, everything

from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.core.noise import Noise
from gansmith.data.dataset import MemoryDataSet
from gansmith.methods.batches import IMAGE_COLUMNS
from gansmith.models.load import open_generator
from gansmith.recipes import CATALOGUE, named
from gansmith.training.session import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine"),
]


def data(recipe: Recipe) -> MemoryDataSet:
    return everything(64, shrink=recipe.spec().source_shrink)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_method_trains_and_resumes(recipe: Recipe, precision: str, tmp_path: Path) -> None:
    recipe = override(recipe, f"train.precision={precision}")
    train(override(recipe, "train.images=24"), data(recipe), tmp_path / "run", device="cuda")
    outcome = train(recipe, data(recipe), tmp_path / "run", device="cuda")
    assert outcome.images == 48
    rows = outcome.run.rows()
    assert all(value == value for row in rows for value in row.values())


OF_NOISE = [
    name
    for name in CATALOGUE
    if named(name).method.makes_images
    and not IMAGE_COLUMNS & set(getattr(named(name).method.prompt_type, "_fields", ()))
]


@pytest.mark.parametrize("name", OF_NOISE)
def test_a_seed_is_the_same_picture_on_both_devices(name: str, tmp_path: Path) -> None:
    recipe = small(named(name))
    train(recipe, data(recipe), tmp_path / "run", device="cuda")
    seeds = Noise.of(*range(8))
    there = open_generator(str(tmp_path / "run"), "cuda").make(seeds).cpu()
    here = open_generator(str(tmp_path / "run"), "cpu").make(Noise.of(*range(8)))
    torch.testing.assert_close(there, here, rtol=0, atol=2e-3)


def test_noise_is_the_same_on_both_devices() -> None:
    seeds = torch.arange(1000)
    here, there = Noise(seeds), Noise(seeds.cuda())
    torch.testing.assert_close(there.normal(100).cpu(), here.normal(100), rtol=0, atol=1e-6)
    assert torch.equal(there.signs(100).cpu(), here.signs(100))
