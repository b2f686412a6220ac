"""SRGAN: the game after SRResNet, for detail instead of the mean of what is possible (Ledig et al. 2016)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Scores, full
from gansmith.errors import at_least
from gansmith.losses.adversarial import AdversarialLoss, Logistic, accuracy
from gansmith.methods.base import Loss, Method, Turn
from gansmith.methods.batches import PairBatch, SourcePrompt
from gansmith.methods.srresnet import psnr_beside_bicubic
from gansmith.networks.bundle import Pair
from gansmith.networks.perceptual import Classified, Features
from gansmith.networks.srresnet import SRResNet


class EnlargementDiscriminator(nn.Module):
    """Images -> scores: eight 3x3 convolutions, every second of stride 2, then two linear layers (figure 4).

    Args:
        spec: the images judged; of one size, as the linear layers know only that.
        width: channels of the first two convolutions; doubled up to eight times that.

    Example:
        >>> EnlargementDiscriminator(DataSpec(height=96, width=96), 64)(torch.zeros(2, 3, 96, 96)).shape
        torch.Size([2])
    """

    def __init__(self, spec: DataSpec, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(spec.channels, width, 3, 1, 1), nn.LeakyReLU(0.2)]
        channels, height, wide = width, spec.height, spec.width
        for place in range(1, 8):
            wanted, stride = width * 2 ** (place // 2), 1 + place % 2
            layers += [
                nn.Conv2d(channels, wanted, 3, stride, 1, bias=False),
                nn.BatchNorm2d(wanted),
                nn.LeakyReLU(0.2),
            ]
            channels = wanted
            height, wide = -(-height // stride), -(-wide // stride)
        hidden = 16 * width
        head = [nn.Linear(channels * height * wide, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1)]
        self.main = nn.Sequential(*layers, nn.Flatten(), *head)

    def forward(self, images: Images) -> Scores:
        return full(self.main(images))[:, 0]


@dataclass(frozen=True, kw_only=True)
class SRGAN(Method[Pair, PairBatch, SourcePrompt]):
    """D: max E[log D(y)] + E[log(1 - D(G(x)))]; G: min content E(phi(y) - phi(G(x)))^2 - game E[log D(G(x))].

    The generator begins as a trained SRResNet: ``--set borrow.generator=runs/x4``.

    Example:
        >>> SRGAN(features=VGG19(file="vgg19-dcbb9e9d.pth"))
    """

    batch_type: ClassVar[type[PairBatch]] = PairBatch
    prompt_type: ClassVar[type[Any] | None] = SourcePrompt

    width: int = 64
    blocks: int = 16
    discriminator_width: int = 64
    features: Features = Classified()  # phi: which network the content loss looks through.
    content: float = 0.006  # Weight of the content loss; features are scaled by 1/12.75, which is its root.
    pixels: float = 0.0  # Weight of E(y - G(x))^2; 0 in the paper.
    game: float = 0.001
    adversarial: AdversarialLoss = Logistic()

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "blocks", "discriminator_width")
        at_least(self, 0, "content", "pixels", "game")

    def build(self, spec: DataSpec) -> Pair:
        generator = SRResNet(spec, self.width, self.blocks)
        return Pair(generator, EnlargementDiscriminator(spec, self.discriminator_width))

    def tiny(self) -> "SRGAN":
        return replace(self, width=4, blocks=1, discriminator_width=4, features=self.features.tiny())

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "generator": ("generator",)}

    def turns(self) -> Sequence[Turn[Pair, PairBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.discriminator_loss),
            Turn(name="generator", player="generator", loss=self.generator_loss, reuse_fakes=True),
        )

    def instruments(self, spec: DataSpec) -> Mapping[str, nn.Module]:
        return {"features": self.features.network(spec)}

    def discriminator_loss(self, networks: Pair, batch: PairBatch, noise: Noise, progress: Progress) -> Loss:
        real = networks.discriminator(batch.target)
        fake = networks.discriminator(self.fakes(networks, batch, noise).detach())
        parts = {
            "accuracy on real": accuracy(real, real=True, loss=self.adversarial),
            "accuracy on fake": accuracy(fake, real=False, loss=self.adversarial),
        }
        return Loss(self.adversarial.discriminator(real, fake), parts)

    def generator_loss(self, networks: Pair, batch: PairBatch, noise: Noise, progress: Progress) -> Loss:
        """The perceptual loss (equation 3): content and 1e-3 of the game."""
        made = self.fakes(networks, batch, noise)
        look = networks.instruments["features"]
        content = F.mse_loss(look(made), look(batch.target))
        pixels = F.mse_loss(made, batch.target)
        game = self.adversarial.generator(networks.discriminator(made))
        total = self.content * content + self.pixels * pixels + self.game * game
        return Loss(total, {"content": content, "pixels": pixels, "game": game})

    def fakes(self, networks: Pair, batch: PairBatch, noise: Noise) -> Images:
        """The same images for both players."""
        return noise.cached("fakes", lambda: self.generate(networks, self.prompt(batch), noise))

    def generate(self, networks: Pair, prompt: SourcePrompt, noise: Noise) -> Images:
        images: Images = networks.generator(prompt.source)
        return images

    def critic_scores(self, networks: Pair, images: Images, prompt: SourcePrompt) -> Scores:
        scores: Scores = networks.discriminator(images)
        return scores

    def validation_metrics(self, networks: Pair, batch: PairBatch, noise: Noise) -> Mapping[str, Tensor]:
        """PSNR of held-out images in decibels, beside that of bicubic; SRResNet's is the higher one."""
        return psnr_beside_bicubic(self.generate(networks, self.prompt(batch), noise), batch)
