"""What training sees, one NamedTuple for each kind of task; field names are column names of the data."""

from typing import NamedTuple

from gansmith.tensors import Images, Labels


class ImageBatch(NamedTuple):
    """Pictures alone, in [-1, 1]."""

    images: Images


class LabelledBatch(NamedTuple):
    """Pictures with a class each."""

    images: Images
    labels: Labels
