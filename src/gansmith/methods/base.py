"""The contract between a paper and the trainer: players own networks and take turns, each turn a loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.normalization import Scale
from gansmith.core.progress import Progress
from gansmith.core.tensors import Images, Latents, Scalar, Scores

__all__ = [
    "Batch",
    "ImageSpec",
    "Loss",
    "Method",
    "Networks",
    "Noise",
    "NoiseToImage",
    "Progress",
    "Prompt",
    "Turn",
]


@dataclass(frozen=True)
class ImageSpec:
    """What networks must know of the pictures before they can be built."""

    height: int
    width: int
    channels: int = 3
    classes: int = 0  # 0: no labels.
    scale: Scale | None = None  # What networks see is (picture - mean) / std; None: pictures in [-1, 1].

    def to_network(self, images: Images) -> Images:
        """Pictures in [-1, 1], such as tanh gives -> the range networks see. A generator ends with it."""
        return images if self.scale is None else self.scale.to_network(images)

    def to_pictures(self, images: Images) -> Images:
        """What a generator made -> pictures in [-1, 1]."""
        return images if self.scale is None else self.scale.to_picture(images)


class Networks(nn.Module):
    """The bundle of all networks of a method, each an attribute with a name.

    What must survive a restart (a pool of past fakes, a running mean) is a buffer in here.
    """


Batch = tuple[Any, ...]
"""What training sees: a NamedTuple of tensors whose first dimension is the batch."""

Prompt = Any
"""What a generator is given besides noise; None for noise to image."""

N = TypeVar("N", bound=Networks)
B = TypeVar("B", bound=Batch)
P = TypeVar("P")


@dataclass(frozen=True)
class Loss:
    """What a turn returns.

    ``total`` is differentiated. ``parts`` are reported, averaged over the interval between two log
    lines; a part is a scalar tensor and needs no gradient.
    """

    total: Scalar
    parts: Mapping[str, Tensor] = field(default_factory=dict)


def _nothing(networks: Any) -> None:
    """What a player without a ``post_step`` does."""


@dataclass(frozen=True, kw_only=True)
class Turn(Generic[N, B]):
    """One move of one player.

    ``loss`` is a function of (networks, batch, noise, progress) and of nothing else: the noise of a
    step is an input, so a loss can be tested against a closed form.
    """

    name: str
    player: str
    loss: Callable[[N, B, Noise, Progress], Loss]
    every: int = 1  # Lazy regularisation: played each n-th step, scaled by n (Karras 2020, section 3.1).
    repeats: int = 1  # Critic moves; each after the first sees fresh pictures.
    new_batch: bool = False  # Whether the first move, too, sees pictures no earlier turn of the step saw.
    reuse_fakes: bool = (
        False  # Whether the first move sees the noise of the move before it: see Noise.cached.
    )
    post_step: Callable[[N], None] = _nothing  # Applied after each move: weight clipping, a projection.


class Method(ABC, Generic[N, B, P]):
    """A paper as a value: hyper-parameters are fields, equations are methods, no state.

    Subclasses are frozen dataclasses, so a method can be compared, printed, saved and overridden.
    """

    batch_type: ClassVar[type[NamedTuple]]

    @abstractmethod
    def build(self, spec: ImageSpec) -> N:
        """Fresh networks with the paper's initialization, drawn from torch's global generator.

        It must also work under ``torch.device("meta")``: sizes are tried there before a run is made.
        """

    @abstractmethod
    def players(self) -> Mapping[str, tuple[str, ...]]:
        """Player -> names of the networks it owns. A network nobody owns is frozen, in eval mode."""

    @abstractmethod
    def turns(self) -> Sequence[Turn[N, B]]:
        """The moves of one step, in order."""

    @abstractmethod
    def generate(self, networks: N, prompt: P, noise: Noise) -> Images:
        """Pictures in [-1, 1], one for each seed of ``noise``; no picture depends on its batch."""

    def prompt(self, batch: B) -> P:
        """What the generator would be given for this training batch; None for noise to image."""
        return None  # type: ignore[return-value]

    def validation_metrics(self, networks: N, batch: B, noise: Noise) -> Mapping[str, Tensor]:
        """Numbers about pictures no player moves on, such as accuracy on held-out pictures.

        Called now and then on a copy of the networks, without gradients; it cannot disturb training.
        """
        return {}

    def critic_scores(self, networks: N, images: Images) -> Scores | None:
        """The critic's scores of pictures, higher is more real; None for a method without a critic."""
        return None

    def size_at(self, spec: ImageSpec, progress: Progress) -> tuple[int, int]:
        """(height, width) of the pictures to train on now; smaller than the spec while a method grows."""
        return spec.height, spec.width


class NoiseToImage(Method[N, B, None]):
    """A method whose pictures come from a latent alone, so that one can walk between them."""

    @abstractmethod
    def latents(self, noise: Noise) -> Latents:
        """The latent of each seed, [batch, latent]."""

    @abstractmethod
    def decode(self, networks: N, latents: Latents) -> Images:
        """The pictures of these latents, in [-1, 1]."""

    def generate(self, networks: N, prompt: None, noise: Noise) -> Images:
        """``decode`` of ``latents``."""
        return self.decode(networks, self.latents(noise))
