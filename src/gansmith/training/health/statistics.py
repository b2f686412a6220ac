"""Two numbers that tell an ill game from a healthy one: how varied samples are, what a critic memorizes."""

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gansmith.core.tensors import Images

SIDE = 16  # Pixels that distances are taken at: a collapse is seen in the coarse, and this costs nothing.
SURE = 3.0  # Standard errors by which scores of real and generated pictures must differ to be divided by.


def spread(images: Images) -> float:
    """The mean distance between two different pictures of a batch, at 16 px at most.

    The distance is the root mean square over pixels and channels, in the units of the pictures. Larger
    pictures are averaged over areas first. 0 where there are fewer than two. This waits for the device.
    """
    if len(images) < 2:
        return 0.0
    small = _at_most(images.float(), SIDE).flatten(1).cpu()  # Not every device has pdist.
    # Differences rather than products: equal pictures must have a distance of 0, not of rounding.
    return float(F.pdist(small).mean()) / math.sqrt(small.shape[1])


def spread_ratio(made: Images, real: Float[Tensor, "real channels height width"]) -> float | None:
    """The spread of generated pictures over that of real ones: 1 is equal, 0 is one picture over and over.

    None where the real pictures are all the same, or there is only one.
    """
    of_real = spread(real)
    return spread(made) / of_real if of_real > 0 else None


def overfitting(
    training: Float[Tensor, " training"],
    held_out: Float[Tensor, " held_out"],
    made: Float[Tensor, " made"],
) -> float | None:
    """How far a critic tells pictures it was trained on from others, -1 to 1: 0 not at all, 1 memorized.

    This is r_v of Karras 2020 (Training generative adversarial networks with limited data, equation 1):
    (E[D(training)] - E[D(held-out)]) / (E[D(training)] - E[D(made)]). At 1, held-out pictures score as made
    ones do. It does not hang on the critic's scale.

    Returns: None where there are fewer than two scores of a kind, where one is no number, and where training
    pictures do not score clearly above generated ones, so that the quotient would be noise.
    """
    kinds = [scores.double() for scores in (training, held_out, made)]
    if min(len(scores) for scores in kinds) < 2 or not all(bool(s.isfinite().all()) for s in kinds):
        return None
    seen, unseen, fake = (float(scores.mean()) for scores in kinds)
    error = sum(float(scores.var()) / len(scores) for scores in (kinds[0], kinds[2])) ** 0.5
    if seen - fake <= SURE * error:
        return None
    return min(max((seen - unseen) / (seen - fake), -1.0), 1.0)


def _at_most(images: Images, side: int) -> Tensor:
    height, width = images.shape[2:]
    if max(height, width) <= side:
        return images
    return F.adaptive_avg_pool2d(images, (min(height, side), min(width, side)))
