"""ProGAN: images grow from the smallest grid to full size while the networks train (Karras 2017)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores
from gansmith.errors import SettingError
from gansmith.losses.adversarial import AdversarialLoss, PairedLoss, Wasserstein
from gansmith.losses.penalties import Critic, GradientPenalty, Penalty
from gansmith.methods.base import Loss
from gansmith.methods.gan import GAN
from gansmith.networks.bundle import Pair
from gansmith.networks.progan import Progressive, faded
from gansmith.networks.resolution import resolution_steps


@dataclass(frozen=True, kw_only=True)
class ProGAN(GAN):
    """The Wasserstein game with a gradient penalty and a drift, played on images that grow.

    The level says how often the smallest grid was doubled; between two whole numbers the new size is faded
    in, for fakes and real images alike. It is a function of how far the run has come.

    Example:
        >>> ProGAN(networks=Progressive(width=64, max_channels=128), grown=0.5)
    """

    latent: int = 512
    networks: Progressive = Progressive()
    adversarial: AdversarialLoss | PairedLoss = Wasserstein()
    penalty: Penalty = GradientPenalty()
    drift: float = 1e-3
    grown: float = 0.5  # Share of the run after which images have full size.

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.grown <= 1:
            raise SettingError(f"method.grown is a share of the run in [0, 1]. Received: grown={self.grown}.")

    def build(self, spec: DataSpec) -> Pair:
        pair = super().build(spec)
        pair.register_buffer("level", torch.zeros(()))
        return pair

    def tiny(self) -> "ProGAN":
        return replace(self, latent=6, networks=self.networks.tiny(), grown=0.5)

    # ---- growth -----------------------------------------------------------------------------------

    def level(self, levels: int, progress: Progress) -> float:
        """Doublings of the smallest grid: ``levels`` from ``grown`` on.

        Each size is trained for as long as the next one takes to fade in, so it is flat, rising, flat, ...

        Args:
            levels: those of full size.
            progress: where the run stands.
        """
        # The first size, and of each further one the fading and the rest: the last rest is not counted.
        phase = progress.fraction * 2 * levels / self.grown if self.grown else math.inf
        if phase >= 2 * levels:
            return float(levels)
        step, within = divmod(phase, 2.0)
        return step + max(within - 1.0, 0.0)

    def size_at(self, spec: DataSpec, progress: Progress) -> tuple[int, int]:
        height, width, levels = resolution_steps(spec.height, spec.width)
        step = math.ceil(self.level(levels, progress))
        return height << step, width << step

    def after_step(self, networks: Pair, signals: Mapping[str, Tensor], progress: Progress) -> None:
        super().after_step(networks, signals, progress)
        networks.get_buffer("level").fill_(self._level(networks, progress))

    def _level(self, networks: Pair, progress: Progress | None) -> float:
        """The level of this moment, or of the last step, as the bundle remembers it."""
        if progress is None:
            return float(networks.get_buffer("level"))
        levels: Any = networks.generator.levels
        return self.level(levels, progress)

    # ---- the game ---------------------------------------------------------------------------------

    def discriminator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        level = self._level(networks, progress)
        loss = super().discriminator_loss(networks, self._blended(batch, level), noise, progress)
        return Loss(loss.total, {**loss.parts, "level": torch.tensor(level)}, signals=loss.signals)

    def generator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        batch = self._blended(batch, self._level(networks, progress))
        return super().generator_loss(networks, batch, noise, progress)

    def _blended(self, batch: Any, level: float) -> Any:
        return batch._replace(images=faded(batch.images, level))

    def _generate(self, networks: Pair, batch: Any, noise: Noise, progress: Progress | None = None) -> Images:
        fakes: Images = networks.generator(self.latents(noise), self._level(networks, progress))
        return fakes

    def _critic(self, networks: Pair, batch: Any, progress: Progress | None = None) -> Critic:
        if progress is None:
            return super()._critic(networks, batch)
        level = self._level(networks, progress)
        return lambda images: networks.discriminator(images, level)

    def critic_scores(self, networks: Pair, images: Images, prompt: Any) -> Scores:
        """Of images of any size from the last step's on, which are brought to that."""
        level, step = self._level(networks, None), 0
        height, width = self._grid(networks)
        step = math.ceil(level)
        small = F.adaptive_avg_pool2d(images, (height << step, width << step))
        scores: Scores = networks.discriminator(faded(small, level), level)
        return scores

    def synthesize(
        self, networks: Pair, latents: Latents, noise: Noise, prompt: Any, space: str = "z"
    ) -> Images:
        """Images of full size: smaller ones are enlarged, each pixel to a square."""
        images = networks.generator(latents, self._level(networks, None))
        height, width = self._grid(networks)
        levels: Any = networks.generator.levels
        enlarged: Images = F.interpolate(images, (height << levels, width << levels), mode="nearest")
        return enlarged

    def _grid(self, networks: Pair) -> tuple[int, int]:
        grid: Any = networks.generator.grid
        height, width = grid
        return height, width
