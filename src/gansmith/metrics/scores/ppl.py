"""Perceptual path length: how much images change along a short step of the latent."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from gansmith.core.noise import Noise, mix_seeds
from gansmith.core.tensors import Images, Latents, Scores
from gansmith.errors import DataError, SettingError
from gansmith.metrics.math.intervals import Value, mean_value, sentences
from gansmith.metrics.scores.lpips import PictureDistance
from gansmith.models.generator import RUN, Generator
from gansmith.models.latents import Mode, linear, slerp

_TRIMMED = 0.01  # Share of the paths left out at each end, as the authors' program does.
_LARGEST = 256  # Pixels; larger images are averaged down by whole numbers, as there.
_USUAL = 10_000  # Paths; the authors measured 100,000.
_STREAM = 0x991  # Keeps these seeds apart from those of images.


def ppl(
    generator: Generator,
    distance: PictureDistance,
    *,
    samples: int = _USUAL,
    seed: int = 0,
    epsilon: float = 1e-4,
    mode: Mode = "spherical",
) -> Value:
    """The mean of d(G(z(t)), G(z(t + epsilon))) / epsilon^2 over random paths z and places t in [0, 1].

    Karras (2019, section 4.1, in Z), with ``distance`` for d: LPIPS with ``vgg`` there. Images are not
    rounded. The largest and smallest hundredth of the paths are left out, as in the authors' program. Less is
    smoother; numbers compare only for one distance and one mode, and the note names the distance.

    Args:
        generator: one that has a latent.
        distance: ``open_lpips("vgg")``, or ``FeatureDistance`` of a network.
        samples: paths, at least 2; each costs two images.
        seed: of the paths.
        epsilon: the step, more than 0 and below 1.
        mode: how z moves from one latent to another.

    Raises:
        SettingError: a generator without a latent, or a number out of its range.
        DataError: images that are not numbers, or that the distance cannot compare.
    """
    if not generator.spaces:
        raise SettingError(
            "Path length needs a generator that makes pictures from a latent alone. "
            f"{generator.name} ({generator.recipe_name}) makes them from something else."
        )
    if samples < 2 or not 0 < epsilon < 1:
        rule = "Path length needs 2 samples or more and a step between 0 and 1."
        raise SettingError(f"{rule} Received: samples={samples}, epsilon={epsilon}.")
    lengths = torch.cat(list(_lengths(generator, distance, _Paths(samples, seed, epsilon, mode))))
    return mean_value(_trimmed(lengths), seed, _note(distance, samples))


class _Paths:
    """Pairs of near points, a few at a time."""

    def __init__(self, samples: int, seed: int, epsilon: float, mode: Mode) -> None:
        self.epsilon = epsilon
        self._first = mix_seeds(seed, _STREAM) >> 1  # Room for two seeds a path.
        draws = torch.Generator().manual_seed(self._first)
        self._places = torch.rand(samples, generator=draws, dtype=torch.float64) * (1 - epsilon)
        self._between = {"linear": linear, "spherical": slerp}[mode]

    def points(self, generator: Generator) -> Iterator[tuple[Latents, list[int]]]:
        """Both ends of some steps, [2 k, latent]: k starts, then k ends; and the seeds of prompts."""
        for first in range(0, len(self._places), RUN):
            places = self._places[first : first + RUN].tolist()
            seeds = range(self._first + 2 * first, self._first + 2 * (first + len(places)))
            ends = generator.latents(Noise.of(*seeds)).cpu()
            points = [
                self._between(a, b, place + step)
                for step in (0.0, self.epsilon)
                for a, b, place in zip(ends[::2], ends[1::2], places, strict=True)
            ]
            yield torch.stack(points), [*seeds[::2], *seeds[::2]]


def _lengths(generator: Generator, distance: PictureDistance, paths: _Paths) -> Iterator[Scores]:
    for points, seeds in paths.points(generator):
        images = generator.synthesize(points, Noise.of(*seeds))
        if not bool(images.isfinite().all()):
            raise DataError(f"Pictures must be numbers. Received: nan or inf from {generator.name}.")
        start, end = _shrunk(images).chunk(2)
        yield distance(start, end) / paths.epsilon**2


def _shrunk(images: Images) -> Tensor:
    factor = min(images.shape[2:]) // _LARGEST
    return F.avg_pool2d(images, factor) if factor > 1 else images


def _trimmed(lengths: Scores) -> Float[Tensor, " kept"]:
    """Without the hundredth at each end; of few paths nothing is left out."""
    off = int(len(lengths) * _TRIMMED)
    return lengths.sort().values[off : len(lengths) - off]


def _note(distance: PictureDistance, samples: int) -> str:
    if distance.name == "lpips-vgg":
        measured = "Distances are LPIPS (vgg)."
    elif distance.name.startswith("lpips"):
        measured = f"Distances are {distance.name}; published numbers use LPIPS with vgg."
    else:
        measured = (
            f"Distances are squared ones of the features {distance.name}, not LPIPS: compare only with "
            "numbers made the same way."
        )
    few = f"Few paths: {samples}, where {_USUAL} or more are usual." if samples < _USUAL else ""
    return sentences(few, measured)
