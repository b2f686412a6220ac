"""One picture of what a model of attributes can do: a row for each image, a column for each attribute."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gansmith.core.files import check_outside_data, whole_file
from gansmith.core.image_size import Form, Size
from gansmith.core.noise import Noise
from gansmith.core.tensors import BytePictures
from gansmith.data.decode.reading import read
from gansmith.data.decode.resize import fit
from gansmith.data.loading.loader import to_float
from gansmith.data.metadata.facts import Refused
from gansmith.data.sources.base import none_usable
from gansmith.errors import DataError, SettingError
from gansmith.images.grid import enlarged, grid, to_bytes, to_pil, with_caption
from gansmith.images.provenance import marked
from gansmith.models.aligned import aligner
from gansmith.models.asked import Conditions
from gansmith.models.generator import Generator
from gansmith.models.translate_places import source_of

_ROWS = 12  # Images shown, at most.


def attribute_sheet(generator: Generator, src: Path | str, out: Path | str, align: str | None = None) -> int:
    """Write a sheet: each image, and beside it with one attribute after the other turned into its opposite.

    Two that come to the same, because each image shows one of them and never both, share a column.

    Args:
        generator: a model of images and attributes that reads attributes, such as StarGAN.
        src: an image, a folder, an archive or a prepared set; the first twelve images that can be read.
        out: a ``.png``, which may not be there yet.
        align: a face template (ffhq, celeba, close) that the largest face is brought to; None: the middle is
            cut out.

    Returns: how many images it shows.

    Raises:
        SettingError: the model is of another kind, OUT is no new .png, or there is no such template.
        DataError: no image can be read, or none has a face where one is needed.
        MissingPackageError: faces are to be found without the package that finds them.

    Example:
        >>> attribute_sheet(open_generator("runs/star"), "photos", "sheet.png")
    """
    place = _place(generator, src, out)
    pictures = _pictures(generator, src, align)
    shown, asked = generator.spec.to_network(to_float(pictures)), Conditions(generator, {})
    prompts, headings = list[Any](), list[str]()
    for number, name in enumerate(generator.spec.attribute_names):
        prompt = asked.turned(shown, number)
        same = next((i for i, one in enumerate(prompts) if torch.equal(one[1], prompt[1])), None)
        if same is not None:  # Of man and woman, say, where everybody is one of them.
            headings[same] += f" or {name}"
            continue
        prompts.append(prompt)
        headings.append(name)
    note = f"the image; then, turned one by one: {', '.join(headings)}"
    return _write(generator, pictures, prompts, note, place)


def way_sheet(
    generator: Generator,
    src: Path | str,
    out: Path | str,
    settings: str,
    steps: int,
    align: str | None = None,
) -> int:
    """Write a sheet: each image, and beside it the way from what it shows to what is set, in equal steps.

    Args:
        generator, src, out, align: as of `attribute_sheet`.
        settings: ``smiling=1,glasses=0``.
        steps: columns beside the image; the last is all that is set.

    Returns: how many images it shows.

    Raises:
        SettingError: as of `attribute_sheet`; also an unknown attribute, or two that exclude each other.
        DataError, MissingPackageError: as of `attribute_sheet`.

    Example:
        >>> way_sheet(open_generator("runs/star"), "photos", "way.png", "smiling=1", steps=5)
    """
    place = _place(generator, src, out)
    asked = [Conditions.of(generator, settings, strength=(step + 1) / steps) for step in range(steps)]
    pictures = _pictures(generator, src, align)
    shown = generator.spec.to_network(to_float(pictures))
    note = f"the image; then, in {steps} step{'s' * (steps != 1)}, {asked[-1].words()}"
    return _write(generator, pictures, [each.prompt(shown) for each in asked], note, place)


def _place(generator: Generator, src: Path | str, out: Path | str) -> Path:
    """OUT, once it is sure that this model makes sheets and nothing is lost there."""
    kind, place = generator.method.prompt_type, Path(out)
    if kind is None or kind._fields != ("images", "attributes"):
        raise SettingError(
            "--sheet is for models that change attributes of images, such as StarGAN. Received: "
            f"{generator.name} ({generator.recipe_name}). Leave it out."
        )
    if place.suffix.lower() != ".png" or place.exists():
        raise SettingError(f"A sheet goes into a new .png. Received: {place}. Choose another OUT.")
    check_outside_data(place, str(src))
    return place


def _write(
    generator: Generator, pictures: BytePictures, prompts: Sequence[Any], note: str, place: Path
) -> int:
    """Images in the first column, and what is made by each prompt in a further one."""
    noise = Noise(torch.zeros(len(pictures), dtype=torch.int64))
    columns = [pictures, *(to_bytes(generator.make(noise, prompt)).cpu() for prompt in prompts)]
    rows = enlarged(torch.stack(columns, dim=1).flatten(0, 1))
    page = to_pil(with_caption(grid(rows, columns=len(columns)), note))
    mark = replace(generator.provenance(None, note), composite=True)
    with whole_file(place) as part:
        part.write_bytes(marked(page, mark, ".png"))
    return len(pictures)


def _pictures(generator: Generator, src: Path | str, align: str | None) -> BytePictures:
    spec, found, refused = generator.spec, list[torch.Tensor](), list[Refused]()
    form = Form(size=Size(spec.width, spec.height), channels=spec.channels, fit="crop")
    cut = aligner(align, (spec.width, spec.height), spec.channels) if align else None
    source = source_of(str(src))
    for index, name in enumerate(source.names):
        if len(found) == _ROWS:
            break
        try:
            raw = source.read(index)
            pixels = fit(read(raw, form), form).pixels if cut is None else cut(raw)
            found.append(torch.from_numpy(np.ascontiguousarray(pixels)))
        except (DataError, OSError) as error:
            refused.append(Refused(name, str(error)))
    if not found:
        raise none_usable(source.name, refused)
    return torch.stack(found)
