"""How images are brought into the form the networks train on."""

from dataclasses import dataclass

from gansmith.core.image_size import Box, Fit, Size
from gansmith.core.normalization import Scale
from gansmith.data.loading.augment import Augment
from gansmith.data.sources.pairs import PairKind
from gansmith.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How images are brought into the form the networks train on.

    Example:
        >>> DataConfig(size=Size(32, 32), mirror=True, label="age")
    """

    size: Size = Size(64, 64)
    channels: int | None = None  # None: 1 where every image is grey, else 3.
    source_channels: int | None = None  # Of the sources of pairs; None: as many as of the targets.
    fit: Fit = "crop"  # How another shape becomes this one: cut the centre, pad with the edge, or squeeze.
    box: Box | None = None  # Left, top, right, bottom: cut out of every image before.
    mirror: bool = False  # Half of the images flipped left to right.
    augment: Augment = Augment()  # What else chance does to training images.
    standardize: bool = False  # Mean 0 and variance 1 in each channel, instead of [-1, 1].
    scale: Scale | None = None  # Measured on the training images when a run with standardize begins.
    label: str | None = None  # The column of a table beside the images that is the class.
    pairs: PairKind | None = None  # How pairs are stored or made; None: it is seen how they are stored.
    between: tuple[str, str] | None = None  # The folders of sources and targets, where there are others.
    swap: bool = False  # Sources become targets and targets sources.
    domains: tuple[str, str] | None = None  # The two labels of a method that translates without pairs.
    second: str | None = None  # Where the second domain's images are, if not in the same data.
    classes: tuple[str, ...] = ()  # Names of the labels a method trains on; filled from the data.
    attributes: tuple[str, ...] = ()  # Attributes or classes trained on as such; filled: all attributes.
    landmarks: int = 0  # Points of an image, where a method trains on them; filled from the data.
    caption_length: int = 0  # Bytes of the longest caption, likewise.
    words: tuple[str, ...] = ()  # Of the captions, likewise.
    validation: float = 0.05  # Share of the images held out, never trained on.

    def __post_init__(self) -> None:
        if self.channels not in (None, 1, 3):
            raise SettingError(
                f"channels must be 1 (grey) or 3 (colour). Received: channels={self.channels}."
            )
        if self.source_channels not in (None, 1, 3):
            raise SettingError(
                "source_channels must be 1 (grey) or 3 (colour). "
                f"Received: source_channels={self.source_channels}."
            )
        if not 0.0 <= self.validation < 1.0:
            raise SettingError(f"validation is a share in [0, 1). Received: validation={self.validation}.")
