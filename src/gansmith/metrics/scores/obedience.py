"""Whether a conditional model draws what it was asked for, in the eyes of a classifier of the same data."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from gansmith.core.tensors import BytePictures, Scalar
from gansmith.data.metadata.captions import to_texts, vocabulary, words_of
from gansmith.errors import DataError
from gansmith.losses.classification import cross_entropy, told
from gansmith.metrics.image_sets import PictureSet
from gansmith.metrics.math.intervals import Result, around, sentences, share
from gansmith.metrics.scores.critic_auc import below
from gansmith.metrics.scores.fitting import fit_judge, says, says_of

_POOR = 0.8  # Below that share of held-out images the classifier is no judge, and the note says so.
_MOST_WORDS = 64  # Of captions, that are judged.
_RARE = 0.02  # Words in fewer captions, or in more than all but as many, are left out.
_SEEN = 0.7  # How surely a word must be told from held-out images to be judged.
_FEWEST = 5  # Images with a word, and without it.


DOMAIN = "domain"
"""The column that says which of two domains an image is of, 0 or 1."""

ASKED = ("labels", "attributes", "captions", DOMAIN)
"""Columns that say what an image shows, the most exact first."""


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
        asked: ``labels`` [n], ``attributes`` [n, a], ``captions`` [n, bytes] or ``domain`` [n], what each was
            asked to show.
        parts: the training images and the held-out images, with the same columns.
        sources: what each generated image was made of, for a model that changes images.
        seed: of the classifier.

    Returns: ``obedience``; of attributes, the share of right answers over all of them. Of captions, how often
        a word of theirs is seen rather in an image asked for it than in one that was not, the mean over words
        that can be seen at all: 0.5 is chance. With sources ``obedience_copy``, too: what the sources
        themselves, unchanged, would reach.

    Raises:
        DataError: the data have no such column.
    """
    column = next((name for name in ASKED if name in asked), "labels")
    truths = [part.columns((column,)).get(column) for part in parts]
    if column not in asked or truths[0] is None or truths[1] is None:
        raise DataError(
            "obedience needs data with labels, attributes or captions. "
            f"Received: {parts[0].name}, which has none."
        )
    learnt, checked = truths[0].cpu(), truths[1].cpu()
    if column == "captions":
        return _of_captions(fake, asked[column], parts, (learnt, checked), seed)
    network = _train(parts[0], learnt, seed)
    right = _right(network, parts[1], checked).double()
    if column == DOMAIN:  # Each domain counts the same, however many images it has.
        right = torch.stack([right[checked == domain].mean() for domain in (0, 1)])
    right = right.mean()
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
    network = _train(part, truth, seed)

    def sees(images: BytePictures) -> Tensor:
        found = says_of(network, images)
        return found.argmax(dim=1) if truth.dim() == 1 else (found > 0).to(torch.uint8)

    return sees


def _of_captions(
    fake: PictureSet,
    asked: Tensor,
    parts: tuple[KnownPictures, KnownPictures],
    truths: tuple[Tensor, Tensor],
    seed: int,
) -> Result:
    """Obedience to sentences: a classifier of their words, asked which images it sees each word in."""
    texts = to_texts(truths[0])
    counts = Counter(word for text in texts for word in set(words_of(text)))
    few, most = _RARE * len(texts), (1 - _RARE) * len(texts)
    words = [word for word in vocabulary(texts) if few <= counts[word] <= most][:_MOST_WORDS]
    if not words:
        raise DataError(
            "obedience to captions looks for words that some images are described with and others are not. "
            f"Received: {parts[0].name}, whose captions have none. Give captions that differ."
        )
    network = _train(parts[0], said(texts, words), seed)
    real = _Areas(says(network, parts[1]), said(to_texts(truths[1]), words))
    wanted = said(to_texts(asked.cpu()), words)
    made = _Areas(says(network, fake), wanted)
    seen = real.known & made.known & (real.areas >= _SEEN)
    judged = seen if bool(seen.any()) else made.known
    if not bool(judged.any()):
        raise DataError(
            f"obedience to captions needs {_FEWEST} images asked for a word and {_FEWEST} that were not. "
            f"Received: {len(fake)} images. Ask for more with --samples."
        )
    ranked = sorted((float(made.areas[place]), words[place]) for place in judged.nonzero().flatten().tolist())
    note = sentences(
        f"How often each of {len(ranked)} words is seen rather in an image asked for it; 0.5 is chance.",
        f"Held-out images reach {float(real.areas[seen].mean()):.3f}."
        if bool(seen.any())
        else "The classifier tells no word in held-out images. Believe small differences little.",
        "Best: " + ", ".join(f"{word} {area:.2f}" for area, word in ranked[:-4:-1]) + ".",
        "Worst: " + ", ".join(f"{word} {area:.2f}" for area, word in ranked[:3]) + ".",
    )
    value = float(made.areas[judged].mean())
    return {"obedience": around(value, made.error(judged), note, low=0.0, high=1.0)}


def said(texts: Sequence[str], words: Sequence[str]) -> Tensor:
    """Which of the words each text has, uint8 [texts, words].

    Example:
        >>> said(["a red cap", "a hat"], ["cap", "a"]).tolist()
        [[1, 1], [0, 1]]
    """
    each = [set(words_of(text)) for text in texts]
    return torch.tensor([[word in there for word in words] for there in each], dtype=torch.uint8)


class _Areas:
    """The area below the ROC curve of each word, and what each image adds to it (DeLong 1988).

    Args:
        scores: how surely each word is seen in each image, [images, words].
        truth: whether it is there, or was asked for, likewise.
    """

    def __init__(self, scores: Tensor, truth: Tensor) -> None:
        there = truth > 0
        counts = there.sum(dim=0)
        self.known = (counts >= _FEWEST) & (len(there) - counts >= _FEWEST)
        self.areas = torch.full((there.shape[1],), 0.5, dtype=torch.float64)
        self._parts = torch.zeros(there.shape, dtype=torch.float64)
        for word in self.known.nonzero().flatten().tolist():
            rows, found = there[:, word], scores[:, word].double()
            beats = below(found[~rows], found[rows]) / int((~rows).sum())
            beaten = 1 - below(found[rows], found[~rows]) / int(rows.sum())
            self.areas[word] = beats.mean()
            self._parts[rows, word] = (beats - beats.mean()) / rows.double().mean()
            self._parts[~rows, word] = (beaten - beaten.mean()) / (~rows).double().mean()

    def error(self, words: Tensor) -> float:
        """The standard error of the mean area of some words: images differ, and words go together."""
        each = self._parts[:, words].mean(dim=1)
        return float(each.std()) / math.sqrt(len(each))


def _each(answers: Tensor) -> str:
    """Shares of several attributes one by one."""
    if answers.dim() == 1 or answers.shape[1] > 12:
        return ""
    shares = ", ".join(f"{value:.0%}" for value in answers.double().mean(dim=0).tolist())
    return f"By attribute, in order: {shares}."


def _train(part: KnownPictures, truth: Tensor, seed: int) -> nn.Module:
    """A classifier of labels [n] or attributes [n, a]."""
    outputs = int(truth.max()) + 1 if truth.dim() == 1 else truth.shape[1]

    def loss(said: Tensor, rows: Tensor) -> Scalar:
        return cross_entropy(said, truth[rows]).mean()

    return fit_judge(part, outputs, loss, seed, "Training the classifier that judges")


def _right(network: nn.Module, pictures: PictureSet, truth: Tensor) -> Tensor:
    """Whether the classifier sees what is true, bool [n], or [n, attributes]."""
    return told(says(network, pictures), truth)
