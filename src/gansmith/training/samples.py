"""What a run shows for itself: grids on the way, curves, animation and sheet at the end."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from gansmith.core.console import Console
from gansmith.core.files import whole_file
from gansmith.core.noise import Noise
from gansmith.core.tensors import BytePictures
from gansmith.data.loading.loader import Loader
from gansmith.engine.trainer import Trainer, pictures_of
from gansmith.errors import GansmithError
from gansmith.images import animation, grid, plots
from gansmith.images.grid import Picture
from gansmith.images.provenance import Provenance, marked, software_version, xmp_packet
from gansmith.models.prompts import Prompts
from gansmith.runs.run import Run

GRID = 64  # Images in a sample grid, seeds 0 to 63.
SHEET = 36  # Images on each side of the real-versus-generated sheet.
MOST_FRAMES = 120  # Of the animation; a longer run is thinned out evenly.


@dataclass(frozen=True)
class Samples:
    """Images of the generator as it stands, beside real ones of the same prompts.

    Args:
        fake: what the generator made of seeds 0, 1, ..., in bytes.
        real: images of the training set that results are compared with, in bytes; as many.
        batch: the training rows that prompts and real images are of, in the networks' range.
        note: what both are sorted by; None where nothing sorts them.

    Example:
        >>> made = samples(trainer, loader, count=16)
        >>> made.grid.shape
    """

    fake: BytePictures
    real: UInt8[Tensor, "rows real_channels real_height real_width"]
    batch: Any
    note: str | None = None

    @property
    def grid(self) -> Picture:
        """All fakes in one image, with what they are sorted by."""
        return grid.with_caption(grid.grid(self.fake), self.note)


def samples(trainer: Trainer[Any, Any, Any], loader: Loader[Any], count: int = GRID) -> Samples | None:
    """Samples by the networks as they stand, averaged where they are; None of what makes no images."""
    if not trainer.method.makes_images:
        return None
    method, networks = trainer.method, trainer.networks_for_pictures()
    batch, note = _arranged(trainer, loader.sample(count))
    prompt = method.prompt(batch)
    noise = Noise(torch.arange(count if prompt is None else len(batch[0]), device=trainer.device))
    fake = pictures_of(method, networks, prompt, noise, trainer.spec)
    real = trainer.spec.to_pictures(method.real_images(batch))
    return Samples(grid.to_bytes(fake).cpu(), grid.to_bytes(real).cpu(), batch, note)


def _arranged(trainer: Trainer[Any, Any, Any], batch: Any) -> tuple[Any, str | None]:
    """The rows of a batch by class, where prompts have classes, and what says so."""
    kind = trainer.method.prompt_type
    if kind is None:
        return batch, None
    order, note = Prompts(kind, trainer.spec, {}).arrange(trainer.method.prompt(batch))
    return type(batch)(*(column[order] for column in batch)), note


def mark_of(run: Run, trainer: Trainer[Any, Any, Any]) -> Provenance:
    """What images of a run are marked with while it is trained."""
    return Provenance(run.path.name, trainer.recipe.name, None, trainer.images, software_version())


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
    thin = max(1, math.ceil(len(files) / MOST_FRAMES))
    for file in [*files[:-1:thin], *files[-1:]]:
        try:
            with Image.open(file) as picture:
                frame = picture.convert("RGB")
        except (OSError, SyntaxError):  # Somebody's own file, or one a power cut has hurt.
            continue
        yield frame
