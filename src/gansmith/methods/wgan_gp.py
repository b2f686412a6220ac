"""WGAN-GP: the critic's slope is held at 1 by a penalty, so residual networks train (Gulrajani 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.errors import at_least
from gansmith.losses.adversarial import Wasserstein
from gansmith.losses.penalties import lipschitz
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import ImageBatch
from gansmith.methods.pair import PairMethod
from gansmith.networks.bundle import Pair
from gansmith.networks.dcgan import resolution_steps

Norm = Literal["none", "layer"]


@dataclass(frozen=True, kw_only=True)
class WGANGP(PairMethod[ImageBatch, None]):
    """D: min E[D(G(z))] - E[D(x)] + lambda E[(|grad D(x')| - 1)^2]; G: min -E[D(G(z))] (equation 3)."""

    batch_type: ClassVar[type[ImageBatch]] = ImageBatch

    latent: int = 128
    width: int = 64  # Channels at full size.
    max_channels: int = 512
    norm: Norm = "layer"  # Of the critic: the penalty is per picture, so never batch norm (section 4).
    penalty: float = 10.0  # lambda.
    critic_moves: int = 5

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "width", "max_channels", "critic_moves")
        at_least(self, 0, "penalty")

    def build(self, spec: DataSpec) -> Pair:
        return Pair(
            ResidualGenerator(spec, self.latent, self.width, self.max_channels),
            ResidualCritic(spec, self.width, self.max_channels, self.norm),
        )

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"critic": ("discriminator",), "generator": ("generator",)}

    def tiny(self) -> "WGANGP":
        return replace(self, latent=6, width=4)

    def turns(self) -> Sequence[Turn[Pair, ImageBatch]]:
        return (
            Turn(name="critic", player="critic", loss=self.critic_loss, repeats=self.critic_moves),
            Turn(name="generator", player="generator", loss=self.generator_loss),
        )

    def critic_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """Equation 3."""
        critic, fakes = networks.discriminator, networks.generator(self.latents(noise))
        wasserstein = Wasserstein().discriminator(critic(batch.images), critic(fakes))
        slope = lipschitz(critic, batch.images, fakes, noise.uniform(1).flatten())
        return Loss(
            wasserstein + self.penalty * slope, {"distance": -wasserstein.detach(), "penalty": slope.detach()}
        )

    def generator_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """-E[D(G(z))]."""
        return Loss(Wasserstein().generator(networks.discriminator(networks.generator(self.latents(noise)))))

    def validation_metrics(self, networks: Pair, batch: ImageBatch, noise: Noise) -> Mapping[str, Tensor]:
        real = networks.discriminator(batch.images)
        fake = networks.discriminator(networks.generator(self.latents(noise)))
        return {"distance": real.mean() - fake.mean()}


def _widths(width: int, max_channels: int, num_upsamplings: int) -> list[int]:
    """Channels from full size down to the base grid."""
    return [min(width * 2**i, max_channels) for i in range(num_upsamplings + 1)]


class UpBlock(nn.Module):
    """Batch norm, ReLU, nearest upsampling, two 3x3 convolutions, and a 1x1 short cut."""

    def __init__(self, channels: int, wanted: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(wanted)
        self.conv1 = nn.Conv2d(channels, wanted, 3, 1, 1)
        self.conv2 = nn.Conv2d(wanted, wanted, 3, 1, 1)
        self.skip = nn.Conv2d(channels, wanted, 1)

    def forward(self, features: Tensor) -> Tensor:
        inner = F.interpolate(F.relu(self.norm1(features)), scale_factor=2, mode="nearest")
        inner = self.conv2(F.relu(self.norm2(self.conv1(inner))))
        # A 1x1 convolution and nearest upsampling commute; the small grid is the cheap place for it.
        skip = F.interpolate(self.skip(features), scale_factor=2, mode="nearest")
        return torch.add(inner, skip)


class DownBlock(nn.Module):
    """Optional layer norm, ReLU, two 3x3 convolutions, mean pooling, and a 1x1 short cut."""

    def __init__(self, channels: int, wanted: int, norm: Norm) -> None:
        super().__init__()
        self.norm1, self.norm2 = _layer_norm(channels, norm), _layer_norm(channels, norm)
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv2 = nn.Conv2d(channels, wanted, 3, 1, 1)
        self.skip = nn.Conv2d(channels, wanted, 1)

    def forward(self, features: Tensor) -> Tensor:
        inner = self.conv1(F.relu(self.norm1(features)))
        inner = F.avg_pool2d(self.conv2(F.relu(self.norm2(inner))), 2)
        skip: Tensor = self.skip(F.avg_pool2d(features, 2))
        return inner + skip


def _layer_norm(channels: int, norm: Norm) -> nn.Module:
    return nn.GroupNorm(1, channels) if norm == "layer" else nn.Identity()  # One group: over C, H, W.


class ResidualGenerator(nn.Module):
    """Latents -> pictures by residual blocks that double the size (appendix F)."""

    def __init__(self, spec: DataSpec, latent: int, width: int, max_channels: int) -> None:
        super().__init__()
        height, base_width, num_upsamplings = resolution_steps(spec.height, spec.width)
        widths = _widths(width, max_channels, num_upsamplings)[::-1]
        self.base, self._spec = (widths[0], height, base_width), spec
        self.stem = nn.Linear(latent, widths[0] * height * base_width)
        blocks = [UpBlock(wide, narrow) for wide, narrow in pairwise(widths)]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.last = nn.Conv2d(widths[-1], spec.channels, 3, 1, 1)
        _initialize(self)

    def forward(self, latents: Latents) -> Images:
        features = self.blocks(self.stem(latents).view(-1, *self.base))
        images: Tensor = self.last(F.relu(self.norm(features)))
        return self._spec.to_network(full(images).tanh())


class ResidualCritic(nn.Module):
    """Pictures -> scores by residual blocks that halve the size (appendix F)."""

    def __init__(self, spec: DataSpec, width: int, max_channels: int, norm: Norm) -> None:
        super().__init__()
        height, base_width, num_upsamplings = resolution_steps(spec.height, spec.width)
        widths = _widths(width, max_channels, num_upsamplings)
        self.first = nn.Conv2d(spec.channels, widths[0], 3, 1, 1)
        blocks = [DownBlock(narrow, wide, norm) for narrow, wide in pairwise(widths)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(widths[-1] * height * base_width, 1)
        _initialize(self)

    def forward(self, images: Images) -> Scores:
        features = self.blocks(self.first(images)).flatten(1)
        scores: Tensor = full(self.head(features))
        return scores[:, 0]


def _initialize(network: nn.Module) -> None:
    """He initialization where a ReLU follows in effect, Xavier for short cuts and heads."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            plain = name.endswith(("skip", "first", "last", "head", "stem"))
            (nn.init.xavier_uniform_ if plain else nn.init.kaiming_uniform_)(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
