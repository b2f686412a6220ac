"""The images a classifier has not seen, with the truth about them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gansmith.core.tensors import BytePictures
from gansmith.data.dataset import DataSet
from gansmith.data.loading.streams import streams
from gansmith.errors import DataError
from gansmith.metrics.math.intervals import Result
from gansmith.metrics.scores.accuracy import accuracy
from gansmith.models.classifier import TrainedClassifier, open_classifier


@dataclass(frozen=True, eq=False)
class Known:
    """Images in bytes, and what is true of each.

    Example:
        >>> known = held_out(classifier, data, 500)
        >>> accuracy(classifier.logits_of(known.images), known.truth, classifier.names)
    """

    images: BytePictures
    truth: Tensor


def held_out(
    classifier: TrainedClassifier, data: DataSet, most: int | None = None, fingerprint: str | None = None
) -> Known:
    """Images of a data set that the classifier was not trained on, a fair choice of ``most`` of them.

    Args:
        classifier: trained on the data, or on other data with the same classes or attributes.
        data: in its form.
        most: None for all.
        fingerprint: of the data it was trained on; where it is another, all images are new to it.

    Raises:
        DataError: the data lack what it tells, name other classes, or nothing was held out.
    """
    recipe, column = classifier.recipe, classifier.column
    parts = streams(data, ("images", column), recipe.data, recipe.train.seed)[0]
    other = fingerprint is not None and fingerprint != data.fingerprint
    rows = torch.arange(len(data)) if other else parts.held_out
    if not len(rows):
        raise DataError(
            f"Pictures that were held out are needed. Received: none of {data.name}. Train with a share held "
            "out, for example --set data.validation=0.05, or name other pictures."
        )
    _check_names(classifier, data)
    if most is not None and most < len(rows):
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
        rows = rows[order[:most]].sort().values
    found = data.fetch(rows, ("images", column))
    return Known(found["images"], found[column])


def _check_names(classifier: TrainedClassifier, data: DataSet) -> None:
    names = data.info.label_names if classifier.column == "labels" else data.info.attribute_names
    if names and tuple(names) != tuple(classifier.names):
        raise DataError(
            f"{classifier.name} tells {', '.join(classifier.names[:10])}. Received: {data.name}, with "
            f"{', '.join(names[:10])}. Name pictures of the same {classifier.column}."
        )


def measure(model: str, data: DataSet, device: str = "auto") -> Result:
    """How often the classifier of a run is right about the images it held out.

    Args:
        model: a run or a checkpoint.
        data: what it was trained on.
        device: where it runs.

    Raises:
        DataError: the data lack what it tells, or nothing was held out.
    """
    classifier = open_classifier(model, device)
    known = held_out(classifier, data)
    return accuracy(classifier.logits_of(known.images), known.truth, classifier.names)
