"""IcGAN: two readers that take a photo back to z and y, so that it can be changed (Perarnau et al. 2016)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents
from gansmith.errors import SettingError, at_least
from gansmith.methods.base import Lender, Loss, Method, Turn
from gansmith.methods.batches import AttributeBatch, ImagePrompt, LabelledBatch
from gansmith.methods.cdcgan import AttributeDCGAN, ConditionalDCGAN
from gansmith.methods.editing import EditMethod
from gansmith.methods.pair import PairMethod, mixed
from gansmith.networks.bundle import Networks
from gansmith.networks.reader import Reader

_OFTEN = 10.0  # Times that two values had to meet by chance before never having met says something.


class Readers(Networks):
    """A borrowed generator G, the readers E_z and E_y, and how often two values of y were seen together.

    Args:
        generator: takes z and the condition.
        read_z: images -> z.
        read_y: images -> y.
        attributes: how many; 0 for classes.

    Example:
        >>> networks = Readers(nn.Identity(), nn.Identity(), nn.Identity(), attributes=3)
        >>> networks.pairs.shape
        torch.Size([6, 6])
    """

    pairs: Tensor  # [2a, 2a]: images in which both values hold; first those that are there, then not.

    def __init__(self, generator: nn.Module, read_z: nn.Module, read_y: nn.Module, attributes: int) -> None:
        super().__init__()
        self.generator, self.read_z, self.read_y = generator, read_z, read_y
        self.register_buffer("pairs", torch.zeros(2 * attributes, 2 * attributes))


@dataclass(frozen=True, kw_only=True)
class IcGAN(EditMethod[Readers, Any, ImagePrompt]):
    """E_z: min E|z - E_z(G(z, y'))|^2 on what G makes; E_y: min E|y - E_y(x)|^2 on real images (section 3.2).

    G is the generator of a finished conditional run and stays as it is; y' are the conditions of the real
    images of the batch. ``generate`` reads an image and draws it again: G(E_z(x), E_y(x)).

    Example:
        >>> method = IcGAN(hidden_z=256)
        >>> networks = method.build(DataSpec(height=32, width=32, class_names=("man", "woman")))
        >>> z, y = method.read(networks, images)
        >>> women = method.draw(networks, z, torch.ones_like(y))
    """

    batch_type: ClassVar[type[Any]] = LabelledBatch
    prompt_type: ClassVar[type[Any] | None] = ImagePrompt

    gan: Method[Any, Any, Any] = ConditionalDCGAN()  # Whose generator is borrowed; found by the run.
    hidden_z: int = 4096
    hidden_y: int = 512
    width: int = 32

    def __post_init__(self) -> None:
        at_least(self, 1, "hidden_z", "hidden_y", "width")
        if not isinstance(self.gan, PairMethod) or self.gan.columns != (self.column,):
            raise SettingError(
                f"{type(self).__name__} reads images for a generator of z and {self.column}. "
                f"Received: {type(self.gan).__name__}. Borrow that of a run by cdcgan, acgan or projection."
            )

    @property
    def column(self) -> str:
        """``labels`` or ``attributes``: what y is."""
        return "attributes" if "attributes" in self.batch_type._fields else "labels"

    def tiny(self) -> "IcGAN":
        return replace(self, gan=self.gan.tiny(), hidden_z=8, hidden_y=8, width=4)

    def build(self, spec: DataSpec) -> Readers:
        generator = self.gan.build(spec).generator
        outputs = spec.attributes if self.column == "attributes" else spec.classes
        return Readers(
            generator,
            Reader(spec, self._pair.latent, self.hidden_z, self.width),
            Reader(spec, outputs, self.hidden_y, self.width),
            spec.attributes if self.column == "attributes" else 0,
        )

    @property
    def _pair(self) -> PairMethod[Any, Any]:
        assert isinstance(self.gan, PairMethod)
        return self.gan

    def with_lenders(self, spec: DataSpec, lenders: Mapping[str, Lender]) -> "IcGAN":
        """With the method of the run whose generator is borrowed.

        Raises:
            SettingError: none is borrowed, or it makes other images or knows another y.
        """
        if "generator" not in lenders:
            raise SettingError(
                "IcGAN reads images for the generator of a conditional run. Received: none. Train one (such "
                "as cdcgan32 or cdcgan-attributes32), then add --set borrow.generator=THAT_RUN."
            )
        lender = lenders["generator"]
        theirs, ours = _form(lender.spec, self.column), _form(spec, self.column)
        if isinstance(lender.method, PairMethod) and lender.method.columns == (self.column,):
            if theirs != ours:
                raise SettingError(
                    "A borrowed generator must make images of this run's size, for its "
                    f"{self.column}. Received: {ours}; {lender.name} has {theirs}. "
                    "Use the same data and data.size."
                )
            return replace(self, gan=lender.method)
        columns = lender.method.columns if isinstance(lender.method, PairMethod) else ()
        instead = "Borrow the generator of a run by cdcgan, acgan or projection."
        if columns in (("labels",), ("attributes",)):
            instead = (
                "Use " + ("icgan-attributes32" if self.column == "labels" else "icgan32") + " for that one."
            )
        raise SettingError(
            f"This recipe reads images for a generator of z and {self.column}. Received: {lender.name}, by "
            f"{type(lender.method).__name__}. {instead}"
        )

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"read_z": ("read_z",), "read_y": ("read_y",)}

    def turns(self) -> Sequence[Turn[Readers, Any]]:
        return (
            Turn(name="read_z", player="read_z", loss=self.z_loss),
            Turn(name="read_y", player="read_y", loss=self.y_loss),
        )

    def z_loss(self, networks: Readers, batch: Any, noise: Noise, progress: Progress) -> Loss:
        """The squared error of z, the mean over its numbers: 1 for a reader that always says 0."""
        z = self._pair.latents(noise)
        fakes = self.draw(networks, z, getattr(batch, self.column))
        return Loss(F.mse_loss(networks.read_z(fakes.detach()), z))

    def y_loss(self, networks: Readers, batch: Any, noise: Noise, progress: Progress) -> Loss:
        """What E_y says of real images, against what is known of them."""
        truth, found = getattr(batch, self.column), networks.read_y(batch.images)
        parts = {"y read": self._right(found, truth).mean()}
        if self.column == "labels":
            return Loss(F.cross_entropy(found, truth), parts)
        values = torch.cat([truth, 1 - truth], dim=1).to(found.dtype)
        pairs = (values[:, :, None] * values[:, None, :]).mean(dim=0)
        wanted = 2.0 * truth.to(found.dtype) - 1.0
        return Loss(F.mse_loss(found, wanted), parts, signals={"pairs": pairs})

    def after_step(self, networks: Readers, signals: Mapping[str, Tensor], progress: Progress) -> None:
        """Count which values of two attributes meet, through one pass over the data."""
        if "pairs" in signals and progress.images < max(progress.data_images, 1):
            networks.pairs += progress.batch * signals["pairs"].to(networks.pairs.dtype)

    def read(self, networks: Readers, images: Images) -> tuple[Latents, Tensor]:
        """What an image shows: z [batch, latent], and labels [batch] or attributes [batch, a] of 0 and 1."""
        found = networks.read_y(images)
        y = found.argmax(dim=1) if self.column == "labels" else (found > 0).to(torch.uint8)
        return networks.read_z(images), y

    def draw(self, networks: Readers, latents: Latents, condition: Tensor) -> Images:
        """G(z, y); differentiable with respect to z."""
        images: Images = networks.generator(latents, condition)
        return images

    def mixed(self, networks: Readers, one: Tensor, other: Tensor, share: float) -> Tensor:
        """Shares of classes, [batch, classes], or of attributes, [batch, a]."""
        along = torch.full((len(one),), share, device=one.device)
        found = mixed(networks.generator, one, other, along)
        return super().mixed(networks, one, other, share) if found is None else found

    def excluded(self, networks: Readers) -> Tensor:
        return never_meet(networks.pairs)

    def generate(self, networks: Readers, prompt: ImagePrompt, noise: Noise) -> Images:
        return self.draw(networks, *self.read(networks, prompt.images))

    def validation_metrics(self, networks: Readers, batch: Any, noise: Noise) -> Mapping[str, Tensor]:
        """On held-out images: how far they are from what is drawn, and from their own mean, and y."""
        again = self.generate(networks, self.prompt(batch), noise)
        mean = batch.images.mean(dim=0, keepdim=True)
        right = self._right(networks.read_y(batch.images), getattr(batch, self.column))
        return {
            "l1": (again - batch.images).abs().mean(),
            "l1 of the mean image": (mean - batch.images).abs().mean(),
            "y read": right.mean(),
        }

    def _right(self, found: Tensor, truth: Tensor) -> Tensor:
        if self.column == "labels":
            return (found.argmax(dim=1) == truth).float()
        return ((found > 0) == (truth > 0)).float()


@dataclass(frozen=True, kw_only=True)
class AttributeIcGAN(IcGAN):
    """IcGAN with attributes, each 0 or 1, in place of a class.

    Example:
        >>> spec = DataSpec(height=32, width=32, attribute_names=("smiling", "sad"))
        >>> networks = AttributeIcGAN(hidden_z=256).build(spec)
    """

    batch_type: ClassVar[type[Any]] = AttributeBatch

    gan: Method[Any, Any, Any] = AttributeDCGAN()


def never_meet(pairs: Tensor) -> Tensor:
    """Which values of two attributes exclude each other, bool [2a, 2a], by ``Readers.pairs``.

    Two values do where they never met in training and would have done ten times or more by chance. Value
    i is "attribute i is there", value a + i "it is not".

    Example:
        >>> never_meet(torch.tensor([[50.0, 0.0], [0.0, 50.0]]))[0, 1]  # Of one attribute: there, and not.
        tensor(True)
    """
    often = pairs.diagonal()
    images = (often[: len(often) // 2] + often[len(often) // 2 :]).max() if len(often) else pairs.sum()
    expected = often[:, None] * often[None, :] / images.clamp(min=1.0)
    return (pairs == 0) & (expected >= _OFTEN)


def _form(spec: DataSpec, column: str) -> str:
    names = spec.class_names if column == "labels" else spec.attribute_names
    return f"{spec.width}x{spec.height}, {spec.channels} channels, {', '.join(names)}"
