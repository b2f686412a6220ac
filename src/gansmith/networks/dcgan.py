"""DCGAN's two networks (Radford 2015) at any size k*2^n, shared by DCGAN, WGAN and RpGAN."""

from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.networks.conv import DownConv, ProjectLatent, ScoreHead, UpConv
from gansmith.networks.norm import InstanceNorm, Norm, norm_layer
from gansmith.networks.resample import Smooth
from gansmith.networks.resolution import resolution_steps


def initialize(network: nn.Module) -> nn.Module:
    """Weights N(0, 0.02), batch-norm gains N(1, 0.02), biases 0 (section 4; gains: the authors' code)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | InstanceNorm):
            if module.weight is not None and module.bias is not None:
                nn.init.normal_(module.weight, 1.0, 0.02)
                nn.init.zeros_(module.bias)
    return network


class DCGANGenerator(nn.Module):
    """Latents -> images: transposed 4x4 convolutions with batch norm and ReLU, tanh at the end.

    Args:
        spec: the images to generate.
        latent: length of z.
        width: channels before the last layer (ngf); doubled towards the input.
        max_channels: no layer has more.
        momentum: of batch norm, in torch's sense (share of the newest batch).
        smooth: `Smooth` stands between the last layer and tanh.

    Example:
        >>> DCGANGenerator(DataSpec(height=64, width=64), latent=100, width=64)(torch.randn(2, 100)).shape
        torch.Size([2, 3, 64, 64])
    """

    def __init__(
        self,
        spec: DataSpec,
        latent: int,
        width: int,
        *,
        max_channels: int = 1024,
        momentum: float = 0.1,
        smooth: bool = False,
    ) -> None:
        super().__init__()
        base_height, base_width, num_upsamplings = resolution_steps(spec.height, spec.width)
        widths = [min(width * 2**i, max_channels) for i in reversed(range(num_upsamplings))]
        layers: list[nn.Module] = [
            ProjectLatent(latent, widths[0], (base_height, base_width), bias=False),
            nn.BatchNorm2d(widths[0], momentum=momentum),
            nn.ReLU(inplace=True),
        ]
        for i in range(num_upsamplings - 1):
            layers += [
                UpConv(widths[i], widths[i + 1], bias=False),
                nn.BatchNorm2d(widths[i + 1], momentum=momentum),
                nn.ReLU(inplace=True),
            ]
        last = [UpConv(widths[-1], spec.channels, bias=False), *([Smooth()] if smooth else []), nn.Tanh()]
        layers += last
        self.main = nn.Sequential(*layers)
        self._spec = spec
        initialize(self)

    def forward(self, latents: Latents) -> Images:
        images: Tensor = self.main(latents[:, :, None, None])
        return self._spec.to_network(full(images))


class DCGANDiscriminator(nn.Module):
    """Images -> scores: 4x4 convolutions of stride 2 with LeakyReLU 0.2.

    Args:
        spec: the images judged.
        width: channels of the first layer (ndf); doubled at each further one.
        max_channels: no layer has more.
        norm: in all layers but the first; without batch norm all convolutions have biases.
        momentum: of batch norm, in torch's sense (share of the newest batch).
        depth: number of convolutions before the head; None for a mirror image of the generator.
        softmax: a two-way softmax head behind a fully connected layer, read as a difference of logits
            (equal to the sigmoid of that difference), instead of one convolution over the whole grid.

    Example:
        >>> critic = DCGANDiscriminator(DataSpec(height=64, width=64), width=64, norm="none")
        >>> critic(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2])
    """

    def __init__(
        self,
        spec: DataSpec,
        width: int,
        *,
        max_channels: int = 1024,
        norm: Norm = "batch",
        momentum: float = 0.1,
        depth: int | None = None,
        softmax: bool = False,
    ) -> None:
        super().__init__()
        num_upsamplings = resolution_steps(spec.height, spec.width)[2]
        depth = num_upsamplings if depth is None else min(depth, num_upsamplings)
        bias = norm != "batch"
        layers: list[nn.Module] = []
        channels = spec.channels
        for i in range(depth):
            wider = min(width * 2**i, max_channels)
            layers.append(DownConv(channels, wider, bias=bias))
            if i > 0 and norm != "none":
                layers.append(norm_layer(norm, wider, momentum))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            channels = wider
        grid = (spec.height >> depth, spec.width >> depth)
        if softmax:
            layers += [nn.Flatten(), nn.Linear(channels * grid[0] * grid[1], 2)]
        else:
            layers += [ScoreHead(channels, 1, grid, bias=bias), nn.Flatten()]
        self.main = nn.Sequential(*layers)
        initialize(self)

    def forward(self, images: Images) -> Scores:
        logits: Tensor = full(self.main(images))
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0]
