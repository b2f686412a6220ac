"""What is attacked: a classifier, a detector or a run's critic, each as logits of images and the truth."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from gansmith.attacks.gradient import ImageLoss, Model
from gansmith.core.noise import Noise
from gansmith.core.tensors import Images, Scores, per_image
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet
from gansmith.data.loading.loader import Loader, to_float
from gansmith.errors import DataError, SettingError
from gansmith.losses.classification import Logits, Truth, cross_entropy, margin
from gansmith.metrics.image_sets import is_model
from gansmith.models.classifier import TrainedClassifier
from gansmith.models.generator import Generator
from gansmith.robustness.detector import NAMES
from gansmith.robustness.held_out import held_out

PART = 64  # Images attacked at a time.

Kind = Literal["classifier", "detector", "critic"]


@dataclass(frozen=True, eq=False)
class Part:
    """Some images, what is true of them, and the model that tells it.

    Example:
        >>> part = next(target.parts())
        >>> part.model(part.images).shape
    """

    model: Model  # Images in [-1, 1] to logits, [images, outputs].
    images: Images  # In [-1, 1].
    truth: Truth


@dataclass(frozen=True, eq=False, kw_only=True)
class Target:
    """A model with the images it is attacked on.

    Args:
        kind: what it is.
        name: for messages.
        names: of its classes or attributes.
        count: of the images.
        parts: some images at a time, the same ones each time.
        linear: attack the margin itself, not the cross-entropy, whose slope vanishes for scores far from 0.
        note: what is to be known of the numbers.

    Example:
        >>> target = classifier_target(open_classifier("runs/digits"), data, 500)
        >>> found = robustness(target, [FGSM(), PGD(steps=50)], [2 / 255, 4 / 255])
    """

    kind: Kind
    name: str
    names: tuple[str, ...]
    count: int
    parts: Callable[[], Iterator[Part]]
    linear: bool = False
    note: str = ""

    def loss(self, truth: Truth) -> ImageLoss:
        """What an attack raises."""
        if self.linear:
            return lambda logits: -margin(logits, truth)
        return lambda logits: cross_entropy(logits, truth)

    def worst(self, truth: Truth) -> ImageLoss:
        """What decides between restarts: of classes above 0 exactly where the answer is wrong."""
        if truth.dim() > 1:
            return self.loss(truth)
        return lambda logits: -margin(logits, truth)


def classifier_target(
    classifier: TrainedClassifier, data: DataSet, most: int, fingerprint: str | None = None
) -> Target:
    """A classifier, or a detector of generated pictures, on images it was not trained on.

    Raises:
        DataError: the data lack what it tells, or nothing was held out.
    """
    known = held_out(classifier, data, most, fingerprint)

    def parts() -> Iterator[Part]:
        for start in range(0, len(known.images), PART):
            images = to_float(known.images[start : start + PART].to(classifier.device))
            yield Part(classifier.logits, images, known.truth[start : start + PART].to(classifier.device))

    return Target(
        kind="detector" if classifier.names == NAMES else "classifier",
        name=classifier.name,
        names=classifier.names,
        count=len(known.images),
        parts=parts,
    )


def critic_target(generator: Generator, data: DataSet, config: DataConfig, seed: int, most: int) -> Target:
    """A run's own critic: held-out real pictures to be made to look fake, and fakes to look real.

    A score has no natural zero in most games, so what counts as real is what lies above the threshold that
    parts both kinds best before any attack.

    Args:
        generator: of the run, whose bundle has the critic.
        data: what the run was trained on.
        config: of the run's recipe.
        seed: of the run's recipe.
        most: images of both kinds together.

    Raises:
        SettingError: the run has no critic.
        DataError: the data lack what the method trains on.
    """
    loader: Loader[Any] = Loader(data, generator.method.batch_type, config, seed, generator.device)
    loader.close()
    count = max(1, min(most // 2, len(loader.held_out) or len(loader.training)))
    critic = _Critic(generator, loader, count)
    with torch.no_grad():
        clean = [(critic.score(images, prompt).cpu(), real) for images, prompt, real in critic.sides()]
    level = best_threshold(torch.cat([s for s, _ in clean]), torch.cat([r for _, r in clean]))
    seen = "" if len(loader.held_out) else "Nothing was held out: the real pictures are training pictures."
    return Target(
        kind="critic",
        name=generator.name,
        names=NAMES,
        count=2 * count,
        parts=lambda: critic.parts(level),
        linear=True,
        note=f"Real is what scores above {level:.3g}, which parts both kinds best. {seen}".strip(),
    )


@dataclass(frozen=True, eq=False)
class _Critic:
    """A run's critic, with real and generated images of the same prompts."""

    generator: Generator
    loader: Loader[Any]
    count: int  # Of each kind.

    def sides(self) -> Iterator[tuple[Images, Any, Tensor]]:
        """Images of both kinds side by side, their prompts, and whether each is real."""
        method, spec = self.generator.method, self.generator.spec
        for start in range(0, self.count, PART // 2):
            stop = min(start + PART // 2, self.count)
            columns = self.loader.held_out_rows(start, stop)
            batch = method.batch_type(*(columns[name] for name in method.batch_type._fields))
            prompt = method.prompt(batch)
            real = spec.to_pictures(method.real_images(batch))
            fake = self.generator.make(Noise.of(*range(start, stop)), prompt)
            twice = None if prompt is None else type(prompt)(*(torch.cat([c, c]) for c in prompt))
            images = torch.cat([real, fake]).clamp(-1.0, 1.0)
            yield images, twice, torch.arange(2 * (stop - start)) < stop - start

    def score(self, images: Images, prompt: Any) -> Scores:
        """How real the critic finds images: [batch]."""
        shown = self.generator.spec.to_network(images)
        found = self.generator.method.critic_scores(self.generator.networks, shown, prompt)
        if found is None:
            raise SettingError(
                f"{self.generator.recipe_name} has no critic that could be attacked. Name the run of a "
                "classifier (gansmith classify), or one with a critic."
            )
        return per_image(found)

    def parts(self, level: float) -> Iterator[Part]:
        """Logits of generated and real, half the way from ``level`` each."""
        for images, prompt, real in self.sides():

            def logits(shown: Images, prompt: Any = prompt) -> Logits:
                far = self.score(shown, prompt) - level
                return torch.stack([-far / 2, far / 2], dim=1)

            yield Part(logits, images.clone(), real.long().to(images.device))


def best_threshold(scores: Scores, real: Tensor) -> float:
    """The score that parts real from generated best: most right answers, each kind counting half.

    Half-way between two neighbouring scores.
    """
    order = scores.double().argsort()
    ordered, truth = scores.double()[order], real[order]
    below = torch.cat([torch.zeros(1), (~truth).float().cumsum(0)]) / max(int((~truth).sum()), 1)
    above = 1.0 - torch.cat([torch.zeros(1), truth.float().cumsum(0)]) / max(int(truth.sum()), 1)
    # Not between two that are equal.
    cuts = torch.cat([ordered[:1] - 1.0, (ordered[:-1] + ordered[1:]) / 2, ordered[-1:] + 1.0])
    allowed = torch.cat([torch.ones(1), (ordered[1:] > ordered[:-1]).float(), torch.ones(1)])
    return float(cuts[int(((below + above) * allowed).argmax())])


def check_pictures(place: str) -> None:
    """Raise DataError where DATA is a model.

    Raises:
        DataError: it is.
    """
    if is_model(place):
        raise DataError(
            f"DATA are pictures. Received: {place}, which is a model. Its own pictures are what --against "
            "and --method latent are for."
        )


def roc_scores(logits: Sequence[Logits], truth: Tensor) -> tuple[Tensor, Tensor]:
    """(generated, real): how real each image was told to be, of a detector or a critic."""
    far = torch.cat(list(logits))
    score = far[:, 1] - far[:, 0]
    return score[truth == 0], score[truth == 1]
