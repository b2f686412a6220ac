"""Every recipe trains, generates and says what it is; the textbook's numbers are the textbook's."""

from pathlib import Path

import pytest
import torch
from promises import ALONE, RECIPES, everything

from gansmith.config.overrides import override
from gansmith.core.noise import Noise
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.loader import to_float
from gansmith.methods.batches import IMAGE_COLUMNS
from gansmith.methods.dcgan import DCGAN
from gansmith.models.load import open_generator
from gansmith.recipes import CATALOGUE, default_for, named
from gansmith.training.session import train
from gansmith.training.setup import resolve
from gansmith.training.summary import describe


@pytest.mark.parametrize("name", ALONE)
def test_every_recipe_trains_and_generates(name: str, tmp_path: Path) -> None:
    recipe = override(RECIPES[name], "train.images=8")
    shrink = recipe.spec().source_shrink
    outcome = train(recipe, everything(20, shrink=shrink), tmp_path / "run", device="cpu")
    assert outcome.images == 8
    if not recipe.method.makes_images:
        assert list(outcome.shown) == ["curves"] and outcome.shown["curves"].is_file()
        return
    generator = open_generator(str(tmp_path / "run"), "cpu")
    kind = recipe.method.prompt_type
    of_images = kind is not None and IMAGE_COLUMNS & set(kind._fields)
    made = generator.make(Noise.of(0, 1, 2), _prompt(kind, shrink) if of_images else None)
    assert made.shape == (3, 3, 16, 16) and bool(made.isfinite().all())
    assert float((made[0] - made[1]).abs().mean()) > 0


def _prompt(kind, shrink: int):
    """Prompts: images in the networks' range, other columns as they are."""
    columns = everything(shrink=shrink).fetch(torch.arange(3), kind._fields)
    return kind(*(to_float(value) if name in IMAGE_COLUMNS else value for name, value in columns.items()))


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_recipe_says_what_it_is_and_fits_its_size(name: str) -> None:
    recipe = named(name)
    assert recipe.name == name and recipe.about.endswith(".")
    spec = resolve(recipe, everything()).spec()
    with torch.device("meta"):
        recipe.method.build(spec)


def test_the_textbook_dcgan_is_the_textbooks() -> None:
    recipe = named("dcgan64-paper")
    assert recipe.method == DCGAN(prior="uniform", generator_width=128, discriminator_width=128)
    assert recipe.method.latent == 100 and recipe.train.batch == 128 and recipe.train.average is None
    for adam in recipe.optimizers.values():
        assert (adam.lr, adam.betas) == (2e-4, (0.5, 0.999))  # type: ignore[union-attr]
    assert named("dcgan64").method == DCGAN() and named("dcgan64").optimizers == recipe.optimizers


@pytest.mark.parametrize(
    ("size", "channels"),
    [("28", 1), ("32", 3), ("48", 1), ("96x64", 3), ("64x96", 1), ("128", 3), ("24x40", 3)],
)
def test_dcgan_at_any_size(size: str, channels: int) -> None:
    recipe = override(override(named("dcgan64"), f"data.size={size}"), f"data.channels={channels}")
    recipe = override(override(recipe, "method.generator_width=2"), "method.discriminator_width=2")
    networks = recipe.method.build(recipe.spec())
    made = networks.generator(torch.randn(2, 100))
    width, height = recipe.data.size.width, recipe.data.size.height
    assert made.shape == (2, channels, height, width)
    assert networks.discriminator(made).shape == (2,)


def test_the_default_follows_the_pictures_and_the_machine() -> None:
    assert [default_for(side, on_gpu=False) for side in (1, 8, 28, 31, 32, 64, 200)] == [
        "faces8",
        "faces8",
        "faces28",
        "faces28",
        "faces32",
        "faces64",
        "faces64",
    ]
    assert default_for(200, on_gpu=True) == "faces128"
    assert default_for(300, on_gpu=True) == "faces256"
    for side in (1, 28, 32, 64, 128, 256):
        assert default_for(side, on_gpu=True) in CATALOGUE


def test_grey_pictures_make_a_grey_recipe() -> None:
    grey = MemoryDataSet("grey", {"images": torch.zeros(4, 1, 16, 16, dtype=torch.uint8)})
    assert resolve(named("dcgan28"), grey).data.channels == 1


def test_describe_counts_parameters_layers_and_memory() -> None:
    description = describe(override(named("dcgan64"), "data.channels=3"))
    assert description.parameters == {"generator": 3_576_704, "discriminator": 2_765_568}
    assert [layer.output for layer in description.layers["generator"]][-1] == (3, 64, 64)
    assert description.layers["discriminator"][0].output == (64, 32, 32)
    both = 3_576_704 + 2_765_568
    assert description.weights_bytes == 4 * (
        4 * both + 3_576_704
    )  # Weights, gradients, two moments, average.
    smaller = describe(override(override(named("dcgan64"), "data.channels=3"), "train.batch=64"))
    assert smaller.activation_bytes * 2 == description.activation_bytes


@pytest.mark.parametrize(
    "setting",
    [
        "method.prior=uniform",
        "method.prior=unit",
        "method.generator_width=8",
        "method.head=softmax",
        "method.light=true",
        "method.momentum=0.5",
        "method.generator_moves=2",
        "method.discriminator_moves=3",
        "method.adversarial=Logistic(real=0.9)",
        "method.adversarial=Logistic(real=0.9,fake=0.1)",
        "method.adversarial=Minimax",
        "method.adversarial=LeastSquares",
        "method.adversarial=Hinge",
        "method.adversarial=Wasserstein",
        "optimizers.discriminator=RMSprop(lr=1e-4)",
        "optimizers.generator=SGD(lr=0.01,momentum=0.9)",
        "optimizers.generator.schedule=Step(epochs=5,factor=0.5)",
        "optimizers.discriminator.schedule=Step(epochs=8,factor=0.1)",
        "optimizers.generator.schedule=Cosine",
        "train.average=none",
        "train.average.half_life=100",
        "data.channels=1",
        "data.mirror=true",
        "data.validation=0",
        "train.batch=64",
    ],
)
def test_every_option_of_dcgan_trains(setting: str, tmp_path: Path) -> None:
    recipe = override(override(RECIPES["dcgan28"], "train.images=8"), setting)
    channels = recipe.data.channels or 3
    images = torch.randint(0, 256, (20, channels, 16, 16), dtype=torch.uint8)
    outcome = train(recipe, MemoryDataSet("made up", {"images": images}), tmp_path / "run", device="cpu")
    row = outcome.run.rows()[-1]
    assert row["images"] == outcome.images >= 8
    accuracies = [name for name in row if "accuracy" in name]
    held_out = ["held-out/accuracy"] if recipe.data.validation else []
    assert sorted(accuracies) == [
        "discriminator/accuracy on fake",
        "discriminator/accuracy on real",
        *held_out,
    ]
