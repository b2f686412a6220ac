"""Projection: the latent whose image is nearest to a photo, found by gradients (Karras 2020, section 5)."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gansmith.core.noise import Noise, mix_seeds
from gansmith.core.tensors import BytePictures, Images, Latents
from gansmith.data.loading.loader import to_float
from gansmith.errors import DataError, SettingError, at_least
from gansmith.explore.interpolation import repeated
from gansmith.explore.latent_encoder import LatentEncoder
from gansmith.explore.likeness import Likeness, View
from gansmith.explore.shell import Shell
from gansmith.images.grid import to_bytes
from gansmith.models.generator import Generator
from gansmith.models.prompts import Wish

_ROWS = 64  # Latents that are moved at a time.
_RAMP_UP, _RAMP_DOWN, _NOISY = 0.05, 0.25, 0.75  # Shares of the steps.
_OWN = 32  # Images of the generator that the threshold is learned from.
_FIRST_OWN = 1_500_000_000  # Seed of the first of them.
_BEST_PSNR = 100.0  # Of equal images, in dB.


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a latent is searched for.

    Args:
        space: where; None: in the generator's last space, such as w+.
        steps: of Adam; 0: the best start as it is.
        starts: how many of the best starts are followed, the encoder's guess among them.
        tried: random latents among which the starts are chosen.
        rate: of Adam, in deviations of the latent's numbers.
        noise: added at first, as a share of the latent's length; StyleGAN2's projector has 0.05, which found
            no nearer latents here (docs/projection.md).
        seed: of what is tried, of the noise, and of what a generator draws besides the latent.

    Raises:
        SettingError: a number out of range.

    Example:
        >>> project(generator, photos, Search(steps=100, starts=1))
    """

    space: str | None = None
    steps: int = 200
    starts: int = 2
    tried: int = 64
    rate: float = 0.1
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self, 1, "starts", "tried", prefix="")
        at_least(self, 0, "steps", "rate", "noise", "seed", prefix="")


@dataclass(frozen=True, eq=False, kw_only=True)
class Projection:
    """What was found for some photos; images are uint8 [photos, channels, height, width].

    Args:
        space: of the latents.
        latents: [photos, *latent].
        photos: in the model's size.
        images: what the generator makes of the latents.
        psnr: of images against photos in dB, at most 100.
        distance: what was made small, see ``Likeness``; where several starts were followed, of the best.
        failed: whether a photo's distance is above the threshold.
        threshold: see ``learned_threshold``; infinite where none was asked for.
        seconds: for all photos, the threshold left out.
        seed: of what the generator drew besides the latent.
        prompt: one row, of a conditional model.

    Example:
        >>> found = project(open_generator("runs/one"), photos)
        >>> found.psnr, found.failed
    """

    space: str
    latents: Latents
    photos: BytePictures
    images: BytePictures
    psnr: Float[Tensor, " photos"]
    distance: Float[Tensor, " photos"]
    failed: Bool[Tensor, " photos"]
    threshold: float
    seconds: float
    seed: int
    prompt: Any = None


Progress = Callable[[int, int], None]


def project(
    generator: Generator,
    photos: BytePictures,
    search: Search | None = None,
    *,
    encoder: LatentEncoder | None = None,
    wish: Wish | None = None,
    threshold: float = math.inf,
    progress: Progress | None = None,
) -> Projection:
    """The latent of each photo: the best of several starts, moved by Adam.

    The rate follows the projector of StyleGAN2: it rises over the first twentieth and falls as a cosine over
    the last quarter; noise on the latent, where it is asked for, fades until three quarters. A latent keeps
    a length that is usual in its space. The same seed gives the same latents on one machine.

    Args:
        generator: a generator with a latent.
        photos: uint8 [n, channels, height, width] in its size.
        search: where and how; None for the defaults.
        encoder: whose guess is one of the starts; None for random ones alone.
        wish: what a conditional model is asked for; what is left open follows the seed.
        threshold: the distance above which a photo counts as failed, such as ``learned_threshold`` gives.
        progress: told (moves done, moves in all).

    Raises:
        SettingError: a generator without a latent or without this space, or an encoder of another one.
        DataError: no photos, or some of another size.

    Example:
        >>> found = project(open_generator("runs/one"), photos, encoder=train_encoder(generator))
    """
    how = search or Search()
    hunt = _Hunt.begin(generator, how, encoder, wish)
    hunt.check(photos)
    before = time.monotonic()
    part = max(1, _ROWS // how.starts)
    parts = torch.split(photos, part)
    found, distances = [], []
    with torch.inference_mode(False), torch.enable_grad():
        for number, some in enumerate(parts):
            told = None if progress is None else _part_of(progress, number, len(parts))
            latents, distance = hunt.find(some, told)
            found.append(latents)
            distances.append(distance)
    latents, distance = torch.cat(found), torch.cat(distances)
    images = hunt.draw(latents)
    return Projection(
        space=hunt.space,
        latents=latents.cpu(),
        photos=photos.cpu(),
        images=images,
        psnr=psnr(images, photos.cpu()),
        distance=distance.cpu(),
        failed=(distance > threshold).cpu(),
        threshold=threshold,
        seconds=time.monotonic() - before,
        seed=how.seed,
        prompt=hunt.prompt,
    )


def learned_threshold(
    generator: Generator, search: Search | None = None, *, wish: Wish | None = None
) -> float:
    """The distance above which a projection counts as failed, learned from the generator's own images.

    It is how near the best of the images tried at random comes to another image of the generator, the median
    of 32: a photo fails where all the search finds is no nearer to it than that.

    Raises:
        SettingError: as ``project``.
    """
    how = replace(search or Search(), steps=0, starts=1)
    hunt = _Hunt.begin(generator, how, None, wish)
    seeds = range(_FIRST_OWN, _FIRST_OWN + _OWN)
    own = to_bytes(generator.make(Noise.of(*seeds), hunt.rows(_OWN)))
    return float(project(generator, own, how, wish=wish).distance.median())


def psnr(images: BytePictures, photos: BytePictures) -> Float[Tensor, " photos"]:
    """The peak signal-to-noise ratio of each image against its photo in dB, at most 100.

    Example:
        >>> psnr(torch.full((1, 3, 8, 8), 10, dtype=torch.uint8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
        tensor([28.1308])
    """
    error = (images.double() - photos.double()).square().mean(dim=(1, 2, 3))
    return (10.0 * torch.log10(255.0**2 / error.clamp_min(1e-12))).clamp(max=_BEST_PSNR).float()


def _part_of(progress: Progress, number: int, count: int) -> Progress:
    return lambda done, every: progress(number * every + done, count * every)


@dataclass(frozen=True, eq=False)
class _Hunt:
    """A generator, a space, and what is compared."""

    generator: Generator
    how: Search
    space: str
    shell: Shell
    likeness: Likeness
    encoder: LatentEncoder | None
    prompt: Any  # One row.

    @classmethod
    def begin(
        cls, generator: Generator, how: Search, encoder: LatentEncoder | None, wish: Wish | None
    ) -> "_Hunt":
        if not generator.spaces:
            raise SettingError(
                "A photo is projected into the latent of a generator. Received: "
                f"{generator.name} ({generator.recipe_name}), which makes images from something else. Name "
                "the run of a generator of noise, such as --recipe faces32."
            )
        space = how.space or generator.spaces[-1]
        prompt = generator.prompts([how.seed], wish)
        shell = Shell.of(generator, space, prompt)
        if encoder is not None:
            encoder.check(generator, space)
        return cls(generator, how, space, shell, Likeness(generator, prompt), encoder, prompt)

    def check(self, photos: BytePictures) -> None:
        spec = self.generator.spec
        wanted = (spec.channels, spec.height, spec.width)
        if not len(photos):
            raise DataError("There is nothing to project. Received: no photos.")
        if tuple(photos.shape[1:]) != wanted or photos.dtype != torch.uint8:
            raise DataError(
                f"Photos to be projected are uint8 [n, {', '.join(map(str, wanted))}], as the generator "
                f"makes them. Received: {photos.dtype} {list(photos.shape)}."
            )

    def rows(self, count: int) -> Any:
        """The prompt of as many images."""
        return repeated(self.prompt, count)

    def still(self, count: int) -> Noise:
        """What is drawn besides the latent: the same for all."""
        return Noise.of(*[self.how.seed] * count)

    def draw(self, latents: Latents) -> BytePictures:
        """The images of latents."""
        count = len(latents)
        return to_bytes(self.generator.synthesize(latents, self.still(count), self.rows(count), self.space))

    def decode(self, latents: Latents) -> Images:
        """The same with gradients."""
        count = len(latents)
        return self.generator.differentiable(self.still(count), self.rows(count), self.space)(latents)

    def find(self, photos: BytePictures, progress: Progress | None) -> tuple[Latents, Tensor]:
        """The latents of some photos, and their distances."""
        shown = to_float(photos.to(self.generator.device))
        with torch.no_grad():
            wanted = self.likeness.view(shown)
            starts = self.starts(photos, wanted)
        count, each = len(photos), starts.shape[1]
        rows = torch.arange(count, device=starts.device).repeat_interleave(each)
        latents, distance = self.follow(starts.flatten(0, 1), wanted.rows(rows), each, progress)
        best = distance.view(count, each).argmin(dim=1)
        chosen = torch.arange(count, device=best.device) * each + best
        return latents[chosen], distance[chosen]

    def starts(self, photos: BytePictures, wanted: View) -> Latents:
        """The best starts of each photo, [photos, starts, *latent]: the encoder's guess, and others."""
        how = self.how
        seeds = [mix_seeds(how.seed, 17, number) // 2 for number in range(how.tried)]
        tried = self.generator.latents(Noise.of(*seeds), self.rows(how.tried), self.space).clone()
        if self.generator.way(self.space) != "spherical":
            tried[0] = self.shell.middle
        views = [self.likeness.view(self.decode(some)) for some in torch.split(tried, _ROWS)]
        guesses = None if self.encoder is None else self._guesses(photos)[:, None].to(tried)
        by_chance = min(how.starts - (guesses is not None), how.tried)
        chosen = []
        for photo in range(len(photos)):
            apart = [self._apart(wanted, photo, view) for view in views]
            order = torch.cat(apart).argsort(stable=True)[:by_chance]
            chosen.append(tried[order])
        found = torch.stack(chosen)
        return found if guesses is None else torch.cat([guesses, found], dim=1)

    def _guesses(self, photos: BytePictures) -> Latents:
        assert self.encoder is not None
        found = self.encoder(photos)
        if found.dim() <= self.shell.middle.dim():  # W for w+: the same in every layer.
            found = found[:, None].expand(-1, *self.shell.middle.shape)
        return found

    def _apart(self, wanted: View, photo: int, view: View) -> Tensor:
        rows = torch.full((len(view.images),), photo, device=view.images.device)
        return self.likeness(view, wanted.rows(rows))

    def follow(
        self, start: Latents, wanted: View, each: int, progress: Progress | None
    ) -> tuple[Latents, Tensor]:
        """Latents moved towards what is wanted, and their distances; never further than the start."""
        how, shell = self.how, self.shell
        start = shell.hold(start)
        latents = start.clone().requires_grad_(True)
        optimizer = torch.optim.Adam([latents], betas=(0.9, 0.999))
        # Starts of the same place share their noise, so that a photo's does not depend on those beside it.
        seeds = [mix_seeds(how.seed, 18, place) // 2 for place in range(each)]
        noise = Noise.of(*seeds * (len(start) // each))
        for step in range(how.steps):
            done = (step + 1) / how.steps
            optimizer.param_groups[0]["lr"] = how.rate * shell.spread * _ramp(done)
            strength = how.noise * shell.length * max(0.0, 1.0 - done / _NOISY) ** 2
            moved = latents
            if strength:
                moved = latents + strength * noise.normal(*start.shape[1:]).to(latents)
            loss = self.likeness(self.likeness.view(self.decode(moved)), wanted)
            (latents.grad,) = torch.autograd.grad(loss.sum(), [latents])
            optimizer.step()
            with torch.no_grad():
                latents.copy_(shell.hold(latents))
            if progress is not None:
                progress(step + 1, how.steps)
        with torch.no_grad():
            before = self.likeness(self.likeness.view(self.decode(start)), wanted)
            after = self.likeness(self.likeness.view(self.decode(latents)), wanted)
            better = (after < before).view(-1, *[1] * (start.dim() - 1))
            return torch.where(better, latents, start).detach(), torch.minimum(after, before)


def _ramp(done: float) -> float:
    down = min(1.0, (1.0 - done) / _RAMP_DOWN)
    return (0.5 - 0.5 * math.cos(math.pi * down)) * min(1.0, done / _RAMP_UP)
