"""Whether images are in the pose that was asked for, in the eyes of a network that reads key points."""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from gansmith.core.tensors import Landmarks, Scalar
from gansmith.errors import DataError
from gansmith.metrics.image_sets import PictureSet
from gansmith.metrics.math.intervals import Result, Value, mean_value, sentences
from gansmith.metrics.scores.fitting import fit_judge, says
from gansmith.metrics.scores.obedience import KnownPictures

POINTS = "landmarks"
"""The column of key points, x and y in pixels, NaN where one is not known."""

_POOR = 0.5  # Of the error of a pose that never changes: beyond that the reader is no judge.


def pose_error(
    fake: PictureSet,
    asked: Landmarks,
    parts: tuple[KnownPictures, KnownPictures],
    *,
    sources: PictureSet | None = None,
    seed: int = 0,
) -> Result:
    """How far key points that are read off generated images are from those asked for; less is better.

    They are read by a small convolutional network, trained with the squared distance on the training images
    and their own points, on one thread, so that it is the same each time. The note says how far it is off on
    held-out images, which is as low as an image can come.

    Args:
        fake: generated images.
        asked: what each was asked for, [n, points, 2].
        parts: the training images and the held-out images, with ``landmarks``, all of one size.
        sources: what each generated image was made of.
        seed: of the network.

    Returns: ``pose_error``, the mean distance as a share of the width of an image; with sources
        ``pose_error_copy``, too: that of the sources, left as they are.

    Raises:
        DataError: the data have no key points, or no image was asked for one.

    Example:
        >>> found = pose_error(made, points, (training, held_out), sources=photos)
        >>> found["pose_error"].value, found["pose_error_copy"].value
        (0.021, 0.054)
    """
    truths = [part.columns((POINTS,)).get(POINTS) for part in parts]
    if truths[0] is None or truths[1] is None or not bool(_known(truths[0]).any()):
        raise DataError(
            f"pose_error needs data with key points. Received: {parts[0].name}, which has none. Give the "
            "data the run was trained on."
        )
    asked, learnt, checked = (points.cpu().float() for points in (asked, truths[0], truths[1]))
    if not bool(_known(asked).any()):
        raise DataError("pose_error needs images that were asked for a key point. Received: none.")
    width = fake.some(0, 1).shape[3]
    reader = _Reader.of(parts[0], learnt, seed)
    own, still = (
        float(_distances(points, checked, width).mean())
        for points in (reader.points(parts[1]), reader.middle.expand_as(checked))
    )
    note = sentences(
        f"Points of held-out images are read {own:.4f} off; always the mean pose would be {still:.4f} off.",
        "The reader is a poor judge; believe small differences little." if own > _POOR * still else "",
    )
    found = {"pose_error": _mean(reader.points(fake), asked, width, note)}
    if sources is None:
        return found
    return found | {"pose_error_copy": _mean(reader.points(sources), asked, width)}


@dataclass(frozen=True, eq=False)
class _Reader:
    """A network that says how far, in units of ``scale``, each point is from where it is on average."""

    network: nn.Module
    middle: Tensor  # Of each point over the training images, [points, 2].
    scale: Tensor

    @classmethod
    def of(cls, part: KnownPictures, truth: Tensor, seed: int) -> "_Reader":
        known = _known(truth)[:, :, None]
        plain = truth.nan_to_num()
        middle = (plain * known).sum(dim=0) / known.sum(dim=0).clamp(min=1)
        away = (plain - middle) * known
        scale = (away.square().sum() / (2 * known.sum())).sqrt().clamp(min=1e-3)
        wanted = (away / scale).flatten(1)
        there = known.expand_as(truth).flatten(1).to(wanted.dtype)

        def loss(said: Tensor, rows: Tensor) -> Scalar:
            error = (said - wanted[rows]).square() * there[rows]
            return error.sum() / there[rows].sum().clamp(min=1.0)

        words = "Training the network that reads key points"
        return cls(fit_judge(part, wanted.shape[1], loss, seed, words), middle, scale)

    def points(self, pictures: PictureSet) -> Tensor:
        """What it reads off images, [n, points, 2], in pixels."""
        return self.middle + self.scale * says(self.network, pictures).view(-1, *self.middle.shape)


def _known(points: Tensor) -> Tensor:
    """Which points are known, bool [n, points]."""
    return ~points.isnan().any(dim=2)


def _distances(found: Tensor, truth: Tensor, width: int) -> Tensor:
    """The mean distance of the known points of each image that has any, in widths."""
    known = _known(truth)
    far = (found - truth.nan_to_num()).square().sum(dim=2).sqrt() * known
    some = known.any(dim=1)
    return (far.sum(dim=1)[some] / known.sum(dim=1)[some] / width).double()


def _mean(found: Tensor, truth: Tensor, width: int, note: str = "") -> Value:
    value = mean_value(_distances(found, truth, width))
    return replace(value, note=sentences(value.note, note))
