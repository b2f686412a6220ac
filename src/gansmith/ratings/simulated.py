"""Raters who are no people: they like what can be measured, or answer at random, for tests and studies."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gansmith.core.noise import Noise, mix_seeds
from gansmith.core.tensors import Images
from gansmith.errors import SettingError, nearest
from gansmith.models.classifier import TrainedClassifier
from gansmith.models.generator import Generator
from gansmith.ratings.ask import Asker
from gansmith.ratings.store import Rating, Store

Taste = Callable[[Images], Float[Tensor, " batch"]]
"""Images in [-1, 1] -> how much each is liked; only the order matters."""


def brightness(images: Images) -> Float[Tensor, " batch"]:
    """The mean of all pixels, in [-1, 1]."""
    return images.flatten(1).mean(dim=1)


def redness(images: Images) -> Float[Tensor, " batch"]:
    """How far red is above the mean of green and blue, in [-2, 2]."""
    red, green, blue = images.flatten(2).mean(dim=2).unbind(dim=1)
    return red - (green + blue) / 2


def attribute(classifier: TrainedClassifier, name: str) -> Taste:
    """How sure a classifier is that an image has an attribute, in logits.

    Raises:
        SettingError: it knows no such attribute.

    Example:
        >>> like_smiles = attribute(open_classifier("runs/judge"), "smiling")
    """
    names = classifier.spec.attribute_names
    if name not in names:
        raise SettingError(f"{classifier.name} knows no attribute '{name}'.{nearest(name, names)}")
    place = names.index(name)
    return lambda images: classifier.logits(images)[:, place]


@dataclass(frozen=True)
class Simulated:
    """A rater who likes what is above a threshold, but for a share of answers at random.

    Args:
        taste: what is liked.
        threshold: above it a thumb is up.
        noise: the share of answers that are a coin's, in [0, 1].
        name: under which answers are stored.
        seed: of the coin.

    Raises:
        SettingError: a noise outside [0, 1].

    Example:
        >>> rater = Simulated(brightness, threshold=-0.2, noise=0.1)
        >>> rater.rate(generator, store, 200, Asker(generator, store))
    """

    taste: Taste
    threshold: float = 0.0
    noise: float = 0.0
    name: str = "simulated"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.noise <= 1.0:
            raise SettingError(f"noise is a share from 0 to 1. Received: noise={self.noise}.")

    def rate(
        self, generator: Generator, store: Store, count: int, asker: Asker | None = None, pairs: bool = False
    ) -> None:
        """Answer about so many more images, or pairs, and store the answers.

        Args:
            asker: says which; None: at random.
        """
        asker = asker or Asker(generator, store)
        if pairs:
            asked = asker.pairs(count, self.name)
            first = self._taste_of(generator, [one for one, _ in asked])
            gains = first - self._taste_of(generator, [other for _, other in asked])
            answers = self._answers(gains, [one for one, _ in asked])
            found = [
                Rating("pair", one, other, liked, self.name, float(place))
                for place, ((one, other), liked) in enumerate(zip(asked, answers, strict=True))
            ]
        else:
            seeds = asker.thumbs(count, self.name)
            answers = self._answers(self._taste_of(generator, seeds) - self.threshold, seeds)
            found = [
                Rating("thumb", seed, None, liked, self.name, float(place))
                for place, (seed, liked) in enumerate(zip(seeds, answers, strict=True))
            ]
        store.add(found)

    def _answers(self, gains: Tensor, seeds: list[int]) -> list[bool]:
        """Whether each gain is above 0; a coin of the rater and the seed says it for a share of them."""
        coins = Noise.of(*(mix_seeds(self.seed, seed) for seed in seeds)).uniform(2)
        return torch.where(coins[:, 0] < self.noise, coins[:, 1] < 0.5, gains.cpu() > 0).tolist()

    def _taste_of(self, generator: Generator, seeds: list[int]) -> Tensor:
        with torch.inference_mode():
            parts = [
                self.taste(generator.make(Noise.of(*seeds[at : at + 64]))) for at in range(0, len(seeds), 64)
            ]
        return torch.cat(parts)
