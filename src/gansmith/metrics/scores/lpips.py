"""How far two images are apart in the eyes of a network: LPIPS, or the features of any network."""

import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from gansmith.core.tensors import Images, Scores
from gansmith.errors import DataError, SettingError
from gansmith.metrics.features.base import FeatureNetwork, Outputs, check_pictures, fingerprint, start
from gansmith.metrics.features.vision import VGG16
from gansmith.metrics.features.weights import WeightsFile, open_weights

_PURPOSE = "LPIPS"
_LEAST_SIDE = 32
_WITHOUT = "Without it there are psnr and ssim, and ppl with the feature network pixels."
_BACKBONES: dict[str, WeightsFile] = {
    "alex": WeightsFile(
        "alexnet-owt-7be5be79.pth",
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        244,
        _PURPOSE,
        _WITHOUT,
    ),
    "vgg": WeightsFile(VGG16.name, VGG16.url, VGG16.sha256, VGG16.megabytes, _PURPOSE, _WITHOUT),
}


@runtime_checkable
class PictureDistance(Protocol):
    """A distance of images that sees differences smaller than one level of a byte.

    Example:
        >>> isinstance(FeatureDistance(open_pixels(torch.device("cpu"))), PictureDistance)
        True
    """

    @property
    def name(self) -> str:
        """What a note calls it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of everything the numbers depend on."""
        ...

    def __call__(self, first: Images, second: Images) -> Scores:
        """One number a pair, on the CPU, for images [n, 1 or 3, h, w] in [-1, 1]."""
        ...


@dataclass(frozen=True, eq=False)
class Lpips:
    """Learned perceptual distance (Zhang 2018, version 0.1), by the package of its authors.

    Differences of the features of five layers, each layer's unit vectors weighted by what people found alike.

    Example:
        >>> distance = open_lpips("alex")
        >>> distance(torch.zeros(2, 3, 64, 64), torch.zeros(2, 3, 64, 64))
        tensor([0., 0.])
    """

    backbone: str
    network: Any
    identity: str  # Of the weights.
    device: torch.device

    @property
    def name(self) -> str:
        """``lpips-alex`` or ``lpips-vgg``."""
        return f"lpips-{self.backbone}"

    @property
    def fingerprint(self) -> str:
        """Of the weights and the versions."""
        packages = {package: version(package) for package in ("torch", "lpips")}
        return fingerprint({"distance": self.name, "weights": self.identity, **packages})

    def __call__(self, first: Images, second: Images) -> Scores:
        """One number a pair, 0 for equal images; float32 on the CPU.

        Raises:
            DataError: no images, other channels, or sides below 32 pixels.
        """
        check_pictures(first)
        if min(first.shape[2:]) < _LEAST_SIDE:
            size = f"{first.shape[3]}x{first.shape[2]}"
            raise DataError(
                f"LPIPS needs pictures of {_LEAST_SIDE} pixels or more a side. Received: {size}. "
                "For smaller pictures use ssim and psnr."
            )
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.no_grad(), exact:
            found: Tensor = self.network(
                *(part.to(self.device).expand(-1, 3, -1, -1) for part in (first, second))
            )
        return found.flatten().cpu()


def open_lpips(
    backbone: str = "alex", *, weights: Path | str | None = None, device: torch.device | str = "cpu"
) -> Lpips:
    """LPIPS, its weights loaded.

    Args:
        backbone: ``alex``, with which pairs are usually compared, or ``vgg``, for perceptual path length.
        weights: the file of torchvision's backbone; None: torch's cache, fetched to there where it is
            missing; ``random:SEED`` for tests. The weights of the layers come with the package.
        device: where it runs.

    Raises:
        SettingError: an unknown backbone.
        MissingPackageError: lpips is not installed.
        DataError: the weights are not there, damaged or others.
    """
    if backbone not in _BACKBONES:
        raise SettingError(f"The backbone of LPIPS is alex or vgg. Received: {backbone!r}.")
    package = start("lpips", "lpips", _PURPOSE)
    chosen = open_weights(_BACKBONES[backbone], weights)
    with warnings.catch_warnings():  # Of names torchvision wants to change.
        warnings.simplefilter("ignore")
        network = package.LPIPS(net=backbone, pnet_rand=True, verbose=False)
    if chosen.tensors is None:
        chosen.into(network.net)
    else:
        _fill(network.net, chosen.tensors)
    where = torch.device(device)
    return Lpips(backbone, network.to(where).eval().requires_grad_(False), chosen.identity, where)


def _fill(network: Any, tensors: Any) -> None:
    """The package cuts torchvision's layers into slices and keeps their numbers: slice2.3 is features.3."""
    names = {name: f"features.{name.partition('.')[2]}" for name in network.state_dict()}
    try:
        network.load_state_dict({name: tensors[theirs] for name, theirs in names.items()})
    except (KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise DataError(f"These weights belong to another network: {reason}") from error


@runtime_checkable
class SmoothNetwork(FeatureNetwork, Protocol):
    """A feature network that can be shown unrounded images: inception, dino, clip, vgg, pixels.

    Example:
        >>> isinstance(open_pixels(torch.device("cpu")), SmoothNetwork)
        True
    """

    def unrounded(self, images: Images) -> Outputs:
        """The features of images [n, 1 or 3, h, w] in [-1, 1]."""
        ...


@dataclass(frozen=True, eq=False)
class FeatureDistance:
    """The squared distance of the features of two images.

    Raises:
        SettingError: the network sees whole levels only, and small differences not at all.

    Example:
        >>> distance = FeatureDistance(open_pixels(torch.device("cpu")))
        >>> distance(torch.zeros(2, 3, 64, 64), torch.zeros(2, 3, 64, 64))
        tensor([0., 0.])
    """

    network: FeatureNetwork

    def __post_init__(self) -> None:
        if not isinstance(self.network, SmoothNetwork):
            raise SettingError(
                "Small differences of pictures are measured by a network that can be shown unrounded "
                f"pictures: inception, dino, clip, vgg or pixels. Received: {self.network.name}."
            )

    @property
    def name(self) -> str:
        """The network's."""
        return self.network.name

    @property
    def fingerprint(self) -> str:
        """The network's."""
        return self.network.fingerprint

    def __call__(self, first: Images, second: Images) -> Scores:
        """One number a pair, float32 on the CPU; DataError as the network."""
        assert isinstance(self.network, SmoothNetwork)
        features = (self.network.unrounded(part).features for part in (first, second))
        return (next(features) - next(features)).square().sum(1)
