"""Toy methods that break wrong abstractions, each a shape of game that a real family has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.config import DataConfig
from gansmith.losses.adversarial import Hinge, LeastSquares, Logistic, Wasserstein, accuracy
from gansmith.losses.penalties import lipschitz, zero_centred
from gansmith.methods.base import Loss, Method, Turn
from gansmith.methods.batches import (
    AttributeBatch,
    AttributePrompt,
    CaptionBatch,
    CaptionPrompt,
    DomainPrompt,
    ImageBatch,
    LabelledBatch,
    LabelPrompt,
    PairBatch,
    SourcePrompt,
)
from gansmith.methods.latent import LatentMethod, NoiseToImage
from gansmith.methods.pair import PairMethod
from gansmith.networks.bundle import Networks, Pair


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
class Cycle(Method[Translators, Unpaired, DomainPrompt]):
    """(a) Two players that own several networks each, and a memory of past fakes (CycleGAN, UNIT)."""

    batch_type: ClassVar[type[Any]] = Unpaired
    prompt_type: ClassVar[type[Any] | None] = DomainPrompt
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
        cycle = F.l1_loss(networks.b_to_a(to_b), batch.a) + F.l1_loss(networks.a_to_b(to_a), batch.b)
        game = LeastSquares().generator(networks.critic_a(to_a)) + LeastSquares().generator(
            networks.critic_b(to_b)
        )
        return Loss(game + self.cycle * cycle, {"cycle": cycle}, rows={"a": to_a, "b": to_b})

    def criticise(self, networks: Translators, batch: Unpaired, noise: Noise, progress: Progress) -> Loss:
        pick = (noise.uniform(1).flatten() * len(networks.pool_a)).long()
        total = LeastSquares().discriminator(
            networks.critic_a(batch.a), networks.critic_a(networks.pool_a[pick])
        )
        total = total + LeastSquares().discriminator(
            networks.critic_b(batch.b), networks.critic_b(networks.pool_b[pick])
        )
        return Loss(total)

    def after_step(self, networks: Translators, signals: Mapping[str, Tensor], progress: Progress) -> None:
        for pool, fake in ((networks.pool_a, signals["a"]), (networks.pool_b, signals["b"])):
            count = min(len(fake), len(pool))
            pool.copy_(torch.cat([fake[:count], pool[: len(pool) - count]]))

    def generate(self, networks: Translators, prompt: DomainPrompt, noise: Noise) -> Tensor:
        return networks.a_to_b(prompt.a).tanh()


@dataclass(frozen=True, kw_only=True)
class _NoiseToy(NoiseToImage[Any, ImageBatch]):
    batch_type: ClassVar[type[ImageBatch]] = ImageBatch

    def build(self, spec: DataSpec) -> Any:
        return Pair(Painter(spec), critic(spec.channels))

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
        super().__init__(Painter(spec), critic(spec.channels))
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
        return Loss((2.0 - networks.mean_penalty) * penalty, signals={"penalty": penalty})

    def after_step(self, networks: Any, signals: Mapping[str, Tensor], progress: Progress) -> None:
        if "penalty" in signals:  # The turn is lazy.
            networks.mean_penalty.lerp_(signals["penalty"], 0.1)


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


class Conditioned(nn.Module):
    """A network with one more input: a number for each column of the prompt, added to its first layer."""

    def __init__(self, spec: DataSpec, column: str, inputs: int, outputs: int) -> None:
        super().__init__()
        sizes = {"labels": spec.classes, "attributes": spec.attributes, "captions": spec.caption_length}
        self.column, self.classes = column, sizes[column]
        self.first, self.condition = nn.Linear(inputs, outputs), nn.Linear(self.classes, outputs)

    def forward(self, rows: Tensor, column: Tensor) -> Tensor:
        if self.column == "labels":
            column = F.one_hot(column, self.classes)
        numbers = column.to(rows.dtype) / (255.0 if self.column == "captions" else 1.0)
        return self.first(rows.flatten(1)) + self.condition(numbers)


class ConditionedPainter(Conditioned):
    def __init__(self, spec: DataSpec, column: str) -> None:
        self.shape = (spec.channels, spec.height, spec.width)
        super().__init__(spec, column, 4, spec.channels * spec.height * spec.width)

    def forward(self, latents: Tensor, column: Tensor) -> Tensor:
        return super().forward(latents, column).view(-1, *self.shape).tanh()


class ConditionedCritic(Conditioned):
    def __init__(self, spec: DataSpec, column: str) -> None:
        super().__init__(spec, column, spec.channels * spec.height * spec.width, 1)

    def forward(self, images: Tensor, column: Tensor) -> Tensor:
        return super().forward(images, column)[:, 0]


@dataclass(frozen=True, kw_only=True)
class Labelled(PairMethod[Any, Any]):
    """(f) A class with every image: prompts by name, by chance, and from held-out rows (cGAN)."""

    batch_type: ClassVar[type[Any]] = LabelledBatch
    prompt_type: ClassVar[type[Any] | None] = LabelPrompt
    latent: int = 4

    def build(self, spec: DataSpec) -> Pair:
        column = self.prompt_type._fields[0]
        return Pair(ConditionedPainter(spec, column), ConditionedCritic(spec, column))

    def turns(self) -> Sequence[Turn[Any, Any]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.judge),
            Turn(name="generator", player="generator", loss=self.fool),
        )

    def judge(self, networks: Any, batch: Any, noise: Noise, progress: Progress) -> Loss:
        fake = self.generate(networks, self.prompt(batch), noise)
        scores = [self.critic_scores(networks, images, self.prompt(batch)) for images in (batch.images, fake)]
        return Loss(Logistic().discriminator(*scores), {"D(x)": scores[0].sigmoid().mean()})

    def fool(self, networks: Any, batch: Any, noise: Noise, progress: Progress) -> Loss:
        fake = self.generate(networks, self.prompt(batch), noise)
        return Loss(Logistic().generator(self.critic_scores(networks, fake, self.prompt(batch))))


@dataclass(frozen=True, kw_only=True)
class Attributed(Labelled):
    """(g) Several facts with every image, each yes or no (StarGAN, IcGAN)."""

    batch_type: ClassVar[type[Any]] = AttributeBatch
    prompt_type: ClassVar[type[Any] | None] = AttributePrompt


@dataclass(frozen=True, kw_only=True)
class Captioned(Labelled):
    """(h) A sentence with every image (StackGAN)."""

    batch_type: ClassVar[type[Any]] = CaptionBatch
    prompt_type: ClassVar[type[Any] | None] = CaptionPrompt


class PatchTranslator(Networks):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.generator = nn.Conv2d(spec.channels, spec.channels, 3, 1, 1)
        self.discriminator = nn.Conv2d(2 * spec.channels, 1, 4, 4)  # A score for each patch of 4 x 4.


@dataclass(frozen=True, kw_only=True)
class Paired(Method[Any, PairBatch, SourcePrompt]):
    """(i) An image for every image, and a critic of patches (pix2pix)."""

    batch_type: ClassVar[type[Any]] = PairBatch
    prompt_type: ClassVar[type[Any] | None] = SourcePrompt

    def build(self, spec: DataSpec) -> PatchTranslator:
        return PatchTranslator(spec)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "generator": ("generator",)}

    def turns(self) -> Sequence[Turn[Any, PairBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.judge),
            Turn(name="generator", player="generator", loss=self.translate),
        )

    def judge(self, networks: Any, batch: PairBatch, noise: Noise, progress: Progress) -> Loss:
        prompt = self.prompt(batch)
        fake = self.critic_scores(networks, self.generate(networks, prompt, noise), prompt)
        real = self.critic_scores(networks, batch.target, prompt)
        return Loss(Hinge().discriminator(real, fake), {"accuracy": accuracy(real, real=True)})

    def translate(self, networks: Any, batch: PairBatch, noise: Noise, progress: Progress) -> Loss:
        fake = self.generate(networks, self.prompt(batch), noise)
        scores = self.critic_scores(networks, fake, self.prompt(batch))
        return Loss(Hinge().generator(scores) + F.l1_loss(fake, batch.target))

    def generate(self, networks: Any, prompt: SourcePrompt, noise: Noise) -> Tensor:
        return networks.generator(prompt.source).tanh()

    def critic_scores(self, networks: Any, images: Tensor, prompt: SourcePrompt) -> Tensor:
        return networks.discriminator(torch.cat([prompt.source, images], dim=1))[:, 0]


@dataclass(frozen=True, kw_only=True)
class Instrument(_NoiseToy):
    """(j) A loss that looks through a frozen network nobody saves (SRGAN's VGG)."""

    def instruments(self, spec: DataSpec) -> Mapping[str, nn.Module]:
        return {"features": nn.Sequential(nn.Conv2d(spec.channels, 64, 3), nn.BatchNorm2d(64))}

    def turns(self) -> Sequence[Turn[Any, ImageBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.judge),
            Turn(name="generator", player="generator", loss=self.look),
        )

    def look(self, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        fake = networks.generator(self.latents(noise))
        features = networks.instruments["features"]
        content = F.mse_loss(features(fake).mean(dim=(2, 3)), features(batch.images).mean(dim=(2, 3)))
        return Loss(content + Logistic().generator(networks.discriminator(fake)), {"content": content})


class Mapped(Networks):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.synthesis = Painter(spec, 8)
        self.discriminator = critic(spec.channels)
        self.register_buffer("average_w", torch.zeros(4))


@dataclass(frozen=True, kw_only=True)
class TwoSpaces(LatentMethod[Any, ImageBatch, None]):
    """(k) z, w and two layers of w, noise of the synthesis, and truncation (StyleGAN2)."""

    batch_type: ClassVar[type[Any]] = ImageBatch
    spaces: ClassVar[tuple[str, ...]] = ("z", "w", "w+")

    def build(self, spec: DataSpec) -> Mapped:
        return Mapped(spec)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "generator": ("mapping", "synthesis")}

    def turns(self) -> Sequence[Turn[Any, ImageBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.judge),
            Turn(name="generator", player="generator", loss=self.fool),
        )

    def judge(self, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        fake = networks.discriminator(self.generate(networks, None, noise))
        return Loss(Logistic().discriminator(networks.discriminator(batch.images), fake))

    def fool(self, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        w = self.to_latent(networks, noise, None, "w")
        fake = self.synthesize(networks, w, noise, None, "w")
        loss = Logistic().generator(networks.discriminator(fake))
        return Loss(loss, signals={"w": w.mean(dim=0)})

    def after_step(self, networks: Any, signals: Mapping[str, Tensor], progress: Progress) -> None:
        networks.average_w.lerp_(signals["w"], 0.05)

    def to_latent(self, networks: Any, noise: Noise, prompt: None, space: str = "z") -> Tensor:
        z = noise.fork("z").normal(4)
        if space == "z":
            return z
        w = networks.mapping(z)
        return w if space == "w" else w[:, None].expand(-1, 2, -1)

    def synthesize(
        self, networks: Any, latents: Tensor, noise: Noise, prompt: None, space: str = "z"
    ) -> Tensor:
        w = networks.mapping(latents) if space == "z" else latents
        layers = w if space == "w+" else w[:, None].expand(-1, 2, -1)
        maps = noise.fork("synthesis").bulk_normal(8).to(layers.dtype)
        return networks.synthesis(layers.flatten(1) + 0.1 * maps)

    def truncate(
        self, networks: Any, latents: Tensor, psi: float, space: str = "z", prompt: Any = None
    ) -> Tensor:
        if space == "z":
            return super().truncate(networks, latents, psi, space)
        return networks.average_w.lerp(latents, psi)

    def critic_scores(self, networks: Any, images: Tensor, prompt: None) -> Tensor:
        return networks.discriminator(images)


class Adaptable(Pair):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__(Painter(spec), critic(spec.channels))
        self.register_buffer("p", torch.zeros(()))


@dataclass(frozen=True, kw_only=True)
class Adaptive(_NoiseToy):
    """(l) A strength that follows what the critic says of real images, the same on every process (ADA)."""

    def build(self, spec: DataSpec) -> Adaptable:
        return Adaptable(spec)

    def turns(self) -> Sequence[Turn[Any, ImageBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.judge_adapted),
            self.generator_turn(),
        )

    def judge_adapted(self, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        real = networks.discriminator(batch.images * (1.0 - networks.p))
        fake = networks.discriminator(networks.generator(self.latents(noise)) * (1.0 - networks.p))
        return Loss(Logistic().discriminator(real, fake), signals={"sign": real.sign().mean()})

    def after_step(self, networks: Any, signals: Mapping[str, Tensor], progress: Progress) -> None:
        networks.p.add_(0.01 * (signals["sign"] - 0.6).sign()).clamp_(0.0, 0.8)


class HeadAndBody(nn.Module):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(spec.channels, 4, 4, 2, 1), nn.BatchNorm2d(4))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 8 * 8, 1), nn.Flatten(0))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images))


@dataclass(frozen=True, kw_only=True)
class PartOwned(_NoiseToy):
    """(m) A player that owns a part of a network; the rest is frozen, in eval mode (FreezeD)."""

    def build(self, spec: DataSpec) -> Pair:
        return Pair(Painter(spec), HeadAndBody(spec))

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator.head",), "generator": ("generator",)}

    def turns(self) -> Sequence[Turn[Any, ImageBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.judge),
            self.generator_turn(),
        )


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
    "labelled": recipe_for(Labelled(), ("generator",)),
    "attributed": recipe_for(Attributed(), ("generator",)),
    "captioned": recipe_for(Captioned(), ("generator",)),
    "paired": recipe_for(Paired(), ("generator",)),
    "instrument": recipe_for(Instrument(), ("generator",)),
    "two spaces": recipe_for(TwoSpaces(), ("mapping", "synthesis")),
    "adaptive": recipe_for(Adaptive(), ("generator",)),
    "part owned": recipe_for(PartOwned(), ("generator",)),
}
