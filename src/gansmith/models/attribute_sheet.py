"""One picture of what a model of attributes can do: a row for each image, a column for each attribute."""

from dataclasses import replace
from pathlib import Path

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
    kind, names, place = generator.method.prompt_type, generator.spec.attribute_names, Path(out)
    if kind is None or kind._fields != ("images", "attributes"):
        raise SettingError(
            "--sheet is for models that change attributes of images, such as StarGAN. Received: "
            f"{generator.name} ({generator.recipe_name}). Leave it out."
        )
    if place.suffix.lower() != ".png" or place.exists():
        raise SettingError(f"A sheet goes into a new .png. Received: {place}. Choose another OUT.")
    check_outside_data(place, str(src))
    pictures = _pictures(generator, src, align)
    shown, asked = generator.spec.to_network(to_float(pictures)), Conditions(generator, {})
    noise = Noise(torch.zeros(len(pictures), dtype=torch.int64))
    columns, prompts, headings = [pictures], list[torch.Tensor](), list[str]()
    for number, name in enumerate(names):
        prompt = asked.turned(shown, number)
        same = next((place for place, one in enumerate(prompts) if torch.equal(one, prompt.attributes)), None)
        if same is not None:  # Of man and woman, say, where everybody is one of them.
            headings[same] += f" or {name}"
            continue
        prompts.append(prompt.attributes)
        headings.append(name)
        columns.append(to_bytes(generator.make(noise, prompt)).cpu())
    rows = enlarged(torch.stack(columns, dim=1).flatten(0, 1))
    note = f"the image; then, turned one by one: {', '.join(headings)}"
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
