"""What the images of a model were asked to show, and what tells whether they show it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gansmith.data.config import DataConfig
from gansmith.data.loading.streams import DOMAINS, streams
from gansmith.errors import DataError
from gansmith.methods.base import Method
from gansmith.metrics.image_sets import DataPictures, ModelPictures, PictureSet
from gansmith.metrics.scores.obedience import ASKED, DOMAIN

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
        """What kind of thing was asked for: one of `obedience.ASKED`."""
        return next(iter(self.wanted))


def asks(method: Method[Any, Any, Any]) -> str:
    """The column that says what a method's images are asked to show; empty where that is nothing.

    Between two domains it is the other domain.

    Example:
        >>> asks(StarGAN()), asks(CycleGAN()), asks(DCGAN())
        ('attributes', 'domain', '')
    """
    fields = () if method.prompt_type is None else method.prompt_type._fields
    if set(DOMAINS) <= set(method.batch_type._fields) and DOMAINS[0] in fields:
        return DOMAIN
    return next((name for name in ASKED if name in fields), "")


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
    if column == DOMAIN:
        if rows is None:
            return None
        wanted = torch.ones(len(model), dtype=torch.int64)
        return Asked(model, {column: wanted}, parts, replace(rows, column="images"))
    kind: Any = method.prompt_type
    changed = "images" in kind._fields  # Results belong to the very images of the other set.
    return Asked(model, {column: asked_of(model, column)}, parts, real if changed else None)


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
