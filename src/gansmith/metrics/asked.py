"""What the images of a model were asked to show, and what tells whether they show it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import BytePictures
from gansmith.data.config import DataConfig
from gansmith.data.loading.loader import to_float
from gansmith.data.loading.streams import DOMAINS, others, streams
from gansmith.errors import DataError
from gansmith.images.grid import to_bytes
from gansmith.methods.base import Method
from gansmith.methods.editing import EditMethod
from gansmith.metrics.image_sets import DataPictures, ModelPictures, PictureSet
from gansmith.metrics.scores.obedience import ASKED, DOMAIN
from gansmith.metrics.scores.pose_error import POINTS
from gansmith.models.generator import Generator, steadily

JUDGED = frozenset(("obedience", "pose_error"))
"""Metrics that ask whether a model does as it is told."""

_AT_A_TIME = 1024  # Prompts.


@dataclass(frozen=True, eq=False)
class Asked:
    """Generated images, what each was asked to show, and real images that a judge learns from.

    Args:
        made: the generated images.
        wanted: one column, what each of them was asked to show.
        parts: the training images and the held-out ones, with the same column.
        sources: what each was made of, for a model that changes images.

    Example:
        >>> Asked(made, {"labels": torch.tensor([3, 7])}, (training, held_out)).column
        'labels'
    """

    made: PictureSet
    wanted: Mapping[str, Tensor]
    parts: tuple[DataPictures, DataPictures]
    sources: PictureSet | None = None

    @property
    def column(self) -> str:
        """What kind of thing was asked for: one of `obedience.ASKED`, or ``landmarks``."""
        return next(iter(self.wanted))


def asks(method: Method[Any, Any, Any]) -> str:
    """The column that says what a method's images are asked to show; empty where that is nothing.

    Between two domains it is the other domain; of a method that reads images so that they can be changed,
    what it reads.

    Example:
        >>> asks(StarGAN()), asks(CycleGAN()), asks(IcGAN()), asks(PoseStage()), asks(DCGAN())
        ('attributes', 'domain', 'labels', 'landmarks', '')
    """
    fields = _given(method)
    if set(DOMAINS) <= set(method.batch_type._fields) and DOMAINS[0] in fields:
        return DOMAIN
    read = method.column if isinstance(method, EditMethod) else ""
    return next((name for name in (*ASKED, POINTS) if name in fields), read)


def _given(method: Method[Any, Any, Any]) -> tuple[str, ...]:
    """Columns of a prompt."""
    return () if method.prompt_type is None else method.prompt_type._fields


def asked_for(
    model: ModelPictures,
    real: PictureSet,
    rows: DataPictures | None,
    parts: tuple[DataPictures, DataPictures] | None,
) -> Asked | None:
    """What is needed to tell whether a model does as it is told; None where it is asked for nothing.

    Args:
        model: its images.
        real: what they are compared with; of a model that changes images, what each was made of.
        rows: of a model of images from images, the rows it was given, in order.
        parts: the training images and the held-out ones, with what was asked for as a column.
    """
    method = model.generator.method
    column = asks(method)
    if not column or parts is None:
        return None
    if column in _given(method):
        sources = real if "images" in _given(method) else None  # Results belong to the very images there.
        if "source" in _given(method) and rows is not None and _as_large(model.generator.spec):
            sources = replace(rows, column="source")
        return Asked(model, {column: asked_of(model, column)}, parts, sources)
    if rows is None or model.prompts is None:
        return None
    if column == DOMAIN:
        wanted = torch.ones(len(model), dtype=torch.int64)
        return Asked(model, {column: wanted}, parts, replace(rows, column="images"))
    # As training asks of a method that is told what to change: what another image of the set shows.
    wanted = rows.data.fetch(others(rows.rows), (column,))[column].cpu()
    return Asked(EditedPictures(model.generator, real, wanted), {column: wanted}, parts, real)


def _as_large(spec: DataSpec) -> bool:
    """Whether sources have the form of results, so that one judge can look at both."""
    return spec.source == (spec.channels, spec.height, spec.width)


@dataclass(frozen=True, eq=False)
class EditedPictures:
    """Images that a model has read, changed and drawn again.

    Args:
        generator: of an `EditMethod`.
        sources: the images.
        condition: what each is to show: labels [n] or attributes [n, a].

    Example:
        >>> edited = EditedPictures(generator, photos, torch.ones(len(photos), dtype=torch.int64))
        >>> edited.some(0, 4).dtype
        torch.uint8
    """

    generator: Generator
    sources: PictureSet
    condition: Tensor

    @property
    def name(self) -> str:
        """As the model's."""
        return self.generator.name

    @property
    def fingerprint(self) -> str:
        """Of the model and of what it changes."""
        return f"{self.generator.fingerprint} edits of {self.sources.fingerprint}"

    def __len__(self) -> int:
        return len(self.sources)

    def batches(self, size: int) -> Iterator[BytePictures]:
        """All images, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.some(start, min(start + size, len(self)))

    def some(self, start: int, stop: int) -> BytePictures:
        """The images from ``start`` up to ``stop``."""
        method, spec, device = self.generator.method, self.generator.spec, self.generator.device
        assert isinstance(method, EditMethod)
        networks = self.generator.networks
        shown = spec.to_network(to_float(self.sources.some(start, stop).to(device)))
        edit = steadily(lambda images, y: spec.to_pictures(method.edit(networks, images, y)))
        return to_bytes(edit(shown, self.condition[start:stop].to(device))).cpu()


def asked_of(model: ModelPictures, column: str) -> Tensor:
    """A column of all prompts of a model's images, such as their ``labels``, [n]."""
    prompts = (
        model.prompt(start, min(start + _AT_A_TIME, len(model))) for start in range(0, len(model), _AT_A_TIME)
    )
    return torch.cat([getattr(prompt, column).cpu() for prompt in prompts])


def parts_of_domains(
    rows: DataPictures, config: DataConfig, seed: int, most: int | None = None
) -> tuple[DataPictures, DataPictures]:
    """Training images and held-out images of two domains, with the column ``domain``: 0 for a, 1 for b.

    The training images of the smaller domain are there so often that both have as many.

    Args:
        rows: some of the data.
        config: of the data, as of training.
        seed: of the run.
        most: training images, about; None for all.

    Raises:
        DataError: the data are not two domains, or one has no held-out image.

    Example:
        >>> training, held_out = parts_of_domains(rows, recipe.data, seed=0)
        >>> held_out.columns(("domain",))["domain"].shape
        torch.Size([200])
    """
    found = streams(rows.data, DOMAINS, config, seed)
    held_out = [stream.held_out for stream in found]
    if min(map(len, held_out)) < 1:
        raise DataError(
            "obedience needs held-out pictures of both domains. Received: "
            f"{' and '.join(str(len(part)) for part in held_out)} (data.validation={config.validation}). "
            "Train with a share held out, or leave obedience out."
        )
    training = [stream.sample(len(stream.training), 0)[:most] for stream in found]
    longest = max(map(len, training))
    training = [part[torch.arange(longest) % len(part)] for part in training]
    made = f"{rows.data.fingerprint} domains validation {config.validation} seed {seed}"
    return (
        _both(rows, training, f"{made} training {longest}"),
        _both(rows, held_out, f"{made} held out"),
    )


def _both(rows: DataPictures, of: list[Tensor], fingerprint: str) -> DataPictures:
    domain = torch.cat([torch.full((len(part),), number) for number, part in enumerate(of)])
    every = torch.cat(of).cpu()
    return DataPictures(rows.data, rows.name, fingerprint, every, "images", {DOMAIN: domain})
