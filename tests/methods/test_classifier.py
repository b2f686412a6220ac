"""The classifier: its losses in closed form, networks to the parameter, and attacks inside its loss."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import random_images
from promises import RECIPES, everything, trainer_of
from torch import Tensor, nn

from gansmith.attacks.gradient import FGSM, PGD
from gansmith.config.overrides import override
from gansmith.config.recipe import Recipe
from gansmith.core.noise import Noise
from gansmith.core.normalization import Scale
from gansmith.core.progress import Progress
from gansmith.core.schedules import Linear
from gansmith.core.spec import DataSpec
from gansmith.errors import DataError, SettingError
from gansmith.losses.classification import cross_entropy, margin, right, told
from gansmith.methods.batches import AttributeBatch, LabelledBatch
from gansmith.methods.classifier import Alone, AttributeClassifier, Classifier
from gansmith.networks.classifiers import Plain, Pooled, Strided
from gansmith.recipes import named
from gansmith.reporting.page import report
from gansmith.training.session import train

GREY = DataSpec(height=28, width=28, channels=1, class_names=tuple("0123456789"))
FOUR = Noise.of(0, 1, 2, 3)


@pytest.mark.parametrize(("network", "count"), [(Pooled(), 3_274_634), (Plain(), 166_406)])
def test_parameters_of_the_papers(network: Pooled | Plain, count: int) -> None:
    """Counted from the layer tables: 832 + 51,264 + 3,212,288 + 10,250, and 272 + 8,224 + 156,900 + 1,010."""
    with torch.device("meta"):
        found = Classifier(network=network).build(GREY).classifier
    assert sum(parameter.numel() for parameter in found.parameters()) == count


def test_losses_in_closed_form() -> None:
    flat = torch.zeros(2, 4)
    torch.testing.assert_close(cross_entropy(flat, torch.tensor([0, 3])), torch.full((2,), math.log(4)))
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, -math.log(3.0)]])
    facts = torch.tensor([[1, 1], [0, 0]], dtype=torch.uint8)
    # p is 3/4 and 1/2 of what holds; 1/2 and 3/4 of what does not.
    torch.testing.assert_close(
        cross_entropy(logits, facts), torch.full((2,), (math.log(4 / 3) + math.log(2)) / 2)
    )
    assert told(logits, facts).tolist() == [[True, False], [True, True]]
    assert right(logits, facts).item() == 0.75
    ahead = margin(torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]]), torch.tensor([0, 2]))
    assert ahead.tolist() == [1.0, -1.0]
    assert margin(logits, facts).tolist() == [[pytest.approx(math.log(3)), 0.0],
                                              [0.0, pytest.approx(math.log(3))]]  # fmt: skip


class Sums(nn.Module):
    """The logit of class 1 is the sum of the pixels; it notes the mode in which it was looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.modes.append(self.training)
        total = images.flatten(1).sum(dim=1) + 0.0 * self.norm(images).sum()
        return torch.stack([torch.zeros_like(total), total], dim=1)


def test_the_loss_is_that_of_the_worst_image_of_the_ball() -> None:
    """FGSM is optimal here: each of 12 pixels moves by 2 epsilon against its class."""
    images = torch.zeros(2, 3, 2, 2)
    batch, networks = LabelledBatch(images, torch.tensor([1, 0])), Alone(Sums())
    for attack, change in ((None, 0.0), (FGSM(epsilon=0.05), 1.2)):
        loss = Classifier(attack=attack).classifier_loss(networks, batch, Noise.of(0, 1), Progress())
        assert loss.total.item() == pytest.approx(math.log(1 + math.exp(change)), rel=1e-5)
    assert networks.classifier.modes == [True, False, True], "attacked in eval mode, trained in training mode"
    assert networks.training and networks.classifier.norm.num_batches_tracked == 2
    growing = Classifier(attack=FGSM(epsilon=0.05), growth=Linear(end=0.0))
    found = growing.classifier_loss(networks, batch, Noise.of(0, 1), Progress(images=50, total_images=100))
    assert found.total.item() == pytest.approx(math.log(1 + math.exp(0.6)), rel=1e-5), "half of epsilon"
    mixed = Classifier(attack=FGSM(epsilon=0.05), clean=0.25)
    both = 0.75 * math.log(1 + math.exp(1.2)) + 0.25 * math.log(2)
    found = mixed.classifier_loss(networks, batch, Noise.of(0, 1), Progress())
    assert found.total.item() == pytest.approx(both, rel=1e-5) and "clean accuracy" in found.parts


def test_attacked_images_stay_in_the_ball_and_weights_get_no_gradient_of_the_search() -> None:
    method = Classifier(network=Strided(width=4), attack=PGD(epsilon=0.1, steps=2))
    networks = method.build(DataSpec(height=16, width=16, class_names=("a", "b")))
    batch = LabelledBatch(random_images(4), torch.tensor([0, 1, 0, 1]))
    found = method.attacked(networks, batch, FOUR)
    assert 0.1 < float((found - batch.images).abs().max()) <= 0.2000001 and not found.requires_grad
    assert all(parameter.grad is None for parameter in networks.parameters())
    told_now = method.validation_metrics(networks, batch, FOUR)
    assert set(told_now) == {"accuracy", "loss", "accuracy under attack"}
    assert networks.classifier.training


def test_attributes_are_told_one_by_one() -> None:
    spec = DataSpec(height=16, width=16, attribute_names=("smiling", "glasses", "hat"))
    method = AttributeClassifier(network=Plain(width=4, hidden=8))
    batch = AttributeBatch(random_images(4), torch.ones(4, 3, dtype=torch.uint8))
    networks = method.build(spec)
    assert method.answers(networks, batch.images).shape == (4, 3)
    found = method.classifier_loss(networks, batch, FOUR, Progress())
    assert found.total.item() == pytest.approx(math.log(2), abs=0.2)


def test_what_cannot_be_told_is_refused_in_words() -> None:
    with pytest.raises(SettingError, match="two classes at least"):
        Classifier().build(replace(GREY, class_names=("one",)))
    with pytest.raises(SettingError, match="one attribute at least"):
        AttributeClassifier().build(GREY)
    scaled = replace(GREY, scale=Scale((0.5,), (0.5,)))
    with pytest.raises(SettingError, match=r"data\.standardize"):
        Classifier(attack=FGSM()).build(scaled)
    with pytest.raises(SettingError, match="4 px"):
        Classifier(network=Plain()).build(replace(GREY, height=2))
    with pytest.raises(SettingError, match="weight from 0 to 1"):
        Classifier(clean=2.0)
    plain = RECIPES["classifier28"]
    with pytest.raises(SettingError, match="epsilon is above 0"):
        override(plain, "method.attack=PGD(epsilon=0)")


def test_an_attack_can_be_set_from_outside() -> None:
    changed = override(named("classifier32"), "method.attack=PGD(epsilon=8/255,steps=7)")
    assert changed.method.attack == PGD(epsilon=8 / 255, steps=7)
    with pytest.raises(SettingError, match="must be a number"):
        override(changed, "method.attack.epsilon=8/0")


def learnable(recipe: Recipe) -> Recipe:
    return override(override(recipe, "train.images=1600"), "optimizers.classifier.lr=0.01")


def test_it_learns_and_its_run_has_a_page_and_no_grids(tmp_path: Path) -> None:
    from gansmith.data.dataset import DatasetInfo, MemoryDataSet

    labels = torch.arange(120) % 2
    images = torch.randint(0, 128, (120, 3, 16, 16), dtype=torch.uint8)
    images += (labels * 127).to(torch.uint8)[:, None, None, None]  # Dark ones and light ones.
    data = MemoryDataSet(
        "two", {"images": images, "labels": labels}, info=DatasetInfo(label_names=("d", "l"))
    )
    outcome = train(learnable(RECIPES["classifier28"]), data, tmp_path / "run", device="cpu")
    assert outcome.run.rows()[-1]["held-out/accuracy"] == 1.0
    assert not list((tmp_path / "run").glob("pictures/*.png"))
    page = report(tmp_path / "run").read_text()
    assert "accuracy" in page and "classifier makes none" in page
    bare = MemoryDataSet("bare", {"images": images})
    with pytest.raises(DataError, match="no labels"):
        train(RECIPES["classifier28"], bare, tmp_path / "other", device="cpu")
    wanted = override(RECIPES["classifier28"], "train.evaluate.every=8")
    with pytest.raises(SettingError, match="measures generated images"):
        train(wanted, everything(), tmp_path / "third", device="cpu")


def test_training_under_attack_is_the_same_each_time() -> None:
    first, second = (trainer_of(RECIPES["classifier28-fast"]) for _ in range(2))
    for trainer in (first, second):
        trainer.step()
    ours, theirs = first.state(), second.state()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
