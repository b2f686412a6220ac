"""pix2pix: an image for an image, by a U-Net against a critic of patches (Isola et al. 2016)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Scores
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import AdversarialLoss, Logistic, accuracy
from gansmith.methods.base import Loss, Method, Turn
from gansmith.methods.batches import PairBatch, SourcePrompt
from gansmith.networks.bundle import Pair
from gansmith.networks.norm import ImageNorm
from gansmith.networks.patchgan import PatchDiscriminator
from gansmith.networks.unet import UNet
from gansmith.networks.upsampling import Up


@dataclass(frozen=True, kw_only=True)
class Pix2Pix(Method[Pair, PairBatch, SourcePrompt]):
    """D: max (E[log D(x, y)] + E[log(1 - D(x, G(x)))]) / 2; G: max E[log D(x, G(x))] - l1 E|y - G(x)|.

    Example:
        >>> Pix2Pix(up="nearest", l1=50.0)
    """

    batch_type: ClassVar[type[PairBatch]] = PairBatch
    prompt_type: ClassVar[type[Any] | None] = SourcePrompt

    generator_width: int = 64  # ngf.
    discriminator_width: int = 64  # ndf.
    layers: int = 3  # Halvings of the critic: 3 for patches of 70 px, 1 for 16, 5 for 286, 0 for one pixel.
    norm: ImageNorm = "instance"  # What the paper's batch norm is at its batch of one.
    up: Up = "transposed"  # nearest and bilinear leave no checkerboard.
    l1: float = 100.0  # Weight of E|y - G(x)| beside the game (equation 4).
    adversarial: AdversarialLoss = Logistic()
    conditional: bool = True  # Whether the critic sees the source, too: the paper's cGAN.
    noise_at_test: bool = True  # Whether dropout, the noise of this generator, goes on in use.

    def __post_init__(self) -> None:
        at_least(self, 1, "generator_width", "discriminator_width")
        at_least(self, 0, "layers", "l1")

    def build(self, spec: DataSpec) -> Pair:
        if spec.source_shrink != 1:
            raise SettingError(
                "pix2pix makes images as large as their sources. Received: sources "
                f"{spec.source_shrink} times smaller (data.pairs=small:{spec.source_shrink}). "
                "Use --recipe srresnet-x4, or other pairs."
            )
        generator = UNet(
            spec, self.generator_width, norm=self.norm, up=self.up, noise_at_test=self.noise_at_test
        )
        channels = spec.channels + (spec.source[0] if self.conditional else 0)
        discriminator = PatchDiscriminator(
            channels,
            (spec.height, spec.width),
            self.discriminator_width,
            layers=self.layers,
            norm=self.norm,
        )
        return Pair(generator, discriminator)

    def tiny(self) -> "Pix2Pix":
        return replace(self, generator_width=4, discriminator_width=4)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "generator": ("generator",)}

    def turns(self) -> Sequence[Turn[Pair, PairBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.discriminator_loss),
            Turn(name="generator", player="generator", loss=self.generator_loss, reuse_fakes=True),
        )

    def discriminator_loss(self, networks: Pair, batch: PairBatch, noise: Noise, progress: Progress) -> Loss:
        """Half of the game's loss, which slows the critic (section 3.3)."""
        prompt = self.prompt(batch)
        real = self.critic_scores(networks, batch.target, prompt)
        fake = self.critic_scores(networks, self.fakes(networks, batch, noise).detach(), prompt)
        parts = {
            "accuracy on real": accuracy(real, real=True, loss=self.adversarial),
            "accuracy on fake": accuracy(fake, real=False, loss=self.adversarial),
        }
        return Loss(0.5 * self.adversarial.discriminator(real, fake), parts)

    def generator_loss(self, networks: Pair, batch: PairBatch, noise: Noise, progress: Progress) -> Loss:
        fake = self.fakes(networks, batch, noise)
        game = self.adversarial.generator(self.critic_scores(networks, fake, self.prompt(batch)))
        distance = F.l1_loss(fake, batch.target)
        return Loss(game + self.l1 * distance, {"l1": distance, "game": game})

    def fakes(self, networks: Pair, batch: PairBatch, noise: Noise) -> Images:
        """The same images for both players, as the authors' code has it."""
        return noise.cached("fakes", lambda: self.generate(networks, self.prompt(batch), noise))

    def generate(self, networks: Pair, prompt: SourcePrompt, noise: Noise) -> Images:
        images: Images = networks.generator(prompt.source, noise)
        return images

    def critic_scores(self, networks: Pair, images: Images, prompt: SourcePrompt) -> Scores:
        shown = torch.cat([prompt.source, images], dim=1) if self.conditional else images
        scores: Scores = networks.discriminator(shown)
        return scores

    def validation_metrics(self, networks: Pair, batch: PairBatch, noise: Noise) -> Mapping[str, Tensor]:
        """L1 of held-out pairs in [-1, 1], as training has it, and how far results are from their sources."""
        made = self.generate(networks, self.prompt(batch), noise)
        found = {"l1": F.l1_loss(made, batch.target)}
        if made.shape == batch.source.shape:
            found["change"] = F.l1_loss(made, batch.source)  # Near 0: it changes nothing.
        return found
