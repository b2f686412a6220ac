"""A recipe is one experiment as a value: a method, how pictures come in, and the training numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gansmith.config.optimizers import Optimizer
from gansmith.core.image_size import Box, Fit, Size
from gansmith.core.normalization import Scale
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.loading.augment import Augment
from gansmith.data.sources.pairs import PairKind
from gansmith.errors import SettingError, at_least, nearest
from gansmith.methods.base import Method

Precision = Literal["auto", "float32", "bfloat16"]
Layout = Literal["auto", "channels_last", "contiguous"]
Compile = Literal["auto", "off", "on", "graphs"]


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How pictures are brought into the form the networks train on."""

    size: Size = Size(64, 64)
    channels: int | None = None  # None: 1 where every picture is grey, else 3.
    fit: Fit = "crop"  # How another shape becomes this one: cut the centre, pad with the edge, or squeeze.
    box: Box | None = None  # Left, top, right, bottom: cut out of every picture before.
    mirror: bool = False  # Half of the pictures flipped left to right.
    augment: Augment = Augment()  # What else chance does to training pictures.
    standardize: bool = False  # Mean 0 and variance 1 in each channel, instead of [-1, 1].
    scale: Scale | None = None  # Measured on the training pictures when a run with standardize begins.
    label: str | None = None  # The column of a table beside the pictures that is the class.
    pairs: PairKind | None = None  # How pairs are stored, for methods that need pairs; None: it is seen.
    between: tuple[str, str] | None = None  # The folders of sources and targets, where there are others.
    swap: bool = False  # Sources become targets and targets sources.
    domains: tuple[str, str] | None = None  # The two labels of a method that translates without pairs.
    classes: tuple[str, ...] = ()  # Names of the labels a method trains on; filled from the data.
    attributes: tuple[str, ...] = ()  # Likewise, of attributes.
    landmarks: int = 0  # Points of an image, where a method trains on them; filled from the data.
    caption_length: int = 0  # Bytes of the longest caption, likewise.
    validation: float = 0.05  # Share of the pictures held out, never trained on.

    def __post_init__(self) -> None:
        if self.channels not in (None, 1, 3):
            raise SettingError(
                f"channels must be 1 (grey) or 3 (colour). Received: channels={self.channels}."
            )
        if not 0.0 <= self.validation < 1.0:
            raise SettingError(f"validation is a share in [0, 1). Received: validation={self.validation}.")


@dataclass(frozen=True, kw_only=True)
class Average:
    """The moving average of weights that pictures are made with, its half-life counted in images.

    The half-life grows with the run, ``rampup`` x images seen, between ``floor`` and ``half_life``:
    early weights are forgotten early (Karras 2020; R3GAN's burn-in is the same idea).
    """

    half_life: float = 4000.0  # In images.
    rampup: float = 0.05
    floor: float = 500.0  # In images.

    def decay(self, progress: Progress) -> float:
        """The weight of the old average after one more step."""
        half_life = min(self.half_life, max(self.floor, self.rampup * progress.images))
        return float(0.5 ** (progress.batch / half_life)) if half_life > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Evaluation while the run goes on; the checkpoint that is best by the first metric is kept."""

    every: int = 0  # In images seen; 0: never.
    metrics: str = "fid,kid,pr"
    features: str = "inception"  # See `gansmith evaluate --help`.
    samples: int = 2_000

    def __post_init__(self) -> None:
        at_least(self, 0, "every", prefix="train.evaluate.")
        at_least(self, 2, "samples", prefix="train.evaluate.")


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How the machine is used: speed and rounding, not the experiment, so it may change on resume."""

    micro_batch: int | None = None  # Pictures a process works on at a time; None: as many as fit.
    layout: Layout = "auto"  # Of pictures in memory; auto: channels_last, but on Apple's GPUs.
    tf32: bool | None = None  # Ten-bit products on NVIDIA's GPUs; None: wherever precision is bfloat16.
    keep_memory: bool = True  # Tensors reuse what earlier ones gave back: on Linux, for a processor's work.
    compile: Compile = "auto"  # torch.compile of the networks; graphs: with CUDA graphs; auto: off.
    shared_batch_norm: bool = True  # With several processes: statistics over the whole batch.

    def __post_init__(self) -> None:
        if self.micro_batch is not None:
            at_least(self, 1, "micro_batch", prefix="train.engine.")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The numbers of the training loop. Everything that has a length is counted in images seen."""

    images: int = 200_000
    batch: int = 64
    seed: int = 0
    average: Average | None = Average()  # None: pictures come from the weights of the last step.
    averaged: tuple[str, ...] = ("generator",)  # Networks of the bundle that are averaged.
    precision: Precision = "auto"  # bfloat16 where the machine has it in hardware, else float32.
    log_every: int = 640
    picture_every: int = 5_000
    checkpoint_every: int = 10_000
    keep_checkpoints: int = 3
    evaluate: EvaluateConfig = EvaluateConfig()
    engine: EngineConfig = EngineConfig()

    def __post_init__(self) -> None:
        at_least(self, 1, "images", "batch", "keep_checkpoints", prefix="train.")
        at_least(self, 1, "log_every", "picture_every", "checkpoint_every", prefix="train.")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One experiment. ``optimizers`` has one entry for each player of the method."""

    name: str
    method: Method[Any, Any, Any]
    optimizers: Mapping[str, Optimizer]
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    borrow: Mapping[str, str] = field(default_factory=dict)  # Network name -> the run it is taken from.
    about: str = ""

    def __post_init__(self) -> None:
        players = self.method.players()
        for player in players:
            if player not in self.optimizers:
                raise SettingError(f"Every player needs an optimizer. Missing: optimizers.{player}.")
        for player in self.optimizers:
            if player not in players:
                raise SettingError(f"There is no player '{player}'.{nearest(player, players)}")

    def spec(self) -> DataSpec:
        """What the networks are built for; ``data.channels`` must be known by now."""
        channels = 3 if self.data.channels is None else self.data.channels
        size = self.data.size
        return DataSpec(
            height=size.height,
            width=size.width,
            channels=channels,
            scale=self.data.scale,
            class_names=self.data.classes,
            attribute_names=self.data.attributes,
            landmarks=self.data.landmarks,
            caption_length=self.data.caption_length,
        )

    def progress(self, images: int, data_images: int) -> Progress:
        """The position after ``images`` images."""
        return Progress(
            images=images, total_images=self.train.images, batch=self.train.batch, data_images=data_images
        )
