"""StackGAN: images of a sentence, small ones first, then larger ones of those (Zhang et al. 2016)."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Captions, Images, Latents, Scalar, Scores
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import accuracy
from gansmith.methods.base import Lender, Loss, Turn
from gansmith.methods.batches import CaptionBatch, CaptionPrompt
from gansmith.methods.latent import LatentMethod, Shares, Way
from gansmith.methods.text import JointEmbedding
from gansmith.networks.bundle import Networks
from gansmith.networks.stackgan import StageOneGenerator, StageTwoGenerator, TextDiscriminator, augmented

Self = TypeVar("Self", bound="TextToImage")


class Stage(Networks):
    """A borrowed text encoder, and the generator and discriminator of a stage; in stage two also the first.

    Args:
        text_encoder: captions -> unit vectors.
        generator: of this stage.
        discriminator: of this stage.
        first: the generator of stage one, borrowed; None in stage one.

    Example:
        >>> from gansmith.recipes import named
        >>> method = named("stackgan32").method.tiny()
        >>> isinstance(method.build(spec), Stage)
        True
    """

    def __init__(
        self,
        text_encoder: nn.Module,
        generator: nn.Module,
        discriminator: TextDiscriminator,
        first: StageOneGenerator | None = None,
    ) -> None:
        super().__init__()
        self.text_encoder, self.generator, self.discriminator = text_encoder, generator, discriminator
        if first is not None:
            self.first = first


@dataclass(frozen=True, kw_only=True)
class TextToImage(LatentMethod[Stage, CaptionBatch, CaptionPrompt]):
    """What both stages have in common: c = mu + sigma * eps of a sentence, and captions that are wrong.

    The spaces are z, which is z and eps side by side, and c, which is z and c: a straight way in c from one
    caption to another shows what lies between them.

    Example:
        >>> from gansmith.recipes import named
        >>> isinstance(named("stackgan32").method, TextToImage)
        True
    """

    batch_type: ClassVar[type[CaptionBatch]] = CaptionBatch
    prompt_type: ClassVar[type[Any] | None] = CaptionPrompt
    spaces: ClassVar[tuple[str, ...]] = ("z", "c")

    latent: int = 100
    condition: int = 128  # Numbers of c.
    generator_width: int = 128
    discriminator_width: int = 64
    kl: float = 2.0  # Weight of the KL divergence, a mean over the numbers of c.
    text: JointEmbedding = JointEmbedding()  # Whose encoder is borrowed; found by the run.
    vocabulary: tuple[str, ...] = ()  # Of that encoder; likewise.

    def __post_init__(self) -> None:
        at_least(self, 1, "latent", "condition", "generator_width", "discriminator_width")
        at_least(self, 0, "kl")

    def words(self, spec: DataSpec) -> tuple[str, ...]:
        return self.text.words(self._of_text(spec))

    def encoder(self, spec: DataSpec) -> nn.Module:
        """The text encoder as its own run has it, not trained yet."""
        return self.text.encoder(self._of_text(spec))

    def _of_text(self, spec: DataSpec) -> DataSpec:
        """What the text encoder was built for."""
        return replace(spec, words=self.vocabulary or spec.words)

    def _with_text(self: Self, lenders: Mapping[str, Lender]) -> Self:
        if "text_encoder" not in lenders:
            raise SettingError(
                "StackGAN reads captions with a borrowed text encoder. Received: none. Train one (gansmith "
                "train DATA --recipe text32), then add --set borrow.text_encoder=THAT_RUN."
            )
        lender = lenders["text_encoder"]
        if isinstance(lender.method, TextToImage):
            theirs = lender.method.vocabulary or lender.spec.words
            return replace(self, text=lender.method.text, vocabulary=theirs)
        if isinstance(lender.method, JointEmbedding):
            return replace(self, text=lender.method, vocabulary=lender.spec.words)
        raise SettingError(
            "A text encoder comes from a run by text32, text64 or StackGAN. Received: "
            f"{lender.name}, by {type(lender.method).__name__}."
        )

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "generator": ("generator",)}

    def turns(self) -> Sequence[Turn[Stage, CaptionBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.discriminator_loss),
            Turn(name="generator", player="generator", loss=self.generator_loss, reuse_fakes=True),
        )

    def read(self, networks: Stage, captions: Captions) -> tuple[Latents, Latents]:
        """Mean and logarithm of the variance of the condition that each caption is."""
        augmentation: Any = networks.generator.augmentation
        found: tuple[Latents, Latents] = augmentation(self.sentence(networks, captions))
        return found

    def sentence(self, networks: Stage, captions: Captions) -> Latents:
        """The encoder's vector of each caption, its numbers of size 1 on average."""
        sentence: Tensor = networks.text_encoder(captions) * float(self.text.size) ** 0.5
        return sentence

    def to_latent(self, networks: Stage, noise: Noise, prompt: CaptionPrompt, space: str = "z") -> Latents:
        latents = noise.normal(self.latent + self.condition)
        return latents if space == "z" else self._with_condition(networks, latents, prompt)

    def synthesize(
        self, networks: Stage, latents: Latents, noise: Noise, prompt: CaptionPrompt, space: str = "z"
    ) -> Images:
        latents = self._with_condition(networks, latents, prompt) if space == "z" else latents
        return self.decode(networks, latents, noise, prompt)

    def _with_condition(self, networks: Stage, latents: Latents, prompt: CaptionPrompt) -> Latents:
        """Z and eps -> z and c."""
        z, epsilon = latents.tensor_split([self.latent], dim=1)
        return torch.cat([z, augmented(*self.read(networks, prompt.captions), epsilon)], dim=1)

    def between(
        self, networks: Stage, latents: Latents, ends: tuple[CaptionPrompt, CaptionPrompt], share: Shares
    ) -> Latents:
        """Latents of c on the straight line from one caption to the other, of latents of z."""
        one, other = (self._with_condition(networks, latents, end) for end in ends)
        return torch.lerp(one, other, share[:, None])

    def blend(
        self,
        networks: Stage,
        latents: Latents,
        noise: Noise,
        ends: tuple[CaptionPrompt, CaptionPrompt],
        share: Shares,
    ) -> Images:
        return self.decode(networks, self.between(networks, latents, ends, share), noise, ends[0])

    @abstractmethod
    def decode(self, networks: Stage, latents: Latents, noise: Noise, prompt: CaptionPrompt) -> Images:
        """The images of [z, c]."""

    def way(self, space: str) -> Way:
        return "spherical" if space == "z" else "linear"

    def fakes(self, networks: Stage, batch: CaptionBatch, noise: Noise) -> Images:
        """The same fakes for both players."""
        return noise.cached("fakes", lambda: self.generate(networks, self.prompt(batch), noise))

    def discriminator_loss(
        self, networks: Stage, batch: CaptionBatch, noise: Noise, progress: Progress
    ) -> Loss:
        """A real image with its caption against a real one with another's, and a fake with what it was of."""
        critic, (mean, _) = networks.discriminator, self.read(networks, batch.captions)
        mean = mean.detach()
        real, fake = (
            critic.features(images) for images in (batch.images, self.fakes(networks, batch, noise).detach())
        )
        right, made = critic.judge(real, mean), critic.judge(fake, mean)
        wrong = critic.judge(real, mean.roll(1, 0))
        others = (batch.captions != batch.captions.roll(1, 0)).any(dim=1).to(wrong.dtype)
        against_wrong = (F.softplus(wrong) * others).sum() / others.sum().clamp(min=1.0)
        for_right, against_fake = F.softplus(-right).mean(), F.softplus(made).mean()
        parts = {
            "D(x, t)": right.sigmoid().mean(),
            "D(x, other t)": wrong.sigmoid().mean(),
            "D(G(z, t), t)": made.sigmoid().mean(),
        }
        alone = critic.judge_alone(real), critic.judge_alone(fake)
        if alone[0] is None or alone[1] is None:
            return Loss(for_right + 0.5 * (against_wrong + against_fake), parts)
        for_real, against_any = F.softplus(-alone[0]).mean(), F.softplus(alone[1]).mean()
        total = 0.5 * (for_right + for_real) + (against_fake + against_wrong + against_any) / 3.0
        return Loss(total, parts)

    def generator_loss(self, networks: Stage, batch: CaptionBatch, noise: Noise, progress: Progress) -> Loss:
        """The discriminator should take the fake for real, of its caption; c should stay near N(0, 1)."""
        mean, log_variance = self.read(networks, batch.captions)
        critic = networks.discriminator
        features = critic.features(self.fakes(networks, batch, noise))
        game = F.softplus(-critic.judge(features, mean.detach())).mean()
        if (alone := critic.judge_alone(features)) is not None:
            game = game + F.softplus(-alone).mean()
        divergence = kl_divergence(mean, log_variance)
        return Loss(game + self.kl * divergence, {"kl": divergence.detach()})

    def critic_scores(self, networks: Stage, images: Images, prompt: CaptionPrompt) -> Scores:
        scores: Scores = networks.discriminator(images, self.read(networks, prompt.captions)[0])
        return scores

    def validation_metrics(self, networks: Stage, batch: CaptionBatch, noise: Noise) -> Mapping[str, Tensor]:
        scores = self.critic_scores(networks, batch.images, self.prompt(batch))
        return {"accuracy": accuracy(scores, real=True)}


@dataclass(frozen=True, kw_only=True)
class StackGAN(TextToImage):
    """Stage one. D: max log D(x, t) + (log(1 - D(x, t')) + log(1 - D(G(z, t), t))) / 2; G: and min KL.

    t' is the caption of another image (equations 3 and 4; the halves are the authors' code's).

    Example:
        >>> method = StackGAN(generator_width=32, discriminator_width=32)
        >>> networks = method.build(DataSpec(height=32, width=32, words=("red", "cap")))
    """

    def tiny(self) -> "StackGAN":
        return replace(
            self, latent=6, condition=4, generator_width=4, discriminator_width=4, text=self.text.tiny()
        )

    def with_lenders(self, spec: DataSpec, lenders: Mapping[str, Lender]) -> "StackGAN":
        """With the text encoder of a finished run.

        Raises:
            SettingError: none is borrowed.
        """
        return self._with_text(lenders)

    def generator(self, spec: DataSpec) -> StageOneGenerator:
        """A fresh generator, as stage two builds it, too."""
        return StageOneGenerator(spec, self.latent, self.condition, self.text.size, self.generator_width)

    def build(self, spec: DataSpec) -> Stage:
        critic = TextDiscriminator(spec, self.condition, self.discriminator_width)
        return Stage(self.encoder(spec), self.generator(spec), critic)

    def decode(self, networks: Stage, latents: Latents, noise: Noise, prompt: CaptionPrompt) -> Images:
        images: Images = networks.generator(latents)
        return images


@dataclass(frozen=True, kw_only=True)
class StackGANTwo(TextToImage):
    """Stage two: a generator of stage one's image and c, with a discriminator that also judges it alone.

    D: max (log D(x, t) + log D(x)) / 2 + a third each of wrong captions, fakes, and fakes alone (the authors'
    code). Stage one stays as it is; its own noise comes from the same seed.

    Example:
        >>> method = StackGANTwo(generator_width=32, discriminator_width=32)
        >>> networks = method.build(DataSpec(height=64, width=64, words=("red", "cap")))
    """

    one: StackGAN = StackGAN()  # Whose generator is borrowed as ``first``; found by the run.
    times: int = 2  # How many times larger a side than stage one, a power of two; likewise.
    blocks: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "blocks")
        if self.times < 1 or self.times & (self.times - 1):
            raise SettingError(f"method.times must be a power of two. Received: times={self.times}.")

    def tiny(self) -> "StackGANTwo":
        narrow: dict[str, Any] = {"latent": 6, "condition": 4, "generator_width": 4, "discriminator_width": 4}
        return replace(self, **narrow, text=self.text.tiny(), one=self.one.tiny(), times=2, blocks=1)

    def with_lenders(self, spec: DataSpec, lenders: Mapping[str, Lender]) -> "StackGANTwo":
        """With the text encoder and the generator of a finished stage one.

        Raises:
            SettingError: one is missing, or stage one is of a size that does not fit.
        """
        if "first" not in lenders:
            raise SettingError(
                "Stage two makes larger images of those of a finished stage one. Received: none. Train "
                "stackgan32 or stackgan64, then add --set borrow.first=THAT_RUN:generator --set "
                "borrow.text_encoder=THAT_RUN."
            )
        lender = lenders["first"]
        if not isinstance(lender.method, StackGAN):
            raise SettingError(
                f"Stage one is a run by StackGAN. Received: {lender.name}, by {type(lender.method).__name__}."
            )
        theirs, ours = (lender.spec.width, lender.spec.height), (spec.width, spec.height)
        times = ours[0] // theirs[0]
        fits = times >= 1 and ours == (times * theirs[0], times * theirs[1]) and not times & (times - 1)
        if not fits or lender.spec.channels != spec.channels:
            raise SettingError(
                "Stage two must be once, twice or four times as large a side as its stage one, with as many "
                f"channels. Received: {ours[0]}x{ours[1]}; {lender.name} is of {theirs[0]}x{theirs[1]}. "
                f"Try data.size={2 * theirs[0]}x{2 * theirs[1]}."
            )
        found = self._with_text(lenders)
        if lenders["text_encoder"].name != lender.name:
            raise SettingError(
                "Both stages must read captions with one text encoder. Received: "
                f"that of {lenders['text_encoder'].name}, beside stage one of {lender.name}. "
                f"Use borrow.text_encoder={lender.name}."
            )
        return replace(found, one=lender.method, times=times)

    def build(self, spec: DataSpec) -> Stage:
        small = replace(spec, height=spec.height // self.times, width=spec.width // self.times)
        generator = StageTwoGenerator(
            spec, self.times, self.condition, self.text.size, self.generator_width, self.blocks
        )
        critic = TextDiscriminator(spec, self.condition, self.discriminator_width, alone=True)
        return Stage(
            self.encoder(spec), generator, critic, replace(self.one, text=self.text).generator(small)
        )

    def decode(self, networks: Stage, latents: Latents, noise: Noise, prompt: CaptionPrompt) -> Images:
        return self._enlarged(networks, latents, self._of_first(networks, latents, noise, prompt))

    def blend(
        self,
        networks: Stage,
        latents: Latents,
        noise: Noise,
        ends: tuple[CaptionPrompt, CaptionPrompt],
        share: Shares,
    ) -> Images:
        """Both stages go along lines of their own."""
        one, other = (self._of_first(networks, latents, noise, end) for end in ends)
        first = torch.lerp(one, other, share[:, None])
        return self._enlarged(networks, self.between(networks, latents, ends, share), first)

    def _of_first(self, networks: Stage, latents: Latents, noise: Noise, prompt: CaptionPrompt) -> Latents:
        """Stage one's [z, c]: z of this stage, filled up, and a condition of its own."""
        mean, log_variance = networks.first.augmentation(self.sentence(networks, prompt.captions))
        draws = noise.fork("first").normal(self.one.latent + self.one.condition)
        z, epsilon = draws.tensor_split([self.one.latent], dim=1)
        shared = min(self.latent, self.one.latent)
        z = torch.cat([latents[:, :shared], z[:, shared:]], dim=1)
        return torch.cat([z, augmented(mean, log_variance, epsilon)], dim=1)

    def _enlarged(self, networks: Stage, latents: Latents, first: Latents) -> Images:
        images: Images = networks.generator(networks.first(first).detach(), latents[:, self.latent :])
        return images


def kl_divergence(mean: Latents, log_variance: Latents) -> Scalar:
    """KL(N(mean, variance) || N(0, 1)), the mean over all numbers.

    Example:
        >>> kl_divergence(torch.ones(1, 2), torch.zeros(1, 2))
        tensor(0.5000)
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
