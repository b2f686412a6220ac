"""Pictures with mean 0 and variance 1: measured once, kept in the run, undone in everything shown."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import small_named

from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.core.noise import Noise
from gansmith.core.normalization import Scale
from gansmith.core.spec import DataSpec
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.loader import to_float
from gansmith.models.load import open_generator
from gansmith.models.write import pictures
from gansmith.runs.run import Run
from gansmith.training.session import train


def dark(seed: int = 0) -> MemoryDataSet:
    """Dark pictures of little contrast: far from mean 0 and variance 1."""
    images = torch.randint(
        20, 60, (40, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
    return MemoryDataSet("dark", {"images": images}, fingerprint=f"dark {seed}")


def recipe(name: str, images: int = 16) -> Recipe:
    made = small_named(name, images=images, checkpoint_every=8, picture_every=8, log_every=8)
    return override(made, "data.standardize=true")


def test_the_scale_is_measured_kept_and_the_same_after_a_resume(tmp_path: Path) -> None:
    train(recipe("dcgan64"), dark(), tmp_path / "run", device="cpu")
    kept = Run.open(tmp_path / "run").recipe.data.scale
    assert kept is not None
    assert max(kept.mean) < -0.6 and max(kept.std) < 0.2
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["data"]["standardize"] is True
    longer = train(recipe("dcgan64", images=24), dark(), tmp_path / "run", device="cpu")
    assert longer.images == 24
    assert Run.open(tmp_path / "run").recipe.data.scale == kept


@pytest.mark.parametrize("name", ["dcgan64", "wgan-gp32", "wgan32", "rpgan32"])
def test_generators_reach_what_networks_see_and_pictures_are_pictures(name: str) -> None:
    scale = Scale((-0.6, -0.5, -0.4), (0.2, 0.25, 0.3))
    plain = small_named(name)
    scaled = replace(plain, data=replace(plain.data, scale=scale))
    torch.manual_seed(0)
    first = plain.method.build(plain.spec())
    torch.manual_seed(0)
    second = scaled.method.build(scaled.spec())
    noise = Noise.of(1, 2, 3)
    made = plain.method.generate(first.eval(), None, noise)
    seen = scaled.method.generate(second.eval(), None, Noise.of(1, 2, 3))
    torch.testing.assert_close(seen, scale.to_network(made))
    torch.testing.assert_close(scaled.spec().to_pictures(seen), made, atol=1e-6, rtol=0)


def test_generated_files_are_in_range(tmp_path: Path) -> None:
    train(recipe("wgan32"), dark(), tmp_path / "run", device="cpu")
    generator = open_generator(str(tmp_path / "run"), "cpu")
    (_, made), *_ = pictures(generator, range(4))
    assert (made.dtype, made.shape) == (torch.uint8, (4, 3, 16, 16))
    assert 0 < float(to_float(made).std()) < 1


def test_without_a_scale_nothing_changes() -> None:
    images = torch.rand(2, 3, 4, 4)
    spec = DataSpec(4, 4)
    assert spec.to_network(images) is images and spec.to_pictures(images) is images
