"""Batches: values, flips, what is fetched ahead, and what a data set lacks."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from helpers import CPU, image_loader, numbered_bytes, numbers_of, random_bytes
from torch import Tensor

from gansmith.data.config import DataConfig
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.loader import Loader, to_float
from gansmith.errors import DataError
from gansmith.methods.batches import ImageBatch, LabelledBatch, PairBatch

PLAIN = DataConfig(validation=0.0)
MIRRORED = replace(PLAIN, mirror=True)


class Everything(NamedTuple):
    images: Tensor
    labels: Tensor
    attributes: Tensor


class WithLandmarks(NamedTuple):
    images: Tensor
    landmarks: Tensor


class Slow(MemoryDataSet):
    """A data set that takes its time and remembers who asked."""

    def __init__(self, pictures: Tensor) -> None:
        super().__init__("slow", {"images": pictures})
        self.threads: list[str] = []

    def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
        self.threads.append(threading.current_thread().name)
        time.sleep(0.01)
        return super().fetch(rows, columns)


def pointed(count: int) -> Tensor:
    """Pictures whose left column is bright: a flip can be seen."""
    pictures = numbered_bytes(count)
    pictures[:, :, :, 0] = 255
    return pictures


def flips(images: Tensor) -> list[bool]:
    return (images[:, 0, 0, -1] == 1.0).tolist()


@pytest.fixture
def labelled() -> Iterator[Loader]:
    columns = {
        "images": numbered_bytes(10),
        "labels": torch.arange(10),
        "attributes": torch.arange(10, dtype=torch.uint8)[:, None].expand(10, 3).contiguous(),
    }
    loader = Loader(MemoryDataSet("toy", columns), Everything, PLAIN, 0, CPU)
    yield loader
    loader.close()


def test_the_ends_of_the_byte_range_are_exactly_minus_1_and_1() -> None:
    values = to_float(torch.tensor([0, 255, 127, 128], dtype=torch.uint8).view(1, 1, 2, 2)).flatten()
    assert values[:2].tolist() == [-1.0, 1.0]
    assert values[2].item() == pytest.approx(-1 / 255, abs=1e-7)
    assert values[3].item() == pytest.approx(1 / 255, abs=1e-7)


def test_a_batch_is_float32_in_range_with_channels_last() -> None:
    batch = image_loader(random_bytes(8, channels=3)).batch(0, 4)
    assert isinstance(batch, ImageBatch)
    assert batch.images.dtype == torch.float32
    assert batch.images.shape == (4, 3, 16, 16)
    assert -1.0 <= batch.images.min() < -0.9
    assert 0.9 < batch.images.max() <= 1.0
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    mirrored = image_loader(random_bytes(8, channels=3), MIRRORED).batch(0, 4)
    assert mirrored.images.is_contiguous(memory_format=torch.channels_last)


def test_rows_of_all_columns_belong_together_and_only_pictures_become_float(labelled: Loader) -> None:
    batch = labelled.batch(0, 10)
    assert isinstance(batch, Everything)
    assert numbers_of(batch.images) == batch.labels.tolist() == batch.attributes[:, 0].tolist()
    assert batch.labels.dtype == torch.int64
    assert batch.attributes.dtype == torch.uint8


def test_one_pass_shows_every_training_picture_once() -> None:
    loader = image_loader(numbered_bytes(40), DataConfig(validation=0.25))
    seen = [number for start in range(0, 30, 5) for number in numbers_of(loader.batch(start, 5).images)]
    assert sorted(seen) == loader.training.tolist()
    (held_out,) = loader.held_out_batches(100, 100)
    assert numbers_of(held_out.images) == loader.held_out.tolist()
    batches = list(loader.held_out_batches(3, 8))
    assert [len(batch.images) for batch in batches] == [3, 3]
    assert not set(seen) & set(loader.held_out.tolist())
    assert len(loader.held_out) == 10


def test_a_batch_larger_than_the_data_repeats_it() -> None:
    numbers = numbers_of(image_loader(numbered_bytes(3)).batch(0, 10).images)
    assert len(numbers) == 10
    assert [sorted(numbers[i : i + 3]) for i in (0, 3, 6)] == [[0, 1, 2]] * 3


def test_where_nothing_is_held_out_there_is_no_held_out_batch() -> None:
    assert list(image_loader(numbered_bytes(3)).held_out_batches(4, 4)) == []


def test_held_out_pictures_are_not_the_first_ones_by_name() -> None:
    """Names are often sorted by class or age; a few held-out pictures must still be a fair sample."""
    loader = image_loader(numbered_bytes(200), DataConfig(validation=0.5))
    few = numbers_of(next(loader.held_out_batches(16, 16)).images)
    assert few != sorted(few) and max(few) > 100


def test_landmarks_are_mirrored_with_their_pictures() -> None:
    points = torch.tensor([[1.5, 2.5], [5.5, 3.5], [4.0, 4.0], [2.0, 6.0], [6.0, 6.0]])
    data = MemoryDataSet("faces", {"images": pointed(64), "landmarks": points.repeat(64, 1, 1)})
    loader = Loader(data, WithLandmarks, DataConfig(mirror=True, validation=0.0), 0, CPU)
    batch = loader.batch(0, 64)
    width = batch.images.shape[3]
    mirrored = points[[1, 0, 2, 4, 3]] * torch.tensor([-1.0, 1.0]) + torch.tensor([float(width), 0.0])
    told = flips(batch.images)
    assert 0 < sum(told) < 64
    for flipped, found in zip(told, batch.landmarks, strict=True):
        assert torch.allclose(found, mirrored if flipped else points, atol=1e-5)


def test_a_sample_is_fixed_by_its_seed_and_never_held_out() -> None:
    loader = image_loader(numbered_bytes(40), DataConfig(validation=0.5))
    numbers = numbers_of(loader.sample(12).images)
    assert numbers == numbers_of(loader.sample(12).images)
    assert numbers != numbers_of(loader.sample(12, seed=1).images)
    assert len(set(numbers)) == 12
    assert set(numbers) <= set(loader.training.tolist())
    assert len(loader.sample(100).images) == 20


def test_half_of_the_pictures_are_flipped_and_otherwise_untouched() -> None:
    count = 2000
    loader, plain = image_loader(pointed(100), MIRRORED), image_loader(pointed(100))
    images, originals = loader.batch(0, count).images, plain.batch(0, count).images
    flipped = torch.tensor(flips(images))
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=5 * 0.5 / count**0.5)
    assert torch.equal(images[~flipped], originals[~flipped])
    assert torch.equal(images[flipped], originals[flipped].flip(3))
    assert not any(flips(originals))


@pytest.mark.parametrize("step", [1, 7, 32])
def test_a_position_keeps_its_flip_whatever_the_batches(step: int) -> None:
    whole = image_loader(pointed(20), MIRRORED).batch(0, 64).images
    loader = image_loader(pointed(20), MIRRORED)
    parts = [loader.batch(start, min(step, 64 - start)).images for start in range(0, 64, step)]
    assert torch.equal(torch.cat(parts), whole)
    assert True in flips(whole)
    assert False in flips(whole)


def test_a_picture_is_flipped_anew_in_each_pass_and_by_each_seed() -> None:
    first, second = (image_loader(pointed(64), MIRRORED).batch(start, 64).images for start in (0, 64))
    by_number = [
        dict(zip(numbers_of(images[:, :, :, 1:2]), flips(images), strict=True)) for images in (first, second)
    ]
    assert by_number[0] != by_number[1]
    other = image_loader(pointed(64), MIRRORED, seed=1).batch(0, 64).images
    assert flips(other) != flips(first)


def test_what_is_looked_at_or_held_out_is_not_flipped() -> None:
    loader = image_loader(pointed(40), replace(MIRRORED, validation=0.5))
    assert not any(flips(loader.sample(20).images))
    assert not any(flips(next(loader.held_out_batches(20, 20)).images))


@pytest.mark.parametrize("config", [PLAIN, MIRRORED])
def test_fetching_ahead_changes_nothing(config: DataConfig) -> None:
    ahead, plain = image_loader(pointed(20), config), image_loader(pointed(20), config)
    for start in range(0, 60, 6):
        assert torch.equal(ahead.batch(start, 6, start + 6).images, plain.batch(start, 6).images)
    ahead.close()


def test_what_was_fetched_ahead_is_used_once_and_only_where_it_fits() -> None:
    data = Slow(numbered_bytes(20))
    loader = Loader(data, ImageBatch, PLAIN, 0, CPU)
    plain = image_loader(numbered_bytes(20))
    asked = [(0, 4, 4), (4, 4, 8), (12, 4, 16), (16, 4, 0), (0, 3, None)]
    for position, count, following in asked:
        images = loader.batch(position, count, following).images
        assert torch.equal(images, plain.batch(position, count).images)
    loader.close()
    ahead = [name.startswith("gansmith-loader") for name in data.threads]
    assert ahead.count(True) == 4  # After 4, 8 was fetched in vain; so was 0 for a batch of 4.
    assert ahead.count(False) == 3


@pytest.mark.parametrize(
    ("batch_type", "columns", "message"),
    [
        (
            LabelledBatch,
            ("images",),
            "trains on images, labels. Received: faces, which has images and no labels. Choose",
        ),
        (
            LabelledBatch,
            ("images", "attributes"),
            "no labels. A column of their table .* data.label=smiling .* prepare SRC DEST --label smiling",
        ),
        (
            Everything,
            ("images",),
            "trains on images, labels, attributes.*has images and no labels and no attributes.",
        ),
        (ImageBatch, ("source", "target"), "no images. It is a set of pairs: choose a recipe"),
        (PairBatch, ("images",), "no target. Pairs can be made of its pictures, .* data.pairs=edges"),
        (ImageBatch, ("labels",), "trains on images. Received: faces, which has labels and no images."),
    ],
)
def test_a_missing_column_is_told_with_what_there_is(batch_type, columns, message: str) -> None:
    data = MemoryDataSet("faces", {name: numbered_bytes(3) for name in columns})
    with pytest.raises(DataError, match=message):
        Loader(data, batch_type, PLAIN, 0, CPU)


def test_an_error_of_the_data_set_reaches_the_one_who_waits() -> None:
    class Broken(MemoryDataSet):
        def fetch(self, rows: Tensor, columns: Sequence[str] | None = None) -> Mapping[str, Tensor]:
            raise DataError("gone")

    loader = Loader(Broken("broken", {"images": numbered_bytes(4)}), ImageBatch, PLAIN, 0, CPU)
    with pytest.raises(DataError, match="gone"):
        loader.batch(0, 2)
    loader.close()


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(DataError, match="as many rows"):
        MemoryDataSet("toy", {"images": numbered_bytes(3), "labels": torch.arange(4)})
