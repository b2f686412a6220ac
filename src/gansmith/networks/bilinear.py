"""A generator without transposed convolutions, whose read-outs at every size add up to the image."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, full
from gansmith.networks.conv import ProjectLatent
from gansmith.networks.resolution import resolution_steps


def double(features: Tensor) -> Tensor:
    """Twice the height and the width, by bilinear interpolation."""
    doubled: Tensor = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
    return doubled


class _Doubling(nn.Module):
    """A 3x3 convolution where it is cheap, at the small size; bilinear doubling; another 3x3."""

    def __init__(self, channels: int, wanted: int) -> None:
        super().__init__()
        self.small = nn.Conv2d(channels, wanted, 3, 1, 1, bias=False)
        self.small_norm = nn.BatchNorm2d(wanted)
        self.large = nn.Conv2d(wanted, wanted, 3, 1, 1, bias=False)
        self.large_norm = nn.BatchNorm2d(wanted)

    def forward(self, features: Tensor) -> Tensor:
        features = self.small_norm(double(self.small(features))).relu()
        output: Tensor = self.large_norm(self.large(features)).relu()
        return output


class BilinearGenerator(nn.Module):
    """Latents -> images: convolve at the small size, double bilinearly, convolve again.

    A transposed convolution of stride 2 treats odd and even pixels by different weights, which is seen as
    grain for most of a short run (Odena 2016). Here no layer knows odd from even. An image is read out at
    every size, and these are added up (Karras 2020, figure 7b), so that coarse shapes are there at once.

    Args:
        spec: the images wanted.
        latent: numbers an image starts from.
        width: channels at half of the full size; doubled towards the input, halved at full size.
        max_channels: no layer has more.

    Example:
        >>> BilinearGenerator(DataSpec(height=64, width=64), latent=64, width=32)
    """

    def __init__(self, spec: DataSpec, latent: int, width: int, *, max_channels: int = 512) -> None:
        super().__init__()
        height, base_width, steps = resolution_steps(spec.height, spec.width)
        widths = [min(width * 2**i, max_channels) for i in reversed(range(steps))] + [max(width // 2, 1)]
        self._spec = spec
        self.first = ProjectLatent(latent, widths[0], (height, base_width), bias=False)
        self.first_norm = nn.BatchNorm2d(widths[0])
        self.stages = nn.ModuleList(_Doubling(wide, narrow) for wide, narrow in pairwise(widths))
        kernels = [1] * steps + [3]
        self.read_outs = nn.ModuleList(
            nn.Conv2d(channels, spec.channels, kernel, 1, kernel // 2)
            for channels, kernel in zip(widths, kernels, strict=True)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, latents: Latents) -> Images:
        features: Tensor = self.first_norm(self.first(latents[:, :, None, None])).relu()
        images: Tensor = self.read_outs[0](features)
        for stage, read_out in zip(self.stages, self.read_outs[1:], strict=True):
            features = stage(features)
            images = double(images) + read_out(features)
        return self._spec.to_network(full(images).tanh())
