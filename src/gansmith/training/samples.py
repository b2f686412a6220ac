"""What a run shows for itself: grids on the way, curves, animation and sheet at the end."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor, nn

from gansmith.core.console import Console
from gansmith.core.files import whole_file
from gansmith.core.noise import Noise
from gansmith.core.tensors import BytePictures, Images
from gansmith.data.loading.loader import Loader
from gansmith.engine.trainer import Trainer
from gansmith.errors import GansmithError
from gansmith.images import animation, grid, plots
from gansmith.images.grid import Picture
from gansmith.images.provenance import Provenance, marked, software_version, xmp_packet
from gansmith.methods.batches import IMAGE_COLUMNS
from gansmith.models.prompts import Prompts
from gansmith.runs.run import Run

GRID = 64  # Images in a sample grid, seeds 0 to 63.
SHEET = 36  # Images on each side of the real-versus-generated sheet.
_FEW = 8  # Rows held out that make a grid.
_APART = 6  # White pixels between rows of images that belong together.
MOST_FRAMES = 120  # Of the animation; a longer run is thinned out evenly.

_Bytes = UInt8[Tensor, "_ _ _ _"]  # Fewer than there are fakes.


@dataclass(frozen=True)
class Samples:
    """Images of the generator as it stands, beside real ones of the same prompts.

    Args:
        fake: what the generator made of seeds 0, 1, ..., in bytes.
        real: images of the training set that results are compared with, in bytes; as many.
        batch: the training rows that prompts and real images are of, in the networks' range.
        note: what both are sorted by; None where nothing sorts them.
        panels: what rows of the grid show, by heading, in bytes of one form; none where fakes stand alone.
        held_out: whether panels show rows that are never trained on.

    Example:
        >>> made = samples(trainer, loader, count=16)
        >>> made.grid.shape
    """

    fake: BytePictures
    real: UInt8[Tensor, "rows real_channels real_height real_width"]
    batch: Any
    note: str | None = None
    panels: Mapping[str, _Bytes] = field(default_factory=dict)
    held_out: bool = False
    captions: str | None = None  # Of the first row of the grid, where images are of captions.

    @property
    def grid(self) -> Picture:
        """All fakes in one image, with what they are sorted by or of; or rows of panels side by side."""
        if not self.panels:
            return grid.with_caption(grid.grid(self.fake), self.note or self.captions)
        strips = torch.cat(list(self.panels.values()), dim=3)
        across = max(1, round(math.sqrt(len(strips) / len(self.panels))))
        where = ", held out" if self.held_out else ""
        return grid.with_caption(grid.grid(strips, across, _APART), " | ".join(self.panels) + where)


def samples(trainer: Trainer[Any, Any, Any], loader: Loader[Any], count: int = GRID) -> Samples | None:
    """Samples by the networks as they stand, averaged where they are; None of what makes no images."""
    if not trainer.method.makes_images:
        return None
    method, networks = trainer.method, trainer.networks_for_pictures()
    batch, note = _arranged(trainer, loader.sample(count))
    prompt = method.prompt(batch)
    noise = Noise(torch.arange(count if prompt is None else len(batch[0]), device=trainer.device))
    with torch.inference_mode():
        made: Images = method.generate(networks, prompt, noise)
        panels, held_out = _panels(trainer, networks, (batch, made), loader)
    fake = trainer.spec.to_pictures(made)
    real = trainer.spec.to_pictures(method.real_images(batch))
    captions = _captions(trainer, prompt, math.ceil(math.sqrt(len(fake))))
    return Samples(grid.to_bytes(fake), grid.to_bytes(real), batch, note, panels, held_out, captions)


def _captions(trainer: Trainer[Any, Any, Any], prompt: Any, across: int) -> str | None:
    """What the first row of a grid was asked for, where images are of captions."""
    kind = trainer.method.prompt_type
    asked = [] if kind is None else Prompts(kind, trainer.spec, {}).captions(prompt, across)
    return f"first row: {' | '.join(asked)}" if asked else None


def _panels(
    trainer: Trainer[Any, Any, Any], networks: Any, seen: tuple[Any, Images], loader: Loader[Any]
) -> tuple[Mapping[str, _Bytes], bool]:
    """What rows of a grid show, as many rows as make it no larger than one of results alone.

    What is held out, and whether it is: with what was trained on (``seen``, rows and their results) a model
    that knows them by heart looks good. Where too little is held out for a grid, that is shown all the same.
    """
    method = trainer.method

    def shown(rows: int, batch: Any, made: Images) -> Mapping[str, Tensor]:
        first = type(batch)(*(column[:rows] for column in batch))
        noise = Noise(torch.arange(rows, device=trainer.device))
        found: Mapping[str, Tensor] = method.panels(networks, first, made[:rows], noise)
        return found

    panels = shown(1, *seen)
    if not panels:
        return {}, False
    rows = max(1, len(seen[1]) // len(panels))
    held_out = next(loader.held_out_batches(rows, rows), None)
    if held_out is None or len(held_out[0]) < min(rows, _FEW):
        panels, held_out = shown(rows, *seen), None
    else:
        rows = len(held_out[0])
        noise = Noise(torch.arange(rows, device=trainer.device))
        panels = shown(rows, held_out, method.generate(networks, method.prompt(held_out), noise))
    size = seen[1].shape[2:]
    channels = max(images.shape[1] for images in panels.values())
    found = {
        name: grid.to_bytes(_as_large(trainer.spec.to_pictures(images), channels, size))
        for name, images in panels.items()
    }
    return found, held_out is not None


def _as_large(images: Tensor, channels: int, size: torch.Size) -> Tensor:
    """Grey as colours where others have them; smaller ones with larger pixels."""
    if images.shape[2:] != size:
        images = nn.functional.interpolate(images, size=tuple(size), mode="nearest")
    return images.expand(-1, channels, -1, -1)


def _arranged(trainer: Trainer[Any, Any, Any], batch: Any) -> tuple[Any, str | None]:
    """The rows of a batch by class, where prompts have classes, and what says so."""
    kind = trainer.method.prompt_type
    if kind is None:
        return batch, None
    order, note = Prompts(kind, trainer.spec, {}).arrange(trainer.method.prompt(batch))
    return type(batch)(*(column[order] for column in batch)), note


def mark_of(run: Run, trainer: Trainer[Any, Any, Any]) -> Provenance:
    """What grids of a run are marked with while it is trained; some show sources, too."""
    kind: Any = trainer.method.prompt_type
    beside = kind is not None and not IMAGE_COLUMNS.isdisjoint(kind._fields)
    made = Provenance(run.path.name, trainer.recipe.name, None, trainer.images, software_version())
    return replace(made, composite=beside)


def finish(
    run: Run, trainer: Trainer[Any, Any, Any], loader: Loader[Any], console: Console
) -> Mapping[str, Path]:
    """Curves, animation and the real-versus-generated sheet; name -> file.

    The run is whole without them: what cannot be drawn is told and left out.
    """

    def sheet(path: Path) -> None:
        made = samples(trainer, loader, SHEET)
        assert made is not None
        page = grid.sheet(made.real, made.fake, _headings(made))
        content = marked(page, replace(mark, composite=True))
        with whole_file(path) as part:
            part.write_bytes(content)

    def film(path: Path) -> None:
        animation.animate(_frames(run), path, xmp=xmp_packet(mark))

    mark = mark_of(run, trainer)

    work: Mapping[str, tuple[str, Callable[[Path], object]]] = {
        "animation": ("animation.webp", film),
        "curves": ("curves.png", lambda path: plots.curves(run.rows(), path)),
        "real and generated": ("real_vs_generated.png", sheet),
    }
    shown = {"samples": run.picture(trainer.images)}
    if not trainer.method.makes_images:
        work = {"curves": work["curves"]}
    for name, (file, draw) in work.items():
        shown[name] = run.path / file
        try:
            draw(shown[name])
        except GansmithError as error:
            console.say(f"{file} is left out: {error}")
    return {name: path for name, path in shown.items() if path.exists()}


def _headings(made: Samples) -> tuple[str, str]:
    return ("real", "generated") if made.note is None else ("real", f"generated, {made.note}")


def _frames(run: Run) -> Iterator[Image.Image]:
    files = sorted(run.pictures.glob("*.png"))
    thin, size = max(1, math.ceil(len(files) / MOST_FRAMES)), None
    for file in [*files[:-1:thin], *files[-1:]]:
        try:
            with Image.open(file) as picture:
                frame = picture.convert("RGB")
        except (OSError, SyntaxError):  # Somebody's own file, or one a power cut has hurt.
            continue
        size = size or frame.size
        if frame.width == size[0] and frame.height != size[1]:  # Other words below, by another version.
            page = Image.new("RGB", size, "white")
            page.paste(frame)
            frame = page
        yield frame
