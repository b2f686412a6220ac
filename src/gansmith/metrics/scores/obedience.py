"""Whether a conditional model draws what it was asked for, in the eyes of a classifier of the same data."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from gansmith.core.tensors import BytePictures
from gansmith.errors import DataError
from gansmith.losses.classification import cross_entropy, told
from gansmith.metrics.image_sets import PictureSet
from gansmith.metrics.math.intervals import Result, full_precision, sentences, share
from gansmith.metrics.scores.fitting import BATCH, fit, one_thread
from gansmith.networks.classifiers import strided

_SIDE = 32  # Pixels a side that the classifier looks at, at most.
_MAX_TRAINING = 20_000  # Images it learns from.
_PASSES = 10
_FEWEST_STEPS, _MOST_STEPS = 40, 900
_PART = 256  # Images looked at a time.
_POOR = 0.8  # Below that share of held-out images the classifier is no judge, and the note says so.


class KnownPictures(PictureSet, Protocol):
    """Images whose labels or attributes are known.

    Example:
        >>> pictures: KnownPictures = DataPictures(data, "toy", data.fingerprint, torch.arange(8))
        >>> pictures.columns(["labels"])["labels"].shape
        torch.Size([8])
    """

    def columns(self, names: Sequence[str]) -> Mapping[str, Tensor]:
        """Those columns of all images."""
        ...


def obedience(
    fake: PictureSet,
    asked: Mapping[str, Tensor],
    parts: tuple[KnownPictures, KnownPictures],
    *,
    sources: PictureSet | None = None,
    seed: int = 0,
) -> Result:
    """The share of generated images in which a classifier sees what was asked for.

    The classifier, a small convolutional network, is trained on the training part of the data on one thread,
    so that it is the same each time; the note says how often it is right on held-out images.

    Args:
        fake: generated images.
        asked: ``labels`` [n] or ``attributes`` [n, a], what each was asked to show.
        parts: the training images and the held-out images, with the same columns.
        sources: what each generated image was made of, for a model that changes images.
        seed: of the classifier.

    Returns: ``obedience``; of attributes, the share of right answers over all of them. With sources
        ``obedience_copy``, too: what the sources themselves, unchanged, would reach.

    Raises:
        DataError: the data have no such column.
    """
    column = next((name for name in ("labels", "attributes") if name in asked), "labels")
    truths = [part.columns((column,)).get(column) for part in parts]
    if column not in asked or truths[0] is None or truths[1] is None:
        raise DataError(
            f"obedience needs data with labels or attributes. Received: {parts[0].name}, which has none."
        )
    learnt, checked = truths[0].cpu(), truths[1].cpu()
    with one_thread(), full_precision(), torch.inference_mode(False), torch.enable_grad():
        network = _train(parts[0], learnt, seed)
    right = _right(network, parts[1], checked).double().mean()
    note = f"The classifier is right in {float(right):.1%} of held-out images."
    poor = "It is a poor judge; believe small differences little." if right < _POOR else ""
    answers = _right(network, fake, asked[column].cpu())
    found = {"obedience": share(answers.flatten(), sentences(note, poor, _each(answers)))}
    if sources is None:
        return found
    copied = _right(network, sources, asked[column].cpu())
    changed = f"Of what had to change, {float(answers[~copied].double().mean()):.1%} did."
    return found | {"obedience_copy": share(copied.flatten(), "" if bool(copied.all()) else changed)}


def judge(part: KnownPictures, column: str, seed: int = 0) -> Callable[[BytePictures], Tensor]:
    """The classifier of ``obedience`` by itself: uint8 images -> the labels [n] or attributes [n, a] it sees.

    Args:
        part: the images it learns from.
        column: ``labels`` or ``attributes``.
        seed: of the classifier.

    Example:
        >>> sees = judge(training, "attributes")
        >>> share = (sees(made) == asked).double().mean()
    """
    truth = part.columns((column,))[column].cpu()
    with one_thread(), full_precision(), torch.inference_mode(False), torch.enable_grad():
        network = _train(part, truth, seed)

    @torch.inference_mode()
    def sees(images: BytePictures) -> Tensor:
        parts = [network(_shown(chunk).float() / 127.5 - 1.0) for chunk in torch.split(images, _PART)]
        found = torch.cat(parts)
        return found.argmax(dim=1) if truth.dim() == 1 else (found > 0).to(torch.uint8)

    return sees


def _each(answers: Tensor) -> str:
    """Shares of several attributes one by one."""
    if answers.dim() == 1 or answers.shape[1] > 12:
        return ""
    shares = ", ".join(f"{value:.0%}" for value in answers.double().mean(dim=0).tolist())
    return f"By attribute, in order: {shares}."


def _train(part: KnownPictures, truth: Tensor, seed: int) -> nn.Module:
    """Adam with a rate that rises and falls (Smith 2018)."""
    rows = (
        torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))[:_MAX_TRAINING].sort().values
    )
    images = torch.cat([_shown(chunk) for chunk in _chunks(part, int(rows[-1]) + 1)])[rows]
    truth = truth[rows]
    outputs = int(truth.max()) + 1 if truth.dim() == 1 else truth.shape[1]
    with torch.random.fork_rng(devices=[]):  # Layers draw their first weights from torch's own generator.
        torch.manual_seed(seed)
        network = strided(images.shape[1], outputs)
    steps = min(_MOST_STEPS, max(_FEWEST_STEPS, _PASSES * math.ceil(len(rows) / BATCH)))

    def loss(batch: Tensor) -> Tensor:
        return cross_entropy(network(images[batch].float() / 127.5 - 1.0), truth[batch]).mean()

    fit(network, loss, len(rows), steps, seed, "Training the classifier that judges")
    return network.requires_grad_(False).eval()


def _shown(images: BytePictures) -> BytePictures:
    """What the classifier looks at: sides of 32 pixels at most."""
    if max(images.shape[2:]) <= _SIDE:
        return images.cpu()
    factor = _SIDE / max(images.shape[2:])
    height, width = (max(8, round(side * factor)) for side in images.shape[2:])
    return functional.adaptive_avg_pool2d(images.float(), (height, width)).round().to(torch.uint8).cpu()


def _chunks(pictures: PictureSet, stop: int) -> Iterator[BytePictures]:
    for start in range(0, stop, _PART):
        yield pictures.some(start, min(start + _PART, stop))


@torch.inference_mode()
def _right(network: nn.Module, pictures: PictureSet, truth: Tensor) -> Tensor:
    """Whether the classifier sees what is true, bool [n], or [n, attributes]."""
    found = torch.cat(
        [network(_shown(chunk).float() / 127.5 - 1.0) for chunk in _chunks(pictures, len(pictures))]
    )
    return told(found, truth)
