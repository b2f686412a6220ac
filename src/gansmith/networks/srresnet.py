"""SRResNet (Ledig 2016, figure 4): small images, residual blocks, sizes doubled by sub-pixels at the end."""

from jaxtyping import Float
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, full
from gansmith.errors import SettingError


class _Block(nn.Module):
    """Two 3x3 convolutions with batch norm, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.PReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.main(features)
        return features + changed


class SRResNet(nn.Module):
    """Small images -> images 2, 4 or 8 times as large a side, by ``spec.source_shrink``.

    Args:
        spec: the images wanted, and how many times smaller those given are.
        width: channels throughout.
        blocks: residual ones.

    Raises:
        SettingError: sources are as large as results.

    Example:
        >>> SRResNet(DataSpec(height=96, width=96, source_shrink=4), 64, 16)(torch.rand(1, 3, 24, 24)).shape
        torch.Size([1, 3, 96, 96])
    """

    def __init__(self, spec: DataSpec, width: int, blocks: int) -> None:
        super().__init__()
        times = spec.source_shrink
        if times not in (2, 4, 8):
            raise SettingError(
                "SRResNet makes images 2, 4 or 8 times as large as their sources. Received: sources as large "
                "as results. Use --set data.pairs=small:4."
            )
        self._spec = spec
        self.first = nn.Sequential(nn.Conv2d(spec.source[0], width, 9, 1, 4), nn.PReLU())
        self.blocks = nn.Sequential(*(_Block(width) for _ in range(blocks)))
        self.joined = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
        doublings: list[nn.Module] = []
        for _ in range(times.bit_length() - 1):
            doublings += [nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()]
        self.doublings = nn.Sequential(*doublings)
        self.last = nn.Conv2d(width, spec.channels, 9, 1, 4)

    def forward(self, images: Images) -> Float[Tensor, "batch wanted large_height large_width"]:
        features: Tensor = self.first(images)
        features = features + self.joined(self.blocks(features))
        made: Tensor = self.last(self.doublings(features))
        return self._spec.to_network(full(made).tanh())
