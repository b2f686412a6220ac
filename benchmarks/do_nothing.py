"""An image-to-image model beside doing nothing: `python benchmarks/do_nothing.py RUN DATA`.

Of images that the run held out: its results, their sources unchanged, and the mean of 500 images it was to
learn (of two domains: none), each compared with what results should be like, by the metrics of
`gansmith evaluate`. With --sheet FILE a picture: sources, results, and targets or, of two domains, back
again, of twelve held-out images; below them of six that it was trained on, to see what it knows by heart.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.data.loading.loader import Loader
from gansmith.data.open import open_data
from gansmith.errors import GansmithError
from gansmith.images.grid import grid, to_bytes, to_pil
from gansmith.metrics.evaluate import Question, evaluate
from gansmith.metrics.image_sets import HeldOutPrompts
from gansmith.models.generator import Generator
from gansmith.models.load import open_generator
from gansmith.runs.run import Run

ACROSS = 12


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    words.add_argument("run")
    words.add_argument("data")
    words.add_argument("--metrics", default="l1,psnr,ssim")
    words.add_argument("--features", default="pixels")
    words.add_argument("--count", type=int, default=1000)
    words.add_argument("--sheet", type=Path)
    asked = words.parse_args()
    recipe = Run.open(Path(asked.run)).recipe
    method, kind = recipe.method, recipe.method.batch_type
    data = open_data(asked.data, recipe.data, fields=kind._fields)
    loader = Loader(data, kind, recipe.data, recipe.train.seed, torch.device("cpu"))
    generator = open_generator(asked.run, "cpu")
    source, target = ("source", "target") if "source" in kind._fields else ("a", "b")
    count = min(len(loader.held_out), asked.count)
    rows = loader.held_out_rows(0, count)
    made = generator.make(Noise.of(*range(count)), HeldOutPrompts(loader, method).some(0, count))
    sets = {"results": made, "sources unchanged": rows[source]}
    if target == "target":
        known = loader.sample(min(500, len(loader.training)))
        sets["mean of training targets"] = known.target.mean(dim=0).expand_as(rows[target])
    if asked.sheet:
        shown = [_panels(generator, kind(*(rows[name][:ACROSS] for name in kind._fields)))]
        shown.append(_panels(generator, loader.sample(ACROSS // 2)))
        _sheet(shown).save(asked.sheet, quality=90)
    with tempfile.TemporaryDirectory() as folder:
        real = _write(Path(folder) / "real", to_bytes(rows[target]))
        for name, images in sets.items():
            fake = _write(Path(folder) / name, to_bytes(images))
            question = Question(metrics=asked.metrics, features=asked.features, samples=count, cache=False)
            found = evaluate(fake, real, question)
            assert found is not None
            parts = [
                f"{metric} {value.value:.4g}"
                + ("" if value.low is None else f" ({value.low:.4g} to {value.high:.4g})")
                for metric, value in found.values.items()
            ]
            print(f"{name:26} {', '.join(parts)}; {count} images")
    loader.close()


def _panels(generator: Generator, batch: Any) -> Tensor:
    """Rows of a sheet, [rows, images, C, H, W] in bytes."""
    noise, method = Noise.of(*range(len(batch[0]))), generator.method
    made = generator.make(noise, method.prompt(batch))
    with torch.inference_mode():
        panels = method.panels(generator.networks, batch, made, noise)
    return torch.stack([to_bytes(images) for images in panels.values()])


def _sheet(blocks: list[Tensor]) -> Image.Image:
    """Blocks below each other, apart; the last is narrower."""
    grids = [to_pil(grid(block.flatten(0, 1), block.shape[1])) for block in blocks]
    page = Image.new("RGB", (grids[0].width, sum(part.height + 8 for part in grids) - 8), "white")
    top = 0
    for part in grids:
        page.paste(part, (0, top))
        top += part.height + 8
    return page


def _write(folder: Path, pictures: Tensor) -> str:
    folder.mkdir()
    for place, picture in enumerate(pictures):
        to_pil(picture).save(folder / f"{place:06d}.png")
    return str(folder)


if __name__ == "__main__":
    try:
        main()
    except GansmithError as error:
        print(f"do_nothing.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
