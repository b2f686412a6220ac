"""Frozen networks a loss looks through: what makes two images alike where their pixels differ."""

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, full
from gansmith.errors import DataError, SettingError, at_least
from gansmith.networks.classifiers import strided

_PUBLISHED = "dcbb9e9d"  # How the sha256 of torchvision's vgg19-dcbb9e9d.pth begins.
_WIDTHS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # Channels and convolutions between poolings.
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@runtime_checkable
class Features(Protocol):
    """Which network a loss looks through; ``--set method.features=VGG19`` picks one.

    Example:
        >>> look = Classified().network(DataSpec(height=64, width=64))
        >>> look(images).shape
        torch.Size([4, 64, 16, 16])
    """

    def network(self, spec: DataSpec) -> nn.Module:
        """Images in the networks' range -> features [batch, channels, height, width]."""
        ...

    def tiny(self) -> "Features":
        """The same as narrow as it goes."""
        ...


@dataclass(frozen=True, kw_only=True)
class Classified:
    """The first convolutions of gansmith's own classifier, which needs no download.

    Its weights are borrowed from a run: ``--set borrow.features=runs/gender:classifier``. Without them the
    network is as it was initialized, by the run's seed.

    Args:
        width: of the classifier (``method.network.width``).
        outputs: classes or attributes that it tells.
        layers: convolutions that are looked through, each of stride 2: 1 to 3.

    Example:
        >>> Classified(width=32, outputs=2)
    """

    width: int = 32
    outputs: int = 2
    layers: int = 2

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "outputs", "layers", prefix="method.features.")
        if self.layers > 3:
            raise SettingError(f"That classifier has 3 convolutions. Received: layers={self.layers}.")

    def network(self, spec: DataSpec) -> nn.Module:
        return _Classified(strided(spec.channels, self.outputs, self.width), 3 * self.layers)

    def tiny(self) -> "Classified":
        return Classified(width=4, outputs=self.outputs, layers=self.layers)


@dataclass(frozen=True, kw_only=True)
class VGG19:
    """VGG-19 (Simonyan 2015) with the weights of torchvision, as the paper on SRGAN has it.

    Args:
        file: ``vgg19-dcbb9e9d.pth``, which is not part of this package.
        layer: the last one, by torchvision's count: 35 is the rectified last convolution (VGG54), 8 is VGG22.

    Example:
        >>> VGG19(file="vgg19-dcbb9e9d.pth", layer=8)
    """

    file: str = "vgg19-dcbb9e9d.pth"
    layer: int = 35

    def __post_init__(self) -> None:
        if not 0 <= self.layer <= 36:
            raise SettingError(f"VGG-19 has the layers 0 to 36. Received: layer={self.layer}.")

    def network(self, spec: DataSpec) -> nn.Module:
        """Raises DataError where the file is not there or another one."""
        if spec.scale is not None:
            raise SettingError(
                "VGG-19 is shown images in [-1, 1]. Received: data.standardize=true. Leave it out."
            )
        network = vgg19(self.layer)
        tensors = _published(Path(self.file).expanduser())
        network.load_state_dict({name: tensors[name] for name in network.state_dict()})
        return network

    def tiny(self) -> Features:
        """One that needs no file."""
        return Classified(width=4)


def vgg19(layer: int) -> nn.Module:
    """VGG-19 up to a layer, with torchvision's names of weights; images in [-1, 1] are scaled for it.

    Example:
        >>> vgg19(35)(torch.zeros(1, 3, 96, 96)).shape
        torch.Size([1, 512, 6, 6])
    """
    layers: list[nn.Module] = []
    channels = 3
    for width, count in _WIDTHS:
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return _VGG(nn.Sequential(*layers[: layer + 1]))


class _Classified(nn.Module):
    """A classifier of which only the first layers are gone through; its names are the classifier's."""

    def __init__(self, layers: nn.Sequential, looked_through: int) -> None:
        super().__init__()
        self.layers, self._looked_through = layers, looked_through

    def forward(self, images: Images) -> Tensor:
        features: Tensor = images
        for layer in list(self.layers)[: self._looked_through]:
            features = layer(features)
        return full(features)


class _VGG(nn.Module):
    def __init__(self, features: nn.Sequential) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Images) -> Tensor:
        mean, spread = (images.new_tensor(part)[:, None, None] for part in (_MEAN, _SPREAD))
        seen: Tensor = self.features(((images + 1.0) / 2.0 - mean) / spread)
        return full(seen)


def _published(path: Path) -> dict[str, Any]:
    rule = "VGG-19's weights are torchvision's vgg19-dcbb9e9d.pth (method.features.file)."
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(_PUBLISHED):
            raise DataError(
                f"{rule} Received: {path}, another file. Fetch it from download.pytorch.org/models."
            )
        tensors: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{rule} Received: {path} ({error.strerror}).") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise DataError(f"{rule} Received: {path}, which is damaged.") from error
    return tensors
