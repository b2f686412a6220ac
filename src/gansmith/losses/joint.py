"""Losses that bring images and their captions together: functions of who is similar to whom."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gansmith.core.tensors import Scalar
from gansmith.errors import at_least

Similarity = Float[Tensor, "images captions"]
"""How similar each image is to each caption of a batch; on the diagonal are those that belong together."""


@runtime_checkable
class JointLoss(Protocol):
    """The loss of a joint embedding; ``--set method.objective=Structured`` picks one by name.

    Example:
        >>> Contrastive()(20.0 * images @ captions.T, torch.eye(8, dtype=torch.bool))
    """

    def __call__(self, similarity: Similarity, same: Bool[Tensor, "images captions"]) -> Scalar:
        """What both encoders minimize.

        Args:
            similarity: [n, n].
            same: where a caption is true of an image: the diagonal, and captions equal to its own.
        """
        ...


@dataclass(frozen=True)
class Contrastive:
    """The cross-entropy of finding the caption of each image, and the image of each caption (CLIP).

    Radford 2021, figure 3. Captions equal to the right one are not counted as wrong.

    Example:
        >>> Contrastive()(torch.zeros(4, 4), torch.eye(4, dtype=torch.bool))
        tensor(1.3863)
    """

    def __call__(self, similarity: Similarity, same: Bool[Tensor, "images captions"]) -> Scalar:
        """(H(image -> caption) + H(caption -> image)) / 2."""
        twins = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
        logits = similarity.masked_fill(twins, -torch.inf)
        right = torch.arange(len(logits), device=logits.device)
        return 0.5 * (F.cross_entropy(logits, right) + F.cross_entropy(logits.t(), right))


@dataclass(frozen=True)
class Structured:
    """The structured joint embedding: a right pair is better by a margin than each wrong one (Reed 2016).

    Equation 3 with each image as a class of its own.

    Example:
        >>> Structured()(torch.zeros(4, 4), torch.eye(4, dtype=torch.bool))
        tensor(2.)
    """

    margin: float = 1.0  # m, in units of similarity.

    def __post_init__(self) -> None:
        at_least(self, 0, "margin", prefix="method.objective.")

    def __call__(self, similarity: Similarity, same: Bool[Tensor, "images captions"]) -> Scalar:
        """E max(0, m + s(wrong caption) - s(right)) + E max(0, m + s(wrong image) - s(right))."""
        right = similarity.diagonal()
        by_image = F.relu(self.margin + similarity - right[:, None])
        by_caption = F.relu(self.margin + similarity - right[None, :])
        wrong = ~same
        return (by_image + by_caption)[wrong].sum() / wrong.sum().clamp(min=1)
