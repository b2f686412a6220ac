"""The contract between a paper and the trainer: players own networks and take turns, each turn a loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Batch, Images, Scalar, Scores
from gansmith.methods.batches import IMAGE_COLUMNS
from gansmith.networks.bundle import Networks

__all__ = ["Batch", "DataSpec", "Lender", "Loss", "Method", "Networks", "Noise", "Progress", "Prompt", "Turn"]

Prompt = Any
"""What a generator is given besides noise: a NamedTuple of columns, as a batch is, or None."""

N = TypeVar("N", bound=Networks)
B = TypeVar("B", bound=Batch)
P = TypeVar("P")


@dataclass(frozen=True)
class Loss:
    """What a turn returns.

    Args:
        total: a scalar, which is differentiated.
        parts: scalars that are reported, averaged between two log lines; they need no gradient.
        signals: tensors of any shape that ``Method.after_step`` is given, averaged over the parts of the
            batch, over the moves of a step and over all processes.
        rows: tensors whose first dimension is the batch, such as fakes for a pool; ``Method.after_step`` is
            given those of the whole batch, in order, whatever the number of parts and processes.

    Example:
        >>> Loss(game + penalty, {"penalty": penalty}, signals={"sign": real.sign().mean()})
    """

    total: Scalar
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    signals: Mapping[str, Tensor] = field(default_factory=dict)
    rows: Mapping[str, Tensor] = field(default_factory=dict)


def _nothing(networks: Any) -> None:
    """What a player that is not bound to anything does after its step."""


@dataclass(frozen=True, kw_only=True)
class Turn(Generic[N, B]):
    """One move of one player.

    ``loss`` is a function of (networks, batch, noise, progress) and of nothing else: the noise of a step is
    an input, so a loss can be tested against a closed form. A loss writes no buffer: what it wants to
    remember it returns as ``Loss.signals`` or ``Loss.rows``.

    Example:
        >>> Turn(name="critic", player="critic", loss=self.critic_loss, repeats=5)
    """

    name: str
    player: str
    loss: Callable[[N, B, Noise, Progress], Loss]
    every: int = 1  # Lazy regularisation: played each n-th step, scaled by n (Karras 2020, section 3.1).
    repeats: int = 1  # Critic moves; each after the first sees a new batch.
    new_batch: bool = False  # Whether the first move, too, sees images no earlier turn of the step saw.
    reuse_fakes: bool = False  # Whether the first move sees the noise of the one before: see Noise.cached.
    post_step: Callable[[N], None] = _nothing  # Applied after each move: weight clipping, a projection.


@dataclass(frozen=True)
class Lender:
    """A run that a network is borrowed from, as its own recipe has it.

    Example:
        >>> Lender("runs/one", ConditionalDCGAN(), DataSpec(height=32, width=32, class_names=("cat", "dog")))
    """

    name: str  # As the user named it.
    method: "Method[Any, Any, Any]"
    spec: DataSpec  # What its networks are built for.
    fingerprint: str | None = None  # Of its generator (`Generator.fingerprint`); None where there is none.


class Method(ABC, Generic[N, B, P]):
    """A paper as a value: hyper-parameters are fields, equations are methods, no state.

    Subclasses are frozen dataclasses, so a method can be compared, printed, saved and overridden.
    docs/adding-a-method.md writes one from an empty file.

    Attributes:
        batch_type: the NamedTuple a batch is; its field names are columns of the data (`methods.batches`).
        prompt_type: the NamedTuple a prompt is, with some of the same columns; None where images are made of
            noise alone.
        makes_images: False for what only tells something of images (`methods.discriminative`): its runs have
            no grids, and nothing is generated.

    Example:
        >>> method: Method = DCGAN(latent=64)
        >>> networks = method.build(DataSpec(height=32, width=32))
        >>> method.generate(networks, None, Noise.of(0, 1)).shape
        torch.Size([2, 3, 32, 32])
    """

    batch_type: ClassVar[type[Any]]
    prompt_type: ClassVar[type[Any] | None] = None
    makes_images: ClassVar[bool] = True

    @abstractmethod
    def build(self, spec: DataSpec) -> N:
        """Fresh networks with the paper's initialisation, drawn from torch's global generator.

        It must also work under ``torch.device("meta")``: sizes are tried there before a run is made.
        """

    @abstractmethod
    def players(self) -> Mapping[str, tuple[str, ...]]:
        """Player -> names of the networks, or parts of networks (``discriminator.head``), it owns.

        What nobody owns is frozen, in eval mode.
        """

    @abstractmethod
    def turns(self) -> Sequence[Turn[N, B]]:
        """The moves of one step, in order."""

    @abstractmethod
    def generate(self, networks: N, prompt: P, noise: Noise) -> Images:
        """Images in [-1, 1], one for each seed of ``noise``; no image depends on its batch."""

    def prompt(self, batch: B) -> P:
        """What the generator would be given for this training batch: the columns of ``prompt_type``."""
        if self.prompt_type is None:
            return None  # type: ignore[return-value]
        columns = (getattr(batch, name) for name in self.prompt_type._fields)
        made: P = self.prompt_type(*columns)
        return made

    def real_images(self, batch: B) -> Images:
        """The images of a batch that results are compared with: ``target``, ``b`` or ``images``."""
        for name in ("target", "b", "images"):
            if hasattr(batch, name):
                found: Images = getattr(batch, name)
                return found
        raise NotImplementedError(f"{type(self).__name__}.real_images: which column are results like?")

    def panels(self, networks: N, batch: B, made: Images, noise: Noise) -> Mapping[str, Tensor]:
        """What a row of a grid shows, by heading: source, result and, where there is one, target.

        Images in the networks' range, whose sizes and channels may differ; empty where a result stands alone,
        because it was made of no image.

        Args:
            networks: in eval mode; no gradients are kept.
            batch: the rows that were asked about.
            made: what ``generate`` made of their prompts, in the networks' range.
            noise: the noise it was made with.
        """
        names = [] if self.prompt_type is None else self.prompt_type._fields
        given = [getattr(batch, name) for name in names if name in IMAGE_COLUMNS]
        wanted = {"target": batch.target} if hasattr(batch, "target") else {}
        return {"source": given[0], "result": made, **wanted} if given else {}

    def validation_metrics(self, networks: N, batch: B, noise: Noise) -> Mapping[str, Tensor]:
        """Numbers about images no player moves on, such as accuracy on held-out images.

        Called now and then on a copy of the networks, without gradients; it cannot disturb training.
        """
        return {}

    def critic_scores(self, networks: N, images: Images, prompt: P) -> Scores | None:
        """How real the method's own critic finds images (for their prompts): [batch] or [batch, patches...].

        None where there is no critic.
        """
        return None

    def instruments(self, spec: DataSpec) -> Mapping[str, nn.Module]:
        """Frozen networks that training looks through, such as a VGG for a perceptual loss, by name.

        A loss reaches them as ``networks.instruments["vgg"]``. They are made once by the trainer, and are in
        no checkpoint, no average and no generator.
        """
        return {}

    def lenses(self, spec: DataSpec) -> Mapping[str, nn.Module]:
        """Frozen networks that images themselves are made through, such as the decoder of latents, by name.

        As ``instruments``, but they are also there when a run is opened: ``networks.lenses["autoencoder"]``.
        What they are made of is not in the run, so their files must still be where the recipe says.
        """
        return {}

    def words(self, spec: DataSpec) -> tuple[str, ...]:
        """The words of captions that it understands; none: any text, or no captions at all."""
        return ()

    def with_lenders(self, spec: DataSpec, lenders: Mapping[str, Lender]) -> "Method[N, B, P]":
        """The method with what the lenders of its networks decide, such as their widths; asked once a start.

        Args:
            spec: what its own networks are built for.
            lenders: network -> the run it is borrowed from.

        Raises:
            SettingError: a stage it stands on is missing, or is of another size or other attributes.
        """
        return self

    def borrowed(self, spec: DataSpec, borrow: Mapping[str, str]) -> Mapping[str, str]:
        """Networks and memories of the bundle, and where they are borrowed; asked after ``with_lenders``.

        Args:
            spec: what its own networks are built for.
            borrow: what the user named.
        """
        return borrow

    def after_step(self, networks: N, signals: Mapping[str, Tensor], progress: Progress) -> None:
        """Write the memory of the method, its buffers in the bundle, once at the end of each step.

        Args:
            signals: what the losses of this step returned as ``signals`` and ``rows``, the same on every
                process; a turn that was not due has left nothing.
            progress: of the step that ends.
        """

    def size_at(self, spec: DataSpec, progress: Progress) -> tuple[int, int]:
        """(height, width) of the images to train on now; smaller than the spec while a method grows."""
        return spec.height, spec.width

    def tiny(self) -> "Method[N, B, P]":
        """The same game with networks as small as they go, for tests and trials."""
        return self
