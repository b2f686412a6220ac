"""The residual network that makes images of images (Johnson 2016; CycleGAN, Zhu 2017, section 7.1)."""

from jaxtyping import Float
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, full
from gansmith.errors import SettingError
from gansmith.networks.dcgan import initialize
from gansmith.networks.norm import InstanceNorm
from gansmith.networks.upsampling import Up, up_layer


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance norm, added to what came in; no ReLU behind the sum.

    Example:
        >>> ResidualBlock(64)(torch.zeros(1, 64, 32, 32)).shape
        torch.Size([1, 64, 32, 32])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(channels, affine=False),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(channels, affine=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.main(features)
        return features + changed


class ResNetTranslator(nn.Module):
    """Images -> images of the same size: halved twice, residual blocks, doubled twice.

    Instance norm without a gain, convolutions with a bias, borders reflected, as in the authors' code.

    Args:
        spec: the images wanted; those given have as many channels.
        width: channels at full size (ngf); doubled at each halving.
        blocks: 9 for 256 px and more, 6 below.
        up: how sizes are doubled.

    Raises:
        SettingError: the sides are not multiples of 4, or below 8.

    Example:
        >>> ResNetTranslator(DataSpec(height=128, width=128), 64, 6)(images).shape
        torch.Size([1, 3, 128, 128])
    """

    def __init__(self, spec: DataSpec, width: int, blocks: int, up: Up = "transposed") -> None:
        super().__init__()
        if spec.height % 4 or spec.width % 4 or min(spec.height, spec.width) < 8:
            high, wide = (max(8, round(side / 4) * 4) for side in (spec.height, spec.width))
            raise SettingError(
                "A residual translator halves a picture twice, so its sides are multiples of 4 from 8 on. "
                f"Received: {spec.width}x{spec.height}. Try data.size={wide}x{high}."
            )
        self._spec = spec
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(spec.channels, width, 7), *_after(width)]
        for wide in (width, 2 * width):
            layers += [nn.Conv2d(wide, 2 * wide, 3, 2, 1), *_after(2 * wide)]
        layers += [ResidualBlock(4 * width) for _ in range(blocks)]
        for wide in (4 * width, 2 * width):
            layers += [_doubled(up, wide, wide // 2), *_after(wide // 2)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, spec.channels, 7)]
        self.main = nn.Sequential(*layers)
        initialize(self)

    def forward(self, images: Images) -> Float[Tensor, "batch channels height width"]:
        made: Tensor = self.main(images)
        return self._spec.to_network(full(made).tanh())


def _after(channels: int) -> list[nn.Module]:
    return [InstanceNorm(channels, affine=False), nn.ReLU(inplace=True)]


def _doubled(up: Up, channels: int, wanted: int) -> nn.Module:
    if up == "transposed":
        return nn.ConvTranspose2d(channels, wanted, 3, 2, 1, output_padding=1)
    return up_layer(up, channels, wanted)
