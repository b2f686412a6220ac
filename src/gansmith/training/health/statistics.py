"""Two numbers that tell an ill game from a healthy one: how varied samples are, what a critic memorizes."""

import math
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gansmith.core.tensors import Images
from gansmith.data.loading.loader import Loader, to_float
from gansmith.engine.trainer import Trainer
from gansmith.training.samples import Samples

SIDE = 16  # Pixels that distances are taken at: a collapse is seen in the coarse, and this costs nothing.
SURE = 3.0  # Standard errors by which scores of real and generated images must differ to be divided by.


def spread(images: Images) -> float:
    """The mean distance between two different images of a batch, at 16 px at most.

    The distance is the root mean square over pixels and channels, in the units of the images. Larger
    images are averaged over areas first. 0 where there are fewer than two. This waits for the device.
    """
    if len(images) < 2:
        return 0.0
    small = _at_most(images.float(), SIDE).flatten(1).cpu()  # Not every device has pdist.
    # Differences rather than products: equal images must have a distance of 0, not of rounding.
    return float(F.pdist(small).mean()) / math.sqrt(small.shape[1])


def spread_ratio(made: Images, real: Float[Tensor, "real channels height width"]) -> float | None:
    """The spread of generated images over that of real ones: 1 is equal, 0 is one image over and over.

    None where the real images are all the same, or there is only one.
    """
    of_real = spread(real)
    return spread(made) / of_real if of_real > 0 else None


def overfitting(
    training: Float[Tensor, " training"],
    held_out: Float[Tensor, " held_out"],
    made: Float[Tensor, " made"],
) -> float | None:
    """How far a critic tells images it was trained on from others, -1 to 1: 0 not at all, 1 memorized.

    This is r_v of Karras 2020 (Training generative adversarial networks with limited data, equation 1):
    (E[D(training)] - E[D(held-out)]) / (E[D(training)] - E[D(made)]). At 1, held-out images score as made
    ones do. It does not depend on the critic's scale.

    Returns: None where there are fewer than two scores of a kind, where one is no number, and where training
    images do not score clearly above generated ones, so that the quotient would be noise.
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


_JUDGED = 64  # Images of each kind that the critic is asked about.
_JUDGED_EVERY = 2_000  # Images between two times at least: that is most of what the health watch costs.
_JUDGED_TIMES = 10  # In a shorter run that is at least so often, if there are as many grids.


def vital_signs(trainer: Trainer[Any, Any, Any], loader: Loader[Any], made: Samples) -> dict[str, float]:
    """How varied samples are beside real images, and how far the critic has learnt its images by heart.

    Args:
        trainer: the networks as they stand.
        loader: of the run.
        made: samples of them.

    Returns: ``health/spread``, and now and then ``health/overfitting``, where they can be told.
    """
    shown = to_float(made.fake).to(trainer.device)
    signs = {"health/spread": spread_ratio(shown, to_float(made.real[: len(shown)]).to(trainer.device))}
    if _due(trainer):
        signs["health/overfitting"] = _overfitting(trainer, loader, made, shown)
    return {name: value for name, value in signs.items() if value is not None}


def _due(trainer: Trainer[Any, Any, Any]) -> bool:
    train = trainer.recipe.train
    every = max(1, min(_JUDGED_EVERY, train.images // _JUDGED_TIMES))
    return trainer.images // every > (trainer.images - train.picture_every) // every


def _overfitting(
    trainer: Trainer[Any, Any, Any], loader: Loader[Any], made: Samples, shown: Images
) -> float | None:
    method = trainer.method
    held_out = next(loader.held_out_batches(_JUDGED, _JUDGED), None)
    if held_out is None:
        return None
    seen = loader.sample(_JUDGED)
    fake_prompt = method.prompt(made.batch)
    kinds = [(method.real_images(batch), method.prompt(batch)) for batch in (seen, held_out)]
    kinds.append((trainer.spec.to_network(shown), fake_prompt))
    scores = [score for kind in kinds if (score := trainer.critic_scores(*kind)) is not None]
    return overfitting(*scores) if len(scores) == len(kinds) else None
