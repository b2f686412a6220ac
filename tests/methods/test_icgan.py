"""IcGAN: the readers' counts and losses in closed form, what excludes what, and editing by the command."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers import random_images, small
from PIL import Image
from torch import nn

from gansmith.cli.main import cli
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.dataset import DatasetInfo, MemoryDataSet
from gansmith.errors import GansmithError, SettingError
from gansmith.images.grid import to_bytes
from gansmith.images.provenance import read_provenance
from gansmith.methods.base import Lender
from gansmith.methods.batches import AttributeBatch, LabelledBatch
from gansmith.methods.cdcgan import AttributeDCGAN, ConditionalDCGAN
from gansmith.methods.gan import GAN
from gansmith.methods.icgan import AttributeIcGAN, IcGAN, Reader, Readers, never_meet
from gansmith.models.edit import Change, Editor
from gansmith.models.generator import from_method
from gansmith.models.load import open_generator
from gansmith.recipes import named
from gansmith.training.session import train

NAMES = ("smiling", "sad", "fair hair", "dark_hair")
SPEC = DataSpec(height=16, width=16, class_names=("man", "woman"), attribute_names=NAMES)


def test_the_readers_are_as_large_as_the_authors() -> None:
    spec = DataSpec(height=64, width=64)
    counts = [sum(p.numel() for p in Reader(spec, *form).parameters()) for form in ((100, 4096), (18, 512))]
    assert counts == [18_278_244, 3_186_962]


class Shows(nn.Module):
    """Draws z and y as they are, in the first pixels."""

    def forward(self, latents: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        image = torch.zeros(len(latents), 3, 16, 16)
        image[:, 0, 0, : latents.shape[1]] = latents
        image[:, 1, 0, : y.shape[1]] = 2.0 * y.float() - 1.0
        return image


class Sees(nn.Module):
    """Reads numbers off the first pixels, times ``factor``."""

    def __init__(self, row: int, count: int, factor: float = 1.0) -> None:
        super().__init__()
        self.row, self.count, self.factor = row, count, factor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.factor * images[:, self.row, 0, : self.count]


METHOD = AttributeIcGAN(gan=AttributeDCGAN(latent=6, width=4, embedding=4), hidden_z=8, hidden_y=8, width=4)
TRUTH = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]], dtype=torch.uint8)


def exact(factor: float = 1.0) -> Readers:
    return Readers(Shows(), Sees(0, 6, factor), Sees(1, 4, factor), attributes=4)


@pytest.mark.parametrize("factor", [1.0, 0.0, 0.5])
def test_errors_are_those_of_what_was_read(factor: float) -> None:
    z, noise = METHOD.gan.latents(Noise.of(0, 1, 2, 3)), Noise.of(0, 1, 2, 3)
    batch = AttributeBatch(Shows()(z, TRUTH), TRUTH)
    loss = METHOD.z_loss(exact(factor), batch, noise, Progress())
    assert loss.total.item() == pytest.approx((1 - factor) ** 2 * float(z.square().mean()), abs=1e-6)
    assert METHOD.y_loss(exact(factor), batch, noise, Progress()).total.item() == pytest.approx(
        (1 - factor) ** 2
    )
    labels = IcGAN(gan=ConditionalDCGAN(latent=6))
    unsure = Readers(Shows(), Sees(0, 6), Sees(1, 2, 0.0), attributes=0)
    loss = labels.y_loss(unsure, LabelledBatch(batch.images, torch.tensor([0, 1, 1, 0])), noise, Progress())
    assert loss.total.item() == pytest.approx(math.log(2.0))


def test_what_never_meets_is_counted_through_one_pass() -> None:
    networks, images = exact(), random_images(4)
    for step in range(30):
        at = Progress(images=4 * step, batch=4, data_images=100)
        loss = METHOD.y_loss(networks, AttributeBatch(images, TRUTH), Noise.of(0, 1, 2, 3), at)
        METHOD.after_step(networks, loss.signals, at)
    assert networks.pairs[0, 0].item() == 50.0, "two of four smile, in 25 batches of one pass"
    assert networks.pairs[0, 1].item() == 0.0 and networks.pairs[0, 2].item() == 25.0
    against = never_meet(networks.pairs)
    assert bool(against[0, 1]) and bool(against[2, 3]) and not bool(against[0, 2])
    assert not never_meet(networks.pairs / 10).any(), "ten images are too few to tell"
    # The photo is sad: who smiles is not. What the change does not touch stays.
    smile = Change.parse("smiling", SPEC, "attributes")
    assert smile.apply(TRUTH[1:2], against).tolist() == [[1, 0, 0, 1]]
    fair = Change.parse("hair=fair", SPEC, "attributes")
    assert fair.attributes == {2: 1} and fair.apply(TRUTH[1:2], against).tolist() == [[0, 1, 1, 0]]
    with pytest.raises(SettingError, match="smiling=1 and sad=1, which no training picture"):
        Change.parse("smiling=1,sad=1", SPEC, "attributes").check(against, NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smilling=1", "no attribute 'smilling' in this model. Did you mean 'smiling'"),
        ("hair=blond", "no attribute 'blond hair'.* Did you mean"),
        ("smiling=2", "0 or 1"),
        ("smiling=", "nothing behind the ="),
        ("smiling=1,smiling=0", "smiling=1 and smiling=0"),
        (" , ", "Received: nothing"),
    ],
)
def test_changes_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Change.parse(text, SPEC, "attributes")


def test_a_change_of_class() -> None:
    assert Change.parse("gender=woman", SPEC, "labels").label == 1
    assert Change.parse("woman", SPEC, "labels").apply(torch.tensor([0, 1]), torch.zeros(0, 0)).tolist() == [
        1,
        1,
    ]
    with pytest.raises(SettingError, match="Did you mean 'woman'"):
        Change.parse("womann", SPEC, "labels")
    with pytest.raises(SettingError, match="one class at a time"):
        Change.parse("man,woman", SPEC, "labels")


def test_the_lender_must_fit() -> None:
    wide, same = AttributeDCGAN(width=8), replace(SPEC, class_names=())
    assert METHOD.with_lenders(SPEC, {"generator": Lender("runs/a", wide, same)}).gan == wide
    refused: dict[str, tuple[Any, Any]] = {
        "conditional run. Received: none": (None, None),
        "has 32x16": (wide, replace(SPEC, width=32)),
        "has 16x16, 3 channels, hat": (wide, replace(SPEC, attribute_names=("hat",))),
        "by ConditionalDCGAN. Use icgan32": (ConditionalDCGAN(), SPEC),
        "by GAN. Borrow the generator": (GAN(), SPEC),
    }
    for message, (method, spec) in refused.items():
        lenders = {} if method is None else {"generator": Lender("runs/a", method, spec)}
        with pytest.raises(SettingError, match=message):
            METHOD.with_lenders(SPEC, lenders)
    with pytest.raises(SettingError, match="generator of z and attributes"):
        AttributeIcGAN(gan=ConditionalDCGAN())


def test_a_nearer_z_is_found_photo_by_photo() -> None:
    generator = from_method(METHOD, exact(0.5), SPEC, name="toy", recipe_name="toys")
    photos = torch.randint(
        0, 256, (3, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )

    def error(steps: int) -> float:
        edits = Editor(generator, steps).edit(photos, ("a", "b", "c"), [])
        return float((edits.again.float() - photos.float())[:, 0, 0, :6].square().mean())

    assert error(60) < 0.3 * error(0)
    alone = Editor(generator, 5).edit(photos[1:2], ("b",), []).again
    together = Editor(generator, 5).edit(photos, ("a", "b", "c"), []).again[1:2]
    assert int((alone.int() - together.int()).abs().max()) <= 1


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional run, and readers that borrowed its generator."""
    place = tmp_path_factory.mktemp("icgan")
    smiles = torch.arange(80) % 2
    columns = {
        "images": torch.randint(0, 256, (80, 3, 16, 16), dtype=torch.uint8),
        "attributes": torch.stack([smiles, 1 - smiles, torch.arange(80) // 2 % 2], dim=1).to(torch.uint8),
    }
    data = MemoryDataSet("toy", columns, info=DatasetInfo(attribute_names=("smiling", "sad", "hat")))
    first = small(named("cdcgan-attributes32"), images=16, batch=8)
    train(first, data, place / "gan", device="cpu")
    second = small(named("icgan-attributes32"), images=80, batch=8)
    second = replace(second, borrow={"generator": str(place / "gan")})
    # Other widths than the lender's: the run takes the lender's.
    second = replace(second, method=replace(second.method, gan=AttributeDCGAN(width=64)))
    train(second, data, place / "readers", device="cpu")
    Image.fromarray(columns["images"][0].permute(1, 2, 0).numpy()).save(place / "photo.png")
    return place


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    problem = result.exception
    if isinstance(problem, GansmithError):
        return problem.exit_code, " ".join(str(problem).split())
    assert problem is None or isinstance(problem, SystemExit), problem
    return result.exit_code, " ".join(result.output.split())


def test_edit(readers: Path) -> None:
    photo, out = readers / "photo.png", readers / "out.png"
    code, said = run("edit", readers / "readers", photo, "--set", "smiling=1", "--set", "hat", "-o", out)
    assert code == 0 and "1 photo in" in said
    with Image.open(out) as sheet:
        assert sheet.width == 4 * 18 - 2
        shown = np.asarray(sheet.convert("RGB"))[:16, :16]
    assert np.array_equal(shown, np.asarray(Image.open(photo)))
    mark = read_provenance(out)
    assert mark is not None and mark.note == "edited: photo, read and drawn, smiling=1; hat"
    assert (
        run("edit", readers / "readers", readers / "photo.png", "--set", "hat", "-o", readers / "a.jpg")[0]
        == 2
    )
    wrong = {
        ("readers", photo, "--set", "hatt=1"): "Did you mean 'hat'",
        ("readers", photo, "--set", "smiling=1,sad=1"): "no training picture shows together",
        ("readers", photo, "--set", "smiling=0,sad=0"): "no training picture shows together",
        ("gan", photo, "--set", "hat"): "models that read photos",
        ("readers", readers / "none.png", "--set", "hat"): "none.png",
    }
    for (model, *words), message in wrong.items():
        code, said = run("edit", readers / model, *words, "-o", readers / "no.png")
        assert code == 2 and message in said, said
    assert not (readers / "no.png").exists()


def test_steps_lead_from_what_is_read_to_the_change(readers: Path) -> None:
    photo, out = readers / "photo.png", readers / "way.png"
    code, _ = run("edit", readers / "readers", photo, "--set", "hat", "--steps", "3", "-o", out)
    with Image.open(out) as sheet:
        assert code == 0 and sheet.width == 5 * 18 - 2, "the photo, drawn again, and three steps"
    mark = read_provenance(out)
    assert mark is not None and mark.note == "edited: photo, read and drawn, hat, each in 3 steps"
    editor = Editor(open_generator(str(readers / "readers")))
    photos = torch.from_numpy(np.array(Image.open(photo))).permute(2, 0, 1)[None]
    latents, seen = editor.read(photos)
    turned = editor.change(f"hat={1 - int(seen[0, 2])}")
    edits = editor.edit(photos, ("photo.png",), [turned], steps=4)
    assert len(edits.changed) == 4
    assert torch.equal(edits.changed[-1], editor.edit(photos, ("photo.png",), [turned]).changed[0])
    half = editor.method.mixed(editor.generator.networks, seen, turned.apply(seen, editor.excluded), 0.5)
    assert half[0, 2] == 0.5
    assert torch.equal(edits.changed[1], to_bytes(editor.draw(latents, half)).cpu())


def test_between_two_classes_are_shares_of_both() -> None:
    spec = DataSpec(height=16, width=16, class_names=("a", "b", "c"))
    method = IcGAN(gan=ConditionalDCGAN()).tiny()
    networks = method.build(spec).eval()
    share = method.mixed(networks, torch.tensor([0, 2]), torch.tensor([1, 2]), 0.25)
    assert torch.allclose(share, torch.tensor([[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]]))
    z = torch.randn(2, method.gan.latent)
    at_the_end = method.draw(networks, z, torch.tensor([1, 2]))
    whole = method.mixed(networks, torch.tensor([0, 2]), torch.tensor([1, 2]), 1.0)
    assert torch.allclose(method.draw(networks, z, whole), at_the_end, atol=1e-6)


def test_a_photo_without_a_face(readers: Path) -> None:
    pytest.importorskip("dlib")
    Image.new("RGB", (120, 120), "teal").save(readers / "wall.png")
    words = ("edit", readers / "readers", readers / "wall.png", "--set", "hat", "-o", readers / "no.png")
    code, said = run(*words, "--align", "ffhq")
    assert code == 2 and "wall.png: no face was found" in said
