"""Transformers in pixels: the networks of GAT (arXiv 2509.24935) and CAT (arXiv 2605.26449)."""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores, full
from gansmith.errors import SettingError, at_least
from gansmith.networks.conditional import Embedding
from gansmith.networks.equalized import EqualizedLinear, pixel_norm

_BASE = 10_000.0  # Of the wavelengths of both kinds of position.
_RATE = 0.01  # Of the mappings of z and of the condition, as a share of the optimizer's.
_EMBEDDING = 64  # Numbers of a condition in the generator.
_PROJECTION = 2048  # Numbers that the discriminator's token and the condition are compared in.
_SMALL = 0.1  # Where gates and scales of branches begin.


def positions(height: int, width: int, device: torch.device) -> Tensor:
    """Row and column of each token: [height x width, 2], row by row."""
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    return torch.cartesian_prod(rows, columns).float()


def sine_table(places: Tensor, size: int) -> Tensor:
    """Fixed positions [tokens, size]: sines and cosines of row and column at size / 4 wavelengths."""
    angles = places[:, :, None] * _frequencies(size // 4, places.device)
    return torch.cat([angles.sin(), angles.cos()], dim=2).flatten(1)


def rotation(places: Tensor, size: int) -> Tensor:
    """By how much each pair of numbers of a head is turned: [tokens, size / 2] angles (Su 2021, on two axes).

    The first half of the pairs turns with the row, the second with the column.
    """
    return (places[:, :, None] * _frequencies(size // 4, places.device)).flatten(1)


def _frequencies(count: int, device: torch.device) -> Tensor:
    powers = torch.arange(count, device=device, dtype=torch.float32) / max(count, 1)
    return torch.exp(-math.log(_BASE) * powers)


def rotate(vectors: Tensor, angles: Tensor) -> Tensor:
    """[..., tokens, size], each pair (i, i + size / 2) turned: products then depend on distances alone."""
    one, two = vectors.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([one * cos - two * sin, one * sin + two * cos], dim=-1)


class Attention(nn.Module):
    """Self-attention of several heads, queries and keys of length 1 in the mean square and turned by place.

    Args:
        width: numbers of a token.
        heads: width / heads must be a multiple of 4.

    Example:
        >>> angles = rotation(positions(2, 2, torch.device("cpu")), 8)
        >>> Attention(16, 2)(torch.zeros(1, 4, 16), angles).shape
        torch.Size([1, 4, 16])
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.query_scale = nn.Parameter(torch.ones(self.size))
        self.key_scale = nn.Parameter(torch.ones(self.size))

    def forward(self, tokens: Tensor, angles: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        parts = self.qkv(tokens).view(batch, count, 3, self.heads, self.size)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        queries = self._placed(queries, self.query_scale, angles).to(values.dtype)
        keys = self._placed(keys, self.key_scale, angles).to(values.dtype)
        seen = F.scaled_dot_product_attention(queries, keys, values)
        out: Tensor = self.out(seen.transpose(1, 2).reshape(batch, count, width))
        return out

    def _placed(self, vectors: Tensor, scale: Tensor, angles: Tensor) -> Tensor:
        normed = F.rms_norm(full(vectors), (self.size,), scale)
        own = normed.shape[2] - len(angles)  # Tokens without a place, such as the class token, come first.
        if not own:
            return rotate(normed, angles)
        return torch.cat([normed[:, :, :own], rotate(normed[:, :, own:], angles)], dim=2)


class GatedMLP(nn.Module):
    """W3 (silu(W1 x) * W2 x), two thirds of four times as wide inside (Shazeer 2020, SwiGLU).

    Example:
        >>> GatedMLP(16)(torch.zeros(1, 4, 16)).shape
        torch.Size([1, 4, 16])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = int(2 * 4 * width / 3)
        self.inner, self.out = nn.Linear(width, 2 * inner), nn.Linear(inner, width)

    def forward(self, tokens: Tensor) -> Tensor:
        gate, value = self.inner(tokens).chunk(2, dim=2)
        out: Tensor = self.out(F.silu(gate) * value)
        return out


class StyledBlock(nn.Module):
    """x + a1 Attention(norm(x) (1 + g1)), then x + a2 MLP(norm(x) (1 + g2)); w says g and a.

    Args:
        width: numbers of a token, and of w.
        heads: of the attention.
        shift: whether w also says what is added behind the norm (CAT: six numbers a channel instead of four).

    Example:
        >>> angles = rotation(positions(2, 2, torch.device("cpu")), 8)
        >>> StyledBlock(16, 2, shift=False)(torch.zeros(1, 4, 16), torch.zeros(1, 16), angles).shape
        torch.Size([1, 4, 16])
    """

    def __init__(self, width: int, heads: int, *, shift: bool) -> None:
        super().__init__()
        self.attention, self.mlp = Attention(width, heads), GatedMLP(width)
        self.style = nn.Linear(width, (6 if shift else 4) * width)
        self.shift = shift

    def forward(self, tokens: Tensor, w: Tensor, angles: Tensor) -> Tensor:
        numbers = full(self.style(F.silu(w)))[:, None].chunk(6 if self.shift else 4, dim=2)
        gain1, gate1, gain2, gate2, *shifts = numbers
        shift1, shift2 = shifts or (None, None)
        tokens = tokens + gate1 * self.attention(_styled(tokens, gain1, shift1), angles)
        return torch.addcmul(tokens, gate2, full(self.mlp(_styled(tokens, gain2, shift2))))


class StyledHead(nn.Module):
    """Tokens -> patches of an image: a norm that w scales (and shifts), and a linear layer.

    Example:
        >>> StyledHead(16, 12, shift=False)(torch.zeros(1, 4, 16), torch.zeros(1, 16)).shape
        torch.Size([1, 4, 12])
    """

    def __init__(self, width: int, numbers: int, *, shift: bool) -> None:
        super().__init__()
        self.style, self.out = nn.Linear(width, (2 if shift else 1) * width), nn.Linear(width, numbers)
        self.shift = shift

    def forward(self, tokens: Tensor, w: Tensor) -> Tensor:
        gain, *shifts = full(self.style(F.silu(w)))[:, None].chunk(2 if self.shift else 1, dim=2)
        patches: Tensor = self.out(_styled(tokens, gain, shifts[0] if shifts else None))
        return full(patches)


def _styled(tokens: Tensor, gain: Tensor, shift: Tensor | None) -> Tensor:
    scaled = F.rms_norm(full(tokens), tokens.shape[-1:]) * (1.0 + gain)
    return scaled if shift is None else scaled + shift


class ScaledBlock(nn.Module):
    """x + s1 Attention(norm(x)), then x + s2 MLP(norm(x)); s are learned scales from 0.1 on (the critic's).

    Example:
        >>> angles = rotation(positions(2, 2, torch.device("cpu")), 8)
        >>> ScaledBlock(16, 2)(torch.zeros(1, 5, 16), angles).shape
        torch.Size([1, 5, 16])
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention, self.mlp = Attention(width, heads), GatedMLP(width)
        self.gain1, self.gain2 = nn.Parameter(torch.ones(width)), nn.Parameter(torch.ones(width))
        self.scale1 = nn.Parameter(torch.full((width,), _SMALL))
        self.scale2 = nn.Parameter(torch.full((width,), _SMALL))

    def forward(self, tokens: Tensor, angles: Tensor) -> Tensor:
        size = tokens.shape[-1:]
        tokens = tokens + self.scale1 * self.attention(F.rms_norm(tokens, size, self.gain1), angles)
        return torch.addcmul(tokens, self.scale2, full(self.mlp(F.rms_norm(tokens, size, self.gain2))))


class TransformerGenerator(nn.Module):
    """Z [batch, latent] -> images; the tokens know of nothing but their places, all else comes from w.

    After each quarter of the blocks a head adds to the image: four stages, the last of them the image.

    Args:
        spec: the images wanted.
        latent: numbers in z.
        column: ``labels`` or ``attributes``; "": no condition.
        look: the sizes.
        bounded: whether images are in [-1, 1], as they are clipped in eval mode; latents are not.

    Example:
        >>> look = Transformer(patch=4, width=16, depth=4, heads=2)
        >>> generator = TransformerGenerator(DataSpec(height=32, width=32), 8, "", look)
        >>> generator(torch.randn(2, 8)).shape, generator(torch.randn(2, 8), stages=True).shape
        (torch.Size([2, 3, 32, 32]), torch.Size([2, 12, 32, 32]))
    """

    def __init__(
        self, spec: DataSpec, latent: int, column: str, look: "Transformer", *, bounded: bool = True
    ) -> None:
        super().__init__()
        self._bounded = bounded
        self._spec, self.patch, self.width = spec, look.patch, look.width
        self.grid = _grid(spec, look.patch)
        self.embedding = Embedding(spec, column, _EMBEDDING) if column else None
        numbers = latent + (_EMBEDDING if column else 0)
        self.mapping1 = EqualizedLinear(numbers, look.width, rate=_RATE)
        self.mapping2 = EqualizedLinear(look.width, look.width, rate=_RATE)
        self.blocks = nn.ModuleList(
            StyledBlock(look.width, look.heads, shift=look.shift) for _ in range(look.depth)
        )
        pixels = look.patch**2 * spec.channels
        self.heads = nn.ModuleList(
            StyledHead(look.width, pixels, shift=look.shift) for _ in range(look.levels)
        )
        _initialize(self)

    def forward(
        self, latents: Latents, *column: Tensor, stages: bool = False, styled: bool = False
    ) -> Images:
        """The images, or with ``stages`` all levels, one behind another: [batch, levels x channels, h, w].

        Args:
            latents: z, or w of ``style`` where ``styled``.
            column: the condition; not asked for by w.
            stages: whether the earlier ones are wanted, too.
            styled: whether the latents are w.
        """
        w = latents if styled else self.style(latents, *column)
        places = positions(*self.grid, w.device)
        tokens = sine_table(places, self.width).expand(len(w), -1, -1)
        angles = rotation(places, self.blocks[0].attention.size)  # type: ignore[arg-type]
        every, images, made = len(self.blocks) // len(self.heads), None, []
        for number, block in enumerate(self.blocks, 1):
            tokens = block(tokens, w, angles)
            if number % every == 0:
                more = _unpatched(self.heads[number // every - 1](tokens, w), self.grid, self.patch)
                images = more if images is None else images + more
                made.append(images)
        shown = [self._spec.to_network(each) for each in (made if stages else made[-1:])]
        clipped = self._bounded and not self.training
        return torch.cat([each.clamp(-1.0, 1.0) for each in shown] if clipped else shown, dim=1)

    def style(self, latents: Latents, *column: Tensor) -> Tensor:
        """Z [batch, latent] and the condition -> w [batch, width]."""
        known = pixel_norm(latents)
        if self.embedding is not None:
            known = torch.cat([known, pixel_norm(self.embedding(*column))], dim=1)
        w: Tensor = self.mapping2(F.silu(self.mapping1(known)))
        return w


class TransformerDiscriminator(nn.Module):
    """Images -> scores, read from a token of their own; with a condition it is projected on that.

    Args:
        spec: the images judged.
        column: as in ``TransformerGenerator``.
        look: the sizes.
        stacked: images that are seen at once, one behind another (GAT: the four levels).
        scales: sizes that are judged one at a time, each with a token of its own (CAT: four).

    Example:
        >>> look = Transformer(patch=4, width=16, depth=4, heads=2)
        >>> critic = TransformerDiscriminator(DataSpec(height=32, width=32), "", look)
        >>> critic(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2])
    """

    def __init__(
        self, spec: DataSpec, column: str, look: "Transformer", *, stacked: int = 1, scales: int = 1
    ) -> None:
        super().__init__()
        _grid(spec, look.patch)
        self.patch, self.width = look.patch, look.critic_width or look.width
        heads = look.critic_heads or look.heads
        self.embed = nn.Linear(look.patch**2 * spec.channels * stacked, self.width)
        self.tokens = nn.Parameter(0.02 * torch.randn(scales, self.width))
        self.scales = nn.Parameter(torch.zeros(scales, self.width)) if scales > 1 else None
        depth = look.critic_depth or look.depth
        self.blocks = nn.ModuleList(ScaledBlock(self.width, heads) for _ in range(depth))
        self.gain = nn.Parameter(torch.ones(self.width))
        self.head = nn.Linear(self.width, _PROJECTION if column else 1)
        self.embedding: nn.Module | None = None
        if column:
            self.embedding = nn.Sequential(
                Embedding(spec, column, _PROJECTION),
                EqualizedLinear(_PROJECTION, _PROJECTION, rate=_RATE),
                nn.SiLU(),
                EqualizedLinear(_PROJECTION, _PROJECTION, rate=_RATE),
            )
        _initialize(self)

    def forward(self, images: Images, *column: Tensor, scale: int = 0) -> Scores:
        """Scores of images of any size that patches fill.

        Args:
            images: [batch, stacked x channels, height, width].
            column: the condition.
            scale: which token asks.
        """
        height, width = images.shape[2] // self.patch, images.shape[3] // self.patch
        places = positions(height, width, images.device)
        tokens = full(self.embed(_patched(images, self.patch))) + sine_table(places, self.width)
        if self.scales is not None:
            tokens = tokens + self.scales[scale]
        tokens = torch.cat([self.tokens[scale].expand(len(images), 1, -1), tokens], dim=1)
        angles = rotation(places, self.blocks[0].attention.size)  # type: ignore[arg-type]
        for block in self.blocks:
            tokens = block(tokens, angles)
        found = full(self.head(F.rms_norm(tokens[:, 0], (self.width,), self.gain)))
        if self.embedding is None:
            return found[:, 0]
        # Over the root of its size, so that scores begin near 1 whatever it is.
        agreement = torch.mul(found, full(self.embedding(*column))).sum(dim=1)
        return torch.mul(agreement, _PROJECTION**-0.5)


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """The networks of GAT and CAT: patches as tokens, in pixels; with or without a condition.

    GAT's sizes are S (depth 12, width 384, heads 6), B (12, 768, 12), L (24, 1024, 16) and XL (28, 1152, 16).

    Example:
        >>> Transformer(patch=4, width=384, depth=12, heads=6)  # GAT-S at 64 px: 256 tokens.
    """

    patch: int = 4  # Side of a token's square in pixels.
    width: int = 384  # Numbers of a token.
    depth: int = 12  # Blocks.
    heads: int = 6
    shift: bool = False  # Whether w shifts as well as scales (CAT).
    critic_width: int | None = None  # None: as the generator's; so are the next two.
    critic_depth: int | None = None
    critic_heads: int | None = None
    levels: int = 4  # Stages of the image.

    def __post_init__(self) -> None:
        at_least(self, 1, "patch", "width", "depth", "heads", "levels", prefix="method.networks.")
        if self.depth % self.levels:
            near = math.ceil(self.depth / self.levels) * self.levels
            raise SettingError(
                f"A transformer's depth is a multiple of its levels, {self.levels}. Received: "
                f"depth={self.depth}. Try method.networks.depth={near}."
            )
        for width, heads in (
            (self.width, self.heads),
            (self.critic_width or self.width, self.critic_heads or self.heads),
        ):
            if width % (4 * heads):
                near = math.ceil(width / (4 * heads)) * 4 * heads
                raise SettingError(
                    "Each head needs a multiple of 4 numbers, to turn them in pairs on two axes. "
                    f"Received: width={width} and heads={heads}. Try a width of {near}."
                )

    def generator(self, spec: DataSpec, latent: int) -> nn.Module:
        """From noise alone."""
        return TransformerGenerator(spec, latent, "", self)

    def discriminator(self, spec: DataSpec) -> nn.Module:
        """Of the finished image alone."""
        return TransformerDiscriminator(spec, "", self)

    def conditional_generator(self, spec: DataSpec, latent: int, column: str) -> nn.Module:
        """The condition is joined to z."""
        return TransformerGenerator(spec, latent, column, self)

    def conditional_discriminator(self, spec: DataSpec, column: str) -> nn.Module:
        """The class token is projected on the embedded condition."""
        return TransformerDiscriminator(spec, column, self)

    def tiny(self) -> "Transformer":
        """Eight numbers a token, and patches of 2 pixels."""
        return replace(
            self,
            patch=2,
            width=8,
            depth=self.levels,
            heads=2,
            critic_width=None,
            critic_depth=None,
            critic_heads=None,
        )

    def per_image(self) -> bool:
        """Tokens meet those of their own image alone."""
        return True


def _grid(spec: DataSpec, patch: int) -> tuple[int, int]:
    if spec.height % patch or spec.width % patch:
        near = max(n for n in range(1, patch + 1) if spec.height % n == 0 and spec.width % n == 0)
        raise SettingError(
            f"Patches must fill the image. Received: patch={patch} at {spec.width}x{spec.height}. "
            f"Try method.networks.patch={near}."
        )
    return spec.height // patch, spec.width // patch


def _patched(images: Images, patch: int) -> Tensor:
    """[batch, channels, h, w] -> [batch, tokens, channels x patch x patch]."""
    return F.unfold(images, patch, stride=patch).transpose(1, 2)


def _unpatched(patches: Tensor, grid: tuple[int, int], patch: int) -> Images:
    size = (grid[0] * patch, grid[1] * patch)
    return F.fold(patches.transpose(1, 2), size, patch, stride=patch)


def _initialize(network: nn.Module) -> None:
    """Xavier's, a tenth of it for what w says, biases 0, embeddings of 0.02."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, gain=_SMALL if name.endswith("style") else 1.0)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, 0.0, 0.02)
