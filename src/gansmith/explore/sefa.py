"""SeFa: directions out of the weights alone, in closed form (Shen and Zhou 2021)."""

import torch
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.errors import SettingError
from gansmith.explore.directions import (
    Direction,
    Window,
    check_count,
    check_layers,
    check_space,
    numbered,
)
from gansmith.models.generator import RUN, Generator

_WIDEST = 64  # Inputs a layer may have for each number of the latent: more is a picture, not a latent.
_EQUAL = 1e-4  # By which a cosine may differ from 1 in float32.


def sefa(
    generator: Generator, count: int = 8, *, space: str | None = None, layers: Window = None
) -> tuple[Direction, ...]:
    """The directions that move the first layers of a generator the most.

    A is [latent, numbers]: the weights of every layer that is given the latent, side by side, such as the
    first transposed convolution of DCGAN, each part of BigGAN's z, or the styles of StyleGAN2; each column is
    brought to length 1. The directions are the eigenvectors of A A' (equation 5), the largest first. No
    image is made of them, and no data are needed.

    Args:
        generator: of any method that makes images from a latent.
        count: how many; there are at most as many as the latent has numbers.
        space: ``z`` or ``w``; None for w where there is one.
        layers: first and last layer of w+ that shall be moved; None for all.

    Raises:
        SettingError: there is no latent, no such space, or no layer that is given the latent as it is.

    Example:
        >>> [one.name for one in sefa(open_generator("runs/one"), count=3)]
        ['sefa-1', 'sefa-2', 'sefa-3']
    """
    check_count(count)
    space = check_space(generator, space)
    check_layers(generator, space, layers)
    weight = first_weights(generator, space, layers)
    weight = weight / weight.norm(dim=0).clamp(min=1e-12)
    vectors = torch.linalg.eigh(weight @ weight.t())[1].flip(1)[:, :count]
    return numbered(generator, "sefa", space, vectors, layers)


def first_weights(generator: Generator, space: str, layers: Window = None) -> Tensor:
    """A: [latent, numbers], in float64, from the layers whose input is the latent or a part of it.

    Which layers these are is found by showing the generator random latents: their inputs are the latent's
    numbers, times one factor at most (a norm in front). So it holds for any network.

    Raises:
        SettingError: there is no such layer.
    """
    seen = _inputs(generator, space, layers)
    found = {module: _weight(module, *seen[module]) for module in seen}
    weights = {module: weight for module, weight in found.items() if weight is not None}
    # Of a layer and the layer around it only the inner one counts.
    inner = [
        weight
        for module, weight in weights.items()
        if not any(other is not module and other in weights for other in module.modules())
    ]
    if not inner:
        raise SettingError(
            f"SeFa needs a layer that is given the latent as it is. {generator.name} "
            f"({generator.recipe_name}) has none in {space}. Use ganspace instead."
        )
    return torch.cat(inner, dim=1)


def _inputs(generator: Generator, space: str, layers: Window) -> dict[nn.Module, tuple[Tensor, list[Tensor]]]:
    """What each layer with weights was given first, and the latents of the layers that are asked for."""
    noise = Noise(torch.arange(RUN))
    shape = generator.latents(noise, space="w+" if layers else space).shape
    latents = noise.fork("sefa").normal(*shape[1:])
    # All of one length, so that a norm in front of a layer is one factor.
    latents = latents / latents.square().mean(dim=-1, keepdim=True).sqrt()
    chosen = [latents] if layers is None else list(latents[:, layers[0] : layers[1] + 1].unbind(dim=1))
    seen: dict[nn.Module, Tensor] = {}

    def watch(module: nn.Module, given: tuple[object, ...]) -> None:
        first = given[0] if len(given) == 1 else None
        batched = isinstance(first, Tensor) and first.dim() > 1 and len(first) == RUN
        if isinstance(first, Tensor) and batched and first.is_floating_point() and module not in seen:
            if first[0].numel() <= _WIDEST * shape[-1]:
                seen[module] = first.detach().clone()

    weighted = [m for m in generator.networks.modules() if next(m.parameters(), None) is not None]
    handles = [module.register_forward_pre_hook(watch) for module in weighted]
    try:
        generator.synthesize(latents, noise, space="w+" if layers else space)
        ahead = dict(seen)
        seen.clear()
        generator.synthesize(-latents, noise, space="w+" if layers else space)
    finally:
        for handle in handles:
            handle.remove()
    # Half the difference is free of what else there is: noise, and the numbers of a prompt.
    return {module: ((given - seen[module]) / 2, chosen) for module, given in ahead.items()}


@torch.no_grad()
def _weight(module: nn.Module, given: Tensor, latents: list[Tensor]) -> Tensor | None:
    """The layer's part of A; None where its input is not the latent, or its output is no affine map of it."""
    flat = given.flatten(1).cpu().double()
    for latent in latents:
        numbers = latent.cpu().double()
        if flat.shape[1] == 0:
            return None
        cosines = nn.functional.normalize(numbers, dim=0).t() @ nn.functional.normalize(flat, dim=0)
        same = cosines > 1 - _EQUAL
        if not same.any():
            continue
        base = same.to(given)
        points = torch.cat([torch.zeros_like(base[:1]), base, 2 * base, base.sum(dim=0, keepdim=True)])
        try:
            out = module(points.view(-1, *given.shape[1:]))
        except (
            RuntimeError,
            TypeError,
            ValueError,
        ):  # Not a layer of one batch: it was given something else.
            return None
        out = out.flatten(1).cpu().double()
        once: Tensor = out[1 : len(base) + 1] - out[0]
        rest = torch.cat([out[len(base) + 1 : -1] - out[0] - 2 * once, (out[-1:] - out[0]) - once.sum(dim=0)])
        if rest.abs().max() > 1e-3 * once.abs().max().clamp(min=1e-12):
            return None
        return once
    return None
