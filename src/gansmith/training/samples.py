"""What a run shows for itself: grids on the way, curves, animation and sheet at the end."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from gansmith.core.console import Console
from gansmith.core.files import whole_file
from gansmith.core.noise import Noise
from gansmith.core.tensors import BytePictures, Images
from gansmith.data.loading.loader import Loader, to_float
from gansmith.engine.trainer import Trainer, pictures_of
from gansmith.errors import GansmithError
from gansmith.images import grid
from gansmith.images.grid import Picture
from gansmith.models.prompts import Prompts
from gansmith.runs.run import Run
from gansmith.training.health.statistics import overfitting, spread_ratio

GRID = 64  # Pictures in a sample grid, seeds 0 to 63.
SHEET = 36  # Pictures on each side of the real-versus-generated sheet.
_JUDGED = 64  # Pictures of each kind that the critic is asked about.
_JUDGED_EVERY = 2_000  # Images between two times at least: that is most of what the health watch costs.
_JUDGED_TIMES = 10  # In a shorter run that is at least so often, if there are as many grids.
MOST_FRAMES = 120  # Of the animation; a longer run is thinned out evenly.


@dataclass(frozen=True)
class Samples:
    """Images of the generator as it stands, beside real ones of the same prompts.

    Args:
        fake: what the generator made of seeds 0, 1, ..., in bytes.
        real: images of the training set that results are compared with, in bytes; as many.
        batch: the training rows that prompts and real images are of, in the networks' range.
        note: what both are sorted by; None where nothing sorts them.
    """

    fake: BytePictures
    real: UInt8[Tensor, "rows real_channels real_height real_width"]
    batch: Any
    note: str | None = None

    @property
    def grid(self) -> Picture:
        """All fakes in one picture, with what they are sorted by."""
        return grid.with_caption(grid.grid(self.fake), self.note)


def samples(trainer: Trainer[Any, Any, Any], loader: Loader[Any], count: int = GRID) -> Samples:
    """Samples by the networks as they stand, averaged where they are averaged."""
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


def vital_signs(trainer: Trainer[Any, Any, Any], loader: Loader[Any], made: Samples) -> dict[str, float]:
    """How varied samples are beside real images, and how far the critic has learnt its images by heart.

    Args:
        trainer: the networks as they stand.
        loader: of the run.
        made: samples of them.

    Returns: ``health/spread``, and now and then ``health/overfitting``, where they can be told.
    """
    shown = to_float(made.fake).to(trainer.device)
    signs = {"health/spread": spread_ratio(shown, to_float(made.real[: len(shown)]).to(trainer.device))}
    if _due(trainer):
        signs["health/overfitting"] = _overfitting(trainer, loader, made, shown)
    return {name: value for name, value in signs.items() if value is not None}


def _due(trainer: Trainer[Any, Any, Any]) -> bool:
    train = trainer.recipe.train
    every = max(1, min(_JUDGED_EVERY, train.images // _JUDGED_TIMES))
    return trainer.images // every > (trainer.images - train.picture_every) // every


def _overfitting(
    trainer: Trainer[Any, Any, Any], loader: Loader[Any], made: Samples, shown: Images
) -> float | None:
    method = trainer.method
    held_out = next(loader.held_out_batches(_JUDGED, _JUDGED), None)
    if held_out is None:
        return None
    seen = loader.sample(_JUDGED)
    fake_prompt = method.prompt(made.batch)
    kinds = [(method.real_images(batch), method.prompt(batch)) for batch in (seen, held_out)]
    kinds.append((trainer.spec.to_network(shown), fake_prompt))
    scores = [score for kind in kinds if (score := trainer.critic_scores(*kind)) is not None]
    return overfitting(*scores) if len(scores) == len(kinds) else None


def finish(
    run: Run, trainer: Trainer[Any, Any, Any], loader: Loader[Any], console: Console
) -> Mapping[str, Path]:
    """Curves, animation and the real-versus-generated sheet; name -> file.

    The run is whole without them: what cannot be drawn is told and left out.
    """

    def sheet(path: Path) -> None:
        made = samples(trainer, loader, SHEET)
        page = grid.sheet(made.real, made.fake, _headings(made))
        with whole_file(path) as part:
            page.save(part, format="PNG")

    work: Mapping[str, tuple[str, Callable[[Path], object]]] = {
        "animation": ("animation.webp", lambda path: grid.animate(_frames(run), path)),
        "curves": ("curves.png", lambda path: grid.curves(run.rows(), path)),
        "real and generated": ("real_vs_generated.png", sheet),
    }
    shown = {"samples": run.picture(trainer.images)}
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
