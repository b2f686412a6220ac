"""StarGAN: one generator for many attributes, told which an image is to have (Choi et al. 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Attributes, AttributeShares, Images, Scalar, Scores, full
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import AdversarialLoss, Wasserstein
from gansmith.losses.penalties import GradientPenalty, Penalty
from gansmith.methods.base import Loss, Method, Turn
from gansmith.methods.batches import EditBatch, EditPrompt
from gansmith.networks.bundle import Pair
from gansmith.networks.conv import DownConv, ScoreHead
from gansmith.networks.norm import InstanceNorm
from gansmith.networks.upsampling import Up, up_layer

_DEEPEST = 6  # Halvings of the critic at 128 px and more.
_LEAST = 2  # Places a side that the critic's heads need.


class LabelTranslator(nn.Module):
    """Images and attributes -> images of the same size; each attribute is a plane of 0 or 1 beside the image.

    In use a plane may have any number between, for a picture on the way; none is trained.

    Borders are padded with 0: with reflection each plane would be constant, and instance norm would take it
    away (the authors' model.py). No convolution has a bias.

    Args:
        spec: the images, and the names of their attributes.
        width: channels at full size; doubled at each of two halvings.
        blocks: residual blocks between.
        up: how sizes are doubled.

    Raises:
        SettingError: the sides are not multiples of 4 from 8 on.

    Example:
        >>> network = LabelTranslator(DataSpec(height=128, width=128, attribute_names=("smiling",)), 64, 6)
        >>> network(torch.zeros(2, 3, 128, 128), torch.tensor([[0], [1]])).shape
        torch.Size([2, 3, 128, 128])
    """

    def __init__(self, spec: DataSpec, width: int, blocks: int, up: Up = "transposed") -> None:
        super().__init__()
        if spec.height % 4 or spec.width % 4 or min(spec.height, spec.width) < 8:
            high, wide = (max(8, round(side / 4) * 4) for side in (spec.height, spec.width))
            raise SettingError(
                "StarGAN's generator halves a picture twice, so its sides are multiples of 4 from 8 on. "
                f"Received: {spec.width}x{spec.height}. Try data.size={wide}x{high}."
            )
        self._spec = spec
        planes = spec.channels + max(spec.attributes, 1)
        layers: list[nn.Module] = [nn.Conv2d(planes, width, 7, 1, 3, bias=False), *_after(width)]
        for wide in (width, 2 * width):
            layers += [DownConv(wide, 2 * wide, bias=False), *_after(2 * wide)]
        layers += [_Block(4 * width) for _ in range(blocks)]
        for wide in (4 * width, 2 * width):
            layers += [up_layer(up, wide, wide // 2, bias=False), *_after(wide // 2)]
        layers.append(nn.Conv2d(width, spec.channels, 7, 1, 3, bias=False))
        self.main = nn.Sequential(*layers)

    def forward(self, images: Images, attributes: Attributes | AttributeShares) -> Images:
        planes = attributes.to(images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
        made: Tensor = self.main(torch.cat([images, planes], dim=1))
        return self._spec.to_network(full(made).tanh())


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, 1, 1, bias=False) for _ in range(2))
        self.main = nn.Sequential(first, *_after(channels), second, InstanceNorm(channels))

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.main(features)
        return features + changed


def _after(channels: int) -> list[nn.Module]:
    return [InstanceNorm(channels), nn.ReLU(inplace=True)]


class AttributeCritic(nn.Module):
    """Images -> a score for each patch, and a logit for each attribute of the whole image.

    4x4 convolutions of stride 2 with LeakyReLU 0.01 and no norm, six at 128 px; two heads.

    Args:
        spec: the images, and the names of their attributes.
        width: channels of the first layer; doubled at each further one.

    Example:
        >>> critic = AttributeCritic(DataSpec(height=128, width=128, attribute_names=("smiling",)), 64)
        >>> [found.shape for found in critic(torch.zeros(4, 3, 128, 128))]
        [torch.Size([4, 2, 2]), torch.Size([4, 1])]
    """

    def __init__(self, spec: DataSpec, width: int) -> None:
        super().__init__()
        channels, grid = spec.channels, (spec.height, spec.width)
        layers: list[nn.Module] = []
        while len(layers) < 2 * _DEEPEST and min(grid) // 2 >= _LEAST:
            layers += [DownConv(channels, width), nn.LeakyReLU(0.01)]
            channels, width, grid = width, 2 * width, (grid[0] // 2, grid[1] // 2)
        self.main = nn.Sequential(*layers)
        self.score = nn.Conv2d(channels, 1, 3, 1, 1, bias=False)
        self.attributes = ScoreHead(channels, max(spec.attributes, 1), grid, bias=False)

    def forward(self, images: Images) -> tuple[Scores, Float[Tensor, "batch attributes"]]:
        features = self.main(images)
        return full(self.score(features))[:, 0], full(self.attributes(features)).flatten(1)


@dataclass(frozen=True, kw_only=True)
class StarGAN(Method[Pair, EditBatch, EditPrompt]):
    """D: min L_adv + l_gp L_gp + l_cls L_cls(x, c'); G: min L_adv + l_cls L_cls(G(x, c), c) + l_rec L_rec.

    With x an image of attributes c' and c those asked for: L_adv = E[D(G(x, c))] - E[D(x)], L_cls the binary
    cross-entropy summed over attributes, L_rec = E|x - G(G(x, c), c')| (equations 1 to 8).

    Example:
        >>> StarGAN(generator_width=32, reconstruction=10.0)
    """

    batch_type: ClassVar[type[EditBatch]] = EditBatch
    prompt_type: ClassVar[type[Any] | None] = EditPrompt

    generator_width: int = 64
    discriminator_width: int = 64
    blocks: int = 6
    up: Up = "transposed"  # nearest and bilinear leave no checkerboard.
    classification: float = 1.0  # lambda_cls.
    reconstruction: float = 10.0  # lambda_rec.
    identity: float = 0.0  # Weight of E|x - G(x, c')|, none in the paper: keeps what is not to change.
    critic_moves: int = 5
    adversarial: AdversarialLoss = Wasserstein()
    penalty: Penalty = GradientPenalty(weight=10.0)

    def __post_init__(self) -> None:
        at_least(self, 1, "generator_width", "discriminator_width", "critic_moves")
        at_least(self, 0, "blocks", "classification", "reconstruction", "identity")

    def build(self, spec: DataSpec) -> Pair:
        generator = LabelTranslator(spec, self.generator_width, self.blocks, self.up)
        return Pair(generator, AttributeCritic(spec, self.discriminator_width))

    def tiny(self) -> "StarGAN":
        return replace(self, generator_width=2, discriminator_width=4, blocks=1)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "generator": ("generator",)}

    def turns(self) -> Sequence[Turn[Pair, EditBatch]]:
        return (
            Turn(
                name="discriminator",
                player="discriminator",
                loss=self.discriminator_loss,
                repeats=self.critic_moves,
            ),
            Turn(name="generator", player="generator", loss=self.generator_loss),
        )

    def discriminator_loss(self, networks: Pair, batch: EditBatch, noise: Noise, progress: Progress) -> Loss:
        fakes = networks.generator(batch.images, batch.other_attributes)
        real, told = networks.discriminator(batch.images)
        fake, _ = networks.discriminator(fakes)
        penalty = self.penalty(lambda images: networks.discriminator(images)[0], batch.images, fakes, noise)
        classes = cross_entropy(told, batch.attributes)
        parts = {
            "distance": real.mean() - fake.mean(),
            "penalty": penalty.detach(),
            "attribute accuracy on real": told_right(told, batch.attributes),
        }
        game = self.adversarial.discriminator(real, fake)
        return Loss(game + penalty + self.classification * classes, parts)

    def generator_loss(self, networks: Pair, batch: EditBatch, noise: Noise, progress: Progress) -> Loss:
        fakes = networks.generator(batch.images, batch.other_attributes)
        fake, told = networks.discriminator(fakes)
        game, classes = self.adversarial.generator(fake), cross_entropy(told, batch.other_attributes)
        back = F.l1_loss(networks.generator(fakes, batch.attributes), batch.images)
        total = game + self.classification * classes + self.reconstruction * back
        parts = {"game": game, "classification": classes, "reconstruction": back}
        if self.identity > 0:
            same = F.l1_loss(networks.generator(batch.images, batch.attributes), batch.images)
            total, parts = total + self.identity * same, {**parts, "identity": same}
        return Loss(total, parts)

    def prompt(self, batch: EditBatch) -> EditPrompt:
        return EditPrompt(batch.images, batch.other_attributes)

    def generate(self, networks: Pair, prompt: EditPrompt, noise: Noise) -> Images:
        images: Images = networks.generator(prompt.images, prompt.attributes)
        return images

    def read_attributes(self, networks: Pair, images: Images) -> Attributes:
        """What the model's own classifier sees in images: [batch, attributes], each 0 or 1."""
        seen: Tensor = networks.discriminator(images)[1] > 0
        return seen.to(torch.uint8)

    def critic_scores(self, networks: Pair, images: Images, prompt: EditPrompt) -> Scores:
        scores: Scores = networks.discriminator(images)[0]
        return scores

    def validation_metrics(self, networks: Pair, batch: EditBatch, noise: Noise) -> Mapping[str, Tensor]:
        """How well D reads attributes, how often it finds in results what was asked, and what changes.

        A change near 0 means that the generator does nothing; labels that change nothing (``label change``,
        between all attributes asked for and none) that it does not listen.
        """
        made = networks.generator(batch.images, batch.other_attributes)
        ends = [networks.generator(batch.images, torch.full_like(batch.attributes, end)) for end in (0, 1)]
        _, told = networks.discriminator(batch.images)
        return {
            "attribute accuracy": told_right(told, batch.attributes),
            "attributes as asked": told_right(networks.discriminator(made)[1], batch.other_attributes),
            "change": F.l1_loss(made, batch.images),
            "label change": F.l1_loss(*ends),
            "reconstruction": F.l1_loss(networks.generator(made, batch.attributes), batch.images),
        }


def cross_entropy(logits: Float[Tensor, "batch attributes"], truth: Attributes) -> Scalar:
    """Binary cross-entropy, summed over the attributes of an image and averaged over images."""
    found = F.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype), reduction="sum")
    return found / len(logits)


def told_right(logits: Float[Tensor, "batch attributes"], truth: Attributes) -> Scalar:
    """Share of attributes that are told right."""
    return ((logits > 0) == (truth > 0)).float().mean()
