"""What a run shows for itself: grids on the way, curves, animation and sheet at the end."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from gansmith.core.console import Console
from gansmith.core.files import whole_file
from gansmith.core.noise import Noise
from gansmith.core.tensors import BytePictures
from gansmith.data.loading.loader import Loader, to_float
from gansmith.engine.trainer import Trainer, pictures_of
from gansmith.errors import GansmithError
from gansmith.images import grid
from gansmith.runs.run import Run
from gansmith.training.health.statistics import overfitting, spread_ratio

GRID = 64  # Pictures in a sample grid, seeds 0 to 63.
SHEET = 36  # Pictures on each side of the real-versus-generated sheet.
_JUDGED = 64  # Pictures of each kind that the critic is asked about.
_JUDGED_EVERY = 2_000  # Images between two times at least: that is most of what the health watch costs.
_JUDGED_TIMES = 10  # In a shorter run that is at least so often, if there are as many grids.
MOST_FRAMES = 120  # Of the animation; a longer run is thinned out evenly.


def samples(trainer: Trainer[Any, Any, Any], loader: Loader[Any], count: int = GRID) -> BytePictures:
    """Pictures of seeds 0 .. count - 1 by the networks as they stand, averaged where they are averaged."""
    networks = trainer.networks_for_pictures()
    batch = loader.sample(count)
    prompt = trainer.method.prompt(batch)
    count = count if prompt is None else len(batch[0])
    noise = Noise(torch.arange(count, device=trainer.device))
    return grid.to_bytes(pictures_of(trainer.method, networks, prompt, noise, trainer.spec)).cpu()


def vital_signs(trainer: Trainer[Any, Any, Any], loader: Loader[Any], made: BytePictures) -> dict[str, float]:
    """How varied samples are beside real pictures, and how far the critic has learnt its pictures by heart.

    Args:
        made: pictures of the generator as it stands, in bytes.

    Returns: ``health/spread``, and now and then ``health/overfitting``, where they can be told.
    """
    shown, spec = to_float(made).to(trainer.device), trainer.spec
    real = loader.sample(len(made))[0]
    signs = {"health/spread": spread_ratio(shown, spec.to_pictures(real))}
    train = trainer.recipe.train
    every = max(1, min(_JUDGED_EVERY, train.images // _JUDGED_TIMES))
    due = trainer.images // every > (trainer.images - train.picture_every) // every
    held_out = next(loader.held_out_batches(_JUDGED, _JUDGED), None) if due else None
    if held_out is not None:
        kinds = (loader.sample(_JUDGED)[0], held_out[0], spec.to_network(shown))
        scores = [score for images in kinds if (score := trainer.critic_scores(images)) is not None]
        if len(scores) == len(kinds):
            signs["health/overfitting"] = overfitting(*scores)
    return {name: value for name, value in signs.items() if value is not None}


def finish(
    run: Run, trainer: Trainer[Any, Any, Any], loader: Loader[Any], console: Console
) -> Mapping[str, Path]:
    """Curves, animation and the real-versus-generated sheet; name -> file.

    The run is whole without them: what cannot be drawn is told and left out.
    """

    def sheet(path: Path) -> None:
        real = grid.to_bytes(trainer.spec.to_pictures(loader.sample(SHEET)[0])).cpu()
        page = grid.sheet(real, samples(trainer, loader, SHEET))
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
