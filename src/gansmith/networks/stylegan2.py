"""StyleGAN2's networks: mapping, synthesis by modulated convolutions, and a residual critic (Karras 2020).

All of it is plain convolutions, so it runs on any device by one path and can be differentiated twice. The
gain of sqrt(2) after each leaky ReLU is folded into what comes before it, where it is cheap:
sqrt(2) lrelu(a) = lrelu(sqrt(2) a).
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.errors import at_least
from gansmith.networks.equalized import EqualizedConv2d, EqualizedLinear, pixel_norm, with_deviation
from gansmith.networks.norm import InstanceNorm
from gansmith.networks.resample import smooth, smooth_double, smooth_halve
from gansmith.networks.resnet import residual_widths
from gansmith.networks.resolution import resolution_steps

Scaled = Literal["activations", "weights"]
"""What a style scales: the features before and after a common convolution, or each image's own weights."""

Normalization = Literal["demodulation", "adain"]
"""How a style sets the scale of features: StyleGAN2's way, or StyleGAN's adaptive instance normalization."""

_SLOPE, _GAIN, _EPS = 0.2, math.sqrt(2.0), 1e-8


def _act(features: Tensor) -> Tensor:
    return F.leaky_relu(features, _SLOPE)


def modulated_convolution(
    features: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    up: bool = False,
    scaled: Scaled = "activations",
    gain: float = 1.0,
) -> Tensor:
    """A convolution whose input channels a style scales, and whose output has the scale of none (eq. 1, 3).

    w'_oik = s_i w_oik, w''_oik = w'_oik / sqrt(sum_ik w'^2 + 1e-8), for each image.

    Args:
        features: [batch, channels, height, width].
        weight: [wanted, channels, 3, 3].
        style: s, [batch, channels].
        up: whether the size is doubled, by a transposed convolution and a smooth filter.
        scaled: how it is computed; the result is the same.
        gain: what the result is multiplied by.

    Returns: [batch, wanted, height, width], or twice that.
    """
    wanted, channels, kernel = weight.shape[:3]
    norm = style.square() @ weight.square().sum(dim=(2, 3)).t()
    demodulation = gain * (norm + _EPS).rsqrt()
    if scaled == "activations":
        made = _convolve(features * style.to(features.dtype)[:, :, None, None], weight, up, 1)
        return made * demodulation.to(made.dtype)[:, :, None, None]
    batch, _, height, width = features.shape
    each = weight * style[:, None, :, None, None] * demodulation[:, :, None, None, None]
    rows = features.reshape(1, batch * channels, height, width)
    made = _convolve(rows, each.reshape(batch * wanted, channels, kernel, kernel), up, batch)
    return made.reshape(batch, wanted, *made.shape[2:])


def _convolve(features: Tensor, weight: Tensor, up: bool, groups: int) -> Tensor:
    if not up:
        return F.conv2d(features, weight, padding=weight.shape[2] // 2, groups=groups)
    wanted, channels, kernel = weight.shape[:3]
    # A transposed convolution wants [in, out / groups, ...].
    turned = weight.view(groups, wanted // groups, channels, kernel, kernel).transpose(1, 2)
    turned = turned.reshape(groups * channels, wanted // groups, kernel, kernel)
    larger = F.conv_transpose2d(features, turned, stride=2, groups=groups)
    return smooth(larger, padding=1, gain=4.0)


class StyledConvolution(nn.Module):
    """A 3x3 convolution, noise of a learned strength, a bias, a leaky ReLU, all under a style.

    With demodulation the style is of the input's channels (Karras 2020, figure 2c). With AdaIN it is of the
    result's: each channel of each image y, after the leaky ReLU, becomes s (y - mean) / deviation + t
    (Huang 2017, equation 8; Karras 2018, equation 1).

    Args:
        channels: in.
        wanted: out.
        style: numbers in w.
        up: whether the size is doubled.
        scaled: see ``modulated_convolution``; of no effect with AdaIN.
        normalization: how the style works.

    Example:
        >>> layer = StyledConvolution(16, 8, style=32, up=True)
        >>> layer(torch.randn(2, 16, 4, 4), torch.randn(2, 32), noise=torch.randn(2, 1, 8, 8)).shape
        torch.Size([2, 8, 8, 8])
    """

    def __init__(
        self,
        channels: int,
        wanted: int,
        style: int,
        *,
        up: bool,
        scaled: Scaled = "activations",
        normalization: Normalization = "demodulation",
    ) -> None:
        super().__init__()
        self.up, self.scaled = up, scaled
        self.norm = InstanceNorm(wanted, affine=False) if normalization == "adain" else None
        self.affine = EqualizedLinear(style, channels if self.norm is None else 2 * wanted, bias=1.0)
        if self.norm is not None and self.affine.bias is not None:
            nn.init.zeros_(self.affine.bias[wanted:])  # t is 0 at the start.
        self.weight = nn.Parameter(torch.randn(wanted, channels, 3, 3))
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(wanted))

    def forward(self, features: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        style = full(self.affine(w))
        if self.norm is None:
            made = modulated_convolution(
                features, self.weight, style, up=self.up, scaled=self.scaled, gain=_GAIN
            )
            return self._finished(made, noise)
        made = _convolve(features, self.weight * (_GAIN * self.weight[0].numel() ** -0.5), self.up, 1)
        normed: Tensor = self.norm(self._finished(made, noise))
        scale, shift = style.to(normed.dtype)[:, :, None, None].chunk(2, dim=1)
        return normed * scale + shift

    def _finished(self, made: Tensor, noise: Tensor) -> Tensor:
        made = made + (_GAIN * self.strength * noise).to(made.dtype)
        return _act(made + (_GAIN * self.bias).to(made.dtype)[:, None, None])


class ToImage(nn.Module):
    """A modulated 1x1 convolution to the image's channels, without demodulation.

    Example:
        >>> ToImage(16, wanted=3, style=32)(torch.randn(2, 16, 8, 8), torch.randn(2, 32)).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(self, channels: int, wanted: int, style: int) -> None:
        super().__init__()
        self.affine = EqualizedLinear(style, channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(wanted, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(wanted))
        self.scale = channels**-0.5

    def forward(self, features: Tensor, w: Tensor) -> Images:
        style = full(self.affine(w)) * self.scale
        scaled = features * style.to(features.dtype)[:, :, None, None]
        return full(F.conv2d(scaled, self.weight)) + self.bias[:, None, None]


class StyleMapping(nn.Module):
    """Z [batch, latent] -> w [batch, style]: z over its root mean square, then layers with a leaky ReLU each.

    Args:
        latent: numbers in z.
        style: numbers in w.
        layers: how many.
        rate: of their steps, as a share of the optimizer's.

    Example:
        >>> StyleMapping(latent=64, style=32, layers=2)(torch.randn(4, 64)).shape
        torch.Size([4, 32])
    """

    def __init__(self, latent: int, style: int, layers: int, rate: float = 0.01) -> None:
        super().__init__()
        sizes = [latent] + [style] * layers
        self.layers = nn.ModuleList(
            EqualizedLinear(old, new, gain=_GAIN, bias_gain=_GAIN, rate=rate) for old, new in pairwise(sizes)
        )

    def forward(self, latents: Latents) -> Float[Tensor, "batch style"]:
        w = pixel_norm(latents)
        for layer in self.layers:
            w = _act(layer(w))
        return full(w)


class StyleSynthesis(nn.Module):
    """W+ [batch, layers, style], noise [batch, cells] -> images: a learned grid, doubled with skips to RGB.

    There is no tanh: in training images may leave [-1, 1]; in eval mode they are clipped to it.

    Args:
        spec: the images wanted.
        style: numbers in w.
        width: channels at full size, doubled towards the smallest grid.
        max_channels: no layer has more.
        scaled: see ``modulated_convolution``.
        normalization: see ``StyledConvolution``.

    Attributes:
        layers: vectors of w+ that an image takes.
        cells: numbers of noise that an image takes.

    Example:
        >>> synthesis = StyleSynthesis(spec, style=32, width=4, max_channels=16)
        >>> w, noise = torch.randn(2, synthesis.layers, 32), torch.randn(2, synthesis.cells)
        >>> synthesis(w, noise).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self,
        spec: DataSpec,
        style: int,
        width: int,
        max_channels: int,
        scaled: Scaled = "activations",
        normalization: Normalization = "demodulation",
    ) -> None:
        super().__init__()
        height, base_width, steps = resolution_steps(spec.height, spec.width)
        widths = residual_widths(width, max_channels, steps)[::-1]
        self._spec = spec
        self.grid = nn.Parameter(torch.randn(widths[0], height, base_width))
        layer = partial(StyledConvolution, style=style, scaled=scaled, normalization=normalization)
        convolutions = [layer(widths[0], widths[0], up=False)]
        for old, new in pairwise(widths):
            convolutions += [layer(old, new, up=True), layer(new, new, up=False)]
        self.convolutions = nn.ModuleList(convolutions)
        self.to_images = nn.ModuleList(ToImage(channels, spec.channels, style) for channels in widths)
        self.layers = len(convolutions) + 1
        # Of each convolution in turn: one at the smallest grid, two at every other.
        sizes = [(height << i, base_width << i) for i in range(steps + 1)]
        self._maps = [sizes[(i + 1) // 2] for i in range(len(convolutions))]
        self.cells = sum(h * w for h, w in self._maps)

    def forward(self, w: Latents, noise: Tensor) -> Images:
        flat = torch.split(noise, [h * w for h, w in self._maps], dim=1)
        maps = [each.view(-1, 1, *size) for each, size in zip(flat, self._maps, strict=True)]
        features = self.grid.expand(len(w), -1, -1, -1)
        features = self.convolutions[0](features, w[:, 0], maps[0])
        images: Tensor = self.to_images[0](features, w[:, 1])
        for i, to_image in enumerate(list(self.to_images)[1:]):
            for layer in (2 * i + 1, 2 * i + 2):
                features = self.convolutions[layer](features, w[:, layer], maps[layer])
            images = smooth_double(images) + to_image(features, w[:, 2 * i + 3])
        return self._spec.to_network(images if self.training else images.clamp(-1.0, 1.0))


class _ResidualHalving(nn.Module):
    """Two 3x3 convolutions, the second halves; both ways weigh sqrt(1/2), so their sum keeps the scale."""

    def __init__(self, channels: int, wanted: int) -> None:
        super().__init__()
        self.conv1 = EqualizedConv2d(channels, channels, 3, gain=_GAIN, bias_gain=_GAIN)
        self.conv2 = EqualizedConv2d(channels, wanted, 3)  # sqrt(2) for the ReLU, sqrt(1/2) for the sum.
        self.skip = EqualizedConv2d(channels, wanted, 1, gain=_GAIN / 2.0, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        inner = smooth(_act(self.conv1(features)), padding=2)
        inner = _act(self.conv2(inner, stride=2, padding=0))
        return torch.add(inner, self.skip(smooth_halve(features)))


class StyleDiscriminator(nn.Module):
    """Images -> scores: residual blocks that halve, the deviation within groups of images, two layers.

    Args:
        spec: the images judged.
        width: channels at full size.
        max_channels: no layer has more.
        group: images of a group, see ``with_deviation``.

    Example:
        >>> StyleDiscriminator(spec, width=4, max_channels=16)(torch.randn(4, 3, 32, 32)).shape
        torch.Size([4])
    """

    def __init__(self, spec: DataSpec, width: int, max_channels: int, group: int = 4) -> None:
        super().__init__()
        height, base_width, steps = resolution_steps(spec.height, spec.width)
        widths = residual_widths(width, max_channels, steps)
        last, self.group = widths[-1], group
        self.first = EqualizedConv2d(spec.channels, widths[0], 1, gain=_GAIN, bias_gain=_GAIN)
        self.blocks = nn.Sequential(*(_ResidualHalving(old, new) for old, new in pairwise(widths)))
        self.mix = EqualizedConv2d(last + 1, last, 3, gain=_GAIN, bias_gain=_GAIN)
        self.hidden = EqualizedLinear(last * height * base_width, last, gain=_GAIN, bias_gain=_GAIN)
        self.head = EqualizedLinear(last, 1)

    def forward(self, images: Images) -> Scores:
        features = self.blocks(_act(self.first(images)))
        features = _act(self.mix(with_deviation(features, self.group)))
        scores: Tensor = full(self.head(_act(self.hidden(features.flatten(1)))))
        return scores[:, 0]


class StyleGenerator(nn.Module):
    """Z [batch, latent] -> images: a mapping and a synthesis, one w for all layers, the same noise for all.

    The noise maps are drawn once, so that an image follows from z alone.

    Args:
        mapping: z -> w.
        synthesis: (w+, noise) -> images.

    Example:
        >>> mapping, synthesis = StyleMapping(8, 32, layers=2), StyleSynthesis(spec, 32, 4, 16)
        >>> StyleGenerator(mapping, synthesis)(torch.randn(2, 8)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, mapping: StyleMapping, synthesis: StyleSynthesis) -> None:
        super().__init__()
        self.mapping, self.synthesis = mapping, synthesis
        self.noise: Tensor
        self.register_buffer("noise", torch.randn(1, synthesis.cells))

    def forward(self, latents: Latents) -> Images:
        w = self.mapping(latents)[:, None].expand(-1, self.synthesis.layers, -1)
        images: Images = self.synthesis(w, self.noise.to(w.dtype).expand(len(w), -1))
        return images


@dataclass(frozen=True, kw_only=True)
class StyleBased:
    """StyleGAN2's generator and residual discriminator (Karras 2020), for any game.

    Path lengths, style mixing, noise anew for each image, the space w and truncation are the method
    ``StyleGAN2``'s.

    Example:
        >>> StyleBased(width=32, max_channels=128).generator(DataSpec(height=64, width=64), latent=128)
    """

    style: int = 512  # Numbers in w.
    mapping_layers: int = 8
    width: int = 64  # Channels at full size, doubled towards the smallest grid ...
    max_channels: int = 512  # ... up to so many.
    group: int = 4  # Images among which the discriminator sees the deviation.
    normalization: Normalization = "demodulation"

    def __post_init__(self) -> None:
        counts = ("style", "mapping_layers", "width", "max_channels", "group")
        at_least(self, 1, *counts, prefix="method.networks.")

    def generator(self, spec: DataSpec, latent: int) -> nn.Module:
        """Z to w to images, with skips to RGB."""
        return StyleGenerator(
            StyleMapping(latent, self.style, self.mapping_layers),
            StyleSynthesis(spec, self.style, self.width, self.max_channels, normalization=self.normalization),
        )

    def discriminator(self, spec: DataSpec) -> nn.Module:
        """Residual blocks that halve, and the deviation of a group of images."""
        return StyleDiscriminator(spec, self.width, self.max_channels, self.group)

    def tiny(self) -> "StyleBased":
        """Four channels at full size."""
        return replace(self, style=6, mapping_layers=2, width=4, max_channels=8)

    def per_image(self) -> bool:
        """No norm mixes images; that the deviation does, the paper's own R1 ignores."""
        return True
