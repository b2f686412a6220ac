"""Which rows a batch shows: the owner's split, two domains without pairs, and parts of processes."""

import queue
import time
from typing import Any

import pytest
import torch
from helpers import CPU, numbered_bytes, numbers_of
from torch import Tensor

from gansmith.core.normalization import Scale
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DatasetInfo, MemoryDataSet
from gansmith.data.device import DeviceDataSet, on_device
from gansmith.data.loading.loader import Loader
from gansmith.data.loading.streams import split_of
from gansmith.errors import DataError
from gansmith.methods.batches import DomainBatch, EditBatch, ImageBatch, LabelledBatch, PairBatch

PLAIN = DataConfig(validation=0.0)


def two_kinds(names: tuple[str, ...] = ("cat", "dog")) -> MemoryDataSet:
    """Pictures 0..9 of the first kind, 10..15 of the second, any further kinds behind."""
    labels = torch.tensor([0] * 10 + [1] * 6 + list(range(2, len(names))))
    columns = {"images": numbered_bytes(len(labels)), "labels": labels}
    return MemoryDataSet("kinds", columns, info=DatasetInfo(label_names=names))


def test_the_owners_split_is_kept() -> None:
    held = torch.zeros(12, dtype=torch.bool)
    held[[2, 5, 7]] = True
    data = MemoryDataSet("split", {"images": numbered_bytes(12)}, info=DatasetInfo(held_out=held))
    loader = Loader(data, ImageBatch, DataConfig(validation=0.05), 0, CPU)
    assert loader.held_out.tolist() == [2, 5, 7]
    assert sorted(numbers_of(loader.batch(0, 9).images)) == [0, 1, 3, 4, 6, 8, 9, 10, 11]
    everything = Loader(data, ImageBatch, PLAIN, 0, CPU)
    assert len(everything.training) == 12  # validation = 0 asks for all.


def test_domains_are_two_labels_with_an_order_each() -> None:
    loader = Loader(two_kinds(), DomainBatch, PLAIN, 0, CPU)
    batches = [loader.batch(position, 2) for position in range(0, 60, 2)]
    first = [number for batch in batches for number in numbers_of(batch.a)]
    second = [number for batch in batches for number in numbers_of(batch.b)]
    for start in range(0, 60, 10):
        assert sorted(first[start : start + 10]) == list(range(10))
    for start in range(0, 60, 6):
        assert sorted(second[start : start + 6]) == list(range(10, 16))
    partners = {(a, b) for a, b in zip(first, second, strict=True)}
    assert len(partners) > 30  # They do not go hand in hand.


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_what_is_measured_is_asked_for_what_another_shows(share: float) -> None:
    """Where nothing is held out, as of data that a model was not trained on, too."""
    numbers = torch.arange(12, dtype=torch.uint8)[:, None]
    data = MemoryDataSet("numbers", {"images": numbered_bytes(12), "attributes": numbers})
    loader = Loader(data, EditBatch, DataConfig(validation=share), 0, CPU)
    rows = loader.held_out_rows(0, len(loader.held_out) or 12)
    own, others = rows["attributes"][:, 0], rows["other_attributes"][:, 0]
    assert not bool((own == others).any()) and sorted(own.tolist()) == sorted(others.tolist())
    loader.close()


@pytest.mark.parametrize(
    ("names", "domains", "kinds"),
    [
        (("testA", "trainB", "trainA"), None, (2, 1)),
        (("x", "y", "z"), ("y", "z"), (1, 2)),
        (("x", "y"), ("y", "x"), (1, 0)),
    ],
)
def test_domains_by_name(names: Any, domains: Any, kinds: tuple[int, int]) -> None:
    labels = torch.arange(len(names)).repeat_interleave(4)
    columns = {"images": numbered_bytes(len(labels)), "labels": labels}
    data = MemoryDataSet("kinds", columns, info=DatasetInfo(label_names=names))
    batch = Loader(data, DomainBatch, DataConfig(validation=0.0, domains=domains), 0, CPU).batch(0, 4)
    assert {number // 4 for number in numbers_of(batch.a)} == {kinds[0]}
    assert {number // 4 for number in numbers_of(batch.b)} == {kinds[1]}


@pytest.mark.parametrize("smaller", ["neutral", "smiling"])
@pytest.mark.parametrize("seed", [0, 1])
def test_what_has_one_name_in_both_domains_is_held_out_of_both_or_of_neither(smaller: str, seed: int) -> None:
    folders = ["neutral"] * 20 + ["smiling"] * 20
    names = [f"{folder}/{row % 20:03d}.jp{'e' * (row // 20)}g" for row, folder in enumerate(folders)]
    keep = [row for row, name in enumerate(names) if not (name.startswith(smaller) and row % 5 == 0)]
    labels = torch.tensor([row // 20 for row in keep])
    columns = {"images": numbered_bytes(40)[keep], "labels": labels}
    info = DatasetInfo(label_names=("neutral", "smiling"), names=[names[row] for row in keep])
    data = MemoryDataSet("people", columns, info=info)
    loader = Loader(data, DomainBatch, DataConfig(validation=0.25), seed, CPU)
    held, trained = (
        {number % 20 for batch in batches for number in numbers_of(batch.a) + numbers_of(batch.b)}
        for batches in (loader.held_out_batches(1, 40), map(loader.batch, range(40), [1] * 40))
    )
    assert len(held) >= 4
    assert len(trained) >= 13
    assert not held & trained


@pytest.mark.parametrize(
    ("names", "domains", "message"),
    [
        (("x", "y", "z"), None, r"--set data\.domains=x,y"),
        (("cat", "dog"), ("cat", "dgo"), "Did you mean 'dog'"),
        (("cat", "dog", "cow"), ("cat", "cow"), "two pictures or more. Received: 1 of 'cow'"),
    ],
)
def test_domains_that_are_none(names: Any, domains: Any, message: str) -> None:
    config = DataConfig(validation=0.0, domains=domains)
    with pytest.raises(DataError, match=message):
        Loader(two_kinds(names), DomainBatch, config, 0, CPU)


def test_pictures_without_labels_are_no_domains() -> None:
    with pytest.raises(DataError, match="two class folders"):
        Loader(MemoryDataSet("plain", {"images": numbered_bytes(4)}), DomainBatch, PLAIN, 0, CPU)


def test_domains_hold_out_pictures_of_each() -> None:
    loader = Loader(two_kinds(), DomainBatch, DataConfig(validation=0.3), 0, CPU)
    trained = {n for p in range(0, 40, 4) for side in loader.batch(p, 4) for n in numbers_of(side)}
    held = {n for batch in loader.held_out_batches(2, 2) for side in batch for n in numbers_of(side)}
    assert len(trained) == 7 + 4
    assert held and not held & trained
    assert len(loader.sample(100).a) == 4


@pytest.mark.parametrize("batch_type", [DomainBatch, LabelledBatch])
def test_who_asks_later_is_told_the_split_of_the_loader(batch_type: Any) -> None:
    config = DataConfig(validation=0.3)
    loader = Loader(two_kinds(), batch_type, config, 0, CPU)
    training, held_out = split_of(two_kinds(), batch_type._fields, config, 0)
    column = batch_type._fields[-1] if batch_type is DomainBatch else "images"
    held = {n for batch in loader.held_out_batches(2, 9) for n in numbers_of(getattr(batch, column))}
    trained = {n for p in range(0, 40, 4) for n in numbers_of(getattr(loader.batch(p, 4), column))}
    assert set(training.tolist()) == trained and held <= set(held_out.tolist())
    assert len(training) + len(held_out) == (6 if batch_type is DomainBatch else 16)


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_processes_share_a_batch_without_overlap(processes: int) -> None:
    data = MemoryDataSet("toy", {"images": numbered_bytes(40)})
    config = DataConfig(validation=0.1, mirror=True)
    whole = Loader(data, ImageBatch, config, 7, CPU)
    parts = [Loader(data, ImageBatch, config, 7, CPU, (rank, processes)) for rank in range(processes)]
    for position in (0, 12, 36, 1200):
        ours = torch.cat([part.batch(position, 12, position + 12).images for part in parts])
        assert torch.equal(ours, whole.batch(position, 12).images)


def test_a_scale_is_measured_on_training_pictures_alone_and_undone_exactly() -> None:
    pictures = torch.randint(0, 256, (20, 3, 8, 8), dtype=torch.uint8)
    held = torch.zeros(20, dtype=torch.bool)
    held[15:] = True
    pictures[15:] = 255
    data = MemoryDataSet("toy", {"images": pictures}, info=DatasetInfo(held_out=held))
    plain = Loader(data, ImageBatch, DataConfig(), 0, CPU)
    scale = plain.measure_scale()
    floats = pictures[:15].double() / 127.5 - 1
    assert scale.mean == pytest.approx(floats.mean((0, 2, 3)).tolist(), abs=1e-9)
    assert scale.std == pytest.approx(floats.std((0, 2, 3), correction=0).tolist(), abs=1e-9)
    batch = Loader(data, ImageBatch, DataConfig(scale=scale), 0, CPU).batch(0, 15)
    assert batch.images.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert batch.images.var((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    torch.testing.assert_close(scale.to_picture(batch.images), plain.batch(0, 15).images, atol=1e-6, rtol=0)


def test_labels_stay_beside_standardized_pictures() -> None:
    scale = Scale((0.0,), (0.5,))
    loader = Loader(two_kinds(), LabelledBatch, DataConfig(validation=0.0, scale=scale), 0, CPU)
    batch = loader.batch(0, 16)
    numbers = numbers_of(batch.images / 2)
    assert batch.labels.tolist() == [int(number >= 10) for number in numbers]


def test_waiting_is_counted() -> None:
    fetched: queue.Queue[None] = queue.Queue()

    class Slow(MemoryDataSet):
        def fetch(self, rows: Tensor, columns: Any = None) -> Any:
            time.sleep(0.3)
            fetched.put(None)
            return super().fetch(rows, columns)

    loader = Loader(Slow("slow", {"images": numbered_bytes(8)}), ImageBatch, PLAIN, 0, CPU)
    loader.batch(0, 4, 4)
    first = loader.waited
    assert first >= 0.3
    for _ in range(2):  # The next batch is fetched meanwhile.
        fetched.get(timeout=60)
    loader.batch(4, 4)
    assert loader.waited - first < 0.3
    loader.close()


def test_a_pair_is_changed_alike() -> None:
    pictures = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    data = MemoryDataSet("pairs", {"source": pictures, "target": pictures})
    batch = Loader(data, PairBatch, DataConfig(validation=0.0, mirror=True), 0, CPU).batch(0, 6)
    assert torch.equal(batch.source, batch.target)


def test_a_set_on_a_device_gives_the_same_rows() -> None:
    data = two_kinds()
    there = DeviceDataSet(data, ("images", "labels"), CPU)
    rows = torch.tensor([3, 12, 3])
    for name, column in data.fetch(rows).items():
        assert torch.equal(there.fetch(rows)[name], column)
    assert (len(there), there.columns, there.info) == (16, ("images", "labels"), data.info)
    assert there.fetch(rows, ("labels",)).keys() == {"labels"}
    assert on_device(data, ("images",), CPU) is data
