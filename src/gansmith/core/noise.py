"""Randomness that belongs to an image: one seed is one image, whatever the batch or the device."""

import hashlib
import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from gansmith.core.tensors import Seeds

# The splitmix64 finaliser (Steele, Lea, Flood 2014), in signed 64-bit arithmetic that wraps.
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)

# A finaliser of 32-bit words with little bias (Wellons 2018, "lowbias32"), in arithmetic that wraps.
_GOLDEN_32 = 0x9E3779B9 - (1 << 32)
_MIX_32 = 0x7FEB352D, 0x846CA68B - (1 << 32)
_CHUNK = 2**16  # Numbers of a stream worked on at a time, so that they stay in a CPU's cache.


Cache = dict[str, tuple[Tensor, int]]
"""Name -> a tensor computed from a noise, and how far its streams were read for it."""


def _shift(bits: Tensor, places: int) -> Tensor:
    return (bits >> places) & ((1 << (64 - places)) - 1)  # A logical shift; >> alone copies the sign.


def _mix(bits: Tensor) -> Tensor:
    bits = (bits ^ _shift(bits, 30)) * _MIX_1
    bits = (bits ^ _shift(bits, 27)) * _MIX_2
    return bits ^ _shift(bits, 31)


def _mix_32(bits: Tensor) -> Tensor:
    """As ``_mix``, for int32; in place."""
    shifted = torch.empty_like(bits)
    for places, factor in ((16, _MIX_32[0]), (15, _MIX_32[1]), (16, 1)):
        torch.bitwise_right_shift(bits, places, out=shifted)
        bits.bitwise_xor_(shifted.bitwise_and_((1 << (32 - places)) - 1)).mul_(factor)
    return bits


def mix_seeds(*parts: int) -> int:
    """One 63-bit seed out of several integers, so that neighbouring integers give unrelated seeds."""
    state = torch.zeros((), dtype=torch.int64)
    for part in parts:
        state = _mix((state ^ (int(part) & (2**63 - 1))) + _GOLDEN)
    return int(state) & (2**63 - 1)


class Noise:
    """A stream of random numbers for each image of a batch.

    Drawing is counter-based: the numbers are a function of (seed, position in the stream), so a
    image keeps its noise when the batch around it changes, and nothing has to be saved to resume.
    Draws in one order give one result; each draw continues where the last one stopped.

    Args:
        seeds: one seed per image, int64, non-negative.
        cache: where ``cached`` keeps its results, shared by all noises that are given it; None: nowhere.

    Example:
        >>> noise = Noise.of(0, 1, 2)
        >>> noise.normal(64).shape
        torch.Size([3, 64])
    """

    def __init__(self, seeds: Seeds, cache: Cache | None = None) -> None:
        self.seeds, self._cache = seeds, cache
        # MPS has neither float64 nor dependable 64-bit products: draw on the CPU and move.
        device = torch.device("cpu") if seeds.device.type == "mps" else seeds.device
        self._state = _mix(_mix(seeds.to(device) + _GOLDEN))
        self._position = 0

    @classmethod
    def of(cls, *seeds: int) -> "Noise":
        """Noise for the given seeds: ``Noise.of(0, 1, 2)`` serves a batch of three."""
        return cls(torch.tensor(seeds, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.seeds)

    def each(self, step: int) -> "Noise":
        """The streams of every ``step``-th image alone, from where they stand; this one stays put."""
        part = Noise(self.seeds[::step])
        part._position = self._position
        return part

    def cached(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """The result of ``make``, computed once for all updates of a step that share this noise.

        The graph behind it is kept, too: the player whose networks made it may differentiate it as if it
        had made it itself, everyone else must ``detach`` it. Where nothing is shared (see
        ``Turn.reuse_fakes``; parts of a batch) it is made each time, from the same numbers.
        """
        if self._cache is None:
            return make()
        if name not in self._cache:
            made = make()
            self._cache[name] = (made, self._position)
        made, self._position = self._cache[name]
        return made

    def fork(self, name: str) -> "Noise":
        """Other streams of the same images, whatever was drawn from these.

        Example:
            >>> maps = noise.fork("synthesis").bulk_normal(64, 64)
        """
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
        return Noise(_mix(self.seeds ^ number) & (2**63 - 1))

    def bulk_normal(self, *shape: int) -> Float[Tensor, "batch ..."]:
        """Numbers from N(0, 1), several times as fast as ``normal``, shape [batch, *shape].

        For maps of noise. As ``normal``, a function of (seed, position) and the same on every device; but
        made of 32-bit hashes in float32, so the largest lie 6.7 standard deviations out.
        """
        count = math.prod(shape)
        half = (count + 1) // 2
        low, high = (self._state << 32 >> 32).to(torch.int32), (self._state >> 32).to(torch.int32)
        start, self._position = self._position, self._position + 2 * half
        numbers = torch.empty(len(self), 2 * half, device=self._state.device)
        for first in range(0, half, _CHUNK):
            last = min(half, first + _CHUNK)
            places = torch.arange(start + first, start + last, device=low.device, dtype=torch.int32)
            places *= _GOLDEN_32
            bits = _mix_32(places + low[:, None])
            more = _mix_32((bits ^ high[:, None]).add_(places))
            # One in (0, 1] for the radius, one in (-pi, pi] for the angle (Box and Muller 1958).
            # In float32 the smallest would be 0, once in 2^26, and its logarithm infinite.
            radius = bits.float().mul_(2.0**-32).add_(0.5).clamp_(min=2.0**-33).log_().mul_(-2.0).sqrt_()
            angle = more.float().mul_(2.0**-31 * math.pi)
            torch.mul(radius, angle.cos(), out=numbers[:, first:last])
            torch.mul(radius, angle.sin_(), out=numbers[:, half + first : half + last])
        return numbers[:, :count].reshape(len(self), *shape).to(self.seeds.device)

    def signs(self, *shape: int) -> Float[Tensor, "batch ..."]:
        """-1 or 1 with equal chance, shape [batch, *shape]; far cheaper than ``normal``."""
        bits = self._bits(math.prod(shape))
        signs = torch.where(bits < 0, -1.0, 1.0)
        return signs.reshape(len(self), *shape).to(self.seeds.device)

    def uniform(self, *shape: int) -> Float[Tensor, "batch ..."]:
        """Numbers in (0, 1), shape [batch, *shape]."""
        count = math.prod(shape)
        # In float32 the numbers nearest to 1 would round to it.
        numbers = self._uniform(count).float().clamp(max=1.0 - 2.0**-24)
        return numbers.reshape(len(self), *shape).to(self.seeds.device)

    def normal(self, *shape: int) -> Float[Tensor, "batch ..."]:
        """Numbers from N(0, 1), shape [batch, *shape] (Box and Muller 1958)."""
        count = math.prod(shape)
        half = (count + 1) // 2
        radius_and_angle = self._uniform(2 * half)
        radius = torch.sqrt(-2.0 * torch.log(radius_and_angle[:, :half]))
        angle = (2.0 * math.pi) * radius_and_angle[:, half:]
        both = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
        return both[:, :count].float().reshape(len(self), *shape).to(self.seeds.device)

    def _uniform(self, count: int) -> Tensor:
        return (_shift(self._bits(count), 11).double() + 0.5) * 2.0**-53

    def _bits(self, count: int) -> Tensor:
        steps = torch.arange(self._position + 1, self._position + count + 1, device=self._state.device)
        self._position += count
        return _mix(self._state[:, None] + steps * _GOLDEN)
