"""GANSpace: principal components of w, or of early activations regressed back to z (Härkönen 2020)."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.errors import SettingError, nearest
from gansmith.explore.directions import (
    Direction,
    Window,
    check_count,
    check_layers,
    check_space,
    numbered,
)
from gansmith.models.generator import Generator

_PART = 256  # Latents worked on at a time.
_SPARE = 16  # Components kept beyond those asked for while parts are joined.


def ganspace(
    generator: Generator,
    count: int = 8,
    *,
    space: str | None = None,
    layers: Window = None,
    samples: int = 10_000,
    layer: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Direction, ...]:
    """The directions along which a generator's images vary the most, by principal components.

    In w these are the components of w itself. In z, where all directions are alike, they are those of the
    activations of an early layer: z is regressed on the coordinates of the samples, each over its deviation,
    and the rows are brought to length 1 (section 3.2).

    Args:
        generator: of any method that makes images from a latent.
        count: how many.
        space: ``z`` or ``w``; None for w where there is one.
        layers: first and last layer of w+ that shall be moved; None for all.
        samples: latents that are looked at, of seeds 0 and on; at least ten times ``count``.
        layer: of z, a module of the networks, such as ``generator.main.4``; None for the first whose grid
            is larger than the smallest.
        progress: told (samples done, samples in all).

    Raises:
        SettingError: there is no latent, no such space or layer, or too few samples.

    Example:
        >>> [one.name for one in ganspace(open_generator("runs/one"), count=2)]
        ['ganspace-1', 'ganspace-2']
    """
    check_count(count)
    space = check_space(generator, space)
    check_layers(generator, space, layers)
    if samples < 10 * count:
        raise SettingError(f"{count} directions need at least {10 * count} samples. Received: {samples}.")
    if generator.way(space) == "linear":
        if layer is not None:
            raise SettingError(f"A layer is for z; of {space} the latents themselves are looked at.")
        found = principal((part for _, part in _latents(generator, space, samples, progress)), count)
        vectors = found.vectors
    else:
        vectors = _regressed(generator, space, count, samples, layer, progress)
    return numbered(generator, "ganspace", space, vectors, layers)


@dataclass(frozen=True, eq=False)
class Principal:
    """Principal components of many rows.

    Args:
        mean: [numbers].
        vectors: [numbers, k], of length 1, the largest variance first.
        deviations: of the rows along each, [k].

    Example:
        >>> principal([torch.randn(64, 8) for _ in range(4)], count=2).vectors.shape
        torch.Size([8, 2])
    """

    mean: Tensor
    vectors: Tensor
    deviations: Tensor


def principal(parts: Iterable[Tensor], count: int) -> Principal:
    """The first principal components of rows that come in parts, [rows, numbers], in little memory.

    A part is joined to the components of those before it by a singular value decomposition, with one row
    for the shift of the mean (Ross 2008, section 3.1). Exact where rows have no more numbers than
    components are kept, which are a few more than ``count``.
    """
    seen, mean, kept = 0, torch.zeros(0), torch.zeros(0)
    for part in parts:
        rows = part.double()
        new, center = len(rows), rows.mean(dim=0)
        stack = rows - center
        if seen:
            shift = (seen * new / (seen + new)) ** 0.5 * (mean - center)
            stack = torch.cat([kept, stack, shift[None]])
        mean = center if not seen else mean + (center - mean) * (new / (seen + new))
        seen += new
        # By the smaller of the two products: there are far fewer rows than numbers, or far fewer numbers.
        if stack.shape[0] < stack.shape[1]:
            squares, left = torch.linalg.eigh(stack @ stack.t())
            kept = (left.flip(1).t() @ stack)[: count + _SPARE]
        else:
            squares, right = torch.linalg.eigh(stack.t() @ stack)
            kept = (squares.flip(0).clamp(min=0).sqrt()[:, None] * right.flip(1).t())[: count + _SPARE]
    values = kept.norm(dim=1)[:count]
    vectors = kept[:count] / values.clamp(min=1e-12)[:, None]
    return Principal(mean, vectors.t(), values / max(seen - 1, 1) ** 0.5)


def _latents(
    generator: Generator, space: str, samples: int, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[range, Tensor]]:
    """Seeds and their latents, a part at a time."""
    for start in range(0, samples, _PART):
        seeds = range(start, min(start + _PART, samples))
        yield seeds, generator.latents(Noise.of(*seeds), space=space)
        if progress is not None:
            progress(seeds.stop, samples)


def _regressed(
    generator: Generator,
    space: str,
    count: int,
    samples: int,
    layer: str | None,
    progress: Callable[[int, int], None] | None,
) -> Tensor:
    """Rows of the regression of z on the components of early activations, as columns of length 1."""
    module = _early(generator, space, layer)

    def activations(report: Callable[[int, int], None] | None) -> Iterator[tuple[Tensor, Tensor]]:
        for seeds, latents in _latents(generator, space, samples, report):
            yield latents.cpu().double(), activations_of(generator, module, seeds, latents, space)

    def halves(half: int) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(half * total + done, 2 * total)

    found = principal((rows for _, rows in activations(halves(0))), count)
    squares: Tensor | float = 0.0
    products: Tensor | float = 0.0
    for latents, rows in activations(halves(1)):
        along = (rows.double() - found.mean) @ found.vectors / found.deviations.clamp(min=1e-12)
        squares = squares + along.t() @ along
        products = products + along.t() @ latents
    slopes: Tensor = torch.linalg.lstsq(squares, products).solution
    length = slopes.norm(dim=1)
    moving: Tensor = (slopes / length.clamp(min=1e-12)[:, None])[length > 1e-6]
    return moving.t()


class _ReachedError(Exception):
    """The layer was reached: nothing behind it is of interest."""


@torch.no_grad()
def activations_of(
    generator: Generator, module: nn.Module | None, seeds: range, latents: Tensor, space: str
) -> Tensor:
    """What a module gives for these latents, [batch, numbers], on the CPU; None for the images."""
    decode = generator.differentiable(Noise.of(*seeds), space=space)
    if module is None:
        return decode(latents).flatten(1).cpu()
    seen: list[Tensor] = []

    def stop(module: nn.Module, given: object, out: Tensor) -> None:
        seen.append(out.detach().flatten(1).cpu())
        raise _ReachedError

    handle = module.register_forward_hook(stop)
    try:
        decode(latents)
    except _ReachedError:
        pass
    finally:
        handle.remove()
    return seen[0]


def _early(generator: Generator, space: str, layer: str | None) -> nn.Module | None:
    """The module of this name, or the first whose grid is larger than the smallest; None for the images."""
    known: dict[str, nn.Module] = dict(generator.networks.named_modules())
    seen: dict[str, tuple[int, ...]] = {}

    def watch(name: str) -> Callable[..., None]:
        def note(module: nn.Module, given: object, out: object) -> None:
            if isinstance(out, Tensor) and len(out) == _ROWS:
                seen.setdefault(name, out.shape)

        return note

    handles = [module.register_forward_hook(watch(name)) for name, module in known.items() if name]
    noise = Noise.of(*range(_ROWS))
    try:
        with torch.no_grad():
            generator.differentiable(noise, space=space)(generator.latents(noise, space=space))
    finally:
        for handle in handles:
            handle.remove()
    if layer is not None:
        if layer not in seen:
            raise SettingError(
                f"{generator.name} has no layer '{layer}' on the way to an image.{nearest(layer, seen)}"
            )
        return known[layer]
    grids = {name: math.prod(shape[2:]) for name, shape in seen.items() if len(shape) == 4}
    first = next(iter(grids.values()), 0)
    larger = next((name for name, cells in grids.items() if cells > first), None)
    return None if larger is None else known[larger]


_ROWS = 3  # Of a look at what layers there are: no other side of a tensor has that length by chance.
