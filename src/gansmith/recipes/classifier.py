"""Classifiers by label and by attributes, plain and trained against attacks."""

from collections.abc import Callable

from gansmith.attacks.gradient import PGD
from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Linear, Warmup
from gansmith.data.config import DataConfig
from gansmith.methods.classifier import AttributeClassifier, Classifier
from gansmith.networks.classifiers import Plain, Pooled


def classifier(size: int, method: Classifier, name: str) -> Recipe:
    """Adam at 3e-3, which falls to 0; half a minute on a processor."""
    what = "attributes" if isinstance(method, AttributeClassifier) else "the class"
    return Recipe(
        name=name,
        about=f"A small classifier that tells {what} at {size} px.",
        method=method,
        optimizers={"classifier": Adam(lr=3e-3, betas=(0.9, 0.999), schedule=Warmup(5_000, Linear()))},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=100_000, batch=64, average=None),
    )


def robust(name: str, about: str, method: Classifier, adam: Adam, size: int, train: TrainConfig) -> Recipe:
    """A classifier trained on what an attack makes of its images."""
    return Recipe(
        name=name,
        about=about,
        method=method,
        optimizers={"classifier": adam},
        data=DataConfig(size=Size(size, size)),
        train=train,
    )


def _madry() -> Recipe:
    """100,000 steps of 50 images, Adam at 1e-4, 40 steps of 0.01 (the authors' config.json)."""
    return robust(
        "classifier28-madry",
        "Madry's network and adversary on MNIST, epsilon 0.3, 40 steps of 0.01.",
        Classifier(network=Pooled(), attack=PGD(epsilon=0.3, steps=40, step=1 / 30)),
        Adam(lr=1e-4, betas=(0.9, 0.999)),
        28,
        TrainConfig(images=5_000_000, batch=50, average=None, precision="float32"),
    )


def _pgd() -> Recipe:
    """The same adversary on a network that a processor trains in minutes."""
    return robust(
        "classifier28-pgd",
        "A small classifier trained against PGD, epsilon 0.3, 40 steps of 0.01.",
        Classifier(network=Plain(), attack=PGD(epsilon=0.3, steps=40, step=1 / 30), growth=Warmup(60_000)),
        Adam(lr=2e-3, betas=(0.9, 0.999), schedule=Warmup(10_000, Linear())),
        28,
        TrainConfig(images=250_000, batch=100, average=None, precision="float32"),
    )


def _fast() -> Recipe:
    """A step of 1.25 epsilon from a uniform start; ten passes, the rate up to 5e-3 and down again."""
    return robust(
        "classifier28-fast",
        "Wong's fast adversarial training on MNIST: one step from a random start, epsilon 0.3.",
        Classifier(network=Plain(), attack=PGD(epsilon=0.3, steps=1, step=1.25)),
        Adam(lr=5e-3, betas=(0.9, 0.999), schedule=Warmup(240_000, Linear(start=0.4))),
        28,
        TrainConfig(images=600_000, batch=100, average=None, precision="float32"),
    )


def _fast_faces() -> Recipe:
    """One step from a random start, epsilon 8/255."""
    return robust(
        "classifier32-fast",
        "Fast adversarial training at 32 px, epsilon 8/255.",
        Classifier(attack=PGD(epsilon=8 / 255, steps=1, step=1.25)),
        Adam(lr=3e-3, betas=(0.9, 0.999), schedule=Warmup(5_000, Linear())),
        32,
        TrainConfig(images=200_000, batch=64, average=None, precision="float32"),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "classifier28": lambda: classifier(28, Classifier(), "classifier28"),
    "classifier32": lambda: classifier(32, Classifier(), "classifier32"),
    "classifier64": lambda: classifier(64, Classifier(), "classifier64"),
    "classifier-attributes32": lambda: classifier(32, AttributeClassifier(), "classifier-attributes32"),
    "classifier-attributes64": lambda: classifier(64, AttributeClassifier(), "classifier-attributes64"),
    "classifier28-madry": _madry,
    "classifier28-pgd": _pgd,
    "classifier28-fast": _fast,
    "classifier32-fast": _fast_faces,
}
