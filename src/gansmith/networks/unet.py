"""The U-Net of pix2pix (Isola 2016, section 6.1.1): halved to the bottleneck, doubled again, with skips."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, full
from gansmith.errors import SettingError
from gansmith.networks.conv import DownConv
from gansmith.networks.dcgan import initialize
from gansmith.networks.norm import ImageNorm, image_norm
from gansmith.networks.upsampling import Up, up_layer

_DEEPEST = 8  # Halvings: 256 px become one place.
_DROPPED = 3  # Decoder layers with dropout: the first three (the authors' models.lua).


def halvings(height: int, width: int) -> int:
    """How often both sides can be halved, up to eight times.

    Raises:
        SettingError: not twice; the nearest size that can is named.
    """
    count = 0
    while count < _DEEPEST and height % 2 == 0 and width % 2 == 0:
        height, width, count = height // 2, width // 2, count + 1
    if count < 2:
        high, wide = (max(4, round((side << count) / 4) * 4) for side in (height, width))
        raise SettingError(
            "A U-Net halves a picture twice or more, so its sides are multiples of 4 (64, 128x96, 256). "
            f"Received: {width << count}x{height << count}. Try data.size={wide}x{high}."
        )
    return count


class UNet(nn.Module):
    """Images -> images of the same size, as deep as the size allows (256 px: eight halvings).

    No norm after the first layer, nor at the bottleneck, where one place has no variance. Only the last
    convolution has a bias. Dropout of the first three decoder layers is the noise of this generator.

    Args:
        spec: the images wanted, and the channels of those given.
        width: channels after the first halving (ngf); doubled towards the bottleneck, up to eight times that.
        norm: over each image, or over the batch.
        up: how sizes are doubled.
        noise_at_test: whether dropout goes on in use, too, as the paper has it.

    Example:
        >>> UNet(DataSpec(height=64, width=64), 64)(images, Noise.of(0, 1)).shape
        torch.Size([2, 3, 64, 64])
    """

    def __init__(
        self,
        spec: DataSpec,
        width: int,
        *,
        norm: ImageNorm = "instance",
        up: Up = "transposed",
        noise_at_test: bool = True,
    ) -> None:
        super().__init__()
        depth = halvings(spec.height, spec.width)
        widths = [width * min(2**i, 8) for i in range(depth)]
        self._spec, self._noise_at_test = spec, noise_at_test
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        channels = spec.source[0]
        for i, wider in enumerate(widths):
            ends = i in (0, depth - 1)
            layers: list[nn.Module] = [DownConv(channels, wider, bias=False)]
            self.down.append(nn.Sequential(*layers, *([] if ends else [image_norm(norm, wider)])))
            channels = wider
        for narrower in reversed(widths[:-1]):
            layers = [up_layer(up, channels, narrower, bias=False), image_norm(norm, narrower)]
            self.up.append(nn.Sequential(*layers))
            channels = 2 * narrower  # Beside what comes over the skip.
        self.last = up_layer(up, channels, spec.channels)
        initialize(self)

    def forward(self, images: Images, noise: Noise) -> Float[Tensor, "batch wanted height width"]:
        skips: list[Tensor] = []
        features: Tensor = images
        for i, layer in enumerate(self.down):
            features = layer(F.leaky_relu(features, 0.2) if i else features)
            skips.append(features)
        features = skips.pop()
        dropout = noise.fork("dropout")
        for i, layer in enumerate(self.up):
            features = layer(F.relu(features))
            if i < _DROPPED and (self.training or self._noise_at_test):
                # Half of the features 0, the others doubled.
                features = features * (dropout.signs(*features.shape[1:]) + 1.0).to(features.dtype)
            features = torch.cat([features, skips.pop()], dim=1)
        made: Tensor = self.last(F.relu(features))
        return self._spec.to_network(full(made).tanh())
