"""R3GAN's networks: plain residual blocks of grouped convolutions, without any norm (Huang 2024)."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.errors import SettingError, at_least
from gansmith.networks.conditional import Embedding
from gansmith.networks.resample import smooth_double, smooth_halve
from gansmith.networks.resnet import residual_widths
from gansmith.networks.resolution import resolution_steps

_SLOPE = 0.2
_GAIN = math.sqrt(2.0 / (1.0 + _SLOPE**2))  # What a leaky ReLU takes from the scale (He 2015).
_EXPANSION = 2  # Channels inside a block over those outside.
_EMBEDDING = 64  # Numbers of a condition in the generator.


class _BiasedActivation(nn.Module):
    """A leaky ReLU with a bias for each channel; the convolutions have none."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        biased = features + self.bias.to(features.dtype)[:, None, None]
        return F.leaky_relu(biased, _SLOPE)


class R3Block(nn.Module):
    """x + C(act(B(act(A x)))): 1x1 to twice the channels, grouped 3x3, 1x1 back; C is 0 at the start.

    Args:
        channels: in and out.
        group: channels that a filter of the 3x3 convolution sees.
        depth: residual blocks of the whole network, by which the first two are scaled down (Zhang 2019).

    Example:
        >>> R3Block(channels=32, group=16, depth=4)(torch.zeros(2, 32, 8, 8)).shape
        torch.Size([2, 32, 8, 8])
    """

    def __init__(self, channels: int, group: int, depth: int) -> None:
        super().__init__()
        inner = _EXPANSION * channels
        if inner % group:
            raise SettingError(
                "The channels inside a block, twice its own, must be a multiple of method.networks.group. "
                f"Received: {inner} channels and group={group}. Try group={math.gcd(inner, group)}."
            )
        self.widen = _convolution(channels, inner, gain=_GAIN * depth**-0.25)
        self.act1 = _BiasedActivation(inner)
        self.mix = _convolution(inner, inner, 3, groups=inner // group, gain=_GAIN * depth**-0.25)
        self.act2 = _BiasedActivation(inner)
        self.narrow = _convolution(inner, channels, gain=0.0)

    def forward(self, features: Tensor) -> Tensor:
        inner = self.act2(self.mix(self.act1(self.widen(features))))
        return torch.add(features, self.narrow(inner))


class R3Generator(nn.Module):
    """Z [batch, latent] -> images: a learned grid times a linear map of z, then stages of residual blocks.

    There is no tanh: in training images may leave [-1, 1]; in eval mode they are clipped to it.

    Args:
        spec: the images wanted.
        latent: numbers in z.
        widths: channels of each stage from the smallest grid to full size.
        blocks: of each stage.
        group: see ``R3Block``.
        column: what the images are conditioned on, ``labels`` or ``attributes``; "": nothing.

    Example:
        >>> generator = R3Generator(DataSpec(height=8, width=8), 8, widths=[32, 16], blocks=1, group=16)
        >>> generator(torch.randn(2, 8)).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self, spec: DataSpec, latent: int, widths: list[int], blocks: int, group: int, column: str = ""
    ) -> None:
        super().__init__()
        height, width, _ = resolution_steps(spec.height, spec.width)
        self._spec = spec
        self.embedding = _embedding(spec, column, _EMBEDDING) if column else None
        self.grid = nn.Parameter(torch.randn(widths[0], height, width))
        self.stem = _linear(latent + (_EMBEDDING if column else 0), widths[0])
        self.transitions = nn.ModuleList(_transition(old, new) for old, new in pairwise(widths))
        self.stages = nn.ModuleList(_stage(channels, blocks, group, len(widths)) for channels in widths)
        self.last = _convolution(widths[-1], spec.channels)

    def forward(self, latents: Latents, *condition: Tensor) -> Images:
        if self.embedding is not None:
            latents = torch.cat([latents, self.embedding(*condition)], dim=1)
        features: Tensor = self.stages[0](self.grid * self.stem(latents)[:, :, None, None])
        for transition, stage in zip(self.transitions, list(self.stages)[1:], strict=True):
            # The 1x1 convolution comes first: the small grid is the cheap place for it.
            features = stage(smooth_double(transition(features)))
        images: Tensor = full(self.last(features))
        return self._spec.to_network(images if self.training else images.clamp(-1.0, 1.0))


class R3Discriminator(nn.Module):
    """Images -> scores: the generator's stages in reverse, and a depthwise convolution over the last grid.

    With a condition the features are projected on it (Miyato and Koyama 2018). No layer knows of the batch.

    Args:
        spec: the images judged.
        widths: channels of each stage from full size to the smallest grid.
        blocks: of each stage.
        group: see ``R3Block``.
        column: as in ``R3Generator``.

    Example:
        >>> critic = R3Discriminator(DataSpec(height=8, width=8), widths=[16, 32], blocks=1, group=16)
        >>> critic(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2])
    """

    def __init__(self, spec: DataSpec, widths: list[int], blocks: int, group: int, column: str = "") -> None:
        super().__init__()
        grid = resolution_steps(spec.height, spec.width)[:2]
        self.first = _convolution(spec.channels, widths[0])
        self.stages = nn.ModuleList(_stage(channels, blocks, group, len(widths)) for channels in widths)
        self.transitions = nn.ModuleList(_transition(old, new) for old, new in pairwise(widths))
        self.grid = _convolution(widths[-1], widths[-1], grid, groups=widths[-1])
        self.head = _linear(widths[-1], widths[-1] if column else 1)
        self.embedding = _embedding(spec, column, widths[-1]) if column else None

    def forward(self, images: Images, *condition: Tensor) -> Scores:
        features: Tensor = self.stages[0](self.first(images))
        for transition, stage in zip(self.transitions, list(self.stages)[1:], strict=True):
            features = stage(transition(smooth_halve(features)))
        found = full(self.head(self.grid(features).flatten(1)))
        if self.embedding is None:
            return found[:, 0]
        return (found * full(self.embedding(*condition))).sum(dim=1)


@dataclass(frozen=True, kw_only=True)
class R3:
    """R3GAN's networks (Huang 2024), the two of one shape; with or without a condition.

    Example:
        >>> R3(width=384, max_channels=768).generator(DataSpec(height=64, width=64), latent=64)
    """

    width: int = 96  # Channels at full size, doubled towards the smallest grid ...
    max_channels: int = 256  # ... up to so many.
    blocks: int = 2  # Of each size.
    group: int = 16  # Channels that a filter of the 3x3 convolutions sees.

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "max_channels", "blocks", "group", prefix="method.networks.")

    def generator(self, spec: DataSpec, latent: int) -> nn.Module:
        """From noise alone."""
        return R3Generator(spec, latent, self._widths(spec)[::-1], self.blocks, self.group)

    def discriminator(self, spec: DataSpec) -> nn.Module:
        """Of images alone."""
        return R3Discriminator(spec, self._widths(spec), self.blocks, self.group)

    def conditional_generator(self, spec: DataSpec, latent: int, column: str) -> nn.Module:
        """The condition is embedded and joined to z."""
        return R3Generator(spec, latent, self._widths(spec)[::-1], self.blocks, self.group, column)

    def conditional_discriminator(self, spec: DataSpec, column: str) -> nn.Module:
        """The features are projected on the embedded condition."""
        return R3Discriminator(spec, self._widths(spec), self.blocks, self.group, column)

    def tiny(self) -> "R3":
        """Four channels at full size."""
        return replace(self, width=4, max_channels=8, blocks=1, group=4)

    def per_image(self) -> bool:
        """There is no norm at all."""
        return True

    def _widths(self, spec: DataSpec) -> list[int]:
        return residual_widths(self.width, self.max_channels, resolution_steps(spec.height, spec.width)[2])


def _stage(channels: int, blocks: int, group: int, stages: int) -> nn.Sequential:
    return nn.Sequential(*(R3Block(channels, group, blocks * stages) for _ in range(blocks)))


def _transition(channels: int, wanted: int) -> nn.Module:
    return nn.Identity() if channels == wanted else _convolution(channels, wanted)


def _convolution(
    channels: int, wanted: int, kernel: int | tuple[int, int] = 1, *, groups: int = 1, gain: float = 1.0
) -> nn.Conv2d:
    """Weights from N(0, gain / sqrt(fan in)) and no bias; a kernel of one number keeps the size."""
    padding = kernel // 2 if isinstance(kernel, int) else 0
    layer = nn.Conv2d(channels, wanted, kernel, 1, padding, groups=groups, bias=False)
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    return layer


def _linear(numbers: int, wanted: int) -> nn.Linear:
    layer = nn.Linear(numbers, wanted, bias=False)
    nn.init.normal_(layer.weight, 0.0, numbers**-0.5)
    return layer


def _embedding(spec: DataSpec, column: str, size: int) -> Embedding:
    """Rows of length 1 or so."""
    layer = Embedding(spec, column, size)
    nn.init.normal_(layer.table.weight, 0.0, size**-0.5)
    return layer
