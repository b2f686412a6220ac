"""What a classifier is told by: logits of classes, of which one holds, or of attributes, each 0 or 1."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gansmith.core.tensors import Scalar

Logits = Float[Tensor, "batch outputs"]
"""One number a class or an attribute, before softmax or sigmoid."""

Truth = Tensor
"""Labels, int64 [batch], or attributes, 0 or 1, [batch, attributes]."""


def cross_entropy(logits: Logits, truth: Truth) -> Float[Tensor, " batch"]:
    """-log p(truth) of each image; of attributes, the mean over them."""
    if truth.dim() == 1:
        return F.cross_entropy(logits, truth.long(), reduction="none")
    each = F.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype), reduction="none")
    return each.mean(dim=1)


def told(logits: Logits, truth: Truth) -> Bool[Tensor, "batch ..."]:
    """Whether each image, or each attribute of it, is told right: [batch] or [batch, attributes]."""
    return logits.argmax(dim=1) == truth if truth.dim() == 1 else (logits > 0) == (truth > 0)


def right(logits: Logits, truth: Truth) -> Scalar:
    """The share of images, or of attributes, that are told right."""
    return told(logits, truth).float().mean()


def margin(logits: Logits, truth: Truth) -> Float[Tensor, "batch ..."]:
    """How far the truth is ahead: above 0 exactly where it is told right, [batch] or [batch, attributes].

    Of classes, the logit of the true one less the highest of the others; of attributes, the logit, turned.
    """
    if truth.dim() == 1:
        mine = logits.gather(1, truth.long()[:, None])[:, 0]
        others = logits.scatter(1, truth.long()[:, None], float("-inf")).amax(dim=1)
        return mine - others
    return logits * (2.0 * (truth > 0).to(logits.dtype) - 1.0)
