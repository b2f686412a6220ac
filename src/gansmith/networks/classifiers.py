"""Small networks that tell what an image shows, as values a recipe can choose from."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, full
from gansmith.errors import SettingError, at_least
from gansmith.losses.classification import Logits


@runtime_checkable
class ClassifierNetwork(Protocol):
    """Which network a classifier is; ``--set method.network=Pooled`` picks one.

    Example:
        >>> network = Strided(width=16).build(DataSpec(height=32, width=32), outputs=10)
        >>> logits = network(images)
    """

    def build(self, spec: DataSpec, outputs: int) -> nn.Module:
        """Images to logits, [batch, outputs]."""
        ...

    def tiny(self) -> "ClassifierNetwork":
        """The same as narrow as it goes."""
        ...


@dataclass(frozen=True, kw_only=True)
class Strided:
    """Three convolutions of stride 2 with batch norm, the mean over a grid of 2 x 2, and one linear layer.

    Args:
        width: channels of the first; doubled at the others.

    Example:
        >>> Strided(width=32).build(spec, outputs=10)
    """

    width: int = 32

    def __post_init__(self) -> None:
        at_least(self, 1, "width", prefix="method.network.")

    def build(self, spec: DataSpec, outputs: int) -> nn.Module:
        """Images of any size from 8 px on to logits."""
        return Full(strided(spec.channels, outputs, self.width))

    def tiny(self) -> "Strided":
        """Four channels."""
        return Strided(width=4)


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """Two convolutions of 5 x 5, each with a maximum over 2 x 2, and two linear layers, without any norm.

    With the widths as they are it is the network of Madry et al. (2018) on MNIST: 3,274,634 parameters.

    Args:
        width: channels of the first convolution; doubled at the second.
        hidden: numbers between the linear layers.

    Example:
        >>> Pooled().build(DataSpec(height=28, width=28, channels=1), outputs=10)
    """

    width: int = 32
    hidden: int = 1024

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "hidden", prefix="method.network.")

    def build(self, spec: DataSpec, outputs: int) -> nn.Module:
        """Images of the size of ``spec`` to logits."""
        grid = (spec.height // 4) * (spec.width // 4)
        _check(spec, grid)
        layers: list[nn.Module] = []
        channels = spec.channels
        for width in (self.width, 2 * self.width):
            layers += [nn.Conv2d(channels, width, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
            channels = width
        return Full(nn.Sequential(*layers, *_head(channels * grid, self.hidden, outputs)))

    def tiny(self) -> "Pooled":
        """Four channels."""
        return Pooled(width=4, hidden=8)


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Two convolutions of 4 x 4 and stride 2 and two linear layers, without any norm: as cheap as it gets.

    With the widths as they are it is the network that Wong, Rice and Kolter (2020) train fast on MNIST:
    166,406 parameters.

    Args:
        width: channels of the first convolution; doubled at the second.
        hidden: numbers between the linear layers.

    Example:
        >>> Plain().build(DataSpec(height=28, width=28, channels=1), outputs=10)
    """

    width: int = 16
    hidden: int = 100

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "hidden", prefix="method.network.")

    def build(self, spec: DataSpec, outputs: int) -> nn.Module:
        """Images of the size of ``spec`` to logits."""
        grid = (spec.height // 4) * (spec.width // 4)
        _check(spec, grid)
        layers: list[nn.Module] = []
        channels = spec.channels
        for width in (self.width, 2 * self.width):
            layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.ReLU()]
            channels = width
        return Full(nn.Sequential(*layers, *_head(channels * grid, self.hidden, outputs)))

    def tiny(self) -> "Plain":
        """Four channels."""
        return Plain(width=4, hidden=8)


class Full(nn.Module):
    """Layers whose answers are float32, whatever precision they are computed in.

    Example:
        >>> Full(nn.Linear(4, 2))(numbers).dtype
        torch.float32
    """

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, images: Images) -> Logits:
        logits: Logits = full(self.layers(images))
        return logits


def strided(channels: int, outputs: int, width: int = 32) -> nn.Sequential:
    """The layers of ``Strided``."""
    layers: list[nn.Module] = []
    for channels_out in (width, 2 * width, 4 * width):
        convolution = nn.Conv2d(channels, channels_out, 3, 2, 1, bias=False)
        layers += [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]
        channels = channels_out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, outputs))


def _head(inputs: int, hidden: int, outputs: int) -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs)]


def _check(spec: DataSpec, grid: int) -> None:
    if grid < 1:
        raise SettingError(
            f"This network needs pictures of 4 px a side at least. Received: {spec.width}x{spec.height}."
        )
