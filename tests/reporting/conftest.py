"""Runs made of a few small files, as training leaves them."""

import json
from pathlib import Path

import pytest
from PIL import Image

RECIPE = {
    "is": "gansmith.config.recipe:Recipe",
    "name": "toy16",
    "method": {"is": "gansmith.methods.rpgan:RpGAN", "latent": 8, "gamma": 0.03},
    "optimizers": {
        "generator": {"is": "gansmith.config.optimizers:Adam", "lr": 0.0004, "betas": [0.0, 0.99]}
    },
    "data": {"is": "gansmith.data.config:DataConfig", "size": "16", "channels": 3, "mirror": True},
    "train": {
        "is": "gansmith.config.training:TrainConfig",
        "images": 1000,
        "batch": 4,
        "seed": 0,
        "log_every": 100,
    },
    "borrow": {},
    "about": "Small.",
}
DATA = {"name": "/home/someone/faces.zip", "fingerprint": "f00d", "pictures": 1234, "refused": []}


def row(images, **more):
    """A line of stats.jsonl as a dict; every number is a plain function of the position."""
    done = images / 1000
    return {
        "images": images,
        "seconds": images / 50,
        "images_per_second": 50.0,
        "discriminator/loss": 1 - done / 2,
        "discriminator/D(x)": 0.9 - done / 4,
        "discriminator/D(G(z))": 0.1 + done / 4,
        "generator/loss": 2 + done,
        "held-out/accuracy": 0.75,
        **more,
    }


class Maker:
    """Writes run directories below a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name="one", rows=None, grids=(0, 500, 1000), seed=0, recipe=None, **train):
        """A run; ``rows`` are dicts or raw lines of stats.jsonl, ``recipe`` replaces parts of the recipe."""
        run = self.folder / name
        (run / "pictures").mkdir(parents=True)
        settings = {**RECIPE["train"], "seed": seed, **train}
        write(run / "recipe.json", {**RECIPE, "train": settings, **(recipe or {})})
        write(run / "data.json", DATA)
        write(run / "environment.json", {"gansmith": "0.1.0", "command": "gansmith train faces.zip"})
        lines = [row(images) for images in range(100, 1001, 100)] if rows is None else rows
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        (run / "stats.jsonl").write_text(text, encoding="utf-8")
        for images in grids:
            picture(run / "pictures" / f"{images:09d}.png", (images % 251, 80, 160))
        return run


def write(file: Path, tree):
    """A JSON file."""
    file.write_text(json.dumps(tree), encoding="utf-8")


def picture(file: Path, colour=(200, 40, 40), size=(34, 34)):
    """A picture of one colour."""
    file.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, colour).save(file)


@pytest.fixture
def make_run(tmp_path):
    return Maker(tmp_path)


@pytest.fixture(scope="session")
def full_run(tmp_path_factory):
    """A run with everything: scores, an evaluation, a sheet, left-out pictures and a licence."""
    run = Maker(tmp_path_factory.mktemp("runs"))("full", grids=range(0, 1001, 20))
    scores = [
        {"images": 400, "fid": {"value": 90.0, "low": 80.0, "high": 100.0}, "kid": 0.05, "odd": 3},
        {"images": 800, "fid": {"value": 60.5, "low": 55.0, "high": 66.0}, "kid": 0.02, "odd": 4},
        {"images": 1000, "fid": {"value": 70.0, "low": 63.0, "high": 77.0}, "kid": 0.03, "odd": 5},
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(score) + "\n" for score in scores))
    picture(run / "real_vs_generated.png", size=(90, 40))
    picture(run / "evaluation" / "prd.png", (1, 2, 3), (60, 50))
    picture(run / "evaluation" / "nearest.png", (3, 2, 1), (60, 50))
    (run / "evaluation" / "broken.png").write_bytes(b"no picture")
    write(
        run / "evaluation" / "evaluation.json",
        {
            "values": {"fid": {"value": 70.25, "low": 63.0, "high": 77.0, "note": "Few samples."}},
            "about": {"pictures": 900, "b": "<b>faces</b>", "splits": [1, 2], "nothing": None},
            "curves": {"prd": [[1.0, 0.125]]},
        },
    )
    left_out = [["bad<i>.png", "no picture"], "odd"]
    write(run / "data.json", {**DATA, "refused": left_out, "licence": "CC BY 4.0"})
    return run
