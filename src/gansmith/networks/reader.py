"""A network that reads numbers from images, shared by IcGAN and by the encoder of `explore`."""

from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, full

_CONVOLUTIONS = 4


class Reader(nn.Module):
    """Images -> numbers: four 5x5 convolutions of stride 2, a hidden layer, batch norm and ReLU between.

    Args:
        spec: the images read.
        outputs: numbers wanted of each.
        hidden: of the layer before the last; the authors' code has 4096 for z and 512 for y.
        width: channels of the first layer; doubled at each further one.

    Example:
        >>> Reader(DataSpec(height=64, width=64), outputs=100, hidden=4096)(images).shape
        torch.Size([2, 100])
    """

    def __init__(self, spec: DataSpec, outputs: int, hidden: int, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, height, wide = spec.channels, spec.height, spec.width
        for step in range(_CONVOLUTIONS):
            wider = width * 2**step
            layers += [nn.Conv2d(channels, wider, 5, 2, 2), nn.BatchNorm2d(wider), nn.ReLU(inplace=True)]
            channels, height, wide = wider, (height + 1) // 2, (wide + 1) // 2
        layers += [nn.Flatten(), nn.Linear(channels * height * wide, hidden), nn.BatchNorm1d(hidden)]
        self.main = nn.Sequential(*layers, nn.ReLU(inplace=True), nn.Linear(hidden, outputs))

    def forward(self, images: Images) -> Latents:
        found: Tensor = full(self.main(images))
        return found
