"""The networks of SAGAN (Zhang 2018) and BigGAN (Brock 2019): residual blocks, attention, spectral norm."""

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.errors import SettingError, at_least
from gansmith.networks.attention import SelfAttention2d
from gansmith.networks.conditional import Condition, ConditionalBatchNorm2d, Embedding
from gansmith.networks.resnet import SpectralBlock, UpBlock, residual_widths
from gansmith.networks.resolution import resolution_steps
from gansmith.networks.spectral import spectral_norm

Initial = Literal["orthogonal", "xavier"]
"""How weights begin: BigGAN's way, or SAGAN's."""


class OneHot(Condition):
    """Labels [batch] -> [batch, classes], attributes [batch, a] -> -1 and 1: for conditions not shared.

    Shares of classes, [batch, classes], stay as they are.

    Example:
        >>> OneHot(DataSpec(height=8, width=8, class_names=("a", "b")), "labels")(torch.tensor([1]))
        tensor([[0., 1.]])
    """

    def __init__(self, spec: DataSpec, column: str) -> None:
        super().__init__()
        self.of_labels = column == "labels"
        self.size = Embedding(spec, column, 1).table.weight.numel()
        self.count = self.size
        self.one: Tensor  # Of the type and on the device of the other networks.
        self.register_buffer("one", torch.ones(()), persistent=False)

    def forward(self, column: Tensor) -> Tensor:
        if self.of_labels and column.is_floating_point():
            return column.to(self.one)
        if self.of_labels:
            return F.one_hot(column.long(), self.size).to(self.one)
        return 2.0 * column.to(self.one) - 1.0


class BigGenerator(nn.Module):
    """Z and a condition -> images: residual blocks, their norms steered by both (Brock 2019, figure 15).

    Args:
        spec: the images wanted.
        latent: numbers in z.
        column: ``labels`` or ``attributes``; "": no condition.
        look: the sizes and choices.

    Example:
        >>> look = Attentive(width=8, max_channels=16, attention=16)
        >>> BigGenerator(DataSpec(height=32, width=32), 8, "", look)(torch.randn(2, 8)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, spec: DataSpec, latent: int, column: str, look: "Attentive") -> None:
        super().__init__()
        height, base_width, steps = resolution_steps(spec.height, spec.width)
        widths = residual_widths(look.width, look.max_channels, steps)[::-1]
        self.base, self._spec = (widths[0], height, base_width), spec
        self.part = _part(latent, steps + 1) if look.hierarchical else latent
        self.hierarchical = look.hierarchical
        self.condition: nn.Module | None = None
        size = self.part if look.hierarchical else 0
        if column and look.shared:
            self.condition = Embedding(spec, column, look.shared)
            size += look.shared
        elif column:
            self.condition = OneHot(spec, column)
            size += self.condition.size
        norm = partial(ConditionalBatchNorm2d, size=size) if size else nn.BatchNorm2d
        self.stem = nn.Linear(self.part, widths[0] * height * base_width)
        self.blocks = nn.ModuleList(UpBlock(wide, narrow, norm) for wide, narrow in pairwise(widths))
        sizes = [min(height, base_width) << step for step in range(1, steps + 1)]
        self.attention = _attention(look.attention, dict(zip(sizes, widths[1:], strict=True)))
        self.norm = nn.BatchNorm2d(widths[-1])
        self.last = nn.Conv2d(widths[-1], spec.channels, 3, 1, 1)
        _initialize(self, look.initial)
        for name, child in self.named_children():
            if (
                name != "condition"
            ):  # The shared embedding keeps its weights as they are, as in the authors' code.
                setattr(self, name, spectral_norm(child))

    def forward(self, latents: Latents, *column: Tensor) -> Images:
        shared = [] if self.condition is None else [self.condition(*column)]
        parts = torch.split(latents, self.part, dim=1)
        features = self.stem(parts[0]).view(-1, *self.base)
        for number, block in enumerate(self.blocks, 1):
            own = [*shared, parts[number]] if self.hierarchical else shared
            features = block(features, *([torch.cat(own, dim=1)] if own else []))
            features = _attend(self.attention, features)
        images: Tensor = full(self.last(F.relu(self.norm(features))))
        return self._spec.to_network(images.tanh())


class BigDiscriminator(nn.Module):
    """Images -> a score each, plus how well its features agree with the condition (Brock 2019, figure 15).

    Every weight is spectrally normalized, the embedding's, too; the last features are summed over positions.

    Args:
        spec: the images judged.
        column: as in ``BigGenerator``.
        look: the sizes and choices.

    Example:
        >>> look = Attentive(width=8, max_channels=16, attention=16)
        >>> BigDiscriminator(DataSpec(height=32, width=32), "", look)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2])
    """

    def __init__(self, spec: DataSpec, column: str, look: "Attentive") -> None:
        super().__init__()
        steps = resolution_steps(spec.height, spec.width)[2]
        count = min(look.halvings or steps, steps)
        widths = [min(look.width * 2**i, look.max_channels) for i in range(count)]
        block = partial(SpectralBlock, wide=True)
        blocks = [block(spec.channels, widths[0], halves=True, first=True)]
        blocks += [block(narrow, wide, halves=True) for narrow, wide in pairwise(widths)]
        blocks += [block(widths[-1], widths[-1], halves=False) for _ in range(look.flat)]
        self.blocks = nn.ModuleList(blocks)
        sizes = [min(spec.height, spec.width) >> step for step in range(1, count + 1)]
        side = look.attention if look.attention in sizes else 0  # At 8 px the generator attends alone.
        self.attention = _attention(side, dict(zip(sizes, widths, strict=True)))
        self.head = nn.Linear(widths[-1], 1)
        self.embedding = Embedding(spec, column, widths[-1]) if column else None
        _initialize(self, look.initial)
        spectral_norm(self)

    def forward(self, images: Images, *column: Tensor) -> Scores:
        features = images
        for block in self.blocks:
            features = _attend(self.attention, block(features))
        found = full(F.relu(features)).sum(dim=(2, 3))
        scores: Tensor = full(self.head(found))[:, 0]
        if self.embedding is None:
            return scores
        return scores + (full(self.embedding(*column)) * found).sum(dim=1)


@dataclass(frozen=True, kw_only=True)
class Attentive:
    """Residual networks with attention and spectral norm: SAGAN's and BigGAN's; with or without a condition.

    Example:
        >>> Attentive(width=64, max_channels=1024)  # SAGAN at 128 px.
        >>> Attentive(width=96, max_channels=1536, hierarchical=True, initial="orthogonal")  # BigGAN.
    """

    width: int = 64  # Channels at full size, doubled towards the smallest grid ...
    max_channels: int = 1024  # ... up to so many.
    attention: int = 64  # Shorter side of the grid that attends to itself; 0: none.
    shared: int = 0  # Numbers of an embedding that all norms share; 0: each has its own table.
    hierarchical: bool = False  # Whether each block is given a part of z of its own.
    initial: Initial = "xavier"
    halvings: int | None = None  # Blocks of the discriminator that halve; None: down to the smallest grid.
    flat: int = 1  # Further blocks of it that keep the size.

    def __post_init__(self) -> None:
        at_least(self, 1, "width", "max_channels", prefix="method.networks.")
        at_least(self, 0, "attention", "shared", "flat", prefix="method.networks.")
        if self.halvings is not None:
            at_least(self, 1, "halvings", prefix="method.networks.")

    def generator(self, spec: DataSpec, latent: int) -> nn.Module:
        """From noise alone."""
        return BigGenerator(spec, latent, "", self)

    def discriminator(self, spec: DataSpec) -> nn.Module:
        """Of images alone."""
        return BigDiscriminator(spec, "", self)

    def conditional_generator(self, spec: DataSpec, latent: int, column: str) -> nn.Module:
        """The condition steers the norms."""
        return BigGenerator(spec, latent, column, self)

    def conditional_discriminator(self, spec: DataSpec, column: str) -> nn.Module:
        """The features are projected on the embedded condition."""
        return BigDiscriminator(spec, column, self)

    def tiny(self) -> "Attentive":
        """Four channels at full size, attention at 8 pixels."""
        return replace(self, width=4, max_channels=8, attention=8, shared=min(self.shared, 4), halvings=None)

    def per_image(self) -> bool:
        """The discriminator has no norm that mixes images."""
        return True


def _part(latent: int, parts: int) -> int:
    if latent % parts:
        near = max(round(latent / parts), 1) * parts
        raise SettingError(
            f"A hierarchical z is cut into {parts} equal parts at this size. Received: latent={latent}. "
            f"Try method.latent={near}."
        )
    return latent // parts


def _attention(side: int, channels: dict[int, int]) -> nn.ModuleDict:
    """The layer under the side of its grid; empty without attention."""
    if side and side not in channels:
        sides = ", ".join(map(str, sorted(channels)))
        raise SettingError(
            f"Attention needs a grid that the networks have: {sides}, or 0 for none. Received: "
            f"attention={side}. Try method.networks.attention={max(channels)}."
        )
    return nn.ModuleDict({str(side): SelfAttention2d(channels[side])} if side else {})


def _attend(attention: nn.ModuleDict, features: Tensor) -> Tensor:
    side = str(min(features.shape[2:]))
    return attention[side](features) if side in attention else features


def _initialize(network: nn.Module, initial: Initial) -> None:
    fill = nn.init.orthogonal_ if initial == "orthogonal" else nn.init.xavier_uniform_
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
            fill(module.weight)
            if not isinstance(module, nn.Embedding) and module.bias is not None:
                nn.init.zeros_(module.bias)
