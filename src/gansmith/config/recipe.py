"""A recipe is one experiment as a value: a method, how images come in, and the training numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gansmith.config.optimizers import Optimizer
from gansmith.config.training import TrainConfig
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.config import DataConfig
from gansmith.data.sources.made_pairs import shrink_of
from gansmith.errors import SettingError, nearest
from gansmith.methods.base import Method


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One experiment. ``optimizers`` has one entry for each player of the method.

    Example:
        >>> optimizers = {"discriminator": Adam(), "generator": Adam(lr=1e-4)}
        >>> recipe = Recipe(name="mine", method=DCGAN(), optimizers=optimizers)
        >>> replace(recipe, train=TrainConfig(images=500_000, batch=32))
    """

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
            words=self.data.words,
            source_channels=self.data.source_channels or 0,
            source_shrink=shrink_of(self.data.pairs),
        )

    def progress(self, images: int, data_images: int) -> Progress:
        """The position after ``images`` images."""
        return Progress(
            images=images, total_images=self.train.images, batch=self.train.batch, data_images=data_images
        )
