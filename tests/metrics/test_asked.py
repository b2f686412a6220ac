"""Whether models of two domains and those that edit do as they are told, in the eyes of a classifier."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import CPU, small_named
from torch import Tensor, nn

from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.core.spec import DataSpec
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DatasetInfo, MemoryDataSet
from gansmith.data.loading.loader import Loader
from gansmith.data.open import open_data
from gansmith.errors import DataError, SettingError
from gansmith.methods.base import Method
from gansmith.methods.cyclegan import CycleGAN
from gansmith.methods.dcgan import DCGAN
from gansmith.methods.icgan import AttributeIcGAN, IcGAN, Readers
from gansmith.methods.pg2 import PoseStage
from gansmith.methods.stargan import StarGAN
from gansmith.methods.unit import UNIT
from gansmith.metrics.asked import asked_for, asks, parts_of_domains
from gansmith.metrics.compute import compute
from gansmith.metrics.evaluate import Question, evaluate
from gansmith.metrics.features.registry import open_features
from gansmith.metrics.image_sets import DataPictures, HeldOutPictures, HeldOutPrompts, ModelPictures
from gansmith.metrics.math.intervals import Result
from gansmith.metrics.outputs import history
from gansmith.metrics.registry import ExtraInputs
from gansmith.metrics.scores.obedience import obedience
from gansmith.models.generator import from_method
from gansmith.training.session import train

SPEC = DataSpec(height=16, width=16)
CONFIG = DataConfig(validation=0.25)


def coloured(red: Tensor) -> Tensor:
    """Noise with a cast of red where that is true, else of blue, uint8."""
    draw = torch.Generator().manual_seed(len(red))
    images = torch.randint(0, 120, (len(red), 3, 16, 16), generator=draw, dtype=torch.uint8)
    images[red, 0] += 100
    images[~red, 2] += 100
    return images


def two_domains(first: int = 60, second: int = 60) -> MemoryDataSet:
    """Red pictures, which are called b and come second, and blue ones."""
    labels = torch.tensor([0] * first + [1] * second)
    columns = {"images": coloured(labels == 1), "labels": labels}
    return MemoryDataSet("two", columns, "two", info=DatasetInfo(label_names=("a", "b")))


class Swapped(nn.Module):
    """Red for blue."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flip(1)


def judged(translator: nn.Module, data: MemoryDataSet, config: DataConfig = CONFIG) -> Result:
    """What obedience finds of CycleGAN with this network from a to b, on held-out pictures."""
    method = CycleGAN().tiny()
    networks = method.build(SPEC)
    networks.a_to_b = translator
    loader = Loader(data, method.batch_type, config, 0, CPU)
    generator = from_method(method, networks, SPEC, name="toy", recipe_name="toy")
    count = len(loader.held_out)
    model = ModelPictures(generator, "toy", "toy", count, HeldOutPrompts(loader, method))
    real = HeldOutPictures(loader, method, SPEC, "two", "real", count)
    rows = DataPictures(data, "two", "rows", loader.held_out)
    asked = asked_for(model, real, rows, parts_of_domains(rows, config, 0))
    assert asked is not None and asked.column == "domain"
    return obedience(asked.made, asked.wanted, asked.parts, sources=asked.sources)


def test_a_translator_that_does_what_is_asked_is_told_from_one_that_copies() -> None:
    good, copy = judged(Swapped(), two_domains()), judged(nn.Identity(), two_domains())
    assert good["obedience"].value == 1.0 and good["obedience_copy"].value == 0.0
    assert "right in 100.0% of held-out" in good["obedience"].note
    assert "Of what had to change, 100.0% did" in good["obedience_copy"].note
    assert copy["obedience"].value == copy["obedience_copy"].value == 0.0


def test_both_domains_count_the_same_however_many_pictures_they_have() -> None:
    data = two_domains(40, 12)
    rows = DataPictures(data, "two", "rows", torch.arange(4))
    training, held_out = parts_of_domains(rows, CONFIG, 0)
    domain = training.columns(("domain",))["domain"]
    assert int((domain == 0).sum()) == int((domain == 1).sum()) == 30
    assert torch.equal(data.fetch(training.rows, ("labels",))["labels"], domain)
    assert held_out.columns(("domain",))["domain"].tolist() == [0] * 10 + [1] * 3
    assert not set(training.rows.tolist()) & set(held_out.rows.tolist())
    grey = torch.full((52, 3, 16, 16), 128, dtype=torch.uint8)
    alike = MemoryDataSet("alike", {"images": grey, "labels": torch.arange(52) // 40}, info=data.info)
    note = judged(nn.Identity(), alike)["obedience"].note
    assert "right in 50.0% of held-out" in note, "not in 10 of 13, by always saying the commoner one"


def test_domains_of_which_nothing_is_held_out_are_refused() -> None:
    with pytest.raises(DataError, match="held-out pictures of both domains") as refused:
        judged(Swapped(), two_domains(), replace(CONFIG, validation=0.0))
    assert "data.validation=0.0" in str(refused.value)


@pytest.mark.parametrize(
    ("method", "column"),
    [
        (UNIT(), "domain"),
        (CycleGAN(), "domain"),
        (StarGAN(), "attributes"),
        (IcGAN(), "labels"),
        (AttributeIcGAN(), "attributes"),
        (PoseStage(), "landmarks"),
        (DCGAN(), ""),
    ],
)
def test_what_a_method_asks_for(method: Method, column: str) -> None:
    assert asks(method) == column


class Painted(nn.Module):
    """What it is given, with the cast that the condition asks for: red for 1, blue for 0."""

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        there = images[:, 0].mean(dim=(1, 2)) > images[:, 2].mean(dim=(1, 2))
        change = there != (condition.reshape(len(images)) > 0)
        return torch.where(change[:, None, None, None], images.flip(1), images)


class Deaf(nn.Module):
    """What it is given."""

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        return images


class Reads(nn.Module):
    """Red or not, as an attribute or as one of two classes."""

    def __init__(self, classes: bool) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        red = images[:, :1].mean(dim=(2, 3)) - images[:, 2:].mean(dim=(2, 3))
        return torch.cat([-red, red], dim=1) if self.classes else red


@pytest.mark.parametrize("column", ["attributes", "labels"])
@pytest.mark.parametrize("draws", [Painted, Deaf])
def test_readers_that_change_what_is_asked_are_told_from_those_that_do_not(
    column: str, draws: type[nn.Module]
) -> None:
    red = torch.rand(160, generator=torch.Generator().manual_seed(1)) < 0.5
    facts = red.long() if column == "labels" else red[:, None].to(torch.uint8)
    data = MemoryDataSet("reds", {"images": coloured(red), column: facts})
    method = IcGAN() if column == "labels" else AttributeIcGAN()
    networks = Readers(draws(), nn.Identity(), Reads(column == "labels"), attributes=1)
    generator = from_method(method, networks, SPEC, name="toy", recipe_name="toy")
    loader = Loader(data, method.batch_type, CONFIG, 0, CPU)
    model = ModelPictures(generator, "toy", "toy", 40, HeldOutPrompts(loader, method))
    real = HeldOutPictures(loader, method, SPEC, "reds", "real", 40)
    rows = DataPictures(data, "reds", "rows", loader.held_out)
    parts = replace(rows, rows=loader.training), rows
    asked = asked_for(model, real, rows, parts)
    assert asked is not None and asked.column == column
    wanted = asked.wanted[column]
    assert 0.2 < float((wanted.flatten() != facts[loader.held_out].flatten()).double().mean()) < 0.8
    assert wanted.sum() == facts[loader.held_out].sum(), "what the others of the set show"
    pixels = open_features("pixels")
    values = compute(model, real, pixels, ("obedience", "l1"), extra=ExtraInputs(judged=asked)).values
    copied = float((wanted.flatten() == facts[loader.held_out].flatten()).double().mean())
    assert values["obedience_copy"].value == pytest.approx(copied)
    assert values["obedience"].value == pytest.approx(1.0 if draws is Painted else copied)
    assert values["l1"].value == 0.0, "read and drawn again as they are"


def test_a_model_that_is_given_no_rows_is_asked_for_nothing() -> None:
    networks = Readers(Deaf(), nn.Identity(), Reads(True), attributes=0)
    generator = from_method(IcGAN(), networks, SPEC, name="toy", recipe_name="toy")
    rows = DataPictures(two_domains(), "two", "rows", torch.arange(4))
    model = ModelPictures(generator, "toy", "toy", 4)
    assert asked_for(model, rows, rows, (rows, rows)) is None


def recipe(name: str, *settings: str) -> Recipe:
    made = small_named(name, images=8, checkpoint_every=8, picture_every=8, log_every=8)
    made = override(override(made, "data.validation=0.25"), "train.evaluate.every=4")
    for setting in ("train.evaluate.metrics=obedience", "train.evaluate.samples=10", *settings):
        made = override(made, setting)
    return made


@pytest.mark.parametrize("name", ["cyclegan64-small", "unit32-small"])
def test_domains_are_judged_while_a_run_goes_on(name: str, tmp_path: Path) -> None:
    train(recipe(name), two_domains(), tmp_path / "run", device="cpu")
    rows = history(tmp_path / "run")
    assert [row["images"] for row in rows] == [4, 8]
    assert all(0.0 <= row["obedience"]["value"] <= 1.0 for row in rows)
    assert all(row["obedience_copy"]["value"] == 0.0 for row in rows)
    assert (tmp_path / "run" / "best.safetensors").exists()


def test_readers_are_judged_while_they_train(tmp_path: Path) -> None:
    red = torch.arange(80) % 3 == 0
    columns = {"images": coloured(red), "attributes": torch.stack([red, ~red], dim=1).to(torch.uint8)}
    data = MemoryDataSet("reds", columns, info=DatasetInfo(attribute_names=("red", "blue")))
    first = override(recipe("cdcgan-attributes32"), "train.evaluate.every=0")
    train(first, data, tmp_path / "gan", device="cpu")
    second = recipe("icgan-attributes32", f"borrow.generator={tmp_path / 'gan'}")
    train(second, data, tmp_path / "readers", device="cpu")
    rows = history(tmp_path / "readers")
    assert [row["images"] for row in rows] == [4, 8]
    assert all(0.0 < row["obedience_copy"]["value"] < 1.0 for row in rows)
    assert (tmp_path / "readers" / "best.safetensors").exists()


def test_finished_runs_are_asked_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANSMITH_CACHE", str(tmp_path / "cache"))
    faces = "demo-faces:80"
    unasked = "train.evaluate.every=0"
    recipes = {
        "unit": recipe("unit32-small", unasked, "data.domains=dark hair,fair hair"),
        "gan": recipe("cdcgan-attributes32", unasked),
        "readers": recipe("icgan-attributes32", unasked, f"borrow.generator={tmp_path / 'gan'}"),
        "posed": recipe("pg2-32-small-coarse", "train.evaluate.metrics=pose_error", "data.pairs=pose"),
    }
    for name, made in recipes.items():
        data = open_data(faces, made.data, fields=made.method.batch_type._fields)
        train(made, data, tmp_path / name, device="cpu")
    rows = history(tmp_path / "posed")
    assert [row["images"] for row in rows] == [4, 8] and (tmp_path / "posed" / "best.safetensors").exists()
    found = evaluate(str(tmp_path / "posed"), faces, Question(metrics="pose_error", samples=10, device="cpu"))
    assert found is not None and list(found.values) == ["pose_error", "pose_error_copy"]
    assert found.values["pose_error_copy"].value == pytest.approx(
        rows[-1]["pose_error_copy"]["value"], abs=1e-6
    )
    question = Question(metrics="obedience,l1", device="cpu")
    with pytest.raises(SettingError, match="Of key points it is pose_error that asks"):
        evaluate(str(tmp_path / "posed"), faces, question)
    with pytest.raises(SettingError, match="pose_error asks whether key points are"):
        evaluate(str(tmp_path / "unit"), faces, Question(metrics="pose_error", device="cpu"))
    for name in ("unit", "readers"):
        found = evaluate(str(tmp_path / name), faces, question)
        assert found is not None and list(found.values) == ["obedience", "obedience_copy", "l1"]
        assert found.values["obedience"].note.startswith("The classifier is right in")
