"""Toy methods that break wrong abstractions, each a shape of game that a real family has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import DataConfig, Recipe, TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.losses.adversarial import LeastSquares, Logistic, Wasserstein
from gansmith.losses.penalties import lipschitz, zero_centred
from gansmith.methods.base import Loss, Method, Turn
from gansmith.methods.batches import ImageBatch
from gansmith.methods.latent import NoiseToImage
from gansmith.networks.bundle import Networks


def critic(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 4, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 1),
        nn.Flatten(0),
    )


class Painter(nn.Module):
    def __init__(self, spec: DataSpec, latent: int = 4) -> None:
        super().__init__()
        self.shape = (spec.channels, spec.height, spec.width)
        self.linear = nn.Linear(latent, spec.channels * spec.height * spec.width)

    def forward(self, latents: Tensor) -> Tensor:
        return self.linear(latents).view(-1, *self.shape).tanh()


class Pair(Networks):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.generator = Painter(spec)
        self.discriminator = critic(spec.channels)


class Unpaired(NamedTuple):
    a: Tensor
    b: Tensor


class Translators(Networks):
    """Two translators, two critics, and two memories of past fakes, all in one bundle."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        shared = nn.Conv2d(8, 8, 1)  # A trunk both translators share, as UNIT has it.
        ends = (nn.Conv2d(spec.channels, 8, 3, 1, 1), nn.Conv2d(8, spec.channels, 3, 1, 1))
        other_ends = (nn.Conv2d(spec.channels, 8, 3, 1, 1), nn.Conv2d(8, spec.channels, 3, 1, 1))
        self.a_to_b = nn.Sequential(ends[0], shared, nn.ReLU(), ends[1])
        self.b_to_a = nn.Sequential(other_ends[0], shared, nn.ReLU(), other_ends[1])
        self.critic_a = critic(spec.channels)
        self.critic_b = critic(spec.channels)
        self.register_buffer("pool_a", torch.zeros(6, spec.channels, spec.height, spec.width))
        self.register_buffer("pool_b", torch.zeros(6, spec.channels, spec.height, spec.width))


@dataclass(frozen=True, kw_only=True)
class Cycle(Method[Translators, Unpaired, Tensor]):
    """(a) Two players that own several networks each, and a memory of past fakes (CycleGAN, UNIT)."""

    batch_type: ClassVar[type[Unpaired]] = Unpaired
    cycle: float = 10.0

    def build(self, spec: DataSpec) -> Translators:
        return Translators(spec)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"translators": ("a_to_b", "b_to_a"), "critics": ("critic_a", "critic_b")}

    def turns(self) -> Sequence[Turn[Translators, Unpaired]]:
        return (
            Turn(name="translators", player="translators", loss=self.translate),
            Turn(name="critics", player="critics", loss=self.criticise),
        )

    def translate(self, networks: Translators, batch: Unpaired, noise: Noise, progress: Progress) -> Loss:
        to_b, to_a = networks.a_to_b(batch.a), networks.b_to_a(batch.b)
        self._remember(networks.pool_a, to_a)
        self._remember(networks.pool_b, to_b)
        cycle = F.l1_loss(networks.b_to_a(to_b), batch.a) + F.l1_loss(networks.a_to_b(to_a), batch.b)
        game = LeastSquares().generator(networks.critic_a(to_a)) + LeastSquares().generator(
            networks.critic_b(to_b)
        )
        return Loss(game + self.cycle * cycle, {"cycle": cycle})

    def criticise(self, networks: Translators, batch: Unpaired, noise: Noise, progress: Progress) -> Loss:
        pick = (noise.uniform(1).flatten() * len(networks.pool_a)).long()
        total = LeastSquares().discriminator(
            networks.critic_a(batch.a), networks.critic_a(networks.pool_a[pick])
        )
        total = total + LeastSquares().discriminator(
            networks.critic_b(batch.b), networks.critic_b(networks.pool_b[pick])
        )
        return Loss(total)

    @staticmethod
    def _remember(pool: Tensor, made: Tensor) -> None:
        count = min(len(made), len(pool))
        pool.copy_(torch.cat([made[:count].detach(), pool[: len(pool) - count]]))

    def prompt(self, batch: Unpaired) -> Tensor:
        return batch.a

    def generate(self, networks: Translators, prompt: Tensor, noise: Noise) -> Tensor:
        return networks.a_to_b(prompt).tanh()


@dataclass(frozen=True, kw_only=True)
class _NoiseToy(NoiseToImage[Any, ImageBatch]):
    batch_type: ClassVar[type[ImageBatch]] = ImageBatch

    def build(self, spec: DataSpec) -> Any:
        return Pair(spec)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "generator": ("generator",)}

    def generator_turn(self) -> Turn[Any, ImageBatch]:
        return Turn(name="generator", player="generator", loss=self.fool)

    def fool(self, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        return Loss(Logistic().generator(networks.discriminator(networks.generator(self.latents(noise)))))

    def judge(self, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        fake = networks.discriminator(networks.generator(self.latents(noise)))
        return Loss(Logistic().discriminator(networks.discriminator(batch.images), fake))

    def latents(self, noise: Noise) -> Tensor:
        return noise.normal(4)

    def decode(self, networks: Any, latents: Tensor) -> Tensor:
        return networks.generator(latents)


class WithMean(Pair):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.register_buffer("mean_penalty", torch.zeros(()))


@dataclass(frozen=True, kw_only=True)
class Lazy(_NoiseToy):
    """(b) Two turns of one player at different intervals that share an optimizer (StyleGAN2)."""

    every: int = 3

    def build(self, spec: DataSpec) -> WithMean:
        return WithMean(spec)

    def turns(self) -> Sequence[Turn[Any, ImageBatch]]:
        return (
            self.generator_turn(),
            Turn(name="discriminator", player="discriminator", loss=self.judge),
            Turn(name="r1", player="discriminator", loss=self.penalize, every=self.every),
        )

    def penalize(self, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        penalty = zero_centred(networks.discriminator, batch.images)
        networks.mean_penalty.lerp_(penalty.detach(), 0.1)
        return Loss((penalty - networks.mean_penalty).square() + penalty)


@dataclass(frozen=True, kw_only=True)
class FiveMoves(_NoiseToy):
    """(c) Five critic moves for each of the generator, with second derivatives (WGAN-GP)."""

    def turns(self) -> Sequence[Turn[Any, ImageBatch]]:
        critic_turn = Turn(name="critic", player="discriminator", loss=self.criticise, repeats=5)
        return critic_turn, self.generator_turn()

    def criticise(self, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        made = networks.generator(self.latents(noise))
        critic_of = networks.discriminator
        game = Wasserstein().discriminator(critic_of(batch.images), critic_of(made))
        return Loss(game + 10.0 * lipschitz(critic_of, batch.images, made, noise.uniform(1).flatten()))


@dataclass(frozen=True, kw_only=True)
class Growing(_NoiseToy):
    """(d) Resolution as a function of progress: half the size in the first half (ProGAN)."""

    def size_at(self, spec: DataSpec, progress: Progress) -> tuple[int, int]:
        shrink = 2 if progress.fraction < 0.5 else 1
        return spec.height // shrink, spec.width // shrink

    def turns(self) -> Sequence[Turn[Any, ImageBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.judge_at_size),
            Turn(name="generator", player="generator", loss=self.fool_at_size),
        )

    def _made(self, networks: Any, noise: Noise, size: tuple[int, int]) -> Tensor:
        return F.adaptive_avg_pool2d(networks.generator(self.latents(noise)), size)

    def judge_at_size(self, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        height, width = batch.images.shape[2:]
        fake = networks.discriminator(self._made(networks, noise, (height, width)))
        total = Logistic().discriminator(networks.discriminator(batch.images), fake)
        return Loss(total, {"height": torch.tensor(float(height))})

    def fool_at_size(self, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        height, width = batch.images.shape[2:]
        return Loss(
            Logistic().generator(networks.discriminator(self._made(networks, noise, (height, width))))
        )


class Staged(Networks):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.generator = Painter(spec)  # Borrowed, and owned by no player.
        self.refiner = nn.Sequential(
            nn.Conv2d(spec.channels, 4, 3, 1, 1), nn.BatchNorm2d(4), nn.Conv2d(4, spec.channels, 3, 1, 1)
        )
        self.discriminator = critic(spec.channels)


@dataclass(frozen=True, kw_only=True)
class SecondStage(_NoiseToy):
    """(e) A second run that borrows a frozen network of a first (StackGAN, PG2)."""

    def build(self, spec: DataSpec) -> Staged:
        return Staged(spec)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "refiner": ("refiner",)}

    def turns(self) -> Sequence[Turn[Any, ImageBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.judge_refined),
            Turn(name="refiner", player="refiner", loss=self.refine),
        )

    def judge_refined(self, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        fake = networks.discriminator(self.decode(networks, self.latents(noise)))
        return Loss(Logistic().discriminator(networks.discriminator(batch.images), fake))

    def refine(self, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        made = self.decode(networks, self.latents(noise))
        return Loss(Logistic().generator(networks.discriminator(made)))

    def decode(self, networks: Any, latents: Tensor) -> Tensor:
        return networks.refiner(networks.generator(latents)).tanh()


def recipe_for(method: Method[Any, Any, Any], averaged: tuple[str, ...], **train: Any) -> Recipe:
    """A tiny recipe: 16 px, batch 4, 12 steps."""
    numbers: dict[str, Any] = {"images": 48, "batch": 4, "precision": "float32", "seed": 3}
    return Recipe(
        name=type(method).__name__.lower(),
        method=method,
        optimizers={player: Adam(lr=1e-3) for player in method.players()},
        data=DataConfig(size=Size(16, 16), channels=3, mirror=True, validation=0.1),
        train=TrainConfig(averaged=averaged, **(numbers | train)),
    )


TOYS = {
    "cycle": recipe_for(Cycle(), ("a_to_b", "b_to_a")),
    "lazy": recipe_for(Lazy(), ("generator",)),
    "five moves": recipe_for(FiveMoves(), ("generator",)),
    "growing": recipe_for(Growing(), ("generator",)),
    "second stage": recipe_for(SecondStage(), ("refiner",)),
}
