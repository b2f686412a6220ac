"""Context Encoder: a hole filled by what is around it (Pathak et al. 2016)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Scalar, Scores
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import AdversarialLoss, Logistic, accuracy
from gansmith.methods.base import Loss, Method, Turn
from gansmith.methods.batches import HoleBatch, HolePrompt
from gansmith.networks.bundle import Pair
from gansmith.networks.inpainting import Bottleneck, ContextDiscriminator, ContextGenerator, Region

Hole = Bool[Tensor, "batch 1 height width"]


@dataclass(frozen=True, kw_only=True)
class ContextEncoder(Method[Pair, HoleBatch, HolePrompt]):
    """D: max E[log D(x)] + E[log(1 - D(F(x')))]; F: min l2 E[w (x - F(x'))^2] - game E[log D(F(x'))].

    x' is x with a hole. The weight w is 1 in it, ``overlap_weight`` in a band around it, 0 elsewhere.

    Example:
        >>> ContextEncoder(region="whole", bottleneck="channelwise")
    """

    batch_type: ClassVar[type[HoleBatch]] = HoleBatch
    prompt_type: ClassVar[type[Any] | None] = HolePrompt

    generator_width: int = 64  # nef and ngf.
    discriminator_width: int = 64  # ndf.
    code: int = 4000  # Numbers of the convolutional bottleneck (nBottleneck).
    bottleneck: Bottleneck = "convolution"  # channelwise: the paper's network for learning features.
    region: Region = "centre"  # What is predicted: the middle half, where the hole is, or the whole image.
    l2: float = 0.999
    game: float = 0.001
    overlap: int = 4  # Pixels of the band around the hole that are predicted, too.
    overlap_weight: float = 10.0
    adversarial: AdversarialLoss = Logistic()

    def __post_init__(self) -> None:
        at_least(self, 1, "generator_width", "discriminator_width", "code")
        at_least(self, 0, "l2", "game", "overlap", "overlap_weight")

    def build(self, spec: DataSpec) -> Pair:
        if spec.source != (spec.channels, spec.height, spec.width):
            raise SettingError(
                "A context encoder is given the picture itself, with a hole. Received: sources of another "
                "size or number of channels. Use data.pairs=hole:inner or hole:random, and leave out "
                "data.source_channels."
            )
        generator = ContextGenerator(
            spec, self.generator_width, self.code, bottleneck=self.bottleneck, region=self.region
        )
        size = self.reach(spec)[2:]
        return Pair(generator, ContextDiscriminator(spec.channels, size, self.discriminator_width))

    def tiny(self) -> "ContextEncoder":
        return replace(self, generator_width=4, discriminator_width=4, code=8)

    def reach(self, spec: DataSpec) -> tuple[int, int, int, int]:
        """(top, left, height, width) of the pixels it can fill, in an image of the size of ``spec``."""
        if self.region == "whole":
            return 0, 0, spec.height, spec.width
        return spec.height // 4, spec.width // 4, spec.height // 2, spec.width // 2

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "generator": ("generator",)}

    def turns(self) -> Sequence[Turn[Pair, HoleBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.discriminator_loss),
            Turn(name="generator", player="generator", loss=self.generator_loss, reuse_fakes=True),
        )

    def discriminator_loss(self, networks: Pair, batch: HoleBatch, noise: Noise, progress: Progress) -> Loss:
        real = networks.discriminator(self._within(batch.target))
        fake = networks.discriminator(self._shown(batch, self._predicted(networks, batch, noise)).detach())
        parts = {
            "accuracy on real": accuracy(real, real=True, loss=self.adversarial),
            "accuracy on fake": accuracy(fake, real=False, loss=self.adversarial),
        }
        return Loss(self.adversarial.discriminator(real, fake), parts)

    def generator_loss(self, networks: Pair, batch: HoleBatch, noise: Noise, progress: Progress) -> Loss:
        made = self._predicted(networks, batch, noise)
        game = self.adversarial.generator(networks.discriminator(self._shown(batch, made)))
        distance = self.distance(made, batch)
        return Loss(self.l2 * distance + self.game * game, {"l2": distance, "game": game})

    def distance(self, made: Images, batch: HoleBatch) -> Scalar:
        """The weighted squared distance of an image's predicted pixels, on average.

        Args:
            made: the prediction, of the region.
            batch: what it is of.
        """
        hole = (self._within(batch.mask) > 0).to(made.dtype)
        grown = F.max_pool2d(hole, 2 * self.overlap + 1, 1, self.overlap)
        weights = hole + self.overlap_weight * (grown - hole)
        errors = weights * (made - self._within(batch.target)).square()
        # Of each image by itself, so that parts of a batch add up to it whatever their holes.
        return (errors.sum(dim=(1, 2, 3)) / (made.shape[1] * grown.sum(dim=(1, 2, 3)).clamp(min=1.0))).mean()

    def generate(self, networks: Pair, prompt: HolePrompt, noise: Noise) -> Images:
        """The image with its hole filled; what is known, and what is out of reach, stays the source's."""
        made = networks.generator(prompt.source)
        if self.region == "centre":
            whole = prompt.source.to(made.dtype, copy=True)
            self._within(whole).copy_(made)
            made = whole
        return torch.where(prompt.mask > 0, made, prompt.source)

    def critic_scores(self, networks: Pair, images: Images, prompt: HolePrompt) -> Scores:
        scores: Scores = networks.discriminator(self._within(images))
        return scores

    def validation_metrics(self, networks: Pair, batch: HoleBatch, noise: Noise) -> Mapping[str, Tensor]:
        """L1 and PSNR inside held-out holes, of the result and of two fillings that nobody has to learn.

        L1 is of images in [-1, 1], PSNR in decibels, of each image's hole and then on average.
        """
        hole = batch.mask > 0
        known = (~hole).to(batch.source.dtype)
        mean = (batch.source * known).sum(dim=(2, 3)) / known.sum(dim=(2, 3)).clamp(min=1.0)
        fillings = {
            "": self.generate(networks, self.prompt(batch), noise),
            " of mean colour": mean[:, :, None, None].expand_as(batch.source),
            " of border": from_border(batch.source, hole),
        }
        found: dict[str, Tensor] = {}
        for name, filled in fillings.items():
            found[f"l1{name}"] = _in_hole((filled - batch.target).abs(), hole).mean()
            errors = _in_hole((filled - batch.target).square(), hole).clamp(min=1e-10)
            found[f"psnr{name}"] = (10.0 * (4.0 / errors).log10()).mean()
        return found

    def _predicted(self, networks: Pair, batch: HoleBatch, noise: Noise) -> Images:
        """The same prediction for both players, of the region."""
        return noise.cached("fakes", lambda: networks.generator(batch.source))

    def _shown(self, batch: HoleBatch, made: Images) -> Float[Tensor, "_ _ _ _"]:
        """What the critic sees: the predicted middle, or the image composed with what is known of it."""
        return made if self.region == "centre" else torch.where(batch.mask > 0, made, batch.source)

    def _within(self, images: Images) -> Float[Tensor, "_ _ _ _"]:
        """The part of images that is predicted, a view."""
        height, width = images.shape[2:]
        if self.region == "whole":
            return images
        top, left = height // 4, width // 4
        return images[:, :, top : top + height // 2, left : left + width // 2]


def from_border(images: Images, hole: Hole) -> Images:
    """Images whose holes are filled from their border inwards, a ring of pixels at a time.

    Each pixel of a ring is the mean of its known neighbours, of eight. A hole without a border stays.

    Example:
        >>> from_border(images, hole=batch.mask > 0).shape
        torch.Size([4, 3, 64, 64])
    """
    known = (~hole).to(images.dtype)
    filled = images * known
    for _ in range(max(images.shape[2:])):
        if bool(known.all()):
            break
        # Nine times the mean is the sum, border of the image or not.
        count = 9.0 * F.avg_pool2d(known, 3, 1, 1)
        near = 9.0 * F.avg_pool2d(filled, 3, 1, 1) / count.clamp(min=1.0)
        ring = (known == 0) & (count > 0.5)
        filled = torch.where(ring, near, filled)
        known = torch.where(ring, torch.ones_like(known), known)
    return torch.where(known > 0, filled, images)


def _in_hole(errors: Tensor, hole: Hole) -> Float[Tensor, " batch"]:
    """The mean of errors inside each image's hole."""
    inside = hole.to(errors.dtype)
    return (errors * inside).sum(dim=(1, 2, 3)) / (errors.shape[1] * inside.sum(dim=(1, 2, 3))).clamp(min=1.0)
