"""A plan: what it says is measured or follows in closed form; it halves as training does, writes nothing."""

import dataclasses
import json
import math
import threading
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from helpers import random_bytes, small, small_named
from promises import ALONE, everything
from torch import Tensor, nn
from toys import TOYS, Lazy, recipe_for

from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.core.memory import Memory
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DatasetInfo, MemoryDataSet
from gansmith.errors import DataError, SettingError
from gansmith.methods.base import Loss
from gansmith.methods.batches import ImageBatch
from gansmith.recipes import named
from gansmith.runs.run import Run
from gansmith.training.plan import LONGEST, Disk, Plan, Speed, plan
from gansmith.training.session import train


def pictures_of(count: int = 40, size: int = 16, **others: Tensor) -> MemoryDataSet:
    return MemoryDataSet("made up", {"images": random_bytes(count, size), **others})


def quick(recipe: Recipe, data: MemoryDataSet | None = None, seconds: float = 0.0) -> Plan:
    return plan(recipe, data or pictures_of(), "cpu", seconds)


def advice(found: Plan) -> str:
    return "\n".join(found.advice)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hungry(Lazy):
    """A toy whose memory ends at so many pictures."""

    most: int = 2

    def judge(self, networks: Any, batch: Any, noise: Noise, progress: Progress) -> Loss:
        if len(batch.images) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        return super().judge(networks, batch, noise, progress)


@pytest.mark.parametrize("name", ALONE)
def test_every_recipe_can_be_planned(name: str) -> None:
    recipe = small_named(name)
    found = quick(recipe, everything(shrink=recipe.spec().source_shrink))
    assert found.recipe.name == name and found.device == "cpu" and found.precision == "float32"
    assert found.micro_batch == found.recipe.train.batch == 4
    assert found.speed.images_per_second > 0 and found.disk.checkpoint > 0
    assert json.loads(json.dumps(found.as_json()))["recipe"]["name"] == name


@pytest.mark.parametrize("name", TOYS)
def test_every_shape_of_game_can_be_planned(name: str) -> None:
    assert quick(TOYS[name], everything()).speed.steps >= 1


def test_two_domains_without_pairs_can_be_planned() -> None:
    labels = torch.arange(40) % 2
    data = MemoryDataSet(
        "two", {"images": random_bytes(40), "labels": labels}, info=DatasetInfo(label_names=("a", "b"))
    )
    assert quick(TOYS["cycle"], data).training < 40


def test_the_checkpoint_is_as_large_as_the_one_training_writes(tmp_path: Path) -> None:
    recipe = small_named("rpgan32", images=8)
    found = quick(recipe)
    train(recipe, pictures_of(), tmp_path / "run", device="cpu")
    written = Run.open(tmp_path / "run").checkpoint_files()[-1].stat().st_size
    header = written - found.disk.checkpoint  # Names, shapes and the recipe.
    assert 0 < header < 40_000


def test_the_disk_adds_up() -> None:
    train_of = {"images": 100, "picture_every": 30, "checkpoint_every": 10, "keep_checkpoints": 2}
    found = quick(small_named("rpgan32", **train_of)).disk
    assert found.checkpoints == 3  # Two are kept while one is written.
    assert found.grids == 1 + 4
    assert found.total == 3 * found.checkpoint + 5 * found.grid + found.numbers + found.at_the_end
    assert quick(small_named("rpgan32", **train_of | {"checkpoint_every": 100})).disk.checkpoints == 1


def test_the_best_checkpoint_takes_room_too() -> None:
    recipe = small_named("rpgan32", images=100)
    plain = quick(recipe).disk.checkpoints
    assert quick(override(recipe, "train.evaluate.every=50")).disk.checkpoints == plain + 1


def test_a_grid_of_fewer_pictures_counts_as_a_whole_one() -> None:
    sizes = [quick(small_named("rpgan32"), pictures_of(count)).disk.grid for count in (16, 64)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)  # Noise does not shrink: bytes follow pixels.
    assert sizes[1] == pytest.approx(64 * 3 * 16 * 16, rel=0.4)


def test_time_follows_from_the_speed() -> None:
    speed = Speed(images_per_second=50.0, slowest=40.0, fastest=80.0, measurements=3, steps=9, data_wait=0.0)
    assert speed.seconds(4000) == (80.0, 50.0, 100.0)


def test_the_speed_is_the_median_of_what_was_measured() -> None:
    found = quick(small_named("rpgan32"), seconds=0.3)
    speed = found.speed
    assert speed.slowest <= speed.images_per_second <= speed.fastest
    assert speed.measurements > 1 and speed.steps >= speed.measurements
    told = found.as_json()["time"]
    assert told["min_seconds"] <= told["seconds"] <= told["max_seconds"]
    assert told["seconds"] == pytest.approx(found.recipe.train.images / speed.images_per_second)


def test_a_round_of_turns_is_measured_whole() -> None:
    assert quick(recipe_for(Lazy(every=3), ("generator",))).speed.steps == 3
    assert quick(recipe_for(Lazy(every=4), ("generator",))).speed.steps == 4


@pytest.mark.parametrize(("most", "worked_on"), [(4, 4), (3, 2), (2, 2), (1, 1)])
def test_the_micro_batch_is_halved_as_training_does(most: int, worked_on: int) -> None:
    found = quick(recipe_for(Hungry(most=most), ("generator",)))
    assert found.micro_batch == worked_on and found.recipe.train.batch == 4
    assert ("Memory is too small" in advice(found)) == (worked_on < 4)


def test_no_memory_for_one_picture_is_the_error_of_train() -> None:
    with pytest.raises(SettingError, match="one picture at a time"):
        quick(recipe_for(Hungry(most=0), ("generator",)))


def test_growing_pictures_are_measured_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    forward = nn.AdaptiveAvgPool2d.forward

    def note(self: nn.AdaptiveAvgPool2d, x: Tensor) -> Tensor:
        seen.append(tuple(x.shape[2:]))
        return forward(self, x)

    monkeypatch.setattr(nn.AdaptiveAvgPool2d, "forward", note)
    found = quick(TOYS["growing"])
    assert set(seen) == {(8, 8)}  # After the critic's stride: the pictures were 16 px, not 8.
    assert "grow" in advice(found) and "grow" not in advice(quick(TOYS["lazy"]))


def test_data_are_counted_and_parted() -> None:
    recipe = override(small_named("rpgan32"), "data.validation=0.25")
    found = quick(recipe)
    assert (found.pictures, found.training, found.held_out) == (40, 30, 10)
    assert not found.pairs and found.labels is None


def test_few_pictures_are_remarked_in_the_words_of_the_advice() -> None:
    few = quick(small_named("rpgan32"))
    assert "will not go far" in advice(few)
    many = quick(small_named("rpgan32"), pictures_of(6000))
    assert many.advice == ()


def test_a_batch_larger_than_the_pictures_is_remarked() -> None:
    found = quick(small_named("rpgan32"), pictures_of(3))
    assert "A batch of 4 is larger than the training set, 3 pictures" in advice(found)


def test_a_huge_batch_is_refused_as_by_train() -> None:
    with pytest.raises(SettingError, match="above 8192"):
        quick(override(small_named("rpgan32"), "train.batch=8193"))


def test_a_size_no_network_fits_is_refused_as_by_train() -> None:
    with pytest.raises(SettingError, match=r"Try data\.size"):
        quick(override(small_named("dcgan64"), "data.size=51x31"))


def test_data_without_what_the_method_needs_are_refused_as_by_train() -> None:
    with pytest.raises(DataError, match="no images"):
        quick(small_named("rpgan32"), MemoryDataSet("pairs", {"source": random_bytes(8)}))


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, LONGEST + 1])
def test_seconds_out_of_range_are_refused(seconds: float) -> None:
    with pytest.raises(SettingError, match="0 to 3600 seconds"):
        quick(small_named("rpgan32"), seconds=seconds)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingError, match="must be one this machine has"):
        plan(small_named("rpgan32"), pictures_of(), "tpu")


def test_the_scale_is_measured_where_the_recipe_standardizes() -> None:
    found = quick(override(small_named("dcgan64"), "data.standardize=true"))
    assert found.recipe.data.scale is not None


def test_channels_follow_the_pictures() -> None:
    recipe = dataclasses.replace(
        small(named("dcgan28")), data=DataConfig(size=small_named("dcgan28").data.size)
    )
    grey = MemoryDataSet("grey", {"images": random_bytes(20, 16, 1)})
    assert quick(recipe, grey).recipe.data.channels == 1


def test_memory_and_disk_that_are_too_small_are_remarked(monkeypatch: pytest.MonkeyPatch) -> None:
    short = Memory(peak=300, before=100, free=150, measured_by="made up")
    monkeypatch.setattr("gansmith.training.plan.PeakMemory.read", lambda self: short)
    monkeypatch.setattr(Disk, "total", property(lambda self: self.free + 1))
    told = advice(quick(small_named("rpgan32")))
    assert "Memory is short" in told and "The disk here is too small" in told


@pytest.mark.parametrize(("in_arrays", "told"), [(True, "need no decoding"), (False, "gansmith prepare")])
def test_waiting_for_pictures_is_remarked(
    in_arrays: bool, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = iter(range(10**6))
    monkeypatch.setattr(
        "gansmith.data.loading.loader.Loader.waited",
        property(lambda self: float(next(waited)), lambda *_: None),
        raising=False,
    )
    data = pictures_of()
    data.in_arrays = in_arrays
    found = quick(small_named("rpgan32"), data)
    assert found.speed.data_wait == 1.0 and told in advice(found)


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quick(small_named("rpgan32"))
    assert list(tmp_path.iterdir()) == []


def test_planning_leaves_no_thread() -> None:
    quick(small_named("rpgan32"))
    assert not [t for t in threading.enumerate() if t.name.startswith("gansmith-loader")]


class Paired(NamedTuple):
    source: Tensor
    target: Tensor


class Labelled(NamedTuple):
    images: Tensor
    labels: Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnPairs(Lazy):
    """A toy that trains on pairs, and looks at the targets alone."""

    batch_type: ClassVar[Any] = Paired

    def judge(self, networks: Any, batch: Any, noise: Noise, progress: Progress) -> Loss:
        return super().judge(networks, ImageBatch(batch.target), noise, progress)

    def penalize(self, networks: Any, batch: Any, noise: Noise, progress: Progress) -> Loss:
        return super().penalize(networks, ImageBatch(batch.target), noise, progress)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnLabels(Lazy):
    """A toy that is given labels."""

    batch_type: ClassVar[Any] = Labelled


def test_pairs_are_counted_as_pairs() -> None:
    data = MemoryDataSet("pairs", {"source": random_bytes(20), "target": random_bytes(20, seed=1)})
    found = quick(recipe_for(OnPairs(), ("generator",)), data)
    assert found.pairs and found.pictures == 20 and found.labels is None


@pytest.mark.parametrize("names", [("cat", "dog", "owl"), ()])
def test_labels_are_counted_and_judged(names: tuple[str, ...]) -> None:
    labels = torch.tensor([0] * 30 + [1] * 8 + [2, -1])
    data = MemoryDataSet(
        "pets", {"images": random_bytes(40), "labels": labels}, info=DatasetInfo(label_names=names)
    )
    found = quick(recipe_for(OnLabels(), ("generator",)), data)
    assert found.labels == 3
    assert "The commonest label has 30 times" in advice(found)  # The words of gansmith.data.inspect.advice.
