"""What training sees and what a generator is given: NamedTuples whose fields are columns of the data."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Attributes, Captions, Images, Labels, Landmarks


class ImageBatch(NamedTuple):
    """Images alone, in [-1, 1]."""

    images: Images


class LabelledBatch(NamedTuple):
    """Images with a class each."""

    images: Images
    labels: Labels


class AttributeBatch(NamedTuple):
    """Images with attributes, each 0 or 1."""

    images: Images
    attributes: Attributes


class CaptionBatch(NamedTuple):
    """Images with a sentence each; `gansmith.data.metadata.captions.to_texts` makes strings of the column."""

    images: Images
    captions: Captions


class LandmarkBatch(NamedTuple):
    """Images with points, x and y in pixels; NaN where a point is not known."""

    images: Images
    landmarks: Landmarks


class PairBatch(NamedTuple):
    """Pairs of images: what is given, and what shall become of it."""

    source: Images
    target: Images


class DomainBatch(NamedTuple):
    """Images of two domains that do not belong together row by row."""

    a: Images
    b: Images


class LabelPrompt(NamedTuple):
    """The class of each image wanted."""

    labels: Labels


class AttributePrompt(NamedTuple):
    """The attributes of each image wanted, each 0 or 1."""

    attributes: Attributes


class CaptionPrompt(NamedTuple):
    """A sentence for each image wanted."""

    captions: Captions


class SourcePrompt(NamedTuple):
    """The image that each result is made of."""

    source: Images


class DomainPrompt(NamedTuple):
    """An image of the first domain, to become one of the second."""

    a: Images


IMAGE_COLUMNS = frozenset(("images", "source", "target", "a", "b", "mask"))
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
    if name == "attributes":
        return torch.zeros(count, max(spec.attributes, 1), dtype=torch.uint8)
    if name == "captions":
        return torch.zeros(count, max(spec.caption_length, 1), dtype=torch.uint8)
    if name == "landmarks":
        return torch.rand(count, max(spec.landmarks, 1), 2) * min(spec.height, spec.width)
    shape = spec.source if name == "source" else (spec.channels, spec.height, spec.width)
    return torch.rand(count, *shape) * 2.0 - 1.0
