"""How near the latents of photos come: the mean latent, the encoder, the search, and both.

python benchmarks/projection.py RUN [PHOTOS] [--align close] [--count 64] [--sheet FILE.png]

Without PHOTOS the run's own held-out images are taken, which it was never trained on. The run needs an
encoder: gansmith explore RUN project PHOTO --encoder train. Means over the photos: PSNR in dB, what the
search makes small, the face recogniser's distance (0.6 is the usual bound between one person and another),
how many photos are called failed, and seconds.
"""

import argparse
import time
from pathlib import Path

import torch

from gansmith.core.noise import Noise
from gansmith.core.tensors import BytePictures, Latents
from gansmith.data.loading.loader import to_float
from gansmith.explore.latent_encoder import stored_encoder
from gansmith.explore.likeness import Likeness
from gansmith.explore.nearest import Training
from gansmith.explore.projection import Search, learned_threshold, project, psnr
from gansmith.explore.shell import Shell
from gansmith.images.grid import grid, to_bytes
from gansmith.images.provenance import write_png
from gansmith.metrics.features.face import open_face
from gansmith.models.edit import open_photos
from gansmith.models.generator import Generator
from gansmith.models.load import open_generator

torch.set_num_threads(1)
_SHOWN = 8


def photos_of(asked: argparse.Namespace, generator: Generator) -> BytePictures:
    """The photos that are to be found."""
    if asked.photos is None:
        return Training.of(Path(asked.run)).held_out.some(0, asked.count)
    return open_photos(asked.photos, generator, asked.align)[1][: asked.count]


def mean_latent(generator: Generator, count: int) -> Latents:
    """The middle of the last space, again and again."""
    middle = Shell.of(generator, generator.spaces[-1]).middle
    return middle.expand(count, *middle.shape)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("photos", nargs="?")
    parser.add_argument("--align")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--sheet")
    asked = parser.parse_args()
    generator = open_generator(asked.run, "cpu")
    photos = photos_of(asked, generator)
    encoder = stored_encoder(generator, Path(asked.run), generator.spaces[-1])
    if encoder is None:
        parser.error(
            f"{asked.run} has no encoder yet: gansmith explore {asked.run} project PHOTO --encoder train"
        )
    threshold, likeness, faces = learned_threshold(generator), Likeness(generator), open_face()
    theirs = faces(photos).features
    still = Noise.of(*[0] * len(photos))

    def row(name: str, images: BytePictures, seconds: float) -> None:
        with torch.no_grad():
            apart = likeness(likeness.view(to_float(images)), likeness.view(to_float(photos)))
        people = (faces(images).features - theirs).norm(dim=1)
        failed = int((apart > threshold).sum())
        print(
            f"| {name} | {psnr(images, photos).mean():.2f} | {apart.mean():.3f} | {people.mean():.3f} | "
            f"{failed} of {len(photos)} | {seconds:.1f} |",
            flush=True,
        )

    print(f"{len(photos)} photos; a distance above {threshold:.3f} counts as failed")
    print("| | PSNR | distance | face | failed | s |\n|---|---|---|---|---|---|")
    space = generator.spaces[-1]
    middle = mean_latent(generator, len(photos))
    row("mean latent", to_bytes(generator.synthesize(middle, still, None, space)), 0.0)
    shown = [photos]
    for name, how, used in (
        ("best of 64 at random", Search(steps=0, starts=1), None),
        ("encoder alone", Search(steps=0, starts=1), encoder),
        ("search alone", Search(), None),
        ("both", Search(), encoder),
        ("both, noise 0.05", Search(noise=0.05), encoder),
        ("both, 1 start of 50 moves", Search(starts=1, steps=50), encoder),
    ):
        before = time.monotonic()
        found = project(generator, photos, how, encoder=used)
        row(name, found.images, time.monotonic() - before)
        if name in ("encoder alone", "search alone", "both"):
            shown.append(found.images)
    if asked.sheet:
        rows = torch.stack([each[:_SHOWN] for each in shown]).flatten(0, 1)
        note = "rows: photo, the encoder's guess, search alone, both"
        write_png(
            grid(rows, columns=min(_SHOWN, len(photos))), Path(asked.sheet), generator.provenance(note=note)
        )


if __name__ == "__main__":
    main()
