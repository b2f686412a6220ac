"""What version 0.1 has written opens: its runs are used, resumed and reported, its prepared sets are read."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from gansmith.cli.main import cli
from gansmith.core.image_size import Size
from gansmith.core.noise import Noise
from gansmith.data.config import DataConfig
from gansmith.data.open import open_data
from gansmith.images.grid import grid, to_bytes
from gansmith.models.load import open_generator
from gansmith.runs.run import Run

OLD = Path(__file__).parents[1] / "old"
SETTINGS = {
    "rpgan8": ("method.generator_width=4", "method.discriminator_width=4"),
    "wgan28": ("data.size=12", "method.generator_width=4", "method.critic_width=4"),
    "dcgan28": (
        "data.size=12", "method.generator_width=4", "method.discriminator_width=4", "data.mirror=true",
    ),
}  # fmt: skip
SAME = ("train.batch=8", "train.precision=float32", "train.picture_every=64", "train.checkpoint_every=64")
every_run = pytest.mark.parametrize("name", SETTINGS)


@pytest.fixture
def run(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD / name, tmp_path / name))


@every_run
def test_an_old_run_makes_images(run: Path) -> None:
    generator = open_generator(str(run), "cpu")
    assert generator.images_seen == 64
    images = to_bytes(generator.make(Noise.of(*range(64))))
    with Image.open(run / "pictures" / "000000064.png") as image:
        then = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).int()
    assert int((grid(images).int() - then).abs().max()) <= 1, "its samples are those of its own last grid"


@every_run
def test_an_old_run_goes_on_under_its_old_command(name: str, run: Path) -> None:
    words = ["train", "demo-faces:60", "--recipe", name, "--run", str(run), "--device", "cpu"]
    for setting in (*SAME, "train.log_every=16", *SETTINGS[name], "train.images=80"):
        words += ["--set", setting]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert "Resuming" in result.output + (result.stderr or ""), result.output
    newest = Run.open(run).newest()
    assert newest is not None and newest[0].facts["images"] == 80
    assert json.loads((run / "recipe.json").read_text())["is"] == "gansmith.config.recipe:Recipe"


@every_run
def test_an_old_run_is_reported(run: Path, tmp_path: Path) -> None:
    CliRunner().invoke(cli, ["report", str(run), "-o", str(tmp_path / "page.html")], catch_exceptions=False)
    assert "after 64 images" in (tmp_path / "page.html").read_text()


def test_an_old_set_is_read() -> None:
    data = open_data(str(OLD / "set"), DataConfig(size=Size(12, 12)))
    assert len(data) == 12 and {"images", "labels", "attributes", "captions"} <= set(data.columns)
