"""Which operations, and how strong: DiffAugment (Zhao 2020) and ADA (Karras 2020), as values.

An operation's numbers come from the image's own noise, so they can be replayed, as penalties need it.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gansmith.augment.operations import (
    BANDS,
    add_noise,
    amplify,
    brighten,
    contrast,
    cut_out,
    recolor,
    saturate,
    shift,
    warp,
)
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.schedules import Constant, Schedule
from gansmith.core.tensors import Images, Scalar, full
from gansmith.errors import SettingError, at_least

_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # Shares of a natural image's power in the bands, about 1/f.
_NOISE = 0.1  # The scale of added noise, for images in [-1, 1].


@runtime_checkable
class Augmentation(Protocol):
    """What is done to images before a critic sees them; ``--set method.augment=DiffAugment`` picks one.

    Example:
        >>> DiffAugment()(images, noise, DiffAugment().strength(progress, None))
    """

    def __call__(self, images: Images, noise: Noise, strength: Scalar) -> Images:
        """Images -> images; the same noise does the same to them."""
        ...

    def strength(self, progress: Progress, memory: Tensor | None) -> Scalar:
        """How strong it is now; ``memory`` is the buffer of an adaptive one, None for all others."""
        ...


@dataclass(frozen=True, kw_only=True)
class NoAugmentation:
    """Critics see images as they are.

    Example:
        >>> NoAugmentation()(images, noise, torch.ones(())) is images
        True
    """

    def __call__(self, images: Images, noise: Noise, strength: Scalar) -> Images:
        """The images."""
        return images

    def strength(self, progress: Progress, memory: Tensor | None) -> Scalar:
        """0."""
        return torch.zeros(())


@dataclass(frozen=True, kw_only=True)
class DiffAugment:
    """Colour, translation and cutout of every image, always (Zhao 2020).

    Example:
        >>> DiffAugment(color=False, translation=0.125, cutout=0.5)
    """

    color: bool = True
    translation: float = 0.125  # At most, as a share of the image.
    cutout: float = 0.5  # The sides of what is cut out, as a share of the image's.

    def __post_init__(self) -> None:
        for name, usual in (("translation", "1/8"), ("cutout", "1/2")):
            given = getattr(self, name)
            if not 0.0 <= given <= 1.0:
                raise SettingError(
                    f"method.augment.{name} is a share of the image's sides, from 0 to 1; the paper's is "
                    f"{usual}. Received: {name}={given}."
                )

    def __call__(self, images: Images, noise: Noise, strength: Scalar) -> Images:
        """All three, in this order."""
        u = noise.uniform(7)
        if self.color:
            images = brighten(images, u[:, 0] - 0.5)
            images = contrast(saturate(images, 2.0 * u[:, 1]), u[:, 2] + 0.5)
        if self.translation:
            height, width = images.shape[2:]
            x, y = ((2.0 * u[:, 3 + i] - 1.0) * self.translation for i in (0, 1))
            images = shift(images, (x * width).round().long(), (y * height).round().long())
        if self.cutout:
            images = cut_out(images, u[:, 5], u[:, 6], torch.full_like(u[:, 0], self.cutout))
        return images

    def strength(self, progress: Progress, memory: Tensor | None) -> Scalar:
        """1: it has no strength to change."""
        return torch.ones(())


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """ADA's operations, each with a probability of its weight times p; p follows a schedule.

    With the three last weights at 1, too, it is all that Karras 2020 has tried ("bgcfnc"); its default is
    the first three ("bgc").

    Example:
        >>> Pipeline(p=0.3, schedule=Cosine(start=0.0, end=1.0))  # R3GAN on FFHQ
    """

    p: float = 0.2
    schedule: Schedule = Constant()  # What p is multiplied by.
    pixels: float = 1.0  # Mirroring, quarter turns, shifts by whole pixels.
    geometry: float = 1.0  # Scale, rotation, anisotropic scale, shifts.
    color: float = 1.0  # Brightness, contrast, inversion of brightness, hue, saturation.
    filter: float = 0.0  # Each of four bands of frequencies made stronger or weaker.
    noise: float = 0.0  # Noise on every pixel.
    cutout: float = 0.0  # A square of half the image's sides.

    def __post_init__(self) -> None:
        _check_weights(self)
        if not 0.0 <= self.p <= 1.0:
            raise SettingError(f"method.augment.p is a probability. Received: p={self.p}.")

    def __call__(self, images: Images, noise: Noise, strength: Scalar) -> Images:
        """Geometry in one look-up, colour in one product, filter, noise, cutout."""
        return _pipeline(self, images, noise, strength)

    def strength(self, progress: Progress, memory: Tensor | None) -> Scalar:
        """P as its schedule has it."""
        return torch.tensor(self.p * self.schedule(progress))


@dataclass(frozen=True, kw_only=True)
class ADA:
    """The same with a p that follows how sure the critic is of real images (Karras 2020, section 3).

    After every fourth batch p moves up or down, by 1 in ``images`` images, so that the mean sign of the
    critic's scores of real images comes to ``target``.

    Example:
        >>> ADA(target=0.6, images=500_000)
    """

    target: float = 0.6
    images: int = 500_000  # In which p could go from 0 to 1; 100,000 for fine-tuning.
    every: int = 4  # Batches between two moves of p.
    pixels: float = 1.0
    geometry: float = 1.0
    color: float = 1.0
    filter: float = 0.0
    noise: float = 0.0
    cutout: float = 0.0

    def __post_init__(self) -> None:
        _check_weights(self)
        at_least(self, 1, "images", "every", prefix="method.augment.")
        if not -1.0 < self.target < 1.0:
            raise SettingError(
                "method.augment.target is a mean of signs, between -1 and 1: beyond, p goes one way "
                f"for ever. Received: target={self.target}. The paper's is 0.6."
            )

    def __call__(self, images: Images, noise: Noise, strength: Scalar) -> Images:
        """As ``Pipeline``."""
        return _pipeline(self, images, noise, strength)

    def strength(self, progress: Progress, memory: Tensor | None) -> Scalar:
        """P as it has been adapted."""
        return torch.zeros(()) if memory is None else memory[0]

    def adapted(self, memory: Tensor, sign: Scalar, batch: int) -> Tensor:
        """The memory after a step: p, the sum of mean signs since p last moved, and of how many steps.

        Args:
            memory: [3], zeros at the start.
            sign: the mean sign of scores of real images in this step.
            batch: images of a step.
        """
        total, steps = memory[1] + sign, memory[2] + 1
        due = (steps >= self.every).to(memory.dtype)
        move = torch.sign(total / steps - self.target) * batch * self.every / self.images
        p = (memory[0] + due * move).clamp(0.0, 1.0)
        return torch.stack([p, (1 - due) * total, (1 - due) * steps])


def _check_weights(policy: Pipeline | ADA) -> None:
    weights = ("pixels", "geometry", "color", "filter", "noise", "cutout")
    at_least(policy, 0, *weights, prefix="method.augment.")


def _pipeline(policy: Pipeline | ADA, images: Images, noise: Noise, p: Tensor) -> Images:
    p = p.to(images.device, torch.float32)
    with torch.autocast(images.device.type, enabled=False):  # Places in bfloat16 would be pixels off.
        images = full(images)
        if policy.pixels or policy.geometry:
            matrix = _geometry(noise.fork("geometry"), images, p * policy.pixels, p * policy.geometry)
            images = warp(images, matrix)
        if policy.color and images.shape[1] in (1, 3):
            images = recolor(images, _colors(noise.fork("color"), images.shape[1], p * policy.color))
        if policy.filter:
            images = amplify(images, _gains(noise.fork("filter"), p * policy.filter))
        if policy.noise:
            draws = noise.fork("noise")
            deviation = _NOISE * draws.normal(1)[:, 0].abs() * (draws.uniform(1)[:, 0] < p * policy.noise)
            images = add_noise(images, draws.bulk_normal(*images.shape[1:]), deviation)
        if policy.cutout:
            u = noise.fork("cutout").uniform(3)
            images = cut_out(images, u[:, 1], u[:, 2], 0.5 * (u[:, 0] < p * policy.cutout))
    return images


def _geometry(noise: Noise, images: Images, pixels: Tensor, rest: Tensor) -> Tensor:
    """[batch, 2, 3]: from where each pixel is taken; operations in the order of Karras 2020, appendix B."""
    height, width = images.shape[2:]
    u, normal, chance = noise.uniform(6), noise.normal(4), noise.uniform(8)
    zero, one = torch.zeros_like(u[:, 0]), torch.ones_like(u[:, 0])

    def maybe(i: int, probability: Tensor, value: Tensor, otherwise: Tensor) -> Tensor:
        return torch.where(chance[:, i] < probability, value, otherwise)

    def rows(*numbers: Tensor) -> Tensor:
        return torch.stack([*numbers, zero, zero, one], dim=1).view(-1, 3, 3)

    def turned(angle: Tensor) -> Tensor:
        return rows(angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero)

    mirror = maybe(0, pixels, 1.0 - 2.0 * (u[:, 0] < 0.5).to(u.dtype), one)
    quarters = maybe(1, pixels, (4.0 * u[:, 1]).floor(), zero)
    if height != width:  # A quarter turn would not fit.
        quarters = quarters - quarters.remainder(2.0)
    whole = [maybe(2, pixels, ((2.0 * u[:, 2 + i] - 1.0) * 0.125 * side).round(), zero)
             for i, side in enumerate((width, height))]  # fmt: skip
    scale = maybe(3, rest, torch.exp2(0.2 * normal[:, 0]), one)
    # Two rotations; together they come with the probability p.
    rarer = 1.0 - (1.0 - rest.clamp(max=1.0)).sqrt()
    angles = [maybe(4 + i, rarer, (2.0 * u[:, 4 + i] - 1.0) * math.pi, zero) for i in (0, 1)]
    stretch = maybe(6, rest, torch.exp2(0.2 * normal[:, 1]), one)
    parts = [maybe(7, rest, 0.125 * side * normal[:, 2 + i], zero) for i, side in enumerate((width, height))]
    matrix = rows(mirror, zero, zero, zero, one, zero) @ turned(quarters * (math.pi / 2.0))
    matrix = matrix @ rows(one, zero, -whole[0], zero, one, -whole[1])
    matrix = matrix @ rows(1.0 / scale, zero, zero, zero, 1.0 / scale, zero) @ turned(angles[0])
    matrix = matrix @ rows(1.0 / stretch, zero, zero, zero, stretch, zero) @ turned(angles[1])
    return (matrix @ rows(one, zero, -parts[0], zero, one, -parts[1]))[:, :2]


def _gains(noise: Noise, p: Tensor) -> Tensor:
    """[batch, 4]: a gain for each band of frequencies.

    Each band in turn gets 2^N(0, 1), and all four are then divided so that a natural image keeps its power.
    """
    drawn = torch.exp2(noise.normal(BANDS))
    active = noise.uniform(BANDS) < p
    gains, power = torch.ones_like(drawn), drawn.new_tensor(_POWER)
    for band in range(BANDS):
        one = torch.ones_like(drawn)
        one[:, band] = torch.where(active[:, band], drawn[:, band], 1.0)
        gains = gains * one / (one.square() @ power).sqrt()[:, None]
    return gains


def _colors(noise: Noise, channels: int, p: Tensor) -> Tensor:
    """[batch, channels, channels + 1], operations in the order of Karras 2020, appendix B."""
    u, normal, chance = noise.uniform(2), noise.normal(3), noise.uniform(5)
    active = (chance < p).to(u.dtype)
    same = torch.eye(4).to(u).expand(len(u), 4, 4)
    axis = u.new_tensor([1.0, 1.0, 1.0, 0.0]) / math.sqrt(3.0)
    along = torch.outer(axis, axis)  # The part of a colour that is its brightness.
    rest = torch.diag(u.new_tensor([1.0, 1.0, 1.0, 0.0])) - along
    cross = u.new_zeros(4, 4)  # v -> axis x v.
    turn = u.new_tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    cross[:3, :3] = turn / math.sqrt(3.0)
    last = torch.diag(u.new_tensor([0.0, 0.0, 0.0, 1.0]))

    def each(numbers: Tensor) -> Tensor:
        return numbers[:, None, None]

    brightness = same.clone()
    brightness[:, :3, 3] = (active[:, 0] * 0.2 * normal[:, 0])[:, None]
    scale = torch.exp2(0.5 * active[:, 1] * normal[:, 1])
    matrix = (each(scale) * (along + rest) + last) @ brightness
    flip = active[:, 2] * (u[:, 0] < 0.5)
    matrix = (same - 2.0 * each(flip) * along) @ matrix
    if channels == 1:
        mean = matrix[:, :3].mean(dim=1)
        return torch.stack([mean[:, :3].sum(dim=1), mean[:, 3]], dim=1)[:, None]
    angle = active[:, 3] * (2.0 * u[:, 1] - 1.0) * math.pi
    matrix = (along + last + each(angle.cos()) * rest + each(angle.sin()) * cross) @ matrix
    matrix = (along + last + each(torch.exp2(active[:, 4] * normal[:, 2])) * rest) @ matrix
    return matrix[:, :3]
