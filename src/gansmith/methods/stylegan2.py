"""StyleGAN2: styles scale convolutions, R1 and path lengths are regularized now and then (Karras 2020)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from gansmith.augment.policies import Augmentation, NoAugmentation
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import AdversarialLoss, Logistic, accuracy, judged
from gansmith.losses.penalties import R1, Critic
from gansmith.methods.augmented import adapt, augmented, remembering, sign_of
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import ImageBatch
from gansmith.methods.latent import LatentMethod
from gansmith.networks.bundle import Networks
from gansmith.networks.stylegan2 import (
    Normalization,
    Scaled,
    StyleDiscriminator,
    StyleMapping,
    StyleSynthesis,
)

_AVERAGE_W = 0.005  # Share of the newest batch in the average w.
_AVERAGE_LENGTH = 0.01  # Share of the newest batch in the average path length.


class StyleNetworks(Networks):
    """Mapping, synthesis and discriminator; the average w, and the average length of paths.

    Example:
        >>> networks = StyleGAN2(width=4, max_channels=16).build(spec)
        >>> networks.average_w.shape
        torch.Size([512])
    """

    def __init__(
        self, mapping: StyleMapping, synthesis: StyleSynthesis, discriminator: StyleDiscriminator, style: int
    ) -> None:
        super().__init__()
        self.mapping, self.synthesis, self.discriminator = mapping, synthesis, discriminator
        self.average_w: Tensor
        self.average_length: Tensor
        self.register_buffer("average_w", torch.zeros(style))
        self.register_buffer("average_length", torch.zeros(()))


@dataclass(frozen=True, kw_only=True)
class StyleGAN2(LatentMethod[StyleNetworks, ImageBatch, None]):
    """The logistic game with R1 every 16th step and path lengths every 4th.

    Example:
        >>> StyleGAN2(width=64)  # 256 px: 24.8 million parameters in G, 24.0 in D
    """

    batch_type: ClassVar[type[ImageBatch]] = ImageBatch
    spaces: ClassVar[tuple[str, ...]] = ("z", "w", "w+")

    latent: int = 512
    style: int = 512  # Numbers in w.
    mapping_layers: int = 8
    mapping_rate: float = 0.01  # Of the mapping's steps, as a share of the generator's.
    width: int = 64  # Channels at full size, doubled towards the smallest grid ...
    max_channels: int = 512  # ... up to so many.
    group: int = 4  # Images among which the discriminator sees the deviation.
    normalization: Normalization = "demodulation"  # Or adain, StyleGAN's own (Karras 2018).
    scaled: Scaled = "activations"  # Or weights: see networks/stylegan2.py.
    adversarial: AdversarialLoss = Logistic()
    augment: Augmentation = NoAugmentation()  # What the discriminator sees instead of images as they are.
    gamma: float = 1.0  # Of R1.
    r1_every: int = 16
    path_weight: float = 2.0
    path_every: int = 4
    mixing: float = 0.9  # Share of images with two styles.
    truncated_layers: int = 0  # Of w+, from the coarse end, that truncation draws to the average; 0: all.

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "style", "mapping_layers", "width", "max_channels", "group")
        at_least(self, 1, "r1_every", "path_every")
        at_least(self, 0, "gamma", "path_weight", "truncated_layers")
        if not self.mapping_rate > 0:
            raise SettingError(
                f"method.mapping_rate must be positive. Received: mapping_rate={self.mapping_rate}."
            )
        if not 0 <= self.mixing <= 1:
            raise SettingError(f"method.mixing is a share in [0, 1]. Received: mixing={self.mixing}.")

    def build(self, spec: DataSpec) -> StyleNetworks:
        networks = StyleNetworks(
            StyleMapping(self.latent, self.style, self.mapping_layers, self.mapping_rate),
            StyleSynthesis(spec, self.style, self.width, self.max_channels, self.scaled, self.normalization),
            StyleDiscriminator(spec, self.width, self.max_channels, self.group),
            self.style,
        )
        return remembering(networks, self.augment)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "generator": ("mapping", "synthesis")}

    def tiny(self) -> "StyleGAN2":
        return replace(self, latent=6, style=6, mapping_layers=2, width=4, max_channels=8)

    def turns(self) -> Sequence[Turn[StyleNetworks, ImageBatch]]:
        d, g = "discriminator", "generator"
        return (
            Turn(name=g, player=g, loss=self.generator_loss),
            Turn(name="path length", player=g, loss=self.path_loss, every=self.path_every),
            Turn(name=d, player=d, loss=self.discriminator_loss),
            Turn(name="R1", player=d, loss=self.r1_loss, every=self.r1_every),
        )

    # ---- losses -----------------------------------------------------------------------------------

    def generator_loss(
        self, networks: StyleNetworks, batch: ImageBatch, noise: Noise, progress: Progress
    ) -> Loss:
        """E[softplus(-D(G(z)))]."""
        w, fakes = self._fakes(networks, noise)
        scores = self._augmented(networks, noise, progress)(fakes)
        return Loss(self.adversarial.generator(scores), signals={"w": w.mean(dim=0)})

    def discriminator_loss(
        self, networks: StyleNetworks, batch: ImageBatch, noise: Noise, progress: Progress
    ) -> Loss:
        """E[softplus(-D(x))] + E[softplus(D(G(z)))]."""
        w, fakes = self._fakes(networks, noise)
        critic = self._augmented(networks, noise, progress)
        real, fake = critic(batch.images), critic(fakes)
        above, below = judged(self.adversarial, real, fake)
        parts = {
            "accuracy on real": accuracy(above, real=True),
            "accuracy on fake": accuracy(below, real=False),
            "margin": real.mean() - fake.mean(),
        }
        total = self.adversarial.discriminator(real, fake)
        return Loss(total, parts, signals={"w": w.mean(dim=0), **sign_of(above, self.augment)})

    def r1_loss(self, networks: StyleNetworks, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """Gamma / 2 x E[|grad D(x)|^2]."""
        critic, images = self._augmented(networks, noise, progress), batch.images
        return Loss(R1(gamma=self.gamma)(critic, images, images, noise))

    def path_loss(self, networks: StyleNetworks, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """Weight x E[(|J' y| - a)^2] on every second image, a the average length (equation 4)."""
        half = noise.each(2)
        with torch.autocast(half.seeds.device.type, enabled=False):
            mixed, maps = self._mixed(networks, half)[1], self._maps(networks, half)
            lengths = path_lengths(networks.synthesis, mixed, maps, half)
        average = networks.average_length.lerp(lengths.detach().mean(), _AVERAGE_LENGTH)
        total = self.path_weight * (lengths - average).square().mean()
        return Loss(total, {"length": lengths.mean()}, signals={"length": lengths.mean()})

    def after_step(self, networks: StyleNetworks, signals: Mapping[str, Tensor], progress: Progress) -> None:
        adapt(networks, self.augment, signals, progress)
        networks.average_w.lerp_(signals["w"], _AVERAGE_W)
        if "length" in signals:  # The turn is lazy.
            networks.average_length.lerp_(signals["length"], _AVERAGE_LENGTH)

    def validation_metrics(
        self, networks: StyleNetworks, batch: ImageBatch, noise: Noise
    ) -> Mapping[str, Tensor]:
        real = networks.discriminator(batch.images)
        fake = networks.discriminator(self._fakes(networks, noise)[1])
        return {
            "accuracy": accuracy(real, real=True, loss=self.adversarial),
            "margin": real.mean() - fake.mean(),
        }

    def _fakes(self, networks: StyleNetworks, noise: Noise) -> tuple[Tensor, Images]:
        """W of each seed before mixing, and the images."""
        w, mixed = self._mixed(networks, noise)
        return w, self.synthesize(networks, mixed, noise, None, "w+")

    def _augmented(self, networks: StyleNetworks, noise: Noise, progress: Progress) -> Critic:
        return augmented(networks.discriminator, self.augment, networks, noise, progress)

    def _maps(self, networks: StyleNetworks, noise: Noise) -> Tensor:
        return noise.fork("synthesis").bulk_normal(networks.synthesis.cells)

    def _mixed(self, networks: StyleNetworks, noise: Noise) -> tuple[Tensor, Tensor]:
        """W of each seed, and w+ in which some images go on with another w from some layer on."""
        w = self.to_latent(networks, noise, None, "w")
        layers = networks.synthesis.layers
        both = w[:, None].expand(-1, layers, -1)
        if self.mixing == 0:
            return w, both
        draws = noise.fork("mixing")
        other = networks.mapping(draws.normal(self.latent))
        # Where the second begins: in 1 ... layers - 1, or nowhere.
        start = 1 + (draws.uniform(1) * (layers - 1)).floor()
        start = torch.where(draws.uniform(1) < self.mixing, start, float(layers))
        second = torch.arange(layers, device=w.device) >= start
        return w, torch.where(second[:, :, None], other[:, None], both)

    # ---- latents ----------------------------------------------------------------------------------

    def to_latent(self, networks: StyleNetworks, noise: Noise, prompt: None, space: str = "z") -> Latents:
        z = noise.fork("z").normal(self.latent)
        if space == "z":
            return z
        w: Latents = networks.mapping(z)
        return w if space == "w" else w[:, None].expand(-1, networks.synthesis.layers, -1)

    def synthesize(
        self, networks: StyleNetworks, latents: Latents, noise: Noise, prompt: None, space: str = "z"
    ) -> Images:
        w = networks.mapping(latents) if space == "z" else latents
        layers = w if space == "w+" else w[:, None].expand(-1, networks.synthesis.layers, -1)
        images: Images = networks.synthesis(layers, self._maps(networks, noise).to(layers.dtype))
        return images

    def truncate(
        self, networks: StyleNetworks, latents: Latents, psi: float, space: str = "z", prompt: None = None
    ) -> Latents:
        if space == "z":
            return super().truncate(networks, latents, psi, space)
        drawn = networks.average_w.lerp(latents, psi)
        if space == "w" or not self.truncated_layers:
            return drawn
        return torch.cat([drawn[:, : self.truncated_layers], latents[:, self.truncated_layers :]], dim=1)

    def critic_scores(self, networks: StyleNetworks, images: Images, prompt: None) -> Scores:
        scores: Scores = networks.discriminator(images)
        return scores


def path_lengths(synthesis: nn.Module, w: Latents, maps: Tensor, noise: Noise) -> Tensor:
    """|J' y| of each image, [batch]: how far an image moves with w, along a random y (equation 4).

    y is from N(0, 1) over the root of the number of pixels. Squares are summed over w and averaged over
    layers.

    Args:
        synthesis: (w+, maps) -> images.
        w: w+, [batch, layers, style].
        maps: noise of the synthesis, [batch, cells].
        noise: a stream for each image, which y is drawn from.
    """
    if not w.requires_grad:
        w = w.detach().requires_grad_(True)
    images = synthesis(w, maps)
    pixels = images.shape[2] * images.shape[3]
    y = noise.fork("path").bulk_normal(*images.shape[1:]).to(images.dtype) / pixels**0.5
    (slopes,) = torch.autograd.grad((images * y).sum(), w, create_graph=True)
    return full(slopes.square().sum(dim=2).mean(dim=1)).sqrt()
