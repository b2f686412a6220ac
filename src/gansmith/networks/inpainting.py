"""The networks of context encoders (Pathak 2016): halved to a code, doubled to the hole or the image."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Scores, full
from gansmith.errors import SettingError
from gansmith.networks.conv import DownConv, ProjectLatent, ScoreHead, UpConv
from gansmith.networks.dcgan import initialize
from gansmith.networks.resolution import resolution_steps

Bottleneck = Literal["convolution", "channelwise"]
"""What joins encoder and decoder: a convolution over the whole grid, or a linear layer for each channel."""

Region = Literal["centre", "whole"]
"""What is predicted: the middle half of both sides, or all of the image."""


class ChannelwiseLinear(nn.Module):
    """A linear layer of all places for each channel, then a 1x1 convolution over channels (section 3.1).

    Args:
        channels: of the features.
        grid: (height, width) of them.

    Example:
        >>> ChannelwiseLinear(512, (4, 4))(torch.randn(2, 512, 4, 4)).shape
        torch.Size([2, 512, 4, 4])
    """

    def __init__(self, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        places = grid[0] * grid[1]
        self.weight = nn.Parameter(torch.randn(channels, places, places) * places**-0.5)
        self.bias = nn.Parameter(torch.zeros(channels, places))
        self.mixed = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        reached = torch.einsum("bcp,cpq->bcq", features.flatten(2), self.weight.to(features.dtype))
        reached = (reached + self.bias.to(reached.dtype)).view(features.shape)
        mixed: Tensor = self.mixed(reached)
        return mixed


class ContextGenerator(nn.Module):
    """Images with a hole -> what belongs there: the middle half, or the whole image.

    4x4 convolutions of stride 2 with LeakyReLU 0.2, batch norm in all but the first; transposed ones back
    (the authors' train.lua). Every convolution has a bias, as there.

    Args:
        spec: the images.
        width: channels of the first two layers (nef), doubled at each further one.
        code: length of the convolutional bottleneck.
        bottleneck: that one, or a linear layer for each channel.
        region: what is predicted.

    Raises:
        SettingError: the size cannot be halved twice.

    Example:
        >>> ContextGenerator(DataSpec(height=128, width=128), 64, 4000)(torch.randn(1, 3, 128, 128)).shape
        torch.Size([1, 3, 64, 64])
    """

    def __init__(
        self,
        spec: DataSpec,
        width: int,
        code: int,
        *,
        bottleneck: Bottleneck = "convolution",
        region: Region = "centre",
    ) -> None:
        super().__init__()
        base_height, base_width, steps = resolution_steps(spec.height, spec.width)
        if steps < 2:
            raise SettingError(
                "A context encoder halves a picture twice or more. Received: "
                f"{spec.width}x{spec.height}. Try data.size=64."
            )
        widths = [width * 2 ** max(i - 1, 0) for i in range(steps)]
        layers: list[nn.Module] = []
        channels = spec.source[0]
        for i, wider in enumerate(widths):
            layers += [DownConv(channels, wider), *([nn.BatchNorm2d(wider)] if i else []), nn.LeakyReLU(0.2)]
            channels = wider
        self.encoder = nn.Sequential(*layers)
        grid = (base_height, base_width)
        if bottleneck == "convolution":
            layers = [
                ScoreHead(channels, code, grid),
                nn.BatchNorm2d(code),
                nn.LeakyReLU(0.2),
                ProjectLatent(code, channels, grid),
            ]
        else:
            layers = [ChannelwiseLinear(channels, grid)]
        self.bottleneck = nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU())
        narrower = widths[-2::-1] if region == "whole" else widths[-2:0:-1]
        layers = []
        for wanted in narrower:
            layers += [UpConv(channels, wanted), nn.BatchNorm2d(wanted), nn.ReLU()]
            channels = wanted
        self.decoder = nn.Sequential(*layers, UpConv(channels, spec.channels))
        self._spec = spec
        initialize(self)

    def forward(self, images: Images) -> Float[Tensor, "batch wanted made_height made_width"]:
        made: Tensor = self.decoder(self.bottleneck(self.encoder(images)))
        return self._spec.to_network(full(made).tanh())


class ContextDiscriminator(nn.Module):
    """Images -> scores: DCGAN's critic with a bias in every convolution, as the authors have it.

    Args:
        channels: of the images.
        size: (height, width) of what is judged.
        width: channels of the first layer (ndf), doubled at each further one, up to eight times that.

    Example:
        >>> ContextDiscriminator(3, (64, 64), 64)(torch.randn(2, 3, 64, 64)).shape
        torch.Size([2])
    """

    def __init__(self, channels: int, size: tuple[int, int], width: int) -> None:
        super().__init__()
        base_height, base_width, steps = resolution_steps(*size)
        layers: list[nn.Module] = []
        for i in range(steps):
            wider = width * min(2**i, 8)
            layers += [DownConv(channels, wider), *([nn.BatchNorm2d(wider)] if i else []), nn.LeakyReLU(0.2)]
            channels = wider
        self.main = nn.Sequential(*layers, ScoreHead(channels, 1, (base_height, base_width)), nn.Flatten())
        initialize(self)

    def forward(self, images: Images) -> Scores:
        return full(self.main(images))[:, 0]
