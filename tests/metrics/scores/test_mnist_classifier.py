"""The reader of digits, and the count of modes on real and stand-in digits, through the verb, too."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from helpers import random_bytes
from tiny_mnist import drawn, tiny_digits, write_mnist
from torch import Tensor

from gansmith.cli.main import cli
from gansmith.core.image_size import Size
from gansmith.data.builtin.stacked_mnist import Digits, StackedDigits
from gansmith.data.config import DataConfig
from gansmith.data.dataset import MemoryDataSet
from gansmith.errors import DataError
from gansmith.metrics.compute import compute
from gansmith.metrics.descriptions import DESCRIPTIONS
from gansmith.metrics.features.registry import open_features
from gansmith.metrics.image_sets import DataPictures
from gansmith.metrics.registry import METRICS, needs_network
from gansmith.metrics.scores import mnist_classifier
from gansmith.metrics.scores.mnist_classifier import (
    LEAST,
    Reader,
    mode_counter,
    open_reader,
    read,
    train_reader,
)
from gansmith.metrics.scores.mode_count import modes
from gansmith.metrics.statistics import gather

MNIST = Path(__file__).parents[3].parent / "shared" / "data" / "mnist"
NATIVE = DataConfig(size=Size(28, 28), channels=3)
STEPS = 25
PIXELS = open_features("pixels")


@pytest.fixture(scope="module")
def reader() -> Reader:
    return train_reader(tiny_digits(400), tiny_digits(100, seed=1), steps=STEPS)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANSMITH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "digits" / "mnist-1.safetensors"


@pytest.fixture
def ready(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader of the stand-in digits is the one that is opened."""
    monkeypatch.setattr(mnist_classifier, "open_reader", lambda: reader)


@pytest.fixture
def tiny(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """MNIST is the stand-in, and training takes no time; which parts were asked for."""
    asked: list[bool] = []

    def mnist(*, training: bool = True) -> Digits:
        asked.append(training)
        return tiny_digits(20)

    monkeypatch.setattr(mnist_classifier, "mnist", mnist)
    monkeypatch.setattr(mnist_classifier, "train_reader", lambda training, test: reader)
    return asked


def rows(images: Tensor, name: str = "made") -> DataPictures:
    data = MemoryDataSet(name, {"images": images}, f"{name} {len(images)} {int(images.long().sum())}")
    return DataPictures(data, name, data.fingerprint, torch.arange(len(images)))


def stacks(labels: Tensor, seed: int = 3) -> Tensor:
    """Pictures of classes 0 to 999, of stand-in digits."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([drawn(labels // place % 10, generator) for place in (100, 10, 1)], 1)


def stacked(count: int = 60) -> DataPictures:
    data = StackedDigits("stacked-mnist", tiny_digits(), count, NATIVE)
    return DataPictures(data, data.name, data.fingerprint, torch.arange(count))


def test_it_learns_digits_and_is_the_same_each_time_whatever_the_state(reader: Reader) -> None:
    assert reader.accuracy == 1.0
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with torch.inference_mode():  # As inside a pass over a model's pictures.
        again = train_reader(tiny_digits(400), tiny_digits(100, seed=1), steps=STEPS)
    assert again.digest == reader.digest
    assert torch.equal(torch.get_rng_state(), before)
    other = train_reader(tiny_digits(400), tiny_digits(100, seed=1), steps=2, seed=1)
    assert other.digest != reader.digest and other.accuracy < 1.0


def test_three_digits_are_read_in_their_channels_whatever_the_batch(reader: Reader) -> None:
    network = reader.extractor()
    labels = torch.tensor([0, 123, 987, 550, 9])
    pictures = stacks(labels)
    found, chances = read(network, pictures)
    assert (found @ torch.tensor([100, 10, 1])).tolist() == labels.tolist()
    assert float(chances.min()) > 0.9 and float(chances.max()) <= 1.0
    alone = torch.cat([network(picture[None]).features for picture in pictures])
    assert torch.equal(alone, network(pictures).features)
    assert network.size == 30 and network.facts["weights"] == reader.digest


def test_modes_of_known_classes(ready: None) -> None:
    labels = torch.tensor([0, 0, 1, 123, 123, 999])
    counter = mode_counter(rows(stacks(labels)), stacked())
    for part in torch.split(stacks(labels), 4):
        counter.add(part)
    assert counter.classes().tolist() == labels.tolist()
    found = compute(rows(stacks(labels)), stacked(), PIXELS, ("modes",))
    assert found.values == modes(labels)
    assert found.values["modes"].value == 4
    assert found.about["digits"]["accuracy"] == "1.0000"
    assert all(name in DESCRIPTIONS and name in found.as_text() for name in found.values)
    beside = compute(rows(stacks(labels)), stacked(), PIXELS, ("fid", "modes"))
    assert beside.values["modes"] == found.values["modes"] and "fid" in beside.values


def test_saved_statistics_stand_for_b_and_not_for_a(ready: None) -> None:
    labels = torch.arange(0, 1000, 50)
    saved = gather(stacked(), PIXELS, keep=False)
    made = rows(stacks(labels))
    assert compute(made, saved, PIXELS, ("modes",)).values["modes"].value == 20
    with pytest.raises(
        DataError, match=r"modes looks at pictures. Received: stacked-mnist, saved statistics"
    ):
        compute(saved, stacked(), PIXELS, ("modes",))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((3, 32, 32), "32x32 in colour in made"), ((1, 28, 28), "28x28 in grey"), ((3, 28, 20), "20x28")],
)
def test_other_forms_are_refused_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int], message: str
) -> None:
    monkeypatch.setattr(mnist_classifier, "open_reader", lambda: pytest.fail("It must not be opened."))
    made = rows(torch.zeros(4, *shape, dtype=torch.uint8))
    with pytest.raises(DataError, match=f"28x28 in colour. Received: {message}"):
        compute(made, stacked(), PIXELS, ("modes",))
    with pytest.raises(DataError, match="dcgan28"):
        compute(stacked(), made, PIXELS, ("modes",))


def test_b_that_is_not_stacked_is_refused(ready: None, reader: Reader) -> None:
    noise = rows(random_bytes(50, 28), "noise")
    looked = read(reader.extractor(), random_bytes(50, 28))[1]
    assert float((looked > 0.9).float().mean()) < 0.8
    with pytest.raises(
        DataError, match=r"Received: noise, where .* look like digits.* Give stacked-mnist as B"
    ):
        compute(stacked(), noise, PIXELS, ("modes",))
    grey = rows(stacks(torch.arange(10).repeat(3) * 111), "mnist")
    with pytest.raises(
        DataError, match=r"mnist, where 100% .* and 100% of the pictures show one digit three"
    ):
        compute(stacked(), grey, PIXELS, ("modes",))
    assert compute(grey, stacked(), PIXELS, ("modes",)).values["modes"].value == 10  # As A it may be.


def test_it_is_trained_once_and_kept(
    tiny: list[bool], own_cache: Path, capsys: pytest.CaptureFixture
) -> None:
    first = open_reader()
    assert "trained on MNIST, once" in capsys.readouterr().err
    assert tiny == [True, False] and own_cache.is_file()
    again = open_reader()
    assert tiny == [True, False] and not capsys.readouterr().err
    assert (again.digest, again.accuracy) == (first.digest, first.accuracy)


@pytest.mark.parametrize("damage", ["cut", "empty", "altered", "another version", "another network"])
def test_a_damaged_cache_is_trained_anew(tiny: list[bool], own_cache: Path, damage: str) -> None:
    first = open_reader()
    raw = own_cache.read_bytes()
    changed = {
        "cut": raw[:1000],
        "empty": b"",
        "altered": raw[:-4] + bytes(4),
        "another version": raw.replace(b"gansmith digits 1", b"gansmith digits 0"),
    }
    if damage == "another network":
        mnist_classifier._keep(Reader(torch.nn.Linear(2, 2), 1.0), own_cache)
    else:
        own_cache.write_bytes(changed[damage])
    assert open_reader().digest == first.digest
    assert tiny == [True, False] * 2
    assert open_reader().digest == first.digest and len(tiny) == 4  # The new one is kept.


def test_a_cache_that_cannot_be_written_costs_time_alone(tiny: list[bool], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert open_reader(tmp_path / "file" / "digits").accuracy == 1.0


def test_other_pictures_in_place_of_mnist_are_told(
    tiny: list[bool], own_cache: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = replace(reader, accuracy=0.1)
    monkeypatch.setattr(mnist_classifier, "train_reader", lambda training, test: bad)
    with pytest.raises(DataError, match=r"98.5% or more .* Received: 10.0% in"):
        open_reader()
    assert not own_cache.exists()


def test_which_metrics_ask_the_feature_network() -> None:
    assert not needs_network(("modes", "swd", "ms_ssim", "ssim"))
    assert needs_network(("modes", "fid")) and needs_network(("ppl",)) and needs_network(("memorization",))
    assert all(not METRICS[name].features for name in METRICS if not METRICS[name].network)


def test_the_verb_needs_neither_inception_nor_its_weights(
    ready: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    write_mnist(tmp_path / "sets", tiny_digits(), tiny_digits(20))
    monkeypatch.setenv("GANSMITH_DATA", str(tmp_path / "sets"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nowhere"))
    words = ["evaluate", "stacked-mnist:40", "stacked-mnist:30", "--json", "--metrics"]
    told = CliRunner().invoke(cli, [*words, "modes"], catch_exceptions=False)
    found = json.loads(told.stdout)
    assert found["about"]["features"] == "pixels"
    data = StackedDigits("", tiny_digits(), 40, NATIVE).fetch(torch.arange(40))
    assert found["values"]["modes"]["value"] == len(data["labels"].unique())
    assert 0 < found["values"]["modes_kl"]["low"] <= found["values"]["modes_kl"]["value"]
    chosen = CliRunner().invoke(cli, [*words, "modes", "--features", "pixel"])
    assert chosen.exit_code != 0 and "Did you mean 'pixels'" in str(chosen.exception)


@pytest.mark.slow
@pytest.mark.skipif(not (MNIST / "MNIST").is_dir(), reason=f"MNIST is not in {MNIST}")
@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_real_digits(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    """MNIST is read well enough, and real stacked pictures show all modes, nearly evenly."""
    monkeypatch.setenv("GANSMITH_DATA", str(MNIST))
    reader = open_reader()
    assert reader.accuracy > LEAST and own_cache.is_file()
    result = CliRunner().invoke(
        cli,
        ["evaluate", "stacked-mnist:26000", "stacked-mnist", "--metrics", "modes", "--json"],
        catch_exceptions=False,
    )
    found = json.loads(result.stdout)["values"]
    print(reader.accuracy, {name: value["value"] for name, value in found.items()})
    assert found["modes"]["value"] >= 999
    # 0.0192 is the bias of 26,000 pictures, 0.0043 that MNIST has more of some digits than of others.
    assert found["modes_kl"]["value"] == pytest.approx(0.0235, abs=0.004)
