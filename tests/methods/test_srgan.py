"""SRGAN: the paper's networks to the parameter, its loss in closed form, and what it borrows."""

import math
from pathlib import Path

import pytest
import torch
from helpers import CPU, facts_of, random_images, silence_head
from promises import RECIPES, everything, resolved, trainer_of
from torch import nn

from gansmith.config.overrides import override
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.loading.loader import Loader
from gansmith.engine.trainer import Trainer
from gansmith.errors import DataError, SettingError
from gansmith.methods.batches import PairBatch
from gansmith.methods.srgan import SRGAN, EnlargementDiscriminator
from gansmith.models.generator import from_method
from gansmith.models.load import borrowed_weights
from gansmith.networks import perceptual
from gansmith.networks.bundle import Pair
from gansmith.networks.classifiers import Strided
from gansmith.networks.perceptual import VGG19, Classified, vgg19
from gansmith.recipes import named
from gansmith.runs.checkpoint import Checkpoint
from gansmith.training.session import train

BATCH = PairBatch(random_images(4, 4), random_images(4, 16, seed=1))
SPEC = DataSpec(height=16, width=16, source_shrink=4)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_of_the_paper() -> None:
    with torch.device("meta"):
        networks = named("srgan-x4").method.build(named("srgan-x4").spec())
        assert count(networks.generator) == 1_547_350 and count(networks.discriminator) == 23_563_649
        assert count(vgg19(36)) == 20_024_384
        assert vgg19(35)(torch.empty(1, 3, 96, 96)).shape == (1, 512, 6, 6), "relu5_4"
        assert vgg19(8)(torch.empty(1, 3, 96, 96)).shape == (1, 128, 48, 48), "relu2_2"
        odd = EnlargementDiscriminator(DataSpec(height=36, width=50), 4)
        assert odd(torch.empty(2, 3, 36, 50)).shape == (2,)


class Constant(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.full((len(images), 3, 16, 16), 0.5)


class Doubled(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 2.0 * images


def test_the_loss_is_content_and_a_thousandth_of_the_game() -> None:
    """Features that are the doubled images: their squared distance is four times that of pixels."""
    method = SRGAN(content=0.006, pixels=0.25)
    critic = silence_head(method.tiny().build(SPEC).discriminator)
    networks = Pair(Constant(), critic)
    networks.attach({"features": Doubled()})
    square = (BATCH.target - 0.5).square().mean().item()
    loss = method.generator_loss(networks, BATCH, Noise.of(0, 1, 2, 3), Progress())
    wanted = 0.006 * 4.0 * square + 0.25 * square + 0.001 * math.log(2.0)
    assert loss.total.item() == pytest.approx(wanted, rel=1e-5)
    judged = method.discriminator_loss(networks, BATCH, Noise.of(0, 1, 2, 3), Progress())
    assert judged.total.item() == pytest.approx(2.0 * math.log(2.0), rel=1e-5)


def test_vgg_is_read_from_the_users_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vgg19.pth"
    there = vgg19(3)
    torch.save({**there.state_dict(), "classifier.6.bias": torch.zeros(1000)}, path)
    with pytest.raises(DataError, match=r"vgg19-dcbb9e9d\.pth.*another file"):
        VGG19(file=str(path), layer=3).network(SPEC)
    with pytest.raises(DataError, match="No such file"):
        VGG19(file=str(tmp_path / "none.pth")).network(SPEC)
    monkeypatch.setattr(perceptual, "_PUBLISHED", "")
    images = random_images(2)
    made = VGG19(file=str(path), layer=3).network(SPEC)(images)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    spread = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    torch.testing.assert_close(made, there.features(((images + 1) / 2 - mean) / spread))
    path.write_bytes(b"PK damaged")
    with pytest.raises(DataError, match="damaged"):
        VGG19(file=str(path), layer=3).network(SPEC)
    with pytest.raises(SettingError, match="layers 0 to 36"):
        VGG19(layer=37)


def test_a_run_borrows_generator_and_features_and_keeps_the_features_to_itself(tmp_path: Path) -> None:
    """Features are those of the classifier, after resuming as well, and are in no checkpoint."""
    first = trainer_of(override(RECIPES["srresnet-x4"], "train.images=8"))
    first.step()
    Checkpoint(first.state(), facts_of(first)).save(tmp_path / "x4.safetensors")
    classifier = Strided(width=4).build(SPEC, 2)
    images = random_images(2)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.add_(0.1)
    recipe = override(RECIPES["srgan-x4"], "train.images=8")
    recipe = override(recipe, f"borrow.generator={tmp_path / 'x4.safetensors'}")
    borrowed = borrowed_weights(recipe.borrow)
    borrowed |= {f"features.{name}": value for name, value in classifier.state_dict().items()}
    loader: Loader = Loader(everything(shrink=4), PairBatch, resolved(recipe).data, 0, CPU)
    trainer = Trainer(resolved(recipe), loader, CPU, borrowed)
    for name, value in trainer.networks.generator.state_dict().items():
        assert torch.equal(value, borrowed[f"generator.{name}"])
    before = classifier.eval().layers[:6](images)
    torch.testing.assert_close(trainer.networks.instruments["features"](images), before)
    for _ in range(2):
        trainer.step()
    torch.testing.assert_close(trainer.networks.instruments["features"](images), before)
    assert not [name for name in trainer.state() if "features" in name]
    generator = from_method(recipe.method, trainer.networks, trainer.spec, name="x", recipe_name="y")
    assert generator.make(Noise.of(0, 1), recipe.method.prompt_type(BATCH.source[:2])).shape == (2, 3, 16, 16)


def test_features_are_borrowed_again_when_a_run_goes_on(tmp_path: Path) -> None:
    lender = override(RECIPES["classifier28"], "train.images=8")
    lender = override(lender, "method.network.width=4")
    train(lender, everything(20), tmp_path / "lender", device="cpu")
    recipe = override(RECIPES["srgan-x4"], "train.images=8")
    recipe = override(recipe, "method.features.outputs=3")
    recipe = override(recipe, f"borrow.features={tmp_path / 'lender'}:classifier")
    train(recipe, everything(20, shrink=4), tmp_path / "run", device="cpu")
    longer = override(recipe, "train.images=16")
    (tmp_path / "lender").rename(tmp_path / "gone")
    with pytest.raises(Exception, match="lender"):
        train(longer, everything(20, shrink=4), tmp_path / "run", device="cpu")
    (tmp_path / "gone").rename(tmp_path / "lender")
    train(longer, everything(20, shrink=4), tmp_path / "run", device="cpu")


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(SettingError, match="3 convolutions"):
        Classified(layers=4)
    with pytest.raises(SettingError, match=r"data\.pairs=small:4"):
        SRGAN().build(DataSpec(height=32, width=32))
