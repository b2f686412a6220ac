"""What training sees and what a generator is given: NamedTuples whose fields are columns of the data."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Attributes, Captions, Images, Labels, Landmarks


class ImageBatch(NamedTuple):
    """Images alone, in [-1, 1].

    Example:
        >>> ImageBatch(images=torch.zeros(16, 3, 64, 64))
    """

    images: Images


class LabelledBatch(NamedTuple):
    """Images, each with the number of its class.

    Example:
        >>> LabelledBatch(images=torch.zeros(2, 3, 64, 64), labels=torch.tensor([0, 7]))
    """

    images: Images
    labels: Labels


class AttributeBatch(NamedTuple):
    """Images with attributes, each 0 or 1.

    Example:
        >>> AttributeBatch(images=torch.zeros(1, 3, 64, 64), attributes=torch.tensor([[1, 0]]))
    """

    images: Images
    attributes: Attributes


class EditBatch(NamedTuple):
    """Images with their attributes, each 0 or 1, and those of other images, which are asked for.

    Example:
        >>> smiling = torch.tensor([[1], [0]])
        >>> EditBatch(torch.zeros(2, 3, 64, 64), attributes=smiling, other_attributes=1 - smiling)
    """

    images: Images
    attributes: Attributes
    other_attributes: Attributes


class CaptionBatch(NamedTuple):
    """Images, each with a caption as bytes, which `gansmith.data.metadata.captions.to_texts` decodes.

    Example:
        >>> CaptionBatch(images, captions)
    """

    images: Images
    captions: Captions


class LandmarkBatch(NamedTuple):
    """Images with points, x and y in pixels; NaN where a point is not known.

    Example:
        >>> LandmarkBatch(torch.zeros(1, 3, 64, 64), landmarks=torch.tensor([[[20.5, 24.0], [43.0, 24.5]]]))
    """

    images: Images
    landmarks: Landmarks


class PairBatch(NamedTuple):
    """Pairs of images: the source, and the target it is to be translated into.

    Example:
        >>> PairBatch(source=torch.zeros(4, 1, 64, 64), target=torch.zeros(4, 3, 64, 64))
    """

    source: Images
    target: Images


class HoleBatch(NamedTuple):
    """Images with holes, the images they were, and where the holes are (above 0).

    Example:
        >>> HoleBatch(source=images, target=images, mask=torch.full((4, 1, 64, 64), -1.0))
    """

    source: Images
    target: Images
    mask: Images


class AssociationBatch(NamedTuple):
    """Pairs of images, and for each a target that belongs to another source.

    Example:
        >>> AssociationBatch(*(torch.zeros(4, 3, 64, 64) for _ in range(3)))
    """

    source: Images
    target: Images
    other_target: Images


class PoseBatch(NamedTuple):
    """Pairs of images of one person, and the key points of the target, x and y in pixels.

    Example:
        >>> PoseBatch(torch.zeros(4, 3, 64, 64), torch.zeros(4, 3, 64, 64), torch.full((4, 5, 2), 32.0))
    """

    source: Images
    target: Images
    landmarks: Landmarks


class DomainBatch(NamedTuple):
    """Unpaired images of two domains: row i of ``a`` has nothing to do with row i of ``b``.

    Example:
        >>> DomainBatch(a=torch.zeros(4, 3, 64, 64), b=torch.zeros(4, 3, 64, 64))
    """

    a: Images
    b: Images


class LabelPrompt(NamedTuple):
    """The class of each image to generate.

    Example:
        >>> LabelPrompt(labels=torch.tensor([3, 3, 7]))
    """

    labels: Labels


class AttributePrompt(NamedTuple):
    """The attributes of each image to generate, each 0 or 1.

    Example:
        >>> AttributePrompt(attributes=torch.tensor([[1, 0], [0, 1]]))
    """

    attributes: Attributes


class CaptionPrompt(NamedTuple):
    """The caption of each image to generate, as bytes.

    Example:
        >>> CaptionPrompt(captions)
    """

    captions: Captions


class ImagePrompt(NamedTuple):
    """Images that are to be read and drawn again.

    Example:
        >>> ImagePrompt(images=torch.zeros(4, 3, 64, 64))
    """

    images: Images


class SourcePrompt(NamedTuple):
    """The source image that each result is translated from.

    Example:
        >>> SourcePrompt(source=torch.zeros(4, 1, 64, 64))
    """

    source: Images


class HolePrompt(NamedTuple):
    """The image whose hole is to be filled, and where that is: a mask of one channel, above 0 in the hole.

    Example:
        >>> HolePrompt(source=torch.zeros(4, 3, 64, 64), mask=torch.full((4, 1, 64, 64), -1.0))
    """

    source: Images
    mask: Images


class DomainPrompt(NamedTuple):
    """Images of the first domain, each to be translated into the second.

    Example:
        >>> DomainPrompt(a=torch.zeros(4, 3, 64, 64))
    """

    a: Images


class EditPrompt(NamedTuple):
    """Images to be changed, and the attributes each is to have, 0 or 1.

    Example:
        >>> EditPrompt(images=torch.zeros(4, 3, 64, 64), attributes=torch.ones(4, 2))
    """

    images: Images
    attributes: Attributes


class PosePrompt(NamedTuple):
    """Source images, and the key points each is to have in the result, x and y in pixels.

    Example:
        >>> PosePrompt(source=torch.zeros(4, 3, 64, 64), landmarks=torch.full((4, 5, 2), 32.0))
    """

    source: Images
    landmarks: Landmarks


IMAGE_COLUMNS = frozenset(("images", "source", "target", "other_target", "a", "b", "mask"))
"""Columns that hold images."""


def example_batch(kind: type[Any], spec: DataSpec, count: int) -> Any:
    """A batch of made-up data in the form that ``spec`` describes, for trials without a data set.

    Args:
        kind: a batch or prompt type.
        spec: sizes and names; classes, attributes, points and letters that it lacks are taken to be one.
        count: rows.

    Example:
        >>> example_batch(LabelledBatch, DataSpec(height=16, width=16), 4).labels
        tensor([0, 0, 0, 0])
    """
    make: Any = kind
    return make(*(_example(name, spec, count) for name in kind._fields))


def _example(name: str, spec: DataSpec, count: int) -> Tensor:
    if name == "labels":
        return torch.arange(count) % max(spec.classes, 1)
    if name in ("attributes", "other_attributes"):
        return torch.zeros(count, max(spec.attributes, 1), dtype=torch.uint8)
    if name == "captions":
        return torch.zeros(count, max(spec.caption_length, 1), dtype=torch.uint8)
    if name == "landmarks":
        return torch.rand(count, max(spec.landmarks, 1), 2) * min(spec.height, spec.width)
    shape = spec.source if name == "source" else (spec.channels, spec.height, spec.width)
    shape = (1, *shape[1:]) if name == "mask" else shape
    return torch.rand(count, *shape) * 2.0 - 1.0
