"""StackGAN's networks: conditioning augmentation, and a generator and a discriminator for each stage."""

import torch
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.networks.conditional import beside
from gansmith.networks.conv import DoubledConv, DownConv, ScoreHead
from gansmith.networks.dcgan import initialize
from gansmith.networks.resolution import resolution_steps


def convolution(channels: int, wanted: int) -> nn.Conv2d:
    """3x3, which keeps the size, without bias."""
    return nn.Conv2d(channels, wanted, 3, 1, 1, bias=False)


def doubled(channels: int, wanted: int) -> list[nn.Module]:
    """Nearest neighbours, a 3x3 convolution, batch norm and ReLU."""
    conv = DoubledConv(channels, wanted, bias=False)
    return [nn.Identity(), conv, nn.BatchNorm2d(wanted), nn.ReLU(inplace=True)]


class ConditioningAugmentation(nn.Module):
    """A sentence -> the mean and the logarithm of the variance of its condition (section 3.2).

    A linear layer, without the ReLU that one port of the authors' code puts on both.

    Args:
        text: numbers of a sentence.
        size: numbers of a condition.

    Example:
        >>> mean, log_variance = ConditioningAugmentation(text=1024, size=128)(torch.randn(2, 1024))
    """

    def __init__(self, text: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(text, 2 * size)

    def forward(self, text: Tensor) -> tuple[Latents, Latents]:
        mean, log_variance = full(self.linear(text)).chunk(2, dim=1)
        return mean, log_variance


class StageOneGenerator(nn.Module):
    """[z, c] -> images: a full layer, then nearest neighbours and 3x3 convolutions.

    Args:
        spec: the images wanted.
        latent: numbers of z.
        condition: numbers of c.
        text: numbers of a sentence.
        width: gf of the authors' code; half of it is left before the last layer.

    Example:
        >>> generator = StageOneGenerator(spec, latent=100, condition=128, text=1024, width=128)
        >>> images = generator(torch.randn(2, 228))
    """

    def __init__(self, spec: DataSpec, latent: int, condition: int, text: int, width: int) -> None:
        super().__init__()
        height, wide, steps = resolution_steps(spec.height, spec.width)
        channels = width * 2 ** (steps - 1)
        self.augmentation = ConditioningAugmentation(text, condition)
        self._spec, self._grid = spec, (channels, height, wide)
        cells = channels * height * wide
        full_layer = nn.Linear(latent + condition, cells, bias=False)
        self.first = nn.Sequential(full_layer, nn.BatchNorm1d(cells), nn.ReLU(inplace=True))
        layers: list[nn.Module] = []
        for _ in range(steps):
            layers += doubled(channels, channels // 2)
            channels //= 2
        self.main = nn.Sequential(*layers, convolution(channels, spec.channels), nn.Tanh())
        initialize(self)

    def forward(self, latents: Latents) -> Images:
        images: Tensor = self.main(self.first(latents).unflatten(1, self._grid))
        return self._spec.to_network(full(images))


class Residual(nn.Module):
    """x + F(x), two 3x3 convolutions with batch norm, then ReLU.

    Example:
        >>> Residual(8)(torch.randn(2, 8, 4, 4)).shape
        torch.Size([2, 8, 4, 4])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            convolution(channels, channels),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            convolution(channels, channels),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = (features + self.main(features)).relu()
        return found


class StageTwoGenerator(nn.Module):
    """An image of stage one and c -> a larger image: down by four, c beside it, residual blocks, and up.

    Args:
        spec: the images wanted; those of stage one are ``times`` smaller a side.
        times: a power of two.
        condition: numbers of c.
        text: numbers of a sentence.
        width: channels of the first layer.
        blocks: residual blocks.

    Example:
        >>> generator = StageTwoGenerator(spec, times=2, condition=128, text=1024, width=128, blocks=2)
        >>> images = generator(small, torch.randn(len(small), 128))
    """

    def __init__(
        self, spec: DataSpec, times: int, condition: int, text: int, width: int, blocks: int
    ) -> None:
        super().__init__()
        self._spec, channels = spec, 4 * width
        self.augmentation = ConditioningAugmentation(text, condition)
        layers: list[nn.Module] = [convolution(spec.channels, width), nn.ReLU(inplace=True)]
        for narrow in (width, 2 * width):
            layers += [DownConv(narrow, 2 * narrow, bias=False), nn.BatchNorm2d(2 * narrow)]
            layers += [nn.ReLU(inplace=True)]
        self.down = nn.Sequential(*layers)
        joint = [convolution(channels + condition, channels), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        self.joint = nn.Sequential(*joint, *(Residual(channels) for _ in range(blocks)))
        ups: list[nn.Module] = []
        for _ in range(2 + times.bit_length() - 1):
            ups += doubled(channels, max(channels // 2, 1))
            channels = max(channels // 2, 1)
        self.up = nn.Sequential(*ups, convolution(channels, spec.channels), nn.Tanh())
        initialize(self)

    def forward(self, small: Tensor, condition: Latents) -> Images:
        images: Tensor = self.up(self.joint(beside(self.down(small), condition)))
        return self._spec.to_network(full(images))


class TextDiscriminator(nn.Module):
    """Images and conditions -> scores; of stage two also scores of the images alone.

    4x4 convolutions of stride 2 down to the smallest grid, 3x3 ones where more than eight times ``width``
    channels are too many, then the condition beside each cell, a 3x3 convolution and the score.

    Args:
        spec: the images judged.
        condition: numbers of c.
        width: channels of the first layer (df).
        alone: whether images are judged alone, too.

    Example:
        >>> critic = TextDiscriminator(spec, condition=128, width=64)
        >>> scores = critic.judge(critic.features(images), mean)
    """

    def __init__(self, spec: DataSpec, condition: int, width: int, alone: bool = False) -> None:
        super().__init__()
        height, wide, steps = resolution_steps(spec.height, spec.width)
        layers: list[nn.Module] = [
            DownConv(spec.channels, width, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        channels = width
        for _ in range(steps - 1):
            layers += [DownConv(channels, 2 * channels, bias=False), nn.BatchNorm2d(2 * channels)]
            layers += [nn.LeakyReLU(0.2, inplace=True)]
            channels *= 2
        while channels > 8 * width:
            layers += [convolution(channels, channels // 2), nn.BatchNorm2d(channels // 2)]
            layers += [nn.LeakyReLU(0.2, inplace=True)]
            channels //= 2
        self.trunk = nn.Sequential(*layers)
        self.joint = nn.Sequential(
            convolution(channels + condition, channels),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.2, inplace=True),
            ScoreHead(channels, 1, (height, wide)),
            nn.Flatten(0),
        )
        self.alone = nn.Sequential(ScoreHead(channels, 1, (height, wide)), nn.Flatten(0)) if alone else None
        initialize(self)

    def forward(self, images: Images, condition: Latents) -> Scores:
        return self.judge(self.features(images), condition)

    def features(self, images: Images) -> Tensor:
        """What both heads look at."""
        found: Tensor = self.trunk(images)
        return found

    def judge(self, features: Tensor, condition: Latents) -> Scores:
        """How real images are that are to show this: [batch]."""
        return full(self.joint(beside(features, condition)))

    def judge_alone(self, features: Tensor) -> Scores | None:
        """How real images are, whatever they are to show; None in stage one."""
        return None if self.alone is None else full(self.alone(features))


def augmented(mean: Latents, log_variance: Latents, noise: Latents) -> Latents:
    """C of a condition: mean + sigma * epsilon."""
    return torch.addcmul(mean, (0.5 * log_variance).exp(), noise)
