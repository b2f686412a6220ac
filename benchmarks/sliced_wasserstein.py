"""How far generated pictures are from real ones: sliced Wasserstein distance on Laplacian levels.

    python benchmarks/sliced_wasserstein.py RUN DATA [--samples 900] [--seed 0]

After Karras 2017, section 5: patches of 7 x 7 from each level of a Laplacian pyramid, normalized per
channel, compared along random directions. Smaller is better; the row "held-out" compares real pictures
with other real pictures and is the best any generator could reach. x 1000. Levels of 8 px and less have
few patches to choose from, so their floor is high.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from gansmith.data.loading.sampler import split
from gansmith.data.open import open_data
from gansmith.models.load import open_generator
from gansmith.models.write import pictures
from gansmith.runs.run import Run

PATCH, PATCHES, DIRECTIONS, SMALLEST = 7, 64, 512, 8


def pyramid(images: Tensor) -> list[Tensor]:
    """Laplacian levels from full size down to ``SMALLEST``, the last one the low-pass rest."""
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0])
    kernel = (row[:, None] * row / 256.0).repeat(images.shape[1], 1, 1, 1)
    levels = []
    while images.shape[-1] >= 2 * SMALLEST:
        padded = F.pad(images, (2, 2, 2, 2), mode="reflect")
        small = F.conv2d(padded, kernel, groups=images.shape[1])[:, :, ::2, ::2]
        spread = torch.zeros_like(images)
        spread[:, :, ::2, ::2] = small
        up = F.conv2d(F.pad(spread, (2, 2, 2, 2), mode="reflect"), 4.0 * kernel, groups=images.shape[1])
        levels.append(images - up)
        images = small
    return [*levels, images]


def patches(level: Tensor, generator: torch.Generator) -> Tensor:
    """Random patches, normalized per channel over the whole set, [count, channels * 49]."""
    count, _, height, width = level.shape
    rows = torch.arange(count).repeat_interleave(PATCHES)
    top = torch.randint(0, height - PATCH + 1, (len(rows),), generator=generator)
    left = torch.randint(0, width - PATCH + 1, (len(rows),), generator=generator)
    steps = torch.arange(PATCH)
    cut = level[rows[:, None, None], :, (top[:, None] + steps)[:, :, None], (left[:, None] + steps)[:, None]]
    cut = cut.permute(0, 3, 1, 2)
    cut = cut - cut.mean((0, 2, 3), keepdim=True)
    return (cut / cut.std((0, 2, 3), keepdim=True)).flatten(1)


def distance(ours: Tensor, theirs: Tensor, seed: int) -> list[float]:
    """One number a level, x 1000; both sets uint8 [n, C, H, W] with the same n."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for a, b in zip(pyramid(ours.float()), pyramid(theirs.float()), strict=True):
        directions = torch.randn(a.shape[1] * PATCH**2, DIRECTIONS, generator=generator)
        directions = directions / directions.norm(dim=0)
        a, b = patches(a, generator), patches(b, generator)
        gaps = [
            ((a @ part).sort(0).values - (b @ part).sort(0).values).abs().mean()
            for part in directions.split(128, dim=1)
        ]
        found.append(1000 * float(torch.stack(gaps).mean()))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("data")
    parser.add_argument("--samples", type=int, default=900)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    recipe = Run.open(Path(options.run)).recipe
    data = open_data(options.data, recipe.data)
    training, held_out = split(len(data), recipe.data.validation, recipe.train.seed)
    count = min(options.samples, len(held_out))
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(options.seed))
    real = data.fetch(training[order[:count]])["images"]
    others = data.fetch(held_out[:count])["images"]
    made = torch.cat([part for _, part in pictures(open_generator(options.run), range(count))])
    for name, those in (("held-out", others), ("generated", made)):
        levels = distance(real, those, options.seed)
        spread = float(those.float().std(0).mean() / real.float().std(0).mean())
        numbers = " ".join(f"{level:6.1f}" for level in levels)
        print(f"{name:10} mean {sum(levels) / len(levels):6.1f}   levels {numbers}   spread {spread:.2f}")


if __name__ == "__main__":
    main()
