"""The common form of the game: any adversarial loss, with any penalty, on any pair of networks.

LSGAN (Mao 2016), SNGAN (Miyato 2018), DRAGAN (Kodali 2017) and R3GAN (Huang 2024) differ in these three
choices and in nothing else, so each is a recipe of this method: recipes/lsgan.py, sngan.py, dragan.py and
r3gan.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from gansmith.augment.policies import Augmentation, NoAugmentation
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.schedules import Constant, Schedule
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import AdversarialLoss, Logistic, PairedLoss, Wasserstein, accuracy, judged
from gansmith.losses.penalties import Critic, NoPenalty, Penalty, remembered
from gansmith.methods.augmented import adapt, augmented, remembering, sign_of
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import AttributeBatch, AttributePrompt, ImageBatch, LabelledBatch, LabelPrompt
from gansmith.methods.pair import PairMethod, condition
from gansmith.networks.architectures import (
    R3,
    Architecture,
    ConditionalArchitecture,
    Convolutional,
    Progressive,
    StyleBased,
)
from gansmith.networks.bundle import Pair, project
from gansmith.networks.equalized import EqualizedConv2d, EqualizedLinear
from gansmith.networks.magnitude import UnitConv2d
from gansmith.networks.spectral import SpectralNorm
from gansmith.networks.transformer import Attention


@dataclass(frozen=True, kw_only=True)
class Game(PairMethod[Any, Any]):
    """What ``GAN`` and ``ConditionalGAN`` have in common: all but the networks and what they are given.

    Example:
        >>> GAN(adversarial=Logistic()).discriminator_moves  # Use a subclass.
        1
    """

    latent: int = 128
    networks: Architecture | ConditionalArchitecture = Convolutional()
    adversarial: AdversarialLoss | PairedLoss = Logistic()
    penalty: Penalty = NoPenalty()
    penalty_schedule: Schedule = Constant()  # What the penalty is multiplied by.
    drift: float = 0.0  # Of E[D(x)^2], which keeps scores near 0 (Karras 2017, appendix A.1).
    clip: float | None = None  # Every weight of the discriminator stays in [-clip, clip] (WGAN: 0.01).
    discriminator_moves: int = 1  # For each of the generator.
    augment: Augmentation = NoAugmentation()  # What the discriminator sees instead of images as they are.
    reuse_fakes: bool = False  # Both players are shown the same fakes, made once; not with a paired loss.

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "discriminator_moves")
        at_least(self, 0, "drift")
        if self.clip is not None and not self.clip > 0:
            raise SettingError(f"method.clip must be positive, or none. Received: clip={self.clip}.")
        if not isinstance(self.penalty, NoPenalty) and not self.networks.per_image():
            raise SettingError(
                "A penalty of slopes needs a discriminator that judges each image by itself. Received: "
                f"{type(self.penalty).__name__} with batch norm, which mixes them. Try "
                "method.networks.norm=none, or spectral."
            )

    def tiny(self) -> "Game":
        return replace(self, latent=6, networks=self.networks.tiny())

    def turns(self) -> Sequence[Turn[Pair, Any]]:
        paired = isinstance(self.adversarial, PairedLoss)
        return (
            Turn(
                name="discriminator",
                player="discriminator",
                loss=self.discriminator_loss,
                repeats=self.discriminator_moves,
                post_step=self.bound,
            ),
            Turn(
                name="generator",
                player="generator",
                loss=self.generator_loss,
                new_batch=paired,  # Real images the critic has not seen.
                reuse_fakes=self.reuse_fakes and not paired,
                post_step=lambda networks: project(networks.generator),
            ),
        )

    def bound(self, networks: Pair) -> None:
        """After a move of the discriminator: its layers' own rule for weights, and clipping."""
        project(networks.discriminator)
        if self.clip is not None:
            weights: list[Tensor] = list(networks.discriminator.parameters())
            torch._foreach_clamp_max_(weights, self.clip)
            torch._foreach_clamp_min_(weights, -self.clip)

    def ready(self, pair: Pair) -> Pair:
        """The pair with the memory of the augmentation, where settings and networks fit together."""
        scaled = (SpectralNorm, EqualizedConv2d, EqualizedLinear, UnitConv2d)
        found = {type(each).__name__ for each in pair.discriminator.modules() if isinstance(each, scaled)}
        if self.clip is not None and found:
            raise SettingError(
                "Clipping bounds weights that are used as they are stored. Received: "
                f"clip={self.clip} with {', '.join(sorted(found))}, which scales them as it uses them. "
                "Leave method.clip out, or try method.networks=Convolutional(norm=none)."
            )
        unbounded = self.clip is None and isinstance(self.penalty, NoPenalty)
        bounded = (SpectralNorm, UnitConv2d)
        if isinstance(self.adversarial, Wasserstein) and unbounded:
            if not any(isinstance(each, bounded) for each in pair.discriminator.modules()):
                raise SettingError(
                    "Wasserstein's critic needs a bound on its slopes: without one its scores grow for ever. "
                    "Received: no clipping, no penalty and no spectral norm. Try method.clip=0.01, "
                    "method.penalty=GradientPenalty() or method.networks.norm=spectral."
                )
        if any(isinstance(each, Attention) for each in pair.discriminator.modules()):
            once_only(self.penalty)
        return remembering(pair, self.augment)

    def discriminator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        """The adversarial loss and the penalty."""
        critic = remembered(self._augmented(networks, batch, noise, progress))
        fakes: Images = self._fakes(networks, batch, noise, progress).detach()
        shown = self._judged(networks, critic, batch.images, fakes, noise)
        if self.one_pass:
            both = _both(batch, shown)
            real, fake = self._augmented(networks, both, noise, progress)(both.images).chunk(2)
        else:
            real, fake = map(critic, shown)
        penalty = self.penalty(critic, batch.images, fakes, noise) * self.penalty_schedule(progress)
        above, below = judged(self.adversarial, real, fake)
        parts = {
            "accuracy on real": accuracy(above, real=True),
            "accuracy on fake": accuracy(below, real=False),
            "margin": real.mean() - fake.mean(),
        }
        if not isinstance(self.penalty, NoPenalty):
            parts["penalty"] = penalty.detach()
        total = self.adversarial.discriminator(real, fake) + penalty
        if self.drift:
            total = total + self.drift * real.square().mean()
        return Loss(total, parts, signals=sign_of(above, self.augment))

    @property
    def one_pass(self) -> bool:
        """Whether D sees real images and fakes as one batch, which is faster.

        So it is where each image is judged by itself and nothing else is done to it.
        """
        plain = isinstance(self.penalty, NoPenalty) and isinstance(self.augment, NoAugmentation)
        deviates = isinstance(self.networks, Progressive | StyleBased)  # Of a group of images of one kind.
        return plain and self.networks.per_image() and not deviates

    def generator_loss(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Loss:
        """The adversarial loss."""
        critic = self._augmented(networks, batch, noise, progress)
        return self._against(critic, batch, self._fakes(networks, batch, noise, progress))

    def _against(self, critic: Critic, batch: Any, fakes: Images) -> Loss:
        """What the generator pays for these images."""
        fake = critic(fakes)
        if not isinstance(self.adversarial, PairedLoss):
            return Loss(self.adversarial.generator(fake))
        with torch.no_grad():
            real = critic(batch.images)
        return Loss(self.adversarial.generator_against(fake, real))

    def after_step(self, networks: Pair, signals: Mapping[str, Tensor], progress: Progress) -> None:
        adapt(networks, self.augment, signals, progress)

    def validation_metrics(self, networks: Pair, batch: Any, noise: Noise) -> Mapping[str, Tensor]:
        critic = self._critic(networks, batch)
        real, fake = critic(batch.images), critic(self._fakes(networks, batch, noise))
        above, _ = judged(self.adversarial, real, fake)
        return {"accuracy": accuracy(above, real=True), "margin": real.mean() - fake.mean()}

    def _judged(
        self, networks: Pair, critic: Critic, real: Images, fakes: Images, noise: Noise
    ) -> tuple[Images, Images]:
        """What the discriminator is shown in its own move: both kinds as they are."""
        return real, fakes

    def _fakes(self, networks: Pair, batch: Any, noise: Noise, progress: Progress | None = None) -> Images:
        """Images for the conditions of this batch; None: as they were in the last step, where they grow."""
        return noise.cached("fakes", lambda: self._generate(networks, batch, noise, progress))

    def _generate(self, networks: Pair, batch: Any, noise: Noise, progress: Progress | None = None) -> Images:
        fakes: Images = networks.generator(self.latents(noise), *condition(self.prompt(batch)))
        return fakes

    def _critic(self, networks: Pair, batch: Any, progress: Progress | None = None) -> Critic:
        """Scores of images for the conditions of this batch; None: as for ``_fakes``."""
        return partial(self.critic_scores, networks, prompt=self.prompt(batch))

    def _augmented(self, networks: Pair, batch: Any, noise: Noise, progress: Progress) -> Critic:
        return augmented(self._critic(networks, batch, progress), self.augment, networks, noise, progress)


def _both(batch: Any, shown: tuple[Images, Images]) -> Any:
    """The batch twice, one kind of images after the other, each with the conditions of its place."""
    columns = {name: torch.cat([column] * 2) for name, column in batch._asdict().items() if name != "images"}
    return type(batch)(images=torch.cat(shown), **columns)


def once_only(penalty: Penalty) -> None:
    """Check that a penalty differentiates once, as networks with fused attention allow.

    Raises:
        SettingError: it differentiates twice.
    """
    if not isinstance(penalty, NoPenalty) and getattr(penalty, "distance", None) is None:
        raise SettingError(
            "Fused attention cannot be differentiated twice, so its penalty is a finite difference. "
            f"Received: {type(penalty).__name__} without a distance. Try "
            '"method.penalty=R1R2(gamma=0.1,distance=0.05)".'
        )


@dataclass(frozen=True, kw_only=True)
class GAN(Game):
    """D: min L_D(D(x), D(G(z))) + penalty(D); G: min L_G(D(G(z))).

    Example:
        >>> GAN(networks=SNResNet(), adversarial=Hinge(), discriminator_moves=5)  # SNGAN
    """

    batch_type: ClassVar[type[Any]] = ImageBatch

    networks: Architecture = Convolutional()

    def build(self, spec: DataSpec) -> Pair:
        pair = Pair(self.networks.generator(spec, self.latent), self.networks.discriminator(spec))
        return self.ready(pair)


@dataclass(frozen=True, kw_only=True)
class ConditionalGAN(Game):
    """The same game with a class for each image, which both networks are given.

    Example:
        >>> ConditionalGAN(networks=R3(), adversarial=Relativistic(), penalty=R1R2(gamma=0.05))
    """

    batch_type: ClassVar[type[Any]] = LabelledBatch
    prompt_type: ClassVar[type[Any] | None] = LabelPrompt

    networks: ConditionalArchitecture = R3()

    def build(self, spec: DataSpec) -> Pair:
        column = self.columns[0]
        pair = Pair(
            self.networks.conditional_generator(spec, self.latent, column),
            self.networks.conditional_discriminator(spec, column),
        )
        return self.ready(pair)


@dataclass(frozen=True, kw_only=True)
class AttributeGAN(ConditionalGAN):
    """The same with attributes, each 0 or 1, in place of a class.

    Example:
        >>> AttributeGAN().prompt_type.__name__
        'AttributePrompt'
    """

    batch_type: ClassVar[type[Any]] = AttributeBatch
    prompt_type: ClassVar[type[Any] | None] = AttributePrompt
