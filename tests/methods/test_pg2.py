"""PG2: key-point maps, mask and losses in closed form, and a second stage that needs its first."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers import facts_of, random_images
from promises import RECIPES, trainer_of
from torch import Tensor, nn

from gansmith.cli.main import cli
from gansmith.core.image_size import Size
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.builtin.demo_faces import draw, sample
from gansmith.data.config import DataConfig
from gansmith.data.open import open_data
from gansmith.engine.trainer import Trainer
from gansmith.errors import CheckpointError, SettingError
from gansmith.methods.base import Lender
from gansmith.methods.batches import PoseBatch
from gansmith.methods.gan import GAN
from gansmith.methods.pg2 import (
    PoseNetworks,
    PoseStage,
    RefineNetworks,
    RefineStage,
    key_point_maps,
    pose_mask,
)
from gansmith.models.asked import Conditions
from gansmith.models.generator import from_method
from gansmith.models.load import borrowed_weights
from gansmith.recipes import named
from gansmith.runs.checkpoint import Checkpoint

NOISE = Noise.of(0, 1)
SPEC = DataSpec(height=16, width=16, landmarks=4)


def test_maps_are_discs_and_an_unknown_point_has_none() -> None:
    points = torch.tensor([[[8.0, 8.0], [float("nan"), float("nan")], [0.0, 0.0]]])
    maps = key_point_maps(points, 16, 16, 4.0)
    areas = (maps > 0).sum(dim=(2, 3))[0].tolist()
    assert maps.unique().tolist() == [-1.0, 1.0] and areas[1] == 0
    assert areas[0] == pytest.approx(math.pi * 16, rel=0.1) and areas[2] == pytest.approx(areas[0] / 4)
    assert torch.equal(maps[0, 0], maps[0, 0].T)


def test_the_mask_is_the_hull_widened() -> None:
    square = torch.tensor([[[4.0, 4.0], [12.0, 4.0], [12.0, 12.0], [4.0, 12.0], [8.0, 8.0]]])
    mask = pose_mask(square, 16, 16, 0.0)
    assert mask.shape == (1, 1, 16, 16) and int(mask.sum()) == 64 and bool(mask[0, 0, 4:12, 4:12].all())
    wider = pose_mask(square, 16, 16, 2.0)
    assert int(wider.sum()) > 64 + 4 * 2 * 8 - 1 and bool((wider >= mask).all())
    square[0, 1] = float("nan")
    assert int(pose_mask(square, 16, 16, 0.0).sum()) == pytest.approx(32, abs=5), (
        "half: the corner is unknown"
    )


class Flat(nn.Module):
    """A network whose result is of one level."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level, self.spec = nn.Parameter(torch.tensor(level)), SPEC

    def forward(self, given: Tensor) -> Tensor:
        return self.level.expand(len(given), 3, 16, 16)


class Mean(nn.Module):
    """A critic whose score is the mean of what it is shown."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3))


def batch() -> PoseBatch:
    """Sources of 0.8, targets of 1; a mask of a quarter of the image."""
    square = torch.tensor([[[4.0, 4.0], [12.0, 4.0], [12.0, 12.0], [4.0, 12.0]]]).expand(2, -1, -1)
    return PoseBatch(torch.full((2, 3, 16, 16), 0.8), torch.ones(2, 3, 16, 16), square)


def test_losses_in_closed_form() -> None:
    """The draft is 0.5, the difference 0.1: off by 0.5 and 0.4, everywhere and in the mask alike."""
    stage = PoseStage(margin=0.0, mask=3.0)
    loss = stage.coarse_loss(PoseNetworks(Flat(0.5)), batch(), NOISE, Progress())
    assert loss.total.item() == pytest.approx(0.5 + 3.0 * 0.5 / 4, rel=1e-5)
    networks, stage = RefineNetworks(Flat(0.5), Flat(0.1), Mean()), RefineStage(margin=0.0, mask=3.0, l1=10.0)

    def real(score: float) -> float:
        return nn.functional.softplus(torch.tensor(-score)).item()

    loss = stage.discriminator_loss(networks, batch(), NOISE, Progress())
    assert loss.total.item() == pytest.approx(real(1.0) / 2 + real(-0.8) / 4 + real(-0.6) / 4, rel=1e-5)
    loss = stage.refiner_loss(networks, batch(), NOISE, Progress())
    assert loss.total.item() == pytest.approx(real(0.6) + 10.0 * (0.4 + 3.0 * 0.4 / 4), rel=1e-5)
    bright = RefineNetworks(Flat(0.9), Flat(0.7), Mean())
    assert float(stage.generate(bright, stage.prompt(batch()), NOISE).detach().max()) == 1.0, (
        "cut off at white"
    )


def test_a_pose_pair_is_one_face_twice() -> None:
    """Another smile, gaze, tilt and place; all else is the face's own, and the points are the target's."""
    data = open_data("demo-faces:6", DataConfig(size=Size(64, 64), pairs="pose"), fields=("source", "target"))
    found = data.fetch(torch.arange(6))
    face, like = sample.face(0, 3), sample.face(1, 3)
    posed = replace(
        face, smile=like.smile, gaze=like.gaze, tilt=like.tilt, offset_x=like.offset_x, offset_y=like.offset_y
    )
    assert np.array_equal(found["source"][3].permute(1, 2, 0).numpy(), draw.draw(face, 64, 64))
    assert np.array_equal(found["target"][3].permute(1, 2, 0).numpy(), draw.draw(posed, 64, 64))
    points = found["landmarks"][3].numpy()
    np.testing.assert_allclose(points[:5], draw.landmarks(posed, 64, 64))
    assert points.shape == (11, 2) and points[9, 1] > points[10, 1], "the chin is below the crown"
    looks = draw.pose_points(replace(posed, gaze=(1.0, 0.0)), 64, 64) - draw.pose_points(
        replace(posed, gaze=(-1.0, 0.0)), 64, 64
    )
    assert (looks[5:7, 0] > 0.5).all() and np.abs(looks[[0, 1, 2, 3, 4, 7, 8, 9, 10]]).max() == 0, (
        "pupils alone"
    )


def test_the_second_stage_needs_the_first_of_the_same_size(tmp_path: Path) -> None:
    words = ["train", "demo-faces:40", "--recipe", "pg2-32-small-fine", "--run", str(tmp_path / "run")]
    words += ["--set", "data.pairs=pose", "--set", "data.size=16x16", "--set", "method.width=4"]
    result = CliRunner().invoke(cli, [*words, "--device", "cpu"])
    said = f"{result.output}{result.exception}"
    assert result.exit_code != 0 and "--set borrow.coarse=RUN" in said and "earlier stage" in said
    first = trainer_of(RECIPES["pg2-market-coarse"])
    Checkpoint(first.state(), facts_of(first)).save(tmp_path / "one.safetensors")
    weights = borrowed_weights({"coarse": str(tmp_path / "one.safetensors")})
    fine = trainer_of(RECIPES["pg2-market-fine"])
    second = Trainer(fine.recipe, fine._loader, torch.device("cpu"), weights)
    second.step()
    for name, value in second.networks.coarse.state_dict().items():
        assert torch.equal(value, first.networks.coarse.state_dict()[name]), "borrowed and frozen"
    wider = replace(fine.recipe, method=replace(fine.recipe.method, code=9))  # type: ignore[type-var]
    rule = r"of the same size.*code\.weight is 6 x \d+ there and 9 x \d+ here\..*train coarse again"
    with pytest.raises(CheckpointError, match=rule):
        Trainer(wider, fine._loader, torch.device("cpu"), weights)


def test_stage_two_takes_over_the_width_of_its_stage_one() -> None:
    one = PoseStage(width=6, code=3, radius=0.1)
    fine = RefineStage(width=4, discriminator_width=4)
    assert fine.with_lenders(SPEC, {}) == fine
    found = fine.with_lenders(SPEC, {"coarse": Lender("runs/one", one, SPEC)})
    assert (found.width, found.coarse_width, found.code, found.radius) == (4, 6, 3, 0.1)
    networks = found.build(SPEC)
    networks.coarse.load_state_dict(one.build(SPEC).coarse.state_dict())
    assert networks.refiner.first.out_channels == 4
    again = fine.with_lenders(SPEC, {"coarse": Lender("runs/two", found, SPEC)})
    assert again == found, "stage one of another stage two"
    same = fine.with_lenders(SPEC, {"coarse": Lender("runs/one", replace(one, width=4), SPEC)})
    assert same.coarse_width == 0, "runs of earlier versions go on"


@pytest.mark.parametrize(
    ("method", "spec", "message"),
    [
        (GAN(), SPEC, "a run by PG2, such as pg2-64-small-coarse. Received: runs/one, by GAN"),
        (PoseStage(), replace(SPEC, width=32, height=32), "size 16x16 here and 32x32 there.*data.size=32x32"),
        (PoseStage(), replace(SPEC, landmarks=5), "key points 4 here and 5 there"),
    ],
)
def test_stage_one_must_fit(method: Any, spec: DataSpec, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        RefineStage().with_lenders(SPEC, {"coarse": Lender("runs/one", method, spec)})


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("1,2,3", "4 points of a result of 16x16. Received: 3 numbers. Give 8"),
        ("1,2,3,4,5,6,7,99", r"Received: (7, 99), which is outside"),
        ("1,2,3,4,5,6,7,-1", r"Received: (7, -1), which is outside"),
        ("1,2,3,4,5,6,7,nan", "which is outside"),
        ("1,2,three", "something else in it"),
        (None, "Say where they go: --points X,Y"),
    ],
)
def test_points_that_cannot_be_are_refused(points: str | None, message: str) -> None:
    method = PoseStage(width=2, code=2)
    model = from_method(method, method.build(SPEC), SPEC, name="pose", recipe_name="pg2")
    with pytest.raises(SettingError) as refused:
        Conditions.of(model, None, points)
    assert message in str(refused.value)
    prompt = Conditions.of(model, None, "1,2,3,4,5,6,7,8").prompt(random_images(3))
    assert prompt.landmarks.shape == (3, 4, 2) and prompt.landmarks[2, 3].tolist() == [7.0, 8.0]
    assert model.make(Noise.of(0, 1, 2), prompt).shape == (3, 3, 16, 16)


def test_any_size_and_the_recipe() -> None:
    with pytest.raises(SettingError, match=r"multiples of 8\. Received: 60x64\. Try data\.size=64x64"):
        PoseStage(width=2).build(DataSpec(height=64, width=60, landmarks=5))
    market = named("pg2-market-coarse")
    assert (market.data.size, market.train.batch) == (Size(64, 128), 16)
    method = market.method
    assert isinstance(method, PoseStage) and method.radius * 128 == 4.0 and method.code == 64
