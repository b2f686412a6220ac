"""Stacked MNIST: which digits are where, that rows are their own, and that the verbs take the set."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from helpers import small_named
from tiny_mnist import tiny_digits, write_mnist

from gansmith.cli.main import cli
from gansmith.core.image_size import Size
from gansmith.data.builtin.names import is_builtin
from gansmith.data.builtin.sets import BUILTIN_NAMES, mnist, native_channels, native_size
from gansmith.data.builtin.source import BuiltinSource
from gansmith.data.builtin.stacked_mnist import COUNT, Digits, StackedDigits
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet
from gansmith.data.open import describe_source, open_data
from gansmith.errors import DataError
from gansmith.training.session import train

NATIVE = DataConfig(size=Size(28, 28))
DIGITS = tiny_digits()


def stack(count: int, config: DataConfig = NATIVE, digits: Digits = DIGITS, seed: int = 0) -> StackedDigits:
    return StackedDigits("stacked-mnist", digits, count, config, seed)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny MNIST where the built-in sets are looked for."""
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    write_mnist(tmp_path / "sets", DIGITS, tiny_digits(50, seed=1))
    monkeypatch.setenv("GANSMITH_DATA", str(tmp_path / "sets"))
    return tmp_path


def test_each_channel_is_a_digit_of_the_set_and_the_label_says_which() -> None:
    data = stack(40)
    assert isinstance(data, DataSet)
    rows = data.fetch(torch.arange(40))
    assert rows["images"].shape == (40, 3, 28, 28) and rows["images"].dtype == torch.uint8
    known = {
        picture.numpy().tobytes(): int(label)
        for picture, label in zip(DIGITS.images, DIGITS.labels, strict=True)
    }
    for picture, label in zip(rows["images"], rows["labels"].tolist(), strict=True):
        red, green, blue = (known[channel.numpy().tobytes()] for channel in picture)
        assert label == 100 * red + 10 * green + blue


def test_a_row_is_the_same_whatever_the_count_the_order_and_the_company() -> None:
    few, many = stack(10), stack(1000)
    order = torch.tensor([7, 2, 2, 9])
    whole = many.fetch(torch.arange(10))
    for name, column in few.fetch(order).items():
        assert torch.equal(column, whole[name][order])
    assert not torch.equal(stack(10, seed=1).fetch(order)["images"], whole["images"][order])
    assert few.fingerprint != many.fingerprint != stack(1000, seed=1).fingerprint


def test_all_thousand_kinds_are_there_about_evenly_and_channels_are_independent() -> None:
    labels = stack(100_000).fetch(torch.arange(100_000), ("labels",))["labels"]
    counts = torch.bincount(labels, minlength=1000).double()
    assert len(counts) == 1000
    chi_square = float(((counts - 100.0) ** 2 / 100.0).sum())
    assert abs(chi_square - 999) < 5 * (2 * 999) ** 0.5


def test_columns_are_made_only_where_they_are_asked_for() -> None:
    assert set(stack(5).fetch(torch.tensor([1]), ("labels",))) == {"labels"}
    assert set(stack(5).fetch(torch.tensor([1]))) == {"images", "labels"}
    assert stack(5).fetch(torch.zeros(0, dtype=torch.int64))["images"].shape == (0, 3, 28, 28)
    assert stack(5).info.label_names[7] == "007" and len(stack(5).info.label_names) == 1000


def test_other_sizes_and_grey() -> None:
    rows = torch.arange(4)
    small = stack(4, DataConfig(size=Size(16, 16))).fetch(rows)["images"]
    assert small.shape == (4, 3, 16, 16)
    luma = stack(4, DataConfig(size=Size(28, 28), channels=1)).fetch(rows)["images"]
    native = stack(4).fetch(rows)["images"].float()
    wanted = 0.299 * native[:, 0] + 0.587 * native[:, 1] + 0.114 * native[:, 2]
    assert luma.shape == (4, 1, 28, 28)
    assert float((luma[:, 0].float() - wanted).abs().max()) <= 0.501


def test_what_is_known_by_name() -> None:
    assert "stacked-mnist" in BUILTIN_NAMES and is_builtin("stacked-mnist:7")
    assert (native_size("stacked-mnist"), native_channels("stacked-mnist")) == (Size(28, 28), 3)
    facts = describe_source("stacked-mnist")
    assert (facts.count, facts.all_grey) == (128_000, False) and COUNT == 128_000
    assert describe_source("stacked-mnist:26000").count == 26_000


@pytest.mark.parametrize("name", ["stacked-mnist:0", "stacked-mnist:many", "stacked-mnist:-1", "mnist:5"])
def test_counts_that_make_no_sense(name: str) -> None:
    with pytest.raises(DataError, match="demo-faces and stacked-mnist take a count"):
        open_data(name, NATIVE)


def test_the_files_are_those_of_mnist_and_only_training_digits_are_stacked(files: Path) -> None:
    assert torch.equal(mnist().images, DIGITS.images) and torch.equal(mnist().labels, DIGITS.labels)
    assert len(mnist(training=False).labels) == 50
    rows = torch.arange(30)
    found, wanted = open_data("stacked-mnist:30", NATIVE).fetch(rows), stack(30).fetch(rows)
    assert torch.equal(found["images"], wanted["images"]) and torch.equal(found["labels"], wanted["labels"])


def test_without_files_the_message_is_that_of_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision = pytest.importorskip("torchvision")
    monkeypatch.setenv("GANSMITH_DATA", str(tmp_path))
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [])
    with pytest.raises(DataError, match="MNIST/raw/train-images-idx3-ubyte"):
        open_data("stacked-mnist", NATIVE)


def test_it_is_inspected_and_prepared_like_any_other_set(files: Path) -> None:
    source = BuiltinSource("stacked-mnist:20", Size(28, 28))
    assert (
        source.facts.labels is not None
        and source.facts.labels.tolist() == stack(20).fetch(torch.arange(20), ("labels",))["labels"].tolist()
    )
    told = CliRunner().invoke(
        cli, ["inspect", "stacked-mnist:20", "--workers", "1", "--json"], catch_exceptions=False
    )
    assert json.loads(told.stdout)


def test_a_recipe_for_28_pixels_trains_on_it(files: Path) -> None:
    recipe = small_named("dcgan28", size=28, images=8)
    outcome = train(recipe, open_data("stacked-mnist:16", recipe.data), files / "run", device="cpu")
    assert outcome.images == 8
