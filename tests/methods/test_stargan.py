"""StarGAN: the authors' counts, its losses in closed form, and what a person may ask of it."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers import random_images
from PIL import Image
from promises import RECIPES, everything, trainer_of
from torch import Tensor, nn

from gansmith.cli.main import cli
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.schedules import Linear
from gansmith.core.spec import DataSpec
from gansmith.data.attribute_views import with_attributes
from gansmith.data.config import DataConfig
from gansmith.data.loading.loader import Loader
from gansmith.errors import DataError, SettingError
from gansmith.images.provenance import read_provenance
from gansmith.losses.penalties import NoPenalty
from gansmith.methods.batches import EditBatch, EditPrompt
from gansmith.methods.stargan import LabelTranslator, StarGAN
from gansmith.metrics.image_sets import HeldOutPrompts
from gansmith.models.asked import Companions, Conditions
from gansmith.models.attribute_sheet import attribute_sheet, way_sheet
from gansmith.models.generator import Generator, from_method
from gansmith.models.translate import Translation, translate
from gansmith.networks.bundle import Pair
from gansmith.recipes import named

NAMES = ("smiling", "dark hair", "fair hair")
OWN = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]], dtype=torch.uint8)
BATCH = EditBatch(random_images(4), OWN, OWN.roll(1, 0))
NOISE = Noise.of(0, 1, 2, 3)


def test_parameters_of_the_authors() -> None:
    spec = DataSpec(height=128, width=128, attribute_names=tuple("abcde"))
    with torch.device("meta"):
        networks = StarGAN().build(spec)
    counts = [sum(p.numel() for p in part.parameters()) for part in networks.children()]
    assert counts == [8_430_528, 44_762_048]


class Adds(nn.Module):
    """A generator that adds a tenth of the first attribute."""

    def forward(self, images: Tensor, attributes: Tensor) -> Tensor:
        return images + 0.1 * attributes[:, :1, None, None]


class Says(nn.Module):
    """A critic of one score and one logit for all."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full((len(images), 2, 2), 0.3), torch.full((len(images), 3), 2.0)


def test_losses_in_closed_form() -> None:
    """Each logit is 2: softplus(-2) where the attribute is 1, else softplus(2), summed over three."""
    networks, softplus = Pair(Adds(), Says()), nn.functional.softplus
    ones = int(OWN.sum())
    classes = (ones * softplus(torch.tensor(-2.0)) + (12 - ones) * softplus(torch.tensor(2.0))) / 4
    method = StarGAN(classification=3.0, reconstruction=10.0, penalty=NoPenalty())
    critic = method.discriminator_loss(networks, BATCH, NOISE, Progress())
    assert critic.total.item() == pytest.approx(3.0 * classes.item(), rel=1e-6), "the game is level"
    player = method.generator_loss(networks, BATCH, NOISE, Progress())
    back = 0.1 * (BATCH.other_attributes[:, 0] + OWN[:, 0]).float().mean().item()
    assert player.parts["reconstruction"].item() == pytest.approx(back, rel=1e-4)
    assert player.total.item() == pytest.approx(-0.3 + 3.0 * classes.item() + 10.0 * back, rel=1e-5)
    same = StarGAN(classification=0.0, reconstruction=0.0, identity=5.0)
    player = same.generator_loss(networks, BATCH, NOISE, Progress())
    assert player.total.item() == pytest.approx(-0.3 + 5.0 * 0.1 * OWN[:, 0].float().mean().item(), rel=1e-4)


def test_zero_padding_lets_the_labels_through() -> None:
    """With reflected borders a plane is constant after a convolution, and instance norm removes it."""
    network = LabelTranslator(DataSpec(height=16, width=16, attribute_names=NAMES), 4, 1)
    images = random_images(2)
    off, on = torch.zeros(2, 3, dtype=torch.uint8), torch.ones(2, 3, dtype=torch.uint8)
    assert float((network(images, on) - network(images, off)).detach().abs().mean()) > 1e-3
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "reflect"
    first = network.main[:2]
    planes = [torch.cat([images, a[:, :, None, None].expand(-1, -1, 16, 16)], dim=1) for a in (off, on)]
    torch.testing.assert_close(first(planes[0]), first(planes[1]), rtol=0, atol=1e-4)


def test_asked_attributes_are_those_of_other_rows() -> None:
    data = everything(rows=40)
    loader: Loader[EditBatch] = Loader(data, EditBatch, DataConfig(validation=0.25), 0, torch.device("cpu"))
    batch = loader.sample(30)
    assert not torch.equal(batch.attributes, batch.other_attributes)
    assert sorted(batch.attributes.tolist()) == sorted(batch.other_attributes.tolist()), "a ring of the same"
    found = HeldOutPrompts(loader, StarGAN()).some(0, 10)
    asked = loader.held_out_rows(0, 10, ("other_attributes",))["other_attributes"]
    assert isinstance(found, EditPrompt) and torch.equal(found.attributes, asked)


def test_attributes_are_chosen_by_name_and_classes_are_some() -> None:
    data, rows = everything(), torch.arange(40)
    chosen = with_attributes(data, ("owl", "smiling"), wanted=True)
    found, whole = chosen.fetch(rows, ("attributes",))["attributes"], data.fetch(rows)
    assert chosen.info.attribute_names == ("owl", "smiling")
    assert torch.equal(found[:, 0], (whole["labels"] == 2).to(torch.uint8))
    assert torch.equal(found[:, 1], whole["attributes"][:, 0])
    with pytest.raises(DataError, match=r"Received: 'smilling'\. Did you mean 'smiling'"):
        with_attributes(data, ("smilling",), wanted=True)
    assert with_attributes(data, (), wanted=True) is data


# ---- what a person asks ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Generator:
    """Untrained, of images in which nobody has dark and fair hair."""
    torch.manual_seed(0)
    method, spec = StarGAN().tiny(), DataSpec(height=16, width=16, attribute_names=NAMES)
    made = from_method(method, method.build(spec), spec, name="star", recipe_name="stargan")
    draws = torch.randint(0, 3, (200,), generator=torch.Generator().manual_seed(0))
    smiles = torch.arange(200) % 2
    made.table["attributes"] = torch.stack([smiles, draws == 1, draws == 2], dim=1).to(torch.uint8)  # type: ignore[index]
    return made


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("smilling=1", "no attribute 'smilling' in this model. Did you mean 'smiling'"),
        ("smiling=1,smiling=0", "there or it is not. Received: smiling=1 and smiling=0"),
        ("smiling=", "Received: 'smiling=', with nothing behind the ="),
        ("hair=fair,fair_hair=0", "Received: fair hair=1 and fair hair=0"),
        ("dark hair=1,fair hair=1", "dark hair=1 and fair hair=1, which none of 200 of them has"),
        ("smiling=2", "An attribute is 0 or 1"),
        (",", "names one attribute or more of smiling, dark hair"),
        (None, "Say which, as in --set smiling=1"),
    ],
)
def test_what_cannot_be_set_is_refused(model: Generator, settings: str | None, message: str) -> None:
    with pytest.raises(SettingError) as refused:
        Conditions.of(model, settings)
    assert message in str(refused.value)


def test_what_is_not_named_is_read_and_what_excludes_it_is_taken_away(model: Generator) -> None:
    asked, images = Conditions.of(model, "fair hair=1"), random_images(4)
    seen, wanted = asked.read(images), asked.prompt(images).attributes
    assert torch.equal(wanted[:, 0], seen[:, 0]) and bool((wanted[:, 2] == 1).all())
    assert bool((wanted[:, 1] == 0).all()), "nobody has both"
    few = Companions(torch.tensor([[1, 0], [0, 1]] * 4), ("a", "b"))
    assert few.follow({0: 1, 1: 1}) == {0: 1, 1: 1}, "eight rows show nothing"


def test_translate_sets_marks_and_draws_a_sheet(model: Generator, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(2):
        Image.new("RGB", (40, 30), (90 * number, 60, 200)).save(tmp_path / "in" / f"{number}.png")
    done = translate(model, tmp_path / "in", tmp_path / "out", Translation(settings="smiling=1"))
    with Image.open(tmp_path / "out" / "0.png") as made:
        assert done.made == 2 and made.size == (16, 16)
    mark = read_provenance(tmp_path / "out" / "0.png")
    assert mark is not None and "smiling=1" in str(mark.note)
    again = translate(model, tmp_path / "in", tmp_path / "out", Translation(settings="smiling=1"))
    assert (again.made, again.kept) == (0, 2)
    other = translate(model, tmp_path / "in", tmp_path / "out", Translation(settings="smiling=0"))
    assert other.made == 2, "asked otherwise, it is made again"
    assert attribute_sheet(model, tmp_path / "in", tmp_path / "sheet.png") == 2
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 4 * 64 + 3 * 2, "the image and three attributes"
    with pytest.raises(SettingError, match=r"into a new \.png"):
        attribute_sheet(model, tmp_path / "in", tmp_path / "sheet.png")


def test_strength_and_steps_lie_between_what_is_seen_and_what_is_set(
    model: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hair = torch.tensor([[0, 1, 0]], dtype=torch.uint8)
    monkeypatch.setattr(Conditions, "read", lambda self, images: hair.clone())
    asked = Conditions.of(model, "fair hair=1", strength=0.25)
    assert torch.equal(asked.prompt(random_images(1)).attributes, torch.tensor([[0.0, 0.75, 0.25]]))
    assert asked.words() == "dark hair=0, fair hair=1, 0.25 of the way"
    (tmp_path / "in").mkdir()
    Image.new("RGB", (16, 16), (90, 60, 200)).save(tmp_path / "in" / "0.png")
    made = []
    for strength in (None, 1.0, 0.5, 0.0):
        how = Translation(settings="smiling=1", strength=strength)
        done = translate(model, tmp_path / "in", tmp_path / "out", how)
        made.append((done.made, np.asarray(Image.open(tmp_path / "out" / "0.png"))))
    assert [count for count, _ in made] == [1, 0, 1, 1], "all the way is what it is without a strength"
    assert not np.array_equal(made[1][1], made[2][1]) and not np.array_equal(made[2][1], made[3][1])
    assert way_sheet(model, tmp_path / "in", tmp_path / "way.png", "smiling=1", steps=3) == 1
    with Image.open(tmp_path / "way.png") as sheet:
        assert sheet.width == 4 * 64 + 3 * 2, "the image and three steps"
    mark = read_provenance(tmp_path / "way.png")
    assert mark is not None and mark.note == "the image; then, in 3 steps, smiling=1"
    for settings, strength, message in (
        (None, 0.5, "Received: 0.5 without --set"),
        ("smiling=1", 1.5, "Received: 1.5. Try 0.5"),
        ("smiling=1", float("nan"), "Received: nan"),
    ):
        with pytest.raises(SettingError, match=re.escape(message)):
            Conditions.of(model, settings, strength=strength)


def test_attributes_that_come_to_the_same_share_a_column(
    model: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "0.png")
    hair = torch.tensor([[0, 1, 0], [1, 0, 1]] * 20, dtype=torch.uint8)  # Dark or fair, nobody both or bald.
    monkeypatch.setattr(Conditions, "read", lambda self, images: hair[: len(images)].clone())
    bare = replace(model, table={"attributes": hair * torch.tensor([0, 1, 1], dtype=torch.uint8)})
    attribute_sheet(bare, tmp_path / "0.png", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 3 * 64 + 2 * 2
    mark = read_provenance(tmp_path / "sheet.png")
    assert mark is not None and "smiling, dark hair or fair hair" in str(mark.note)


def test_the_verb_says_what_is_wrong(tmp_path: Path) -> None:
    """Of a model that takes no attributes."""
    from helpers import facts_of

    from gansmith.runs.checkpoint import Checkpoint

    trainer = trainer_of(RECIPES["pix2pix64"])
    Checkpoint(trainer.state(), facts_of(trainer)).save(tmp_path / "model.safetensors")
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    words = ["translate", str(tmp_path / "model.safetensors"), str(tmp_path / "a.png")]
    words += ["-o", str(tmp_path / "b.png")]
    sheets = (["--sheet"], ["--sheet", "--set", "smiling=1"], ["--steps", "3"], ["--strength", "0.5"])
    for extra in (["--set", "smiling=1"], ["--points", "1,2"], *sheets):
        result = CliRunner().invoke(cli, words + extra)
        said = f"{result.output}{result.exception}"
        assert result.exit_code != 0 and "eave it out" in said and not (tmp_path / "b.png").exists()


def test_the_recipe_is_the_papers() -> None:
    recipe = named("stargan128")
    assert recipe.method == StarGAN() and recipe.train.batch == 16
    assert (recipe.method.reconstruction, recipe.method.critic_moves, recipe.method.identity) == (
        10.0,
        5,
        0.0,
    )
    for adam in recipe.optimizers.values():
        assert (adam.lr, adam.betas, adam.schedule) == (1e-4, (0.5, 0.999), Linear(start=0.5))  # type: ignore[union-attr]
