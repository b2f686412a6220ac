"""How far read key points are from those asked for, with images that are two dots each."""

from dataclasses import replace

import pytest
import torch
from helpers import CPU
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.data.config import DataConfig
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.loader import Loader
from gansmith.errors import DataError
from gansmith.methods.pg2 import PoseNetworks, PoseStage, key_point_maps
from gansmith.metrics.asked import asked_for
from gansmith.metrics.image_sets import DataPictures, HeldOutPictures, HeldOutPrompts, ModelPictures
from gansmith.metrics.math.intervals import Result
from gansmith.metrics.scores.pose_error import pose_error
from gansmith.models.generator import from_method

SPEC = DataSpec(height=16, width=16, landmarks=2)
METHOD = PoseStage(radius=1 / 8)


def points_of(count: int, seed: int) -> Tensor:
    return 2.0 + 12.0 * torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed))


def drawn(points: Tensor) -> Tensor:
    """The first point red, the second blue, uint8."""
    maps = key_point_maps(points, 16, 16, 2.0)
    images = torch.stack([maps[:, 0], torch.full_like(maps[:, 0], -1.0), maps[:, 1]], dim=1)
    return ((images + 1.0) * 127.5).to(torch.uint8)


def poses(count: int = 400) -> MemoryDataSet:
    here, there = points_of(count, 0), points_of(count, 1)
    columns = {"source": drawn(here), "target": drawn(there), "landmarks": there}
    return MemoryDataSet("dots", {**columns, "images": columns["target"]})


class Posed(nn.Module):
    """Two dots where the maps have them, in the colours of ``drawn``."""

    spec = SPEC

    def forward(self, given: Tensor) -> Tensor:
        return torch.stack([given[:, 3], torch.full_like(given[:, 3], -1.0), given[:, 4]], dim=1)


class Copied(nn.Module):
    spec = SPEC

    def forward(self, given: Tensor) -> Tensor:
        return given[:, :3]


def judged(network: nn.Module) -> Result:
    data = poses()
    generator = from_method(METHOD, PoseNetworks(network), SPEC, name="toy", recipe_name="toy")
    loader = Loader(data, METHOD.batch_type, DataConfig(validation=0.2), 0, CPU)
    model = ModelPictures(generator, "toy", "toy", 80, HeldOutPrompts(loader, METHOD))
    real = HeldOutPictures(loader, METHOD, SPEC, "dots", "real", 80)
    rows = DataPictures(data, "dots", "rows", loader.held_out, "target")
    asked = asked_for(model, real, rows, (replace(rows, rows=loader.training), rows))
    assert asked is not None and asked.column == "landmarks"
    return pose_error(asked.made, asked.wanted["landmarks"], asked.parts, sources=asked.sources)


def test_a_model_that_stands_as_asked_is_told_from_one_that_copies() -> None:
    good, copy = judged(Posed()), judged(Copied())
    held_out = float(good["pose_error"].note.split("read ")[1].split(" ")[0])
    still = float(good["pose_error"].note.split("would be ")[1].split(" ")[0])
    assert good["pose_error"].value == pytest.approx(held_out, abs=1e-4), "as well as pictures can"
    assert held_out < 0.5 * still < good["pose_error_copy"].value
    assert copy["pose_error"].value == pytest.approx(good["pose_error_copy"].value, abs=1e-6)
    assert "poor judge" not in good["pose_error"].note


class Fixed:
    """Pictures in an order, with their points."""

    def __init__(self, points: Tensor, told: Tensor | None = None) -> None:
        self.images, self.told = drawn(points), points if told is None else told
        self.name, self.fingerprint = "fixed", "fixed"

    def __len__(self) -> int:
        return len(self.images)

    def some(self, start: int, stop: int) -> Tensor:
        return self.images[start:stop]

    def batches(self, size: int):
        yield from torch.split(self.images, size)

    def columns(self, names):
        return {"landmarks": self.told}


def test_points_nobody_knows_count_neither_for_learning_nor_for_the_error() -> None:
    training, held_out = points_of(200, 2), points_of(40, 3)
    gaps = training.clone()
    gaps[::3, 1] = float("nan")
    parts = Fixed(training, gaps), Fixed(held_out)
    asked = held_out.clone()
    asked[:, 1] = float("nan")
    asked[5] = float("nan")
    found = pose_error(Fixed(held_out), asked, parts)["pose_error"]
    assert found.value == found.value and 0.0 < found.value < 0.2
    far = asked.clone()
    far[:, 0, 0] += 16.0  # A whole width away.
    moved = pose_error(Fixed(held_out), far, parts)["pose_error"]
    assert moved.value == pytest.approx(1.0, abs=0.2), "a distance is a share of the width"


def test_data_without_points_are_told() -> None:
    none = Fixed(points_of(20, 4), torch.full((20, 2, 2), float("nan")))
    with pytest.raises(DataError, match="needs data with key points"):
        pose_error(none, points_of(20, 4), (none, none))
    some = Fixed(points_of(20, 4))
    with pytest.raises(DataError, match="asked for a key point"):
        pose_error(some, torch.full((20, 2, 2), float("nan")), (some, some))
