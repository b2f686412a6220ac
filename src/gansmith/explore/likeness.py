"""How far generated images are from photos, without downloaded weights: by the run's critic and by pixels."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gansmith.core.tensors import Images
from gansmith.models.generator import Generator
from gansmith.networks.bundle import Networks

_LEAST_SIDE = 4  # Of a map of features that is looked at.
_MOST_MAPS = 3
_PYRAMID = 3  # Sizes at which pixels are compared.
_SSIM = 0.1  # Its weight beside the other two.
_WINDOW = 7
_TINY = 1e-8

Apart = Float[Tensor, " batch"]
"""A distance for each image, 0 for equal ones."""


@dataclass(frozen=True, eq=False)
class View:
    """What is compared of some images.

    Example:
        >>> Likeness(generator).view(photos).rows(torch.tensor([0, 0, 1])).images.shape
        torch.Size([3, 3, 64, 64])
    """

    images: Images  # In [-1, 1].
    maps: tuple[Tensor, ...]  # Features of the critic, each position of length 1; none without a critic.

    def rows(self, rows: Tensor) -> "View":
        """Of some of the images, in this order."""
        return View(self.images[rows], tuple(each[rows] for each in self.maps))


class Likeness:
    """A differentiable distance of images: critic's features + L1 at three sizes + 0.1 (1 - SSIM).

    The critic is what training has already paid for: its maps of features at up to three sizes are brought to
    length 1 at each position and compared by squares, as LPIPS does with a network that has to be downloaded
    (Zhang 2018). Maps in which an image depends on the batch around it are left out. Without a critic the
    pixels alone count.

    Args:
        generator: whose images are compared; its networks are copied and stay as they are.
        prompt: one row, what a conditional critic is told of every image; None for none.

    Example:
        >>> likeness = Likeness(open_generator("runs/one"))
        >>> likeness(likeness.view(made), likeness.view(photos))
    """

    def __init__(self, generator: Generator, prompt: Any = None) -> None:
        self._spec, self._method, self._prompt = generator.spec, generator.method, prompt
        self._critic: Networks = copy.deepcopy(generator.networks)
        self._made: dict[tuple[int, ...], Tensor] = {}
        for module in self._critic.modules():
            module.register_forward_hook(self._keep)
        self._sizes = self._independent(generator.device)

    @property
    def has_critic(self) -> bool:
        """Whether a critic takes part."""
        return bool(self._sizes)

    def view(self, images: Images) -> View:
        """What is compared of images in [-1, 1]; differentiable."""
        made = self._maps(images) if self._sizes else {}
        maps = (made[size] for size in self._sizes)
        return View(images, tuple(each / each.norm(dim=1, keepdim=True).clamp_min(_TINY) for each in maps))

    def __call__(self, one: View, other: View) -> Apart:
        """How far apart images are, row by row: [batch]."""
        total = pixel_distance(one.images, other.images)
        for first, second in zip(one.maps, other.maps, strict=True):
            total = total + (first - second).square().sum(dim=1).mean(dim=(1, 2)) / len(one.maps)
        return total

    def _keep(self, module: nn.Module, given: Any, made: Any) -> None:
        if isinstance(made, Tensor) and made.dim() == 4 and min(made.shape[2:]) >= _LEAST_SIDE:
            self._made[tuple(made.shape[2:])] = made  # The last one of a size stays.

    def _maps(self, images: Images) -> dict[tuple[int, ...], Tensor]:
        prompt = self._prompt
        if prompt is not None:
            prompt = type(prompt)(*(c.expand(len(images), *c.shape[1:]) for c in prompt))
        self._made.clear()
        self._method.critic_scores(self._critic, self._spec.to_network(images), prompt)
        found = {size: made for size, made in self._made.items() if len(made) == len(images)}
        self._made.clear()
        return found

    def _independent(self, device: torch.device) -> Sequence[tuple[int, ...]]:
        """The sizes of the maps that are compared: the smallest three that do not look across images."""
        shape = (4, self._spec.channels, self._spec.height, self._spec.width)
        images = torch.linspace(-1.0, 1.0, shape[0] * shape[1] * shape[2] * shape[3]).sin().view(shape)
        with torch.no_grad():
            first = self._maps(images.to(device))
            images[1:] = -images[1:]
            second = self._maps(images.to(device))
        alone = [size for size in first if torch.allclose(first[size][0], second[size][0], 1e-3, 1e-4)]
        return sorted(alone)[:_MOST_MAPS]


def pixel_distance(one: Images, other: Images) -> Apart:
    """L1 of pixels in [-1, 1], the mean over three sizes, + 0.1 (1 - SSIM): [batch]."""
    total = _SSIM * (1.0 - ssim(one, other))
    sizes = [1]
    while len(sizes) < _PYRAMID and min(one.shape[2:]) >= 2 * sizes[-1] * _LEAST_SIDE:
        sizes.append(2 * sizes[-1])
    difference = one - other
    for size in sizes:
        total = total + F.avg_pool2d(difference, size).abs().mean(dim=(1, 2, 3)) / len(sizes)
    return total


def ssim(one: Images, other: Images) -> Float[Tensor, " batch"]:
    """Structural similarity (Wang 2004) of images in [-1, 1], in plain windows of 7 pixels: [batch].

    1 for equal images, about 0 for unrelated ones; in smaller images the window is the whole.

    Example:
        >>> ssim(images, images)[0]
        tensor(1.)
    """
    side = min(_WINDOW, *one.shape[2:])
    mean_one, mean_other = F.avg_pool2d(one, side, 1), F.avg_pool2d(other, side, 1)
    var_one = F.avg_pool2d(one.square(), side, 1) - mean_one.square()
    var_other = F.avg_pool2d(other.square(), side, 1) - mean_other.square()
    both = F.avg_pool2d(one * other, side, 1) - mean_one * mean_other
    # (0.01 L)^2 and (0.03 L)^2 for a range of L = 2.
    c1, c2 = 0.0004, 0.0036
    light = (2 * mean_one * mean_other + c1) / (mean_one.square() + mean_other.square() + c1)
    return (light * (2 * both + c2) / (var_one + var_other + c2)).mean(dim=(1, 2, 3))
