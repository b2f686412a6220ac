"""Residual networks: generators that double the size block by block, and critics that halve it."""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.errors import SettingError
from gansmith.networks.conv import DoubledConv
from gansmith.networks.norm import Norm, norm_layer
from gansmith.networks.resolution import resolution_steps
from gansmith.networks.spectral import spectral_norm


def residual_widths(width: int, max_channels: int, num_upsamplings: int) -> list[int]:
    """Channels from full size down to the base grid."""
    return [min(width * 2**i, max_channels) for i in range(num_upsamplings + 1)]


class UpBlock(nn.Module):
    """Batch norm, ReLU, nearest upsampling, two 3x3 convolutions, and a 1x1 short cut.

    Example:
        >>> UpBlock(128, 64)(torch.randn(2, 128, 8, 8)).shape
        torch.Size([2, 64, 16, 16])
    """

    def __init__(self, channels: int, wanted: int, norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(channels), norm(wanted)
        self.conv1 = DoubledConv(channels, wanted)
        self.conv2 = nn.Conv2d(wanted, wanted, 3, 1, 1)
        self.skip = nn.Conv2d(channels, wanted, 1)

    def forward(self, features: Tensor, *condition: Tensor) -> Tensor:
        inner = self.conv1(F.relu(self.norm1(features, *condition)))
        inner = self.conv2(F.relu(self.norm2(inner, *condition)))
        # A 1x1 convolution and nearest upsampling commute; the small grid is the cheap place for it.
        skip = F.interpolate(self.skip(features), scale_factor=2, mode="nearest")
        return torch.add(inner, skip)


class DownBlock(nn.Module):
    """Optional norm, ReLU, two 3x3 convolutions, mean pooling, and a 1x1 short cut.

    Example:
        >>> DownBlock(64, 128, norm="layer")(torch.randn(2, 64, 16, 16)).shape
        torch.Size([2, 128, 8, 8])
    """

    def __init__(self, channels: int, wanted: int, norm: Norm) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm_layer(norm, channels), norm_layer(norm, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv2 = nn.Conv2d(channels, wanted, 3, 1, 1)
        self.skip = nn.Conv2d(channels, wanted, 1)

    def forward(self, features: Tensor) -> Tensor:
        inner = self.conv1(F.relu(self.norm1(features)))
        inner = F.avg_pool2d(self.conv2(F.relu(self.norm2(inner))), 2)
        skip: Tensor = self.skip(F.avg_pool2d(features, 2))
        return inner + skip


class ResidualGenerator(nn.Module):
    """Latents -> images by residual blocks that double the size (Gulrajani 2017, appendix F).

    Example:
        >>> generator = ResidualGenerator(DataSpec(height=32, width=32), 128, width=32, max_channels=256)
        >>> generator(torch.randn(2, 128)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, spec: DataSpec, latent: int, width: int, max_channels: int) -> None:
        super().__init__()
        height, base_width, num_upsamplings = resolution_steps(spec.height, spec.width)
        widths = residual_widths(width, max_channels, num_upsamplings)[::-1]
        self.base, self._spec = (widths[0], height, base_width), spec
        self.stem = nn.Linear(latent, widths[0] * height * base_width)
        blocks = [UpBlock(wide, narrow) for wide, narrow in pairwise(widths)]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.last = nn.Conv2d(widths[-1], spec.channels, 3, 1, 1)
        initialize_residual(self)

    def forward(self, latents: Latents) -> Images:
        features = self.blocks(self.stem(latents).view(-1, *self.base))
        images: Tensor = self.last(F.relu(self.norm(features)))
        return self._spec.to_network(full(images).tanh())


class ResidualCritic(nn.Module):
    """Images -> scores by residual blocks that halve the size (Gulrajani 2017, appendix F).

    Example:
        >>> critic = ResidualCritic(DataSpec(height=32, width=32), width=32, max_channels=256, norm="layer")
        >>> critic(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2])
    """

    def __init__(self, spec: DataSpec, width: int, max_channels: int, norm: Norm) -> None:
        super().__init__()
        height, base_width, num_upsamplings = resolution_steps(spec.height, spec.width)
        widths = residual_widths(width, max_channels, num_upsamplings)
        self.first = nn.Conv2d(spec.channels, widths[0], 3, 1, 1)
        blocks = [DownBlock(narrow, wide, norm) for narrow, wide in pairwise(widths)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(widths[-1] * height * base_width, 1)
        initialize_residual(self)

    def forward(self, images: Images) -> Scores:
        features = self.blocks(self.first(images)).flatten(1)
        scores: Tensor = full(self.head(features))
        return scores[:, 0]


def initialize_residual(network: nn.Module, *, glorot: bool = False) -> None:
    """He initialization where a ReLU follows in effect, Glorot's for short cuts and heads; biases 0.

    Args:
        network: anything made of this file's blocks.
        glorot: Glorot's, sqrt(2) times as large, instead of He's (Miyato 2018). The two differ only where a
            convolution changes the number of channels.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if name.endswith(("skip", "first", "last", "head", "stem")):
                nn.init.xavier_uniform_(module.weight)
            elif glorot:
                nn.init.xavier_uniform_(module.weight, gain=2**0.5)
            else:
                nn.init.kaiming_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class SpectralBlock(nn.Module):
    """ReLU, two 3x3 convolutions, mean pooling if ``halves`` (Miyato 2018, appendix B; the authors' code).

    Args:
        channels: in; also those between the two convolutions, but in the first block.
        wanted: out.
        halves: whether the size is halved.
        first: no activation before the first convolution, which sees an image.
        wide: whether there are as many channels between the two convolutions as behind them (Brock 2019).

    Example:
        >>> SpectralBlock(64, 128, halves=True)(torch.randn(2, 64, 16, 16)).shape
        torch.Size([2, 128, 8, 8])
    """

    def __init__(
        self, channels: int, wanted: int, *, halves: bool, first: bool = False, wide: bool = False
    ) -> None:
        super().__init__()
        hidden = wanted if first or wide else channels
        self.halves, self.first = halves, first
        self.conv1 = nn.Conv2d(channels, hidden, 3, 1, 1)
        self.conv2 = nn.Conv2d(hidden, wanted, 3, 1, 1)
        learnt = halves or channels != wanted
        self.skip = nn.Conv2d(channels, wanted, 1) if learnt else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        inner = self.conv2(F.relu(self.conv1(features if self.first else F.relu(features))))
        if not self.halves:
            return torch.add(inner, self.skip(features))
        # A mean over pixels and a 1x1 convolution commute; the small grid is the cheap place for it.
        return torch.add(F.avg_pool2d(inner, 2), self.skip(F.avg_pool2d(features, 2)))


class SpectralFeatures(nn.Module):
    """Images -> the sum over positions of the last features, [batch, channels] (Miyato 2018, appendix B).

    Its weights are plain: who adds a last layer initializes all and calls ``spectral_norm``.

    Args:
        spec: the images judged.
        width: channels of the first block, doubled by each that halves.
        max_channels: no block has more.
        halvings: blocks that halve; None: down to 2 or 3 pixels.
        flat: further blocks that keep size and channels, as the paper has two at 32 px.

    Example:
        >>> features = SpectralFeatures(DataSpec(height=32, width=32), 64, 256, halvings=2)
        >>> features(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 128])
    """

    def __init__(
        self, spec: DataSpec, width: int, max_channels: int, *, halvings: int | None = None, flat: int = 0
    ) -> None:
        super().__init__()
        height, base_width, steps = resolution_steps(spec.height, spec.width)
        count = halvings or steps + (min(height, base_width) >= 4)
        most = min(spec.height, spec.width).bit_length() - 1
        if count > most:
            raise SettingError(
                f"An image can be halved until a side is 1 pixel. Received: halvings={count} at {spec.width}x"
                f"{spec.height}. Try method.networks.halvings={most}."
            )
        widths = [min(width * 2**i, max_channels) for i in range(count)]
        blocks = [SpectralBlock(spec.channels, widths[0], halves=True, first=True)]
        blocks += [SpectralBlock(narrow, wide, halves=True) for narrow, wide in pairwise(widths)]
        blocks += [SpectralBlock(widths[-1], widths[-1], halves=False) for _ in range(flat)]
        self.blocks, self.channels = nn.Sequential(*blocks), widths[-1]

    def forward(self, images: Images) -> Tensor:
        features: Tensor = F.relu(self.blocks(images)).sum(dim=(2, 3))
        return features


class SpectralDiscriminator(nn.Module):
    """Images -> scores, every weight divided by its largest singular value (Miyato 2018).

    Example:
        >>> critic = SpectralDiscriminator(SpectralFeatures(DataSpec(height=32, width=32), 64, 256))
        >>> critic(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2])
    """

    def __init__(self, features: SpectralFeatures, *, bias: bool = True) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Linear(features.channels, 1, bias=bias)
        initialize_residual(self, glorot=True)
        spectral_norm(self)

    def forward(self, images: Images) -> Scores:
        scores: Tensor = full(self.head(self.features(images)))
        return scores[:, 0]
