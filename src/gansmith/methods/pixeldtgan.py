"""PixelDTGAN: an item out of a picture of its wearer, by a third kind of pair (Yoo et al. 2016)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Scalar, Scores, full
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import accuracy
from gansmith.methods.base import Loss, Method, Turn
from gansmith.methods.batches import AssociationBatch, SourcePrompt
from gansmith.networks.bundle import Networks
from gansmith.networks.conv import DownConv, ProjectLatent, ScoreHead
from gansmith.networks.dcgan import DCGANDiscriminator, initialize
from gansmith.networks.resolution import resolution_steps
from gansmith.networks.upsampling import Up, up_layer


class Converter(nn.Module):
    """Images -> images of the same size: DCGAN's discriminator and its generator, one behind the other.

    Args:
        spec: the images wanted, and the channels of those given.
        width: channels after the first halving; doubled towards the middle.
        code: numbers in the middle (the paper: 64); 0: the smallest grid is handed on as it is.
        up: how sizes are doubled.

    Example:
        >>> Converter(DataSpec(height=64, width=64), 128, 64)(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 3, 64, 64])
    """

    def __init__(self, spec: DataSpec, width: int, code: int, up: Up = "transposed") -> None:
        super().__init__()
        height, wide, halvings = resolution_steps(spec.height, spec.width)
        widths = [width * 2**i for i in range(halvings)]
        layers: list[nn.Module] = []
        channels = spec.source[0]
        for i, wider in enumerate(widths):
            layers += [DownConv(channels, wider, bias=False), *([nn.BatchNorm2d(wider)] if i else [])]
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            channels = wider
        if code:
            layers += [ScoreHead(channels, code, (height, wide), bias=False), nn.BatchNorm2d(code)]
            layers += [
                nn.LeakyReLU(0.2, inplace=True),
                ProjectLatent(code, channels, (height, wide), bias=False),
            ]
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        for narrower in reversed(widths[:-1]):
            layers += [up_layer(up, channels, narrower, bias=False), nn.BatchNorm2d(narrower)]
            layers.append(nn.ReLU(inplace=True))
            channels = narrower
        layers.append(up_layer(up, channels, spec.channels, bias=False))
        self.main, self._spec = nn.Sequential(*layers), spec
        initialize(self)

    def forward(self, images: Images) -> Images:
        made: Tensor = self.main(images)
        return self._spec.to_network(full(made).tanh())


class TransferNetworks(Networks):
    """A converter, a critic of targets alone, and one of sources with targets.

    Example:
        >>> networks = PixelDTGAN(width=8).build(DataSpec(height=32, width=32))
        >>> networks.domain(torch.zeros(2, 6, 32, 32)).shape
        torch.Size([2])
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module, domain: nn.Module) -> None:
        super().__init__()
        self.generator, self.discriminator, self.domain = generator, discriminator, domain


@dataclass(frozen=True, kw_only=True)
class PixelDTGAN(Method[TransferNetworks, AssociationBatch, SourcePrompt]):
    """C: min -(log D(C(s)) + log A(s, C(s))) / 2; D and A told real from fake, t' a target of another source.

    D, of realism: -(log D(t) + log D(t') + log(1 - D(C(s)))) / 3, with both kinds of real target as in the
    ports. A, of the domain: -(log A(s, t) + log(1 - A(s, t')) + log(1 - A(s, C(s)))) / 3: an item of somebody
    else is as wrong as a generated one.

    Example:
        >>> PixelDTGAN(width=32, code=64)
    """

    batch_type: ClassVar[type[AssociationBatch]] = AssociationBatch
    prompt_type: ClassVar[type[Any] | None] = SourcePrompt

    width: int = 128  # Channels of the first layer of all three networks.
    code: int = 64  # Numbers in the converter's middle; 0: the smallest grid.
    up: Up = "transposed"  # nearest and bilinear leave no checkerboard.
    l1: float = 0.0  # Weight of E|t - C(s)|: none in the paper; a little steadies short runs.

    def __post_init__(self) -> None:
        at_least(self, 1, "width")
        at_least(self, 0, "code", "l1")

    def build(self, spec: DataSpec) -> TransferNetworks:
        if spec.source_shrink != 1:
            raise SettingError(
                "PixelDTGAN makes images as large as their sources. Received: sources "
                f"{spec.source_shrink} times smaller. Use other pairs, such as data.pairs=folders."
            )
        both = replace(spec, channels=spec.channels + spec.source[0])
        return TransferNetworks(
            Converter(spec, self.width, self.code, self.up),
            DCGANDiscriminator(spec, self.width),
            DCGANDiscriminator(both, self.width),
        )

    def tiny(self) -> "PixelDTGAN":
        return replace(self, width=4, code=min(self.code, 6))

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminators": ("discriminator", "domain"), "generator": ("generator",)}

    def turns(self) -> Sequence[Turn[TransferNetworks, AssociationBatch]]:
        return (
            Turn(name="discriminators", player="discriminators", loss=self.discriminators_loss),
            Turn(name="generator", player="generator", loss=self.generator_loss, reuse_fakes=True),
        )

    def discriminators_loss(
        self, networks: TransferNetworks, batch: AssociationBatch, noise: Noise, progress: Progress
    ) -> Loss:
        fakes = self.fakes(networks, batch, noise).detach()
        real, other, fake = (
            networks.discriminator(images) for images in (batch.target, batch.other_target, fakes)
        )
        of_pair, of_other, of_fake = (
            pair_score(networks, batch.source, images) for images in (batch.target, batch.other_target, fakes)
        )
        realism = (_real(real) + _real(other) + _fake(fake)) / 3.0
        domain = (_real(of_pair) + _fake(of_other) + _fake(of_fake)) / 3.0
        parts = {
            "realism": realism,
            "domain": domain,
            "accuracy on fake": accuracy(fake, real=False),
            "accuracy on other items": accuracy(of_other, real=False),
        }
        return Loss(realism + domain, parts)

    def generator_loss(
        self, networks: TransferNetworks, batch: AssociationBatch, noise: Noise, progress: Progress
    ) -> Loss:
        fakes = self.fakes(networks, batch, noise)
        game = 0.5 * _real(networks.discriminator(fakes))
        game = game + 0.5 * _real(pair_score(networks, batch.source, fakes))
        distance = F.l1_loss(fakes, batch.target)
        return Loss(game + self.l1 * distance, {"game": game, "l1": distance.detach()})

    def fakes(self, networks: TransferNetworks, batch: AssociationBatch, noise: Noise) -> Images:
        """The same images for all players."""
        return noise.cached("fakes", lambda: networks.generator(batch.source))

    def generate(self, networks: TransferNetworks, prompt: SourcePrompt, noise: Noise) -> Images:
        images: Images = networks.generator(prompt.source)
        return images

    def critic_scores(self, networks: TransferNetworks, images: Images, prompt: SourcePrompt) -> Scores:
        return pair_score(networks, prompt.source, images)

    def validation_metrics(
        self, networks: TransferNetworks, batch: AssociationBatch, noise: Noise
    ) -> Mapping[str, Tensor]:
        """Root mean square distances in [-1, 1]: to the right item, and to another one.

        Results nearer to the right item than to others follow their source.
        """
        made = networks.generator(batch.source)
        return {
            "rmse": F.mse_loss(made, batch.target).sqrt(),
            "rmse to another": F.mse_loss(made, batch.other_target).sqrt(),
            "rmse of another": F.mse_loss(batch.other_target, batch.target).sqrt(),
        }


def pair_score(networks: TransferNetworks, source: Images, target: Images) -> Scores:
    """A(s, t): whether a target belongs to a source."""
    scores: Scores = networks.domain(torch.cat([source, target], dim=1))
    return scores


def _real(scores: Scores) -> Scalar:
    return F.softplus(-scores).mean()


def _fake(scores: Scores) -> Scalar:
    return F.softplus(scores).mean()
