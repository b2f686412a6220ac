"""A classifier: one player who tells the class of an image or its attributes, if need be under attack.

Adversarial training is min E[max L(x + d, y)] over d in a ball (Madry et al. 2018, equation 2.1); what
maximizes is ``attack``: PGD as in that paper, or one step from a random start (Wong, Rice and Kolter 2020).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from gansmith.attacks.gradient import PGD, Attack
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.schedules import Constant, Schedule
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images
from gansmith.errors import SettingError, at_least
from gansmith.losses.classification import Logits, cross_entropy, right
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import AttributeBatch, LabelledBatch
from gansmith.methods.discriminative import DiscriminativeMethod
from gansmith.networks.bundle import Networks, in_eval_mode
from gansmith.networks.classifiers import ClassifierNetwork, Strided


class Alone(Networks):
    """A classifier and nobody else.

    Example:
        >>> Alone(network).classifier(images).shape
        torch.Size([16, 10])
    """

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier


@dataclass(frozen=True, kw_only=True)
class Classifier(DiscriminativeMethod[Alone, Any]):
    """min E[-log p(y | x)], or of what an attack makes of x.

    Args:
        network: which one.
        attack: what training images are changed by; None: they are as they are. The network is in eval mode
            while it is attacked.
        growth: what the attack's epsilon is multiplied by in training. From 0.3 on, a network that starts
            with all of it may never leave the answer that is the same for every image.
        clean: weight of the loss on images as they are, 0 to 1, where there is an attack; 0 in both papers.

    Example:
        >>> Classifier(network=Pooled(), attack=PGD(epsilon=0.3, steps=40, step=1 / 30))  # Madry on MNIST.
    """

    batch_type: ClassVar[type[Any]] = LabelledBatch

    network: ClassifierNetwork = Strided()
    attack: Attack | None = None
    growth: Schedule = Constant()
    clean: float = 0.0

    def __post_init__(self) -> None:
        at_least(self, 0, "clean")
        if self.clean > 1:
            raise SettingError(f"method.clean is a weight from 0 to 1. Received: clean={self.clean:g}.")

    def build(self, spec: DataSpec) -> Alone:
        if self.attack is not None and spec.scale is not None:
            raise SettingError(
                "An attack's epsilon is of pixels from black to white. Received: method.attack with "
                "data.standardize=true, which stretches them. Leave one of the two out."
            )
        outputs = spec.classes if self.column == "labels" else spec.attributes
        if outputs < 1 + (self.column == "labels"):
            what = "two classes" if self.column == "labels" else "one attribute"
            raise SettingError(f"A classifier needs {what} at least. Received: {outputs}.")
        return Alone(self.network.build(spec, outputs))

    def tiny(self) -> "Classifier":
        attack = replace(self.attack, steps=2) if isinstance(self.attack, PGD) else self.attack
        return replace(self, network=self.network.tiny(), attack=attack)

    @property
    def column(self) -> str:
        """The column of the data that is told: ``labels`` or ``attributes``."""
        name: str = self.batch_type._fields[1]
        return name

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"classifier": ("classifier",)}

    def turns(self) -> Sequence[Turn[Alone, Any]]:
        return (Turn(name="classifier", player="classifier", loss=self.classifier_loss),)

    def answers(self, networks: Alone, images: Images) -> Logits:
        logits: Logits = networks.classifier(images)
        return logits

    def truth(self, batch: Any) -> Tensor:
        column: Tensor = batch[1]
        return column

    def classifier_loss(self, networks: Alone, batch: Any, noise: Noise, progress: Progress) -> Loss:
        """Cross-entropy, of classes or of each attribute."""
        truth = self.truth(batch)
        logits = self.answers(networks, self.attacked(networks, batch, noise, self.growth(progress)))
        total, parts = cross_entropy(logits, truth).mean(), {"accuracy": right(logits, truth)}
        if self.attack is not None and self.clean > 0:
            plain = self.answers(networks, batch.images)
            total = (1.0 - self.clean) * total + self.clean * cross_entropy(plain, truth).mean()
            parts["clean accuracy"] = right(plain, truth)
        return Loss(total, parts)

    def attacked(self, networks: Alone, batch: Any, noise: Noise, share: float = 1.0) -> Images:
        """What the attack makes of a batch, with a share of its epsilon; the batch where there is none."""
        images: Images = batch.images
        if self.attack is None or share <= 0:
            return images
        attack = self.attack.at(share * self.attack.epsilon)
        truth = self.truth(batch)
        with in_eval_mode(networks.classifier):
            return attack(networks.classifier, lambda logits: cross_entropy(logits, truth), images, noise).to(
                images.dtype
            )

    def validation_metrics(self, networks: Alone, batch: Any, noise: Noise) -> Mapping[str, Tensor]:
        truth = self.truth(batch)
        with in_eval_mode(networks.classifier):
            logits = self.answers(networks, batch.images)
            found = {"accuracy": right(logits, truth), "loss": cross_entropy(logits, truth).mean()}
            if self.attack is not None:
                changed = self.answers(networks, self.attacked(networks, batch, noise))
                found["accuracy under attack"] = right(changed, truth)
        return found


@dataclass(frozen=True, kw_only=True)
class AttributeClassifier(Classifier):
    """The same with attributes, each 0 or 1, in place of a class.

    Example:
        >>> spec = DataSpec(height=32, width=32, attribute_names=("smiling", "glasses"))
        >>> networks = AttributeClassifier().build(spec)
    """

    batch_type: ClassVar[type[Any]] = AttributeBatch
