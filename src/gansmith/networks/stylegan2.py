"""StyleGAN2's networks: mapping, synthesis by modulated convolutions, and a residual critic (Karras 2020).

All of it is plain convolutions, so it runs on any device by one path and can be differentiated twice. The
gain of sqrt(2) after each leaky ReLU is folded into what comes before it, where it is cheap:
sqrt(2) lrelu(a) = lrelu(sqrt(2) a).
"""

import math
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.networks.equalized import EqualizedConv2d, EqualizedLinear, pixel_norm, with_deviation
from gansmith.networks.resample import smooth, smooth_double, smooth_halve
from gansmith.networks.resnet import residual_widths
from gansmith.networks.resolution import resolution_steps

Scaled = Literal["activations", "weights"]
"""What a style scales: the features before and after a common convolution, or each image's own weights."""

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
    """A modulated 3x3 convolution, noise of a learned strength, a bias, a leaky ReLU (figure 2).

    Example:
        >>> layer = StyledConvolution(16, 8, style=32, up=True, scaled="activations")
        >>> layer(torch.randn(2, 16, 4, 4), torch.randn(2, 32), noise=torch.randn(2, 1, 8, 8)).shape
        torch.Size([2, 8, 8, 8])
    """

    def __init__(self, channels: int, wanted: int, style: int, *, up: bool, scaled: Scaled) -> None:
        super().__init__()
        self.up, self.scaled = up, scaled
        self.affine = EqualizedLinear(style, channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(wanted, channels, 3, 3))
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(wanted))

    def forward(self, features: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        style = full(self.affine(w))
        made = modulated_convolution(features, self.weight, style, up=self.up, scaled=self.scaled, gain=_GAIN)
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

    def forward(self, latents: Latents) -> Latents:
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
        self, spec: DataSpec, style: int, width: int, max_channels: int, scaled: Scaled = "activations"
    ) -> None:
        super().__init__()
        height, base_width, steps = resolution_steps(spec.height, spec.width)
        widths = residual_widths(width, max_channels, steps)[::-1]
        self._spec = spec
        self.grid = nn.Parameter(torch.randn(widths[0], height, base_width))
        convolutions = [StyledConvolution(widths[0], widths[0], style, up=False, scaled=scaled)]
        for old, new in pairwise(widths):
            convolutions.append(StyledConvolution(old, new, style, up=True, scaled=scaled))
            convolutions.append(StyledConvolution(new, new, style, up=False, scaled=scaled))
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
