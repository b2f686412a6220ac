"""What training sees, one NamedTuple for each kind of task; field names are column names of the data."""

from typing import NamedTuple

from gansmith.core.tensors import Attributes, Captions, Images, Labels, Landmarks


class ImageBatch(NamedTuple):
    """Pictures alone, in [-1, 1]."""

    images: Images


class LabelledBatch(NamedTuple):
    """Pictures with a class each."""

    images: Images
    labels: Labels


class AttributeBatch(NamedTuple):
    """Pictures with attributes, each 0 or 1."""

    images: Images
    attributes: Attributes


class CaptionBatch(NamedTuple):
    """Pictures with a sentence each; `data.metadata.captions.to_texts` makes strings of the column."""

    images: Images
    captions: Captions


class LandmarkBatch(NamedTuple):
    """Pictures with points, x and y in pixels; NaN where a point is not known."""

    images: Images
    landmarks: Landmarks


class PairBatch(NamedTuple):
    """Pairs of pictures: what is given, and what shall become of it."""

    source: Images
    target: Images


class DomainBatch(NamedTuple):
    """Pictures of two domains that do not belong together row by row."""

    a: Images
    b: Images
