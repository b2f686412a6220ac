"""A model that enlarges is measured on whole pictures of any size, each counting alike, beside bicubic."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from promises import RECIPES
from torch import Tensor
from translating import save, shown

from gansmith.cli.main import cli
from gansmith.config.overrides import override
from gansmith.core.distributed import World
from gansmith.core.image_size import Size
from gansmith.core.spec import DataSpec
from gansmith.data.config import DataConfig
from gansmith.data.loading.streams import parted
from gansmith.data.open import open_data
from gansmith.errors import DataError
from gansmith.methods.batches import PairBatch
from gansmith.methods.srresnet import SuperResolution
from gansmith.metrics.image_sets import open_rows
from gansmith.metrics.scores.paired import bright, each_ssim
from gansmith.metrics.whole_pictures import WholePictures
from gansmith.models.generator import Generator, from_method
from gansmith.models.translate import translate
from gansmith.training.session import train

SIZES = {"a": (61, 43), "b": (34, 90), "c": (24, 27)}
"""Height and width; none a multiple of four, two of them larger than the model's 16 px."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANSMITH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("enlarger") / "run"
    recipe = override(RECIPES["srresnet-x4"], "train.images=8")
    train(recipe, open_data("demo-faces:20", recipe.data, fields=PairBatch._fields), place, device="cpu")
    return place


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Soft pictures of different sizes."""
    for seed, (name, (height, width)) in enumerate(SIZES.items()):
        coarse = np.random.default_rng(seed).integers(0, 256, (8 + seed, 8, 3)).astype(np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        save(tmp_path / "photos" / f"{name}.png", np.asarray(image))
    return tmp_path / "photos"


def tiny(**form: Any) -> Generator:
    spec = DataSpec(**({"height": 16, "width": 16, "source_shrink": 4} | form))
    method = SuperResolution(width=4, blocks=1)
    torch.manual_seed(0)
    return from_method(method, method.build(spec), spec, name="tiny", recipe_name="toy")


def said(*words: object) -> str:
    return CliRunner().invoke(cli, ["evaluate", *map(str, words)], catch_exceptions=False).stdout


def numbers(*words: object) -> Any:
    return json.loads(said(*words, "--json"))


def cut(pixels: np.ndarray) -> np.ndarray:
    return pixels[: pixels.shape[0] // 4 * 4, : pixels.shape[1] // 4 * 4]


def psnr(made: np.ndarray, large: np.ndarray) -> float:
    """Of the weighted sum of the channels, 4 px of each side left out."""
    weights = np.array([65.481, 128.553, 24.966]) / 255.0
    difference = ((made.astype(float) - large) @ weights)[4:-4, 4:-4]
    return float(10.0 * np.log10(255.0**2 / np.mean(difference**2)))


def test_the_numbers_are_those_of_translated_files_beside_bicubic(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    large = {name: cut(shown(photos / f"{name}.png")) for name in SIZES}
    twice = {}
    for name, pixels in large.items():
        size = (pixels.shape[1], pixels.shape[0])
        small = Image.fromarray(pixels).resize((size[0] // 4, size[1] // 4), Image.Resampling.BICUBIC)
        save(tmp_path / "small" / f"{name}.png", np.asarray(small))
        twice[name] = np.asarray(small.resize(size, Image.Resampling.BICUBIC))
    translate(str(run), tmp_path / "small", tmp_path / "large")
    made = {name: shown(tmp_path / "large" / f"{name}.png") for name in SIZES}
    found = numbers(run, photos, "--metrics", "psnr_y,l1,ssim_y")
    assert list(found["values"])[:4] == ["psnr_y", "psnr_y_bicubic", "l1", "l1_bicubic"]
    for way, pictures in (("", made), ("_bicubic", twice)):
        pairs = [(pictures[name], large[name]) for name in SIZES]
        mean = np.mean([psnr(*pair) for pair in pairs])
        assert found["values"][f"psnr_y{way}"]["value"] == pytest.approx(mean, rel=1e-4)
        mean = np.mean([np.abs(a.astype(float) - b).mean() / 255.0 for a, b in pairs])
        assert found["values"][f"l1{way}"]["value"] == pytest.approx(mean, rel=1e-4)
        both = [
            [bright(torch.from_numpy(one.copy()).permute(2, 0, 1)[None]) for one in pair] for pair in pairs
        ]
        mean = np.mean([float(each_ssim(*pair)) for pair in both])
        assert found["values"][f"ssim_y{way}"]["value"] == pytest.approx(mean, rel=1e-4)
    assert found["values"]["psnr_y_bicubic"]["value"] > found["values"]["psnr_y"]["value"] + 3
    whole = found["about"]["whole"]
    assert (whole["pictures"], whole["smallest"], whole["largest"]) == (3, [24, 24], [88, 32])
    assert found["about"]["b_pictures"] == 3 and whole["left_out"] == {}


def test_ten_pictures_have_intervals_and_a_tile_of_each_is_made_together(run: Path, tmp_path: Path) -> None:
    for seed in range(20):
        noise = np.random.default_rng(seed).integers(0, 256, (12 + seed % 3, 13, 3)).astype(np.uint8)
        save(tmp_path / "many" / f"{seed:02d}.png", noise)
    values = numbers(run, tmp_path / "many", "--metrics", "psnr", "--samples", 17)["values"]
    for name in ("psnr", "psnr_bicubic"):
        assert values[name]["low"] < values[name]["value"] < values[name]["high"]
    text = said(run, tmp_path / "many", "--metrics", "psnr", "--samples", 17)
    assert "17 whole pictures, 12x12, each made 4 times smaller" in text


def test_other_metrics_stay_at_the_models_size_and_it_is_told(run: Path, photos: Path) -> None:
    text = said(run, photos, "--metrics", "psnr_y,swd")
    assert "psnr_y: 3 whole pictures, 24x24 to 88x32, each made 4 times smaller" in text
    assert "All else at the model's size: 3 and 3 pictures, 16x16 in colour" in text
    found = numbers(run, photos, "--metrics", "psnr_y,swd")
    assert found["values"]["psnr_y"] == numbers(run, photos, "--metrics", "psnr_y")["values"]["psnr_y"]
    assert "swd" in found["values"] and found["about"]["picture_width"] == 16
    alone = numbers(run, photos, "--metrics", "swd")
    assert "whole" not in alone["about"] and alone["values"]["swd"] == found["values"]["swd"]


def test_what_cannot_be_measured_is_left_out_and_listed(run: Path, photos: Path, tmp_path: Path) -> None:
    before = numbers(run, photos, "--metrics", "ssim_y")
    (photos / "broken.png").write_bytes(b"no picture")
    save(photos / "narrow.png", np.zeros((40, 14, 3), np.uint8))
    save(photos / "tiny.png", np.zeros((3, 40, 3), np.uint8))
    text = said(run, photos, "--metrics", "ssim_y")
    assert "3 whole pictures" in text and "narrow.png: SSIM needs pictures of 11 pixels" in text
    after = numbers(run, photos, "--metrics", "ssim_y")
    assert after["values"] == before["values"]
    assert set(after["about"]["whole"]["left_out"]) == {"broken.png", "narrow.png", "tiny.png"}
    for name in SIZES:
        (photos / f"{name}.png").unlink()
    with pytest.raises(DataError, match=r"None of the pictures in .* can be used\. broken\.png"):
        said(run, photos, "--metrics", "ssim_y")


def test_of_its_own_data_the_held_out_pictures_are_measured(photos: Path, tmp_path: Path) -> None:
    recipe = override(RECIPES["srresnet-x4"], "train.images=8")
    recipe = override(override(recipe, "data.validation=0.34"), "data.pairs=small:4")
    for name in ("d", "e", "f"):
        save(photos / f"{name}.png", np.random.default_rng(1).integers(0, 256, (20, 20, 3)).astype(np.uint8))
    data = open_data(str(photos), recipe.data, fields=PairBatch._fields)
    train(recipe, data, tmp_path / "own", device="cpu")
    _, held_out = parted(data, None, recipe.data, recipe.train.seed)
    names = [data.info.names[row] for row in held_out.tolist()]
    for name in names:
        save(tmp_path / "same" / name, shown(photos / name))
    found = numbers(tmp_path / "own", photos, "--metrics", "l1")
    assert 0 < found["about"]["whole"]["pictures"] == len(names) < 6
    assert found["values"] == numbers(tmp_path / "own", tmp_path / "same", "--metrics", "l1")["values"]
    (file,) = (tmp_path / "own" / "checkpoints").glob("*8.safetensors")  # Which does not know its data.
    every = numbers(file, photos, "--metrics", "l1", "-o", tmp_path / "out")
    assert every["about"]["whole"]["pictures"] == 6


def test_sets_without_files_are_measured_at_the_size_they_have(run: Path) -> None:
    whole = numbers(run, "demo-faces:12", "--metrics", "l1")["about"]["whole"]
    assert (whole["pictures"], whole["smallest"], whole["largest"]) == (12, [16, 16], [16, 16])


@pytest.mark.parametrize(("channels", "source"), [(3, 1), (1, 1)])
def test_grey_sources_and_a_box(photos: Path, channels: int, source: int) -> None:
    generator = tiny(channels=channels, source_channels=source)
    rows = open_rows(str(photos), DataConfig(size=Size(16, 16), channels=channels))
    pictures = WholePictures(rows, channels, 4, box=(2, 1, 22, 23))
    for one in pictures.enlarged(generator):
        assert one.large.shape == one.made.shape == one.bicubic.shape == (channels, 20, 20)
        assert one.small.shape == (channels, 5, 5)
        if channels == 3:
            whole = shown(photos / pictures.name(one.index)).transpose(2, 0, 1)
            assert np.array_equal(one.large, whole[:, 1:21, 2:22])
    with pytest.raises(DataError, match="20x22 pixels, and nothing is left 32 times smaller"):
        replace(pictures, times=32).read(0)
    outside = replace(pictures, box=(0, 0, 40, 40))
    assert [one.index for one in outside.enlarged(generator)] == [0], "43x61 alone holds the box"
    assert [index for index, _ in outside.refused] == [1, 2]


@dataclass(frozen=True)
class Part(World):
    """One of two processes, the second of which works first and leaves what it sends."""

    sent: list[Tensor] = field(default_factory=list)

    def gather(self, tensor: Tensor) -> list[Tensor] | None:
        if self.is_main:
            return [tensor, self.sent.pop(0)]
        self.sent.append(tensor)
        return None


def test_two_processes_find_the_numbers_of_one(photos: Path) -> None:
    (photos / "bad.png").write_bytes(b"no picture")
    rows = open_rows(str(photos), DataConfig(size=Size(16, 16), channels=3))
    sent: list[Tensor] = []

    def found(world: World) -> Any:
        return WholePictures(rows, 3, 4).measure(tiny(), ["psnr", "l1"], None, world)

    alone = found(World())
    assert found(Part(1, 2, None, sent)) is None
    assert found(Part(0, 2, None, sent)) == alone and alone.count == 3 and alone.refused[0].name == "bad.png"
