"""Networks that keep magnitudes without any norm: R3GAN's game on magnitude-preserving layers (Karras 2024).

Every kernel has length 1 as it is used and is brought back to one length after each step of the optimizer,
so that neither features nor weights grow. R3GAN's successor has such layers in its code, and no paper yet.
"""

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
from gansmith.networks.equalized import pixel_norm
from gansmith.networks.resample import smooth_double, smooth_halve
from gansmith.networks.resnet import residual_widths
from gansmith.networks.resolution import resolution_steps

_SLOPE = 0.2
# A leaky ReLU of N(0, 1) has this variance about its mean; kernels of mean 0 take the mean away.
_GAIN = ((1.0 + _SLOPE**2 - (1.0 - _SLOPE) ** 2 / math.pi) / 2.0) ** -0.5
_EPS = 1e-8


def _act(features: Tensor) -> Tensor:
    return torch.mul(F.leaky_relu(features, _SLOPE), _GAIN)


class UnitConv2d(nn.Module):
    """A convolution or, on [batch, numbers], a linear layer, each kernel of length 1 and no bias.

    Args:
        channels: in.
        wanted: out.
        kernel: a side; odd.
        groups: of channels.
        centred: whether each kernel's mean is 0 as well, for inputs that have come through a leaky ReLU.

    Example:
        >>> UnitConv2d(8, 16, 3)(torch.randn(64, 8, 16, 16)).var()  # About 1.
    """

    def __init__(
        self, channels: int, wanted: int, kernel: int = 1, *, groups: int = 1, centred: bool = True
    ) -> None:
        super().__init__()
        self.groups, self.centred = groups, centred
        self.weight = nn.Parameter(torch.randn(wanted, channels // groups, kernel, kernel))
        if not self.weight.is_meta:
            self.project()

    @torch.no_grad()
    def project(self) -> None:
        """Bring each stored kernel to mean 0, where it is centred, and to a root mean square of 1."""
        self.weight.copy_(self._unit() * self.weight[0].numel() ** 0.5)

    def _unit(self) -> Tensor:
        mean = self.weight.mean(dim=(1, 2, 3), keepdim=True)
        weight = self.weight - mean if self.centred else self.weight
        return weight * (weight.square().sum(dim=(1, 2, 3), keepdim=True) + _EPS).rsqrt()

    def forward(self, features: Tensor) -> Tensor:
        weight = self._unit()
        if features.dim() == 2:
            return F.linear(features, weight.flatten(1))
        return F.conv2d(features, weight, padding=weight.shape[2] // 2, groups=self.groups)


def with_one(features: Tensor) -> Tensor:
    """A further channel of ones, in place of a bias: [batch, c, ...] -> [batch, c + 1, ...]."""
    return torch.cat([features, torch.ones_like(features[:, :1])], dim=1)


class UnitBlock(nn.Module):
    """1x1 to twice the channels, grouped 3x3, 1x1 back, with leaky ReLUs between them; keeps the scale.

    Args:
        channels: in and out.
        group: channels that a filter of the 3x3 convolution sees.

    Example:
        >>> UnitBlock(32, 16)(torch.randn(2, 32, 8, 8)).shape
        torch.Size([2, 32, 8, 8])
    """

    def __init__(self, channels: int, group: int) -> None:
        super().__init__()
        inner = 2 * channels
        if inner % group:
            raise SettingError(
                "The channels inside a block, twice its own, must be a multiple of method.networks.group. "
                f"Received: {inner} channels and group={group}. Try group={math.gcd(inner, group)}."
            )
        self.widen = UnitConv2d(channels + 1, inner)
        self.mix = UnitConv2d(inner, inner, 3, groups=inner // group)
        self.narrow = UnitConv2d(inner, channels)

    def forward(self, features: Tensor) -> Tensor:
        inner: Tensor = self.narrow(_act(self.mix(_act(self.widen(with_one(features))))))
        return inner


class UnitStage(nn.Module):
    """Blocks added with learned shares: x + alpha f(x / sqrt(V)), V = 1 + the sum of earlier alpha^2.

    Alpha is one number a channel, within (-1, 1) and 0 at the start; the result is divided by sqrt(V), so it
    has the scale of what came in. It takes the place of Fix-up's initialization (Zhang 2019).

    Example:
        >>> stage = UnitStage(32, blocks=2, group=16)
        >>> torch.equal(stage(features), features)  # At the start.
        True
    """

    def __init__(self, channels: int, blocks: int, group: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(UnitBlock(channels, group) for _ in range(blocks))
        self.shares = nn.Parameter(torch.zeros(blocks, channels))

    def forward(self, features: Tensor) -> Tensor:
        alphas = self.shares.tanh().to(features.dtype)
        variance = torch.ones_like(alphas[0])
        for alpha, block in zip(alphas, self.blocks, strict=True):
            scale = variance.rsqrt()[:, None, None]
            features = torch.addcmul(features, alpha[:, None, None], block(features * scale))
            variance = variance + alpha.square()
        return features * variance.rsqrt()[:, None, None]


class UnitGenerator(nn.Module):
    """Z [batch, latent] -> images: a linear layer, a learned grid for each channel, then stages.

    Args:
        spec: the images wanted.
        latent: numbers in z.
        column: ``labels`` or ``attributes``; "": no condition.
        look: the sizes.

    Example:
        >>> generator = UnitGenerator(DataSpec(height=16, width=16), 8, "", R3MP(width=8, group=8))
        >>> generator(torch.randn(2, 8)).shape
        torch.Size([2, 3, 16, 16])
    """

    def __init__(self, spec: DataSpec, latent: int, column: str, look: "R3MP") -> None:
        super().__init__()
        widths = look.widths(spec)[::-1]
        height, width, _ = resolution_steps(spec.height, spec.width)
        self._spec = spec
        self.embedding = Embedding(spec, column, latent) if column else None
        self.stem = UnitConv2d((2 if column else 1) * latent + 1, 2 * widths[0], centred=False)
        self.grid = nn.Parameter(torch.randn(2 * widths[0], height, width))
        self.first = UnitConv2d(2 * widths[0], widths[0])
        self.stages = nn.ModuleList(UnitStage(channels, look.blocks, look.group) for channels in widths)
        self.transitions = nn.ModuleList(_transition(old, new) for old, new in pairwise(widths))
        self.last = UnitConv2d(widths[-1], spec.channels, centred=False)
        self.contrast = nn.Parameter(torch.full((spec.channels, 1, 1), 0.5))  # The deviation of images.

    def forward(self, latents: Latents, *column: Tensor) -> Images:
        known = pixel_norm(latents)
        if self.embedding is not None:
            known = torch.cat([known, pixel_norm(self.embedding(*column))], dim=1)
        features = _act(self.stem(with_one(known)))[:, :, None, None] * self.grid
        features = self.stages[0](self.first(_act(features)))
        for transition, stage in zip(self.transitions, list(self.stages)[1:], strict=True):
            features = stage(smooth_double(transition(features)))
        images: Tensor = full(self.last(features)) * self.contrast
        return self._spec.to_network(images if self.training else images.clamp(-1.0, 1.0))


class UnitDiscriminator(nn.Module):
    """Images -> scores: the generator in reverse; with a condition the features are projected on it.

    Args:
        spec: the images judged.
        column: as in ``UnitGenerator``.
        look: the sizes.

    Example:
        >>> critic = UnitDiscriminator(DataSpec(height=16, width=16), "", R3MP(width=8, group=8))
        >>> critic(torch.zeros(2, 3, 16, 16)).shape
        torch.Size([2])
    """

    def __init__(self, spec: DataSpec, column: str, look: "R3MP") -> None:
        super().__init__()
        widths = look.widths(spec)
        height, width, _ = resolution_steps(spec.height, spec.width)
        self.first = UnitConv2d(spec.channels + 1, widths[0], centred=False)
        self.stages = nn.ModuleList(UnitStage(channels, look.blocks, look.group) for channels in widths)
        self.transitions = nn.ModuleList(_transition(old, new) for old, new in pairwise(widths))
        wide = 2 * widths[-1]
        self.widen = UnitConv2d(widths[-1] + 1, wide)
        self.grid = nn.Parameter(torch.randn(wide, height, width) / math.sqrt(height * width))
        self.head = UnitConv2d(wide + 1, widths[-1] if column else 1)
        self.gain = nn.Parameter(torch.ones(()))
        self.embedding = Embedding(spec, column, widths[-1]) if column else None

    def forward(self, images: Images, *column: Tensor) -> Scores:
        features = self.stages[0](self.first(with_one(images)))
        for transition, stage in zip(self.transitions, list(self.stages)[1:], strict=True):
            features = stage(transition(smooth_halve(features)))
        seen = (full(_act(self.widen(with_one(features)))) * self.grid).sum(dim=(2, 3))
        found = full(self.head(with_one(_act(seen)))) * self.gain
        if self.embedding is None:
            return found[:, 0]
        agreement = torch.mul(found, full(pixel_norm(self.embedding(*column)))).mean(dim=1)
        return torch.mul(agreement, found.shape[1] ** 0.5)


@dataclass(frozen=True, kw_only=True)
class R3MP:
    """R3GAN's networks of magnitude-preserving layers; with or without a condition. Rates are about 1e-2.

    Example:
        >>> R3MP(width=32, max_channels=128).generator(DataSpec(height=32, width=32), latent=64)
    """

    width: int = 64  # Channels at full size, doubled towards the smallest grid ...
    max_channels: int = 256  # ... up to so many.
    blocks: int = 2  # Of each size.
    group: int = 16  # Channels that a filter of the 3x3 convolutions sees.

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "max_channels", "blocks", "group", prefix="method.networks.")

    def generator(self, spec: DataSpec, latent: int) -> nn.Module:
        """From noise alone."""
        return UnitGenerator(spec, latent, "", self)

    def discriminator(self, spec: DataSpec) -> nn.Module:
        """Of images alone."""
        return UnitDiscriminator(spec, "", self)

    def conditional_generator(self, spec: DataSpec, latent: int, column: str) -> nn.Module:
        """The condition is embedded and joined to z."""
        return UnitGenerator(spec, latent, column, self)

    def conditional_discriminator(self, spec: DataSpec, column: str) -> nn.Module:
        """The features are projected on the embedded condition."""
        return UnitDiscriminator(spec, column, self)

    def tiny(self) -> "R3MP":
        """Four channels at full size."""
        return replace(self, width=4, max_channels=8, blocks=1, group=4)

    def per_image(self) -> bool:
        """There is no norm at all."""
        return True

    def widths(self, spec: DataSpec) -> list[int]:
        """Channels from full size down to the smallest grid."""
        return residual_widths(self.width, self.max_channels, resolution_steps(spec.height, spec.width)[2])


def _transition(channels: int, wanted: int) -> nn.Module:
    return nn.Identity() if channels == wanted else UnitConv2d(channels, wanted)
