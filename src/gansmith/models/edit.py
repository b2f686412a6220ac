"""A photo changed by a trained model: read what it shows, change that, draw it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gansmith.core.files import check_outside_data
from gansmith.core.image_size import Form, Size
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import BytePictures, Images, Latents
from gansmith.data.decode.reading import read
from gansmith.data.decode.resize import fit as fit_photo
from gansmith.data.loading.loader import to_float
from gansmith.data.sources.open import Wanted
from gansmith.errors import DataError, SettingError
from gansmith.images import grid
from gansmith.images.provenance import write_png
from gansmith.methods.editing import EditMethod
from gansmith.models.aligned import aligner
from gansmith.models.generator import Generator, steadily
from gansmith.models.prompts import attribute_numbers, label_number, parse_attributes
from gansmith.models.translate_places import source_of

MOST = 64
"""Photos of one sheet."""

_PHOTO = Wanted("PHOTO is a picture, or a folder, zip or tar of pictures", single=True)
_RATE = 0.05  # Of Adam, when z is drawn nearer to a photo.
_PRIOR = 1e-3  # Weight of |z|^2 beside the squared error of the pixels.


@dataclass(frozen=True)
class Change:
    """What is to hold in a photo: ``smiling=1,hat=0``, ``hair=fair`` or the name of a class.

    Args:
        text: as the user wrote it.
        label: the number of the class that is wanted; None where nothing is said of it.
        attributes: number of an attribute -> 0 or 1.

    Example:
        >>> Change.parse("smiling, hair=fair", spec, "attributes").attributes
        {0: 1, 12: 1}
    """

    text: str
    label: int | None = None
    attributes: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, spec: DataSpec, column: str) -> "Change":
        """The change that a text asks for.

        Raises:
            SettingError: an unknown attribute or class (the nearest is named), a value that is neither 0 nor
                1 or missing, or an attribute that is to be both.
        """
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not parts:
            rule = "--set says what is to change, as in --set smiling=1 or --set hair=fair."
            raise SettingError(f"{rule} Received: nothing.")
        if column == "labels":
            if len(parts) > 1:
                rule = "A photo can be of one class at a time."
                raise SettingError(f"{rule} Received: {text!r}. Say --set once for each.")
            return cls(text, label=label_number(parts[0].rpartition("=")[2].strip(), spec.class_names))
        return cls(text, attributes=attribute_numbers(parse_attributes(text), spec.attribute_names))

    def apply(self, condition: Tensor, excluded: Tensor) -> Tensor:
        """Conditions [n] or [n, a] with this change; what cannot be beside it gives way."""
        if self.label is not None:
            return torch.full_like(condition, self.label)
        changed = condition.clone()
        for number, value in self.attributes.items():
            changed[:, number] = value
        count = changed.shape[1]
        for number, value in self.attributes.items():
            for other in set(range(count)) - set(self.attributes) if len(excluded) else ():
                against = excluded[number + count * (1 - value)]
                column = changed[:, other].clone()
                changed[:, other] = torch.where((column == 1) & against[other], 0, column)
                changed[:, other] = torch.where((column == 0) & against[count + other], 1, changed[:, other])
        return changed

    def check(self, excluded: Tensor, names: Sequence[str]) -> None:
        """Raise SettingError where two values are asked for that were never seen in one image."""
        asked = sorted(self.attributes.items())
        for at, (number, value) in enumerate(asked):
            for other, there in asked[at + 1 :]:
                rows = number + len(names) * (1 - value), other + len(names) * (1 - there)
                if len(excluded) and bool(excluded[rows]):
                    raise SettingError(
                        "What is asked for must be possible in one picture. Received: "
                        f"{names[number]}={value} and {names[other]}={there}, which no training picture "
                        "shows together. Say --set once for each."
                    )


@dataclass(frozen=True)
class Edits:
    """What came of an edit; images are uint8 [photos, channels, height, width].

    Args:
        names: of the photos.
        photos: in the model's size.
        again: drawn from what was read, unchanged.
        changed: for each change, or each step on the way to it, drawn from what was read and then changed.
        condition: what was read of each photo: labels [n] or attributes [n, a].
        steps: images of each change.

    Example:
        >>> editor = Editor(open_generator("runs/readers"))
        >>> edits = editor.edit(photos, ("a.jpg",), [editor.change("smiling=1")])
        >>> edits.changed[0].shape  # As the photos.
    """

    names: tuple[str, ...]
    photos: BytePictures
    again: BytePictures
    changed: tuple[BytePictures, ...]
    condition: Tensor
    steps: int = 1


class Editor:
    """A trained model that reads photos and changes them.

    Args:
        generator: of a method with a way back, such as IcGAN.
        refine: steps by which z is then drawn nearer to the photo; 0: z as it was read.

    Raises:
        SettingError: the model cannot read photos.

    Example:
        >>> editor = Editor(open_generator("runs/readers"), refine=100)
        >>> edits = editor.edit(photos, ("a.jpg",), [editor.change("smiling=1")])
    """

    def __init__(self, generator: Generator, refine: int = 0) -> None:
        if not isinstance(generator.method, EditMethod):
            raise SettingError(
                "edit is for models that read photos, such as IcGAN. Received: "
                f"{generator.name} ({generator.recipe_name}). Train one for it with --recipe icgan32 --set "
                "borrow.generator=RUN."
            )
        self.generator, self.refine = generator, refine
        self.method: EditMethod[Any, Any, Any] = generator.method
        self.spec = generator.spec
        self.excluded = self.method.excluded(generator.networks).cpu()

    def change(self, text: str) -> Change:
        """The change that a text asks for, once it is sure that it is possible.

        Raises:
            SettingError: see ``Change.parse`` and ``Change.check``.
        """
        change = Change.parse(text, self.spec, self.method.column)
        change.check(self.excluded, self.spec.attribute_names)
        return change

    def edit(
        self, photos: BytePictures, names: Sequence[str], changes: Sequence[Change], steps: int = 1
    ) -> Edits:
        """The photos, drawn again as they are and with each change.

        Args:
            photos: [n, channels, height, width] in the model's size.
            names: of the photos.
            changes: each is applied to the photo as it is, not to the one before.
            steps: images on the way to each change, equally apart; the last is the change itself.

        Raises:
            SettingError: there is nothing between the conditions of this model.
        """
        latents, condition = self.read(photos)
        conditions = [condition]
        for change in changes:
            end, networks = change.apply(condition, self.excluded), self.generator.networks
            way = (self.method.mixed(networks, condition, end, step / steps) for step in range(1, steps))
            conditions += [*way, end]
        drawn = [grid.to_bytes(self.draw(latents, each)).cpu() for each in conditions]
        return Edits(tuple(names), photos, drawn[0], tuple(drawn[1:]), condition.cpu(), steps)

    def read(self, photos: BytePictures) -> tuple[Latents, Tensor]:
        """The latents and conditions of photos, on the device."""
        shown = self.spec.to_network(to_float(photos.to(self.generator.device)))
        networks = self.generator.networks
        latents = steadily(lambda images: self.method.read(networks, images)[0])(shown)
        condition = steadily(lambda images: self.method.read(networks, images)[1])(shown)
        return (self._nearer(latents, condition, shown) if self.refine else latents), condition

    def draw(self, latents: Latents, condition: Tensor) -> Images:
        """Images in [-1, 1], without gradients."""
        networks = self.generator.networks
        make = steadily(lambda z, y: self.spec.to_pictures(self.method.draw(networks, z, y)))
        return make(latents, condition)

    def _nearer(self, latents: Latents, condition: Tensor, shown: Images) -> Latents:
        """Z after some steps of Adam on the squared error of the pixels, each photo for itself."""
        with torch.inference_mode(False), torch.enable_grad():
            z = latents.clone().detach().requires_grad_(True)
            condition, shown = condition.clone(), shown.clone()
            optimizer = torch.optim.Adam([z], _RATE)
            for _ in range(self.refine):
                error = self.method.draw(self.generator.networks, z, condition) - shown
                loss = error.square().mean(dim=(1, 2, 3)).sum() + _PRIOR * z.square().mean(dim=1).sum()
                (z.grad,) = torch.autograd.grad(loss, [z])
                optimizer.step()
        return z.detach()


def open_photos(place: str, generator: Generator, align: str | None = None) -> tuple[list[str], BytePictures]:
    """Photos in a model's size: an image, or the first 64 of a folder, zip or tar.

    Args:
        place: what the user named.
        generator: whose size is wanted.
        align: a face template (ffhq, celeba, close): the largest face of each photo is brought to it; None:
            the middle of the photo is cut out.

    Raises:
        DataError: there is no image, one cannot be read, or has no face where one is needed.
        SettingError: there is no such template.
        MissingPackageError: faces are to be found without the package that finds them.
    """
    spec, source = generator.spec, source_of(place, _PHOTO)
    raws = [(name, source.read(at)) for at, name in enumerate(source.names[:MOST])]
    fit = aligner(align, (spec.width, spec.height), spec.channels) if align else _fitter(spec)
    pictures = []
    for name, raw in raws:
        try:
            pictures.append(torch.from_numpy(np.ascontiguousarray(fit(raw))))
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
    return [name for name, _ in raws], torch.stack(pictures)


def _fitter(spec: DataSpec) -> Any:
    form = Form(size=Size(spec.width, spec.height), channels=spec.channels)
    return lambda raw: fit_photo(read(raw, form), form).pixels


def write_edits(edits: Edits, changes: Sequence[Change], out: Path, generator: Generator, place: str) -> Path:
    """A sheet with a row for each photo: the photo, what was read of it drawn again, and each change.

    Args:
        edits: what came of it.
        changes: as they were asked for.
        out: a ``.png``.
        generator: for the mark.
        place: where the photos are; nothing is written there.

    Raises:
        SettingError: OUT is no .png, or lies in the photos.
        StorageError: the disk refused.
    """
    if out.suffix.lower() != ".png":
        raise SettingError(f"An edit is written as one sheet, a .png. Received: {out}. Try -o edited.png.")
    check_outside_data(out, place)
    columns = [edits.photos, edits.again, *edits.changed]
    rows = torch.stack(columns, dim=1).flatten(0, 1)
    note = "photo, read and drawn, " + "; ".join(change.text for change in changes)
    note += f", each in {edits.steps} steps" if edits.steps > 1 else ""
    sheet = grid.with_caption(grid.grid(rows, columns=len(columns)), note)
    write_png(sheet, out, generator.provenance(note=f"edited: {note}"))
    return out


def in_words(edits: Edits, row: int, spec: DataSpec) -> str:
    """What was read of a photo: ``smiling, fair hair``."""
    if edits.condition.dim() == 1:
        return spec.class_names[int(edits.condition[row])]
    there = edits.condition[row].tolist()
    names = [name for name, value in zip(spec.attribute_names, there, strict=True) if value]
    return ", ".join(names) or "none of its attributes"
