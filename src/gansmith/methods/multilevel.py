"""What GAT and CAT have in common: a generator whose image is made in stages, all of which are judged."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.losses.adversarial import AdversarialLoss, PairedLoss, Relativistic, accuracy
from gansmith.losses.penalties import R1R2, Critic, Penalty
from gansmith.methods.augmented import augmented
from gansmith.methods.base import Loss
from gansmith.methods.batches import ImageBatch
from gansmith.methods.gan import Game, once_only
from gansmith.methods.pair import condition
from gansmith.networks.autoencoder import Autoencoder
from gansmith.networks.bundle import Pair
from gansmith.networks.transformer import Transformer

_LENS = "autoencoder"
_AVERAGE_W = 0.005  # Share of the newest batch in the average w of a class.


class StagedPair(Pair):
    """A pair, and the average w of each class (of all images, where there are no classes): [classes, width].

    Example:
        >>> GAT(networks=Transformer(patch=4)).build(spec).average_w.shape
        torch.Size([1, 384])
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module, classes: int, width: int) -> None:
        super().__init__(generator, discriminator)
        self.average_w: Tensor
        self.register_buffer("average_w", torch.zeros(max(classes, 1), width))


@dataclass(frozen=True, kw_only=True)
class MultiLevel(Game):
    """The relativistic game on stages: a stack of images, [batch, levels x channels, height, width].

    A real image stands at every level. A paper builds the networks and says how they ``judge`` a stack.

    Example:
        >>> GAT(networks=Transformer(patch=4)).columns  # Use a subclass.
        ()
    """

    batch_type: ClassVar[type[Any]] = ImageBatch
    spaces: ClassVar[tuple[str, ...]] = ("z", "w")

    latent: int = 64
    networks: Transformer = Transformer()
    adversarial: AdversarialLoss | PairedLoss = Relativistic()
    penalty: Penalty = R1R2(gamma=0.1, distance=0.01)
    autoencoder: Autoencoder | None = None  # Whose latents the game is played on; None: on pixels.

    def __post_init__(self) -> None:
        super().__post_init__()
        once_only(self.penalty)

    def tiny(self) -> "MultiLevel":
        look = self.networks.tiny()
        if self.autoencoder is None:
            return replace(self, latent=6, networks=look)
        return replace(self, latent=6, networks=replace(look, patch=1), autoencoder=self.autoencoder.tiny())

    @property
    def one_pass(self) -> bool:
        """Each image has draws of its own in a judge of latents, so both kinds have a pass each."""
        return False

    def lenses(self, spec: DataSpec) -> Mapping[str, nn.Module]:
        return {} if self.autoencoder is None else {_LENS: self.autoencoder.network(spec)}

    def played_on(self, spec: DataSpec) -> DataSpec:
        """The form of what the networks see: of images, or of their latents."""
        return spec if self.autoencoder is None else self.autoencoder.latents(spec)

    def judge(self, networks: Pair, stack: Images, prompt: Any, noise: Noise) -> Scores:
        """Scores of a stack, [batch] or [batch, levels]; the same noise gives the same scores."""
        raise NotImplementedError

    def discriminator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        batch = self._stacked(networks, batch, noise)
        return super().discriminator_loss(networks, batch, noise, progress)

    def generator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        batch = self._stacked(networks, batch, noise)
        w, fakes = self._drawn(networks, batch, noise)
        loss = self._against(self._augmented(networks, batch, noise, progress), batch, fakes)
        sums, counts = self._by_class(networks, full(w).detach(), batch)
        signals = {**loss.signals, "w": sums / len(w), "share": counts / len(w)}
        return Loss(loss.total, loss.parts, signals, loss.rows)

    def after_step(self, networks: Pair, signals: Mapping[str, Tensor], progress: Progress) -> None:
        super().after_step(networks, signals, progress)
        # Sums over shares are means; a class that was not there stays as it was.
        share, average = signals["share"][:, None], networks.get_buffer("average_w")
        moved = average.lerp(signals["w"] / share.clamp(min=1e-12), _AVERAGE_W)
        average.copy_(torch.where(share > 0, moved, average))

    def _by_class(self, networks: Pair, w: Tensor, batch: Any) -> tuple[Tensor, Tensor]:
        """The sum of w of each class, [classes, width], and how many there are of it, [classes]."""
        classes = len(networks.get_buffer("average_w"))
        which = F.one_hot(self._classes(self.prompt(batch), len(w), w.device), classes).to(w.dtype)
        return which.T @ w, which.sum(dim=0)

    def _classes(self, prompt: Any, count: int, device: torch.device) -> Tensor:
        """Of each image, [count]; 0 where there are none."""
        if prompt is None:
            return torch.zeros(count, dtype=torch.int64, device=device)
        labels: Tensor = prompt.labels
        return labels

    # ---- latents ----------------------------------------------------------------------------------

    def to_latent(self, networks: Pair, noise: Noise, prompt: Any, space: str = "z") -> Latents:
        z = self.latents(noise)
        if space == "z":
            return z
        w: Latents = networks.generator.style(z, *condition(prompt))  # type: ignore[operator]
        return w

    def synthesize(
        self, networks: Pair, latents: Latents, noise: Noise, prompt: Any, space: str = "z"
    ) -> Images:
        columns = condition(prompt) if space == "z" else ()
        images: Images = networks.generator(latents, *columns, styled=space == "w")
        return images if self.autoencoder is None else networks.lenses[_LENS].decode(images)  # type: ignore[operator]

    def truncate(
        self, networks: Pair, latents: Latents, psi: float, space: str = "z", prompt: Any = None
    ) -> Latents:
        """W drawn to the average w of its class; of all classes, where that is not known."""
        if space == "z":
            return super().truncate(networks, latents, psi, space)
        average = networks.get_buffer("average_w")
        if prompt is None:
            return average.mean(dim=0).lerp(latents, psi)
        return average[self._classes(prompt, len(latents), latents.device)].lerp(latents, psi)

    # ---- scores -----------------------------------------------------------------------------------

    def validation_metrics(self, networks: Pair, batch: Any, noise: Noise) -> Mapping[str, Tensor]:
        prompt, stack = self.prompt(batch), self._stacked(networks, batch, noise).images
        real = self.judge(networks, stack, prompt, noise)
        fake = self.judge(networks, self._fakes(networks, batch, noise), prompt, noise)
        # Of a relativistic game differences are what counts.
        return {"accuracy": accuracy(real - fake.mean(), real=True), "margin": real.mean() - fake.mean()}

    def critic_scores(self, networks: Pair, images: Images, prompt: Any) -> Scores:
        """Of images at every level, all with the same noise."""
        stack = self._seen(networks, images, None).repeat(1, self.networks.levels, 1, 1)
        noise = Noise(torch.zeros(len(images), dtype=torch.int64, device=images.device))
        return self.judge(networks, stack, prompt, noise)

    def _stacked(self, networks: Pair, batch: Any, noise: Noise) -> Any:
        """The batch with a real image, or a draw of its latents, at every level."""
        seen = self._seen(networks, batch.images, noise)
        return batch._replace(images=seen.repeat(1, self.networks.levels, 1, 1))

    def _seen(self, networks: Pair, images: Images, noise: Noise | None) -> Tensor:
        """The images, or their latents; without noise the mean of these."""
        if self.autoencoder is None:
            return images
        with torch.no_grad():
            latents: Tensor = networks.lenses[_LENS].encode(images, noise)  # type: ignore[operator]
        return latents

    def _fakes(self, networks: Pair, batch: Any, noise: Noise, progress: Progress | None = None) -> Images:
        return self._drawn(networks, batch, noise)[1]

    def _drawn(self, networks: Pair, batch: Any, noise: Noise) -> tuple[Tensor, Images]:
        """W and its images at every size."""
        w = noise.cached("w", lambda: self.to_latent(networks, noise, self.prompt(batch), "w"))
        return w, noise.cached("fakes", lambda: networks.generator(w, stages=True, styled=True))

    def _augmented(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Critic:
        """Scores of stacks, the levels of one image augmented alike."""
        prompt, levels = self.prompt(batch), self.networks.levels
        change = augmented(lambda images: images, self.augment, networks, noise, progress)

        def critic(stack: Tensor) -> Tensor:
            changed = torch.cat([change(level) for level in stack.chunk(levels, dim=1)], dim=1)
            return self.judge(networks, changed, prompt, noise)

        return critic
