"""What networks must know of the data before they can be built: sizes, and the names of its columns."""

from dataclasses import dataclass

from gansmith.core.normalization import Scale
from gansmith.core.tensors import Images


@dataclass(frozen=True)
class DataSpec:
    """The form of the data a network is built for.

    It is filled from the data set when a run begins and written into the run's recipe, so a checkpoint alone
    knows how many classes there are and what they are called. Names are filled for the columns a method
    trains on and empty for all others.

    Example:
        >>> spec = DataSpec(height=64, width=64, class_names=("cat", "dog"))
        >>> spec.classes
        2
    """

    height: int
    width: int
    channels: int = 3
    scale: Scale | None = None  # What networks see is (image - mean) / std; None: images in [-1, 1].
    class_names: tuple[str, ...] = ()  # Of label 0, 1, ...
    attribute_names: tuple[str, ...] = ()  # Of the columns of ``attributes``.
    landmarks: int = 0  # Points in each image.
    caption_length: int = 0  # Bytes of the longest caption.
    words: tuple[str, ...] = ()  # Of the captions, those that come twice or more, the most frequent first.
    source_channels: int = 0  # Of images that others are made of; 0: as many as the results have.
    source_shrink: int = 1  # How many times smaller their sides are.

    @property
    def classes(self) -> int:
        """Number of classes; 0 where the method trains on no labels."""
        return len(self.class_names)

    @property
    def attributes(self) -> int:
        """Number of attributes; 0 where the method trains on none."""
        return len(self.attribute_names)

    @property
    def source(self) -> tuple[int, int, int]:
        """(channels, height, width) of the images that results are made of."""
        channels = self.source_channels or self.channels
        return channels, self.height // self.source_shrink, self.width // self.source_shrink

    def to_network(self, images: Images) -> Images:
        """Images in [-1, 1], such as tanh gives -> the range networks see. A generator ends with it."""
        return images if self.scale is None else self.scale.to_network(images)

    def to_pictures(self, images: Images) -> Images:
        """What a generator made -> images in [-1, 1]."""
        return images if self.scale is None else self.scale.to_picture(images)


ImageSpec = DataSpec
"""The name of ``DataSpec`` in version 0.1."""
