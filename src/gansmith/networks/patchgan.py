"""A critic that judges patches, each place of its output one of them (Isola 2016, section 3.2.2)."""

from torch import Tensor, nn

from gansmith.core.tensors import Images, Scores, full
from gansmith.networks.conv import DownConv
from gansmith.networks.dcgan import initialize
from gansmith.networks.norm import ImageNorm, InstanceNorm, image_norm

_LEAST = 3  # Places a side that the two last convolutions need.


def fitting_layers(layers: int, height: int, width: int) -> int:
    """As many halvings as wanted, or as the size allows: a patch is never larger than the image."""
    while layers > 0 and min(height, width) >> layers < _LEAST:
        layers -= 1
    return layers


def field(layers: int) -> int:
    """Pixels a side of the patch that one score is of.

    Example:
        >>> [field(layers) for layers in (0, 1, 3, 5)]
        [1, 16, 70, 286]
    """
    if layers == 0:
        return 1
    seen = 4 + 3  # The two last convolutions move by one.
    for _ in range(layers):
        seen = 2 * seen + 2
    return seen


class PatchDiscriminator(nn.Module):
    """Images -> a score for each patch: [batch, places down, places across].

    4x4 convolutions with LeakyReLU 0.2: ``layers`` of stride 2, two of stride 1. No norm after the first.

    Args:
        channels: of what is judged; source and result are joined by the method.
        size: (height, width) of it. Where patches would be larger than that there are fewer layers.
        width: channels of the first layer (ndf); doubled at each further one, up to eight times that.
        layers: 3 for patches of 70 px, 1 for 16, 5 for 286; 0 judges each pixel alone (1x1 convolutions).
        norm: over each image, or over the batch.
        affine: whether norms have a gain and a shift. Where they have not, convolutions keep their bias.

    Example:
        >>> PatchDiscriminator(6, (256, 256), 64)(torch.randn(1, 6, 256, 256)).shape
        torch.Size([1, 30, 30])
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        width: int,
        *,
        layers: int = 3,
        norm: ImageNorm = "instance",
        affine: bool = True,
    ) -> None:
        super().__init__()
        fitting = fitting_layers(layers, *size)
        if layers == 0:
            stack: list[nn.Module] = [
                nn.Conv2d(channels, width, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, 2 * width, 1, bias=not affine),
                _norm(norm, 2 * width, affine),
                nn.LeakyReLU(0.2),
                nn.Conv2d(2 * width, 1, 1),
            ]
        else:
            stack = [DownConv(channels, width), nn.LeakyReLU(0.2)]
            wide = width
            for i in range(1, fitting + 1):
                wider = width * min(2**i, 8)
                last = i == fitting
                convolution = nn.Conv2d(wide, wider, 4, 1 if last else 2, 1, bias=not affine)
                stack += [convolution, _norm(norm, wider, affine), nn.LeakyReLU(0.2)]
                wide = wider
            stack.append(nn.Conv2d(wide, 1, 4, 1, 1))
        self.main = nn.Sequential(*stack)
        initialize(self)

    def forward(self, images: Images) -> Scores:
        scores: Tensor = self.main(images)
        return full(scores)[:, 0]


def _norm(norm: ImageNorm, channels: int, affine: bool) -> nn.Module:
    return image_norm(norm, channels) if affine or norm == "batch" else InstanceNorm(channels, affine=False)
