"""A trained classifier in use: images to what they show, and how sure it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from gansmith.config.recipe import Recipe
from gansmith.config.serialization import from_json
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import BytePictures, Images
from gansmith.data.loading.loader import to_float
from gansmith.engine.device import pick_device
from gansmith.errors import SettingError
from gansmith.losses.classification import Logits
from gansmith.methods.classifier import Alone, Classifier
from gansmith.models.load import build_networks, checkpoint_of

_PART = 256  # Images looked at a time.


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedClassifier:
    """A trained classifier, in eval mode, whose weights take no gradients of their own.

    Args:
        name: for messages.
        recipe: it was trained by.
        method: of the recipe.
        networks: trained.
        images_seen: how long it was trained.
        device: where the networks are.

    Example:
        >>> classifier = open_classifier("runs/digits")
        >>> classifier.names[int(classifier.logits(images)[0].argmax())]
        '7'
    """

    name: str
    recipe: Recipe
    method: Classifier
    networks: Alone
    images_seen: int
    device: torch.device = torch.device("cpu")

    @property
    def spec(self) -> DataSpec:
        """The form of the images it knows."""
        return self.recipe.spec()

    @property
    def column(self) -> str:
        """What it tells: ``labels`` or ``attributes``."""
        return self.method.column

    @property
    def names(self) -> tuple[str, ...]:
        """Of its answers, in order."""
        return self.spec.class_names if self.column == "labels" else self.spec.attribute_names

    def logits(self, images: Images) -> Logits:
        """What it says of images in [-1, 1]; differentiable by the images."""
        return self.method.answers(self.networks, self.spec.to_network(images))

    def judge(self, images: Images) -> Logits:
        """As ``logits``, of images of any size, which are brought to its own."""
        size = self.spec.height, self.spec.width
        if images.shape[2:] != size:
            images = functional.interpolate(
                images, size, mode="bilinear", antialias=True, align_corners=False
            )
        return self.logits(images)

    def logits_of(self, pictures: BytePictures) -> Logits:
        """What it says of any number of images in bytes, without gradients, on the CPU."""
        return torch.cat(list(self._parts(pictures)))

    def probabilities(self, logits: Logits) -> Float[Tensor, "batch outputs"]:
        """Of classes, which add up to 1, or of each attribute."""
        return logits.softmax(dim=1) if self.column == "labels" else logits.sigmoid()

    @torch.inference_mode()
    def _parts(self, pictures: BytePictures) -> Iterator[Tensor]:
        for part in torch.split(pictures, _PART):
            yield self.logits(to_float(part.to(self.device))).cpu()


def open_classifier(model: str, device: str = "auto") -> TrainedClassifier:
    """The classifier of a run or a checkpoint.

    Raises:
        CheckpointError: nothing there, or damaged.
        RunError: a run without a checkpoint yet.
        SettingError: it is no classifier.
    """
    path, where = Path(model), pick_device(device)
    checkpoint = checkpoint_of(path)
    recipe: Recipe = from_json(checkpoint.facts["recipe"], Recipe)
    if not isinstance(recipe.method, Classifier):
        raise SettingError(
            f"This needs a classifier. Received: {model}, by {recipe.name}, which is none. Train one with: "
            "gansmith classify DATA --run DIR"
        )
    networks = build_networks(recipe, checkpoint.tensors).to(where).eval().requires_grad_(False)
    assert isinstance(networks, Alone)
    return TrainedClassifier(
        name=path.resolve().name if path.is_dir() else path.stem,
        recipe=recipe,
        method=recipe.method,
        networks=networks,
        images_seen=int(checkpoint.facts["images"]),
        device=where,
    )
