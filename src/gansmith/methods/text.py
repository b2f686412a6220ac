"""A joint embedding of images and captions: the text encoder that text-to-image methods borrow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Captions, Images, Latents, Scalar, full
from gansmith.errors import at_least
from gansmith.losses.joint import Contrastive, JointLoss
from gansmith.methods.base import Loss, Method, Turn
from gansmith.methods.batches import CaptionBatch, CaptionPrompt
from gansmith.networks.bundle import Networks
from gansmith.networks.text import TextEncoder
from gansmith.networks.words import Learnt, WordVectors

_FIRST_SCALE, _MOST_SCALE = 1.0 / 0.07, 100.0


class ImageEncoder(nn.Module):
    """Images -> unit vectors: three 4x4 convolutions of stride 2 with batch norm, and means of a small grid.

    Example:
        >>> ImageEncoder(DataSpec(height=32, width=32), width=32, size=128)(images).shape
        torch.Size([2, 128])
    """

    def __init__(self, spec: DataSpec, width: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = spec.channels
        for step in range(3):
            wider = width * 2**step
            layers += [nn.Conv2d(channels, wider, 4, 2, 1), nn.BatchNorm2d(wider), nn.ReLU(inplace=True)]
            channels = wider
        layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * channels, size)]
        self.main = nn.Sequential(*layers)

    def forward(self, images: Images) -> Latents:
        found: Tensor = full(self.main(images))
        unit: Tensor = found / found.norm(dim=1, keepdim=True).clamp(min=1e-6)
        return unit


class Scale(nn.Module):
    """What cosines are multiplied by: learned, 1/0.07 at first, 100 at most (Radford 2021, section 2.5).

    Example:
        >>> round(Scale()().item(), 2)
        14.29
    """

    def __init__(self) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(torch.tensor(_FIRST_SCALE).log())

    def forward(self) -> Scalar:
        scale: Scalar = self.logarithm.exp().clamp(max=_MOST_SCALE)
        return scale


class JointNetworks(Networks):
    """Two encoders, a scale, and a gallery of training images that captions are looked up in.

    Args:
        text_encoder: captions -> unit vectors.
        image_encoder: images -> unit vectors.
        gallery: images that are kept.
        spec: their form.

    Example:
        >>> networks = JointEmbedding().tiny().build(spec)
        >>> networks.gallery.shape[1:]
        torch.Size([3, 32, 32])
    """

    gallery: Tensor

    def __init__(
        self, text_encoder: nn.Module, image_encoder: nn.Module, gallery: int, spec: DataSpec
    ) -> None:
        super().__init__()
        self.text_encoder, self.image_encoder, self.scale = text_encoder, image_encoder, Scale()
        self.register_buffer("gallery", torch.zeros(gallery, spec.channels, spec.height, spec.width))


@dataclass(frozen=True, kw_only=True)
class JointEmbedding(Method[JointNetworks, CaptionBatch, CaptionPrompt]):
    """Both encoders together: the image of a caption, and the caption of an image, is to be found.

    ``generate`` shows what a caption means to it: the mean of the gallery, each image weighted by how well
    it fits.

    Example:
        >>> method = JointEmbedding(size=64)
        >>> networks = method.build(DataSpec(height=32, width=32, words=("red", "cap")))
        >>> networks.text_encoder(to_column(["a red cap"])).shape
        torch.Size([1, 64])
    """

    batch_type: ClassVar[type[CaptionBatch]] = CaptionBatch
    prompt_type: ClassVar[type[Any] | None] = CaptionPrompt

    size: int = 128  # Numbers of an embedding.
    width: int = 32  # Channels of the image encoder's first layer; doubled at each further one.
    word: int = 128  # Numbers of a word.
    gallery: int = 256  # Training images kept in the run, to look captions up in.
    objective: JointLoss = Contrastive()
    vectors: WordVectors = Learnt()  # Of words: learnt, or those of a package.

    def __post_init__(self) -> None:
        at_least(self, 1, "size", "width", "word", "gallery")

    def tiny(self) -> "JointEmbedding":
        return replace(self, size=8, width=4, word=8, gallery=6)

    def words(self, spec: DataSpec) -> tuple[str, ...]:
        return self.vectors.words(spec.words)

    def encoder(self, spec: DataSpec) -> nn.Module:
        """A fresh text encoder, captions -> unit vectors of ``size``; whoever borrows it builds it so.

        One of your own is a subclass with another encoder, in a file for ``--recipe`` and ``--code``; if it
        needs no vocabulary, its ``words`` are none.

        Raises:
            MissingPackageError: the vectors of words are those of a package that is not installed.
            OtherPackageError: of a release that has others.
        """
        return TextEncoder(self.vectors.table(spec.words, self.word), self.word, self.size)

    def build(self, spec: DataSpec) -> JointNetworks:
        image_encoder = ImageEncoder(spec, self.width, self.size)
        return JointNetworks(self.encoder(spec), image_encoder, self.gallery, spec)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"encoders": ("text_encoder", "image_encoder", "scale")}

    def turns(self) -> Sequence[Turn[JointNetworks, CaptionBatch]]:
        return (Turn(name="encoders", player="encoders", loss=self.joint_loss),)

    def joint_loss(
        self, networks: JointNetworks, batch: CaptionBatch, noise: Noise, progress: Progress
    ) -> Loss:
        """The objective over all pairs of an image and a caption of the batch."""
        similarity = self._similarity(networks, batch)
        same = same_captions(batch.captions)
        parts = {"found": found(similarity, same), "scale": networks.scale().detach()}
        return Loss(self.objective(networks.scale() * similarity, same), parts, rows={"images": batch.images})

    def after_step(self, networks: JointNetworks, signals: Mapping[str, Tensor], progress: Progress) -> None:
        """The newest images take the places of the oldest in the gallery."""
        images = signals["images"][: self.gallery]
        places = (progress.images + torch.arange(len(images), device=images.device)) % self.gallery
        networks.gallery[places] = images.to(networks.gallery.dtype)

    def generate(self, networks: JointNetworks, prompt: CaptionPrompt, noise: Noise) -> Images:
        similarity = networks.text_encoder(prompt.captions) @ networks.image_encoder(networks.gallery).t()
        weights = (networks.scale() * similarity).softmax(dim=1)
        images: Tensor = (weights @ networks.gallery.flatten(1)).unflatten(1, networks.gallery.shape[1:])
        return images

    def critic_scores(self, networks: JointNetworks, images: Images, prompt: CaptionPrompt) -> Tensor:
        """How well each image fits its caption: a cosine, times the scale."""
        fits = networks.image_encoder(images) * networks.text_encoder(prompt.captions)
        scores: Tensor = networks.scale() * fits.sum(dim=1)
        return scores

    def validation_metrics(
        self, networks: JointNetworks, batch: CaptionBatch, noise: Noise
    ) -> Mapping[str, Tensor]:
        """Images whose caption is found among those of the batch, beside chance."""
        similarity, same = self._similarity(networks, batch), same_captions(batch.captions)
        return {"found": found(similarity, same), "chance": same.float().mean()}

    def _similarity(self, networks: JointNetworks, batch: CaptionBatch) -> Tensor:
        similarity: Tensor = networks.image_encoder(batch.images) @ networks.text_encoder(batch.captions).t()
        return similarity


def same_captions(captions: Captions) -> Tensor:
    """Which captions of a batch are equal, bool [n, n]."""
    return (captions[:, None] == captions[None, :]).all(dim=2)


def found(similarity: Tensor, same: Tensor) -> Tensor:
    """The share of images whose most similar caption is true of them."""
    most = similarity.argmax(dim=1, keepdim=True)
    return same.gather(1, most).float().mean()
