"""ProGAN's networks: a generator and a critic that work at every size of a growing image (Karras 2017)."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.errors import at_least
from gansmith.networks.equalized import EqualizedConv2d, EqualizedLinear, pixel_norm, with_deviation
from gansmith.networks.resnet import residual_widths
from gansmith.networks.resolution import resolution_steps

_SLOPE, _GAIN = 0.2, math.sqrt(2.0)


def _act(features: Tensor) -> Tensor:
    return F.leaky_relu(features, _SLOPE)


def double(images: Tensor) -> Tensor:
    """Each pixel four times: [batch, channels, h, w] -> [batch, channels, 2h, 2w]."""
    return F.interpolate(images, scale_factor=2.0, mode="nearest")


def faded(images: Images, level: float) -> Images:
    """Real images between two sizes: blended with their copy of half the size, as the fakes are.

    Args:
        images: of the larger of the two sizes.
        level: how often the smallest grid was doubled; 2.25 is a quarter of the way from the 2nd to the 3rd.
    """
    new = level - (math.ceil(level) - 1)
    if new >= 1.0:
        return images
    return torch.lerp(double(F.avg_pool2d(images, 2)), images, new)


class ProGenerator(nn.Module):
    """Z [batch, latent] -> images of the size of a level, each feature vector of length 1 (Karras 2017).

    A 3x3 convolution on the smallest grid, then for each doubling nearest neighbours and two 3x3
    convolutions; every size has a 1x1 convolution to colours. Between two sizes both images are made and
    blended. There is no tanh: in eval mode images are clipped to [-1, 1].

    Args:
        spec: the images at full size.
        latent: numbers in z.
        widths: channels of each size from the smallest grid to full size.

    Example:
        >>> generator = ProGenerator(DataSpec(height=16, width=16), 8, widths=[32, 32, 16])
        >>> generator(torch.randn(2, 8)).shape, generator(torch.randn(2, 8), level=0.5).shape
        (torch.Size([2, 3, 16, 16]), torch.Size([2, 3, 8, 8]))
    """

    def __init__(self, spec: DataSpec, latent: int, widths: list[int]) -> None:
        super().__init__()
        height, width, self.levels = resolution_steps(spec.height, spec.width)
        self.grid, self._spec = (height, width), spec
        # The published gain; the norm behind this layer makes it one of the learning rate alone.
        self.stem = EqualizedLinear(latent, widths[0] * height * width, gain=_GAIN / 4.0, bias=None)
        self.bias = nn.Parameter(torch.zeros(widths[0]))
        self.first = EqualizedConv2d(widths[0], widths[0], 3, gain=_GAIN)
        self.conv1 = nn.ModuleList(EqualizedConv2d(old, new, 3, gain=_GAIN) for old, new in pairwise(widths))
        self.conv2 = nn.ModuleList(EqualizedConv2d(new, new, 3, gain=_GAIN) for new in widths[1:])
        self.to_colors = nn.ModuleList(EqualizedConv2d(channels, spec.channels, 1) for channels in widths)

    def forward(self, latents: Latents, level: float | None = None) -> Images:
        level = float(self.levels) if level is None else level
        steps = math.ceil(level)
        flat = self.stem(pixel_norm(latents)).view(len(latents), -1, *self.grid)
        features = pixel_norm(_act(flat + self.bias.to(flat.dtype)[:, None, None]))
        features = before = pixel_norm(_act(self.first(features)))
        for conv1, conv2 in list(zip(self.conv1, self.conv2, strict=True))[:steps]:
            before = features
            features = pixel_norm(_act(conv1(double(features))))
            features = pixel_norm(_act(conv2(features)))
        images: Tensor = full(self.to_colors[steps](features))
        if steps > level:
            old = double(full(self.to_colors[steps - 1](before)))
            images = torch.lerp(old, images, level - (steps - 1))
        return self._spec.to_network(images if self.training else images.clamp(-1.0, 1.0))


class ProDiscriminator(nn.Module):
    """Images of the size of a level -> scores: the generator in reverse, without its norm (Karras 2017).

    On the smallest grid the deviation within groups of images is a further channel, and two layers see all
    positions. Between two sizes the features of the smaller image are blended in.

    Args:
        spec: the images at full size.
        widths: channels of each size from the smallest grid to full size.
        group: images among which the deviation is taken.

    Example:
        >>> critic = ProDiscriminator(DataSpec(height=16, width=16), widths=[32, 32, 16], group=4)
        >>> critic(torch.zeros(2, 3, 16, 16)).shape, critic(torch.zeros(2, 3, 8, 8), level=0.5).shape
        (torch.Size([2]), torch.Size([2]))
    """

    def __init__(self, spec: DataSpec, widths: list[int], group: int) -> None:
        super().__init__()
        height, width, self.levels = resolution_steps(spec.height, spec.width)
        self.group, wide = group, widths[0]
        self.from_colors = nn.ModuleList(
            EqualizedConv2d(spec.channels, channels, 1, gain=_GAIN) for channels in widths
        )
        self.conv1 = nn.ModuleList(EqualizedConv2d(new, new, 3, gain=_GAIN) for new in widths[1:])
        self.conv2 = nn.ModuleList(EqualizedConv2d(new, old, 3, gain=_GAIN) for old, new in pairwise(widths))
        self.last = EqualizedConv2d(wide + 1, wide, 3, gain=_GAIN)
        self.hidden = EqualizedLinear(wide * height * width, wide, gain=_GAIN)
        self.head = EqualizedLinear(wide, 1)

    def forward(self, images: Images, level: float | None = None) -> Scores:
        level = float(self.levels) if level is None else level
        steps = math.ceil(level)
        features = _act(self.from_colors[steps](images))
        for step in range(steps, 0, -1):
            features = _act(self.conv2[step - 1](_act(self.conv1[step - 1](features))))
            features = F.avg_pool2d(features, 2)
            if step == steps > level:
                old = _act(self.from_colors[steps - 1](F.avg_pool2d(images, 2)))
                features = torch.lerp(old, features, level - (steps - 1))
        features = _act(self.last(with_deviation(features, self.group)))
        scores: Tensor = full(self.head(_act(self.hidden(features.flatten(1)))))
        return scores[:, 0]


@dataclass(frozen=True, kw_only=True)
class Progressive:
    """ProGAN's networks (Karras 2017); they grow in the method ``ProGAN`` and have full size in others.

    Example:
        >>> Progressive(width=256).generator(DataSpec(height=64, width=64), latent=512)
    """

    width: int = 256  # Channels at full size, doubled towards the smallest grid ...
    max_channels: int = 512  # ... up to so many.
    group: int = 4  # Images among which the discriminator sees the deviation.

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "max_channels", "group", prefix="method.networks.")

    def generator(self, spec: DataSpec, latent: int) -> nn.Module:
        """Nearest neighbours and pixel norm."""
        return ProGenerator(spec, latent, self._widths(spec))

    def discriminator(self, spec: DataSpec) -> nn.Module:
        """Means of four pixels, and the deviation of a group of images."""
        return ProDiscriminator(spec, self._widths(spec), self.group)

    def tiny(self) -> "Progressive":
        """Four channels at full size."""
        return replace(self, width=4, max_channels=8)

    def per_image(self) -> bool:
        """No norm mixes images; that the deviation does, the paper's own penalty of slopes ignores."""
        return True

    def _widths(self, spec: DataSpec) -> list[int]:
        steps = resolution_steps(spec.height, spec.width)[2]
        return residual_widths(self.width, self.max_channels, steps)[::-1]
