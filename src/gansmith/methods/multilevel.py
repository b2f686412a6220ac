"""What GAT and CAT have in common: a generator whose image is made in stages, all of which are judged."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.tensors import Images, Scores
from gansmith.errors import SettingError
from gansmith.losses.adversarial import AdversarialLoss, PairedLoss, Relativistic, accuracy
from gansmith.losses.penalties import R1, R1R2, R2, Critic, NoPenalty, Penalty
from gansmith.methods.augmented import augmented
from gansmith.methods.base import Loss
from gansmith.methods.batches import ImageBatch
from gansmith.methods.gan import Game
from gansmith.methods.pair import condition
from gansmith.networks.bundle import Pair
from gansmith.networks.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class MultiLevel(Game):
    """The relativistic game on stages: a stack of images, [batch, levels x channels, height, width].

    A real image stands at every level. A paper builds the networks and says how they ``judge`` a stack.

    Example:
        >>> GAT(networks=Transformer(patch=4)).columns  # Use a subclass.
        ()
    """

    batch_type: ClassVar[type[Any]] = ImageBatch

    latent: int = 64
    networks: Transformer = Transformer()
    adversarial: AdversarialLoss | PairedLoss = Relativistic()
    penalty: Penalty = R1R2(gamma=0.1, distance=0.01)

    def __post_init__(self) -> None:
        super().__post_init__()
        easy = isinstance(self.penalty, R1 | R2 | R1R2) and self.penalty.distance is not None
        if not (easy or isinstance(self.penalty, NoPenalty)):
            name = type(self.penalty).__name__
            raise SettingError(
                "Fused attention cannot be differentiated twice, so its penalty is a finite difference. "
                f'Received: {name} without a distance. Try "method.penalty=R1R2(gamma=0.1,distance=0.05)".'
            )

    def tiny(self) -> "MultiLevel":
        return replace(self, latent=6, networks=self.networks.tiny())

    def judge(self, networks: Pair, stack: Images, prompt: Any, noise: Noise) -> Scores:
        """Scores of a stack, [batch] or [batch, levels]; the same noise gives the same scores."""
        raise NotImplementedError

    def discriminator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        return super().discriminator_loss(networks, self._stacked(batch), noise, progress)

    def generator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        return super().generator_loss(networks, self._stacked(batch), noise, progress)

    def validation_metrics(self, networks: Pair, batch: Any, noise: Noise) -> Mapping[str, Tensor]:
        prompt, stack = self.prompt(batch), self._stacked(batch).images
        real = self.judge(networks, stack, prompt, noise)
        fake = self.judge(networks, self._fakes(networks, batch, noise), prompt, noise)
        # Of a relativistic game differences are what counts.
        return {"accuracy": accuracy(real - fake.mean(), real=True), "margin": real.mean() - fake.mean()}

    def critic_scores(self, networks: Pair, images: Images, prompt: Any) -> Scores:
        """Of images at every level, all with the same noise."""
        stack = images.repeat(1, self.networks.levels, 1, 1)
        noise = Noise(torch.zeros(len(images), dtype=torch.int64, device=images.device))
        return self.judge(networks, stack, prompt, noise)

    def _stacked(self, batch: Any) -> Any:
        return batch._replace(images=batch.images.repeat(1, self.networks.levels, 1, 1))

    def _fakes(self, networks: Pair, batch: Any, noise: Noise, progress: Progress | None = None) -> Images:
        prompt = condition(self.prompt(batch))
        fakes: Images = networks.generator(self.latents(noise), *prompt, stages=True)
        return fakes

    def _augmented(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Critic:
        """Scores of stacks, the levels of one image augmented alike."""
        prompt, levels = self.prompt(batch), self.networks.levels
        change = augmented(lambda images: images, self.augment, networks, noise, progress)

        def critic(stack: Tensor) -> Tensor:
            changed = torch.cat([change(level) for level in stack.chunk(levels, dim=1)], dim=1)
            return self.judge(networks, changed, prompt, noise)

        return critic
