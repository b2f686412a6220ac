"""A trained generator in use: one seed is one image, to the last bit, and any number can be written.

Exactness. Convolution kernels choose their algorithm by the size of the batch, and another algorithm
rounds the last bit of a number another way; on an x86 CPU batches of 3 or 7 and, in some networks, of 1
to 8 gave other bits than 16, 33 or 64, while the place in the batch never mattered. So networks always
run on exactly ``RUN`` images: a shorter rest is filled up and the surplus thrown away. On one machine
and device a seed then has one image, bit for bit. Another machine may differ in the last bits.
"""

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents
from gansmith.errors import SettingError
from gansmith.images.provenance import (
    Provenance,
    software_version,
)
from gansmith.methods.base import Method
from gansmith.methods.latent import LatentMethod, Shares, Way
from gansmith.models.prompts import Prompts, Wish, check_no_wish
from gansmith.networks.bundle import Networks

RUN = 16  # Larger: a single image costs more. Smaller: a graphics card has too little to do.
"""How many images networks make at a time, whatever was asked for."""

_SETTLE = 512  # Images that networks are shown before they make truncated ones.


@runtime_checkable
class Move(Protocol):
    """A change of latents on their way to images, such as directions with their amounts (`explore`).

    Example:
        >>> generator.make(Noise.of(0, 1), move=Steps.parse(directions, ["smiling=0.5"]))
    """

    @property
    def space(self) -> str:
        """Of the latents it takes; what takes w takes w+, too."""

    @property
    def note(self) -> str:
        """For the marks of images."""

    def __call__(self, latents: Latents) -> Latents:
        """Latents of the same space."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Generator:
    """A trained generator and where it came from, ready to make images.

    Args:
        name: for marks and messages.
        recipe_name: of the recipe it was trained by.
        spec: the form of its images, and the names of classes and attributes.
        method: the paper.
        networks: trained, in eval mode.
        images_seen: how long it was trained; None where that is not known.
        table: prompts of some training rows by column, for a conditional method.
        device: where the networks are.
        doubts: sentences about what was guessed of it; a model made here has none.
        pairs: how the sources it was trained on were made; None where they were not.

    Example:
        >>> generator = open_generator("runs/digits")
        >>> images = generator.make(Noise.of(0, 1, 2), generator.prompts([0, 1, 2], Wish(label="7")))
    """

    name: str
    recipe_name: str
    spec: DataSpec
    method: Method[Any, Any, Any]
    networks: Networks
    images_seen: int | None = None
    table: Mapping[str, Tensor] = field(default_factory=dict)
    device: torch.device = torch.device("cpu")
    doubts: tuple[str, ...] = ()
    pairs: str | None = None
    _settled: dict[float, Networks] = field(default_factory=dict, repr=False)

    def provenance(self, seed: int | None = None, note: str | None = None) -> Provenance:
        """What an image of this generator is marked with; no seed for an image of several."""
        return Provenance(
            self.name, self.recipe_name, seed, self.images_seen, software_version(), note, self.fingerprint
        )

    @cached_property
    def fingerprint(self) -> str | None:
        """Twelve letters that stand for the weights, equal where these are; None where there are none."""
        digest, state = hashlib.sha256(), self.networks.state_dict()
        for lens, network in self.networks.lenses.items():
            state |= {f"{lens} {name}": value for name, value in network.state_dict().items()}
        for name in sorted(state):
            value = state[name].detach().cpu().contiguous()
            digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
            digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()[:12] if state else None

    @property
    def spaces(self) -> tuple[str, ...]:
        """Names of the latent spaces, from noise to image; none where images are not made of a latent."""
        return self.method.spaces if isinstance(self.method, LatentMethod) else ()

    def way(self, space: str) -> Way:
        """How to go from one latent of a space to another: on a sphere, or along a line."""
        return self._latent_method(space).way(space)

    @property
    def asks(self) -> Prompts | None:
        """What prompts there are; None for a method that makes images of noise alone."""
        kind = self.method.prompt_type
        return None if kind is None else Prompts(kind, self.spec, self.table, self.method.words(self.spec))

    def prompts(self, seeds: Sequence[int], wish: Wish | None = None) -> Any:
        """The prompt of each seed, what ``wish`` leaves open drawn as the training data are; None for none.

        Raises:
            SettingError: something is wished for that this model does not know.
        """
        if self.asks is None:
            check_no_wish(wish, self.name)
            return None
        return self.asks.choose(seeds, wish)

    def make(
        self, noise: Noise, prompt: Any = None, truncation: float | None = None, move: Move | None = None
    ) -> Images:
        """Images in [-1, 1], one for each seed of a fresh noise, to the last bit whatever the batch.

        Args:
            noise: its seeds say which images.
            prompt: a row for each, such as ``prompts`` gives; None: drawn as the training data are.
            truncation: psi, 0 for the average image, 1 (as None) for all variety there is; what BigGAN makes
                of it is a threshold, and any number from 0 on.
            move: what is done to the latents, after truncation; None for nothing.

        Raises:
            SettingError: the method has no truncation, or none in the space of ``move``, or needs a prompt of
                images.
        """
        if prompt is None:
            prompt = self.prompts(noise.seeds.tolist())
        make = self._make
        # Once for all, so that a method without truncation says so before any work.
        if move is not None:
            make = partial(self._moved, self._latent_method(move.space), truncation, move)
        elif truncation is not None:
            make = partial(self._truncated, self._latent_method(), truncation)
        return steadily(self._rows(make))(noise.seeds.to(self.device), *self._columns(prompt))

    def latents(
        self, noise: Noise, prompt: Any = None, space: str = "z", truncation: float | None = None
    ) -> Latents:
        """The latent of each seed, [batch, *latent], on the device, without gradients.

        Raises:
            SettingError: images are not made of a latent, or there is no such space or no truncation in it.
        """
        method = self._latent_method(space)
        if prompt is None:
            prompt = self.prompts(noise.seeds.tolist())

        def latent(noise: Noise, prompt: Any) -> Tensor:
            found: Tensor = method.to_latent(self.networks, noise, prompt, space)
            if truncation is not None:
                found = method.truncate(self.networks, found, truncation, space, prompt)
            return found

        return steadily(self._rows(latent))(noise.seeds.to(self.device), *self._columns(prompt))

    def synthesize(self, latents: Latents, noise: Noise, prompt: Any = None, space: str = "z") -> Images:
        """The images of latents, in [-1, 1], without gradients and to the last bit whatever the batch.

        Args:
            latents: of ``space``, [batch, *latent].
            noise: a seed for each: what is drawn besides the latent, and the prompt where none is given.
            prompt: a row for each.
            space: where the latents lie.
        """
        method = self._latent_method(space)
        if prompt is None:
            prompt = self.prompts(noise.seeds.tolist())

        def decode(seeds: Tensor, latents: Tensor, *columns: Tensor) -> Tensor:
            images = method.synthesize(self.networks, latents, Noise(seeds), self._prompt(columns), space)
            return self.spec.to_pictures(images)

        rows = noise.seeds.to(self.device), latents.to(self.device), *self._columns(prompt)
        return steadily(decode)(*rows)

    def between(self, latents: Latents, noise: Noise, ends: tuple[Any, Any], share: Shares) -> Images:
        """Images on the straight line from one prompt's condition to another's, in [-1, 1].

        To the last bit whatever the batch, and without gradients.

        Args:
            latents: of the first space, [batch, *latent].
            noise: a seed for each.
            ends: a row of a prompt for each: where the line begins, and where it ends.
            share: how far along it, [batch], from 0 to 1.

        Raises:
            SettingError: between the prompts of this method there is nothing.

        Example:
            >>> ends = generator.prompts([3], Wish(label="cat")), generator.prompts([3], Wish(label="dog"))
            >>> generator.between(generator.latents(Noise.of(3)), Noise.of(3), ends, torch.tensor([0.5]))
        """
        method = self._latent_method()

        def decode(seeds: Tensor, latents: Tensor, share: Tensor, *columns: Tensor) -> Tensor:
            half = len(columns) // 2
            one, other = self._prompt(columns[:half]), self._prompt(columns[half:])
            images = method.blend(self.networks, latents, Noise(seeds), (one, other), share)
            return self.spec.to_pictures(images)

        where, columns = self.device, [column for end in ends for column in self._columns(end)]
        return steadily(decode)(noise.seeds.to(where), latents.to(where), share.to(where), *columns)

    def differentiable(
        self, noise: Noise, prompt: Any = None, space: str = "z"
    ) -> Callable[[Latents], Images]:
        """Latents -> images in [-1, 1] with gradients, for finding the latent of a photo.

        Example:
            >>> decode = generator.differentiable(Noise.of(0))
            >>> z = generator.latents(Noise.of(0)).clone().requires_grad_(True)
            >>> (decode(z) - photo).square().mean().backward()
        """
        method = self._latent_method(space)
        prompt = self._prompt(self._columns(self.prompts(noise.seeds.tolist()) if prompt is None else prompt))
        seeds = noise.seeds.to(self.device)
        return lambda latents: self.spec.to_pictures(
            method.synthesize(self.networks, latents, Noise(seeds), prompt, space)
        )

    def _latent_method(self, space: str | None = None) -> LatentMethod[Any, Any, Any]:
        if not isinstance(self.method, LatentMethod):
            raise SettingError(
                f"This needs a generator that makes images from a latent. {self.name} ({self.recipe_name}) "
                "makes them from something else."
            )
        if space is not None and space not in self.spaces:
            spaces = ", ".join(self.spaces)
            raise SettingError(f"{self.recipe_name} has the latent spaces {spaces}. Received: {space!r}.")
        return self.method

    def _make(self, noise: Noise, prompt: Any) -> Tensor:
        return self.spec.to_pictures(self.method.generate(self.networks, prompt, noise))

    def _truncated(
        self, method: LatentMethod[Any, Any, Any], psi: float, noise: Noise, prompt: Any
    ) -> Tensor:
        space, networks = method.spaces[-1], self._settled_at(method, psi)
        latents = method.to_latent(networks, noise, prompt, space)
        latents = method.truncate(networks, latents, psi, space, prompt)
        return self.spec.to_pictures(method.synthesize(networks, latents, noise, prompt, space))

    def _moved(
        self, method: LatentMethod[Any, Any, Any], psi: float | None, move: Move, noise: Noise, prompt: Any
    ) -> Tensor:
        last = method.spaces[-1]
        space = last if move.space == "w" and last == "w+" else move.space
        networks = self.networks if psi is None else self._settled_at(method, psi)
        latents = method.to_latent(networks, noise, prompt, space)
        if psi is not None:
            if space != last and type(method).truncate is not LatentMethod.truncate:
                raise SettingError(
                    f"Truncation of {self.recipe_name} is in {last}. Received: {move.note}, which moves "
                    f"{space}. Leave one of them out, or find directions in w."
                )
            latents = method.truncate(networks, latents, psi, space, prompt)
        return self.spec.to_pictures(method.synthesize(networks, move(latents), noise, prompt, space))

    def _settled_at(self, method: LatentMethod[Any, Any, Any], psi: float) -> Networks:
        """The networks, or a copy that the method has fitted to truncated latents, once for each psi."""
        if type(method).settle is LatentMethod.settle:
            return self.networks
        if psi not in self._settled:
            seeds = range(_SETTLE)
            prompt = self._prompt(self._columns(self.prompts(seeds)))
            networks = copy.deepcopy(self.networks)
            method.settle(networks, psi, prompt, Noise(torch.arange(_SETTLE, device=self.device)))
            self._settled[psi] = networks
        return self._settled[psi]

    def _rows(self, function: Callable[[Noise, Any], Tensor]) -> Callable[..., Tensor]:
        """A function of noise and prompt as one of rows: seeds, and the columns of the prompt."""
        return lambda seeds, *columns: function(Noise(seeds), self._prompt(columns))

    def _columns(self, prompt: Any) -> tuple[Tensor, ...]:
        return () if prompt is None else tuple(column.to(self.device) for column in prompt)

    def _prompt(self, columns: Sequence[Tensor]) -> Any:
        kind: Any = self.method.prompt_type
        return None if kind is None else kind(*columns)


def steadily(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A network function that always runs on ``RUN`` rows, so that no image depends on its batch.

    ``function`` and the result take tensors of [batch, ...] and give one, the result without gradients, for
    any batch of at least one.
    """

    def in_runs(*rows: Tensor) -> Tensor:
        count = len(rows[0])
        surplus = -count % RUN
        # With other flags cuDNN may pick another algorithm in another process, or round to ten bits.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            full = [torch.cat([row, row[:1].expand(surplus, *row.shape[1:])]) for row in rows]
            runs = (function(*(row[at : at + RUN] for row in full)) for at in range(0, len(full[0]), RUN))
            return torch.cat(list(runs))[:count]

    return in_runs


def from_method(
    method: Method[Any, Any, Any],
    networks: Networks,
    spec: DataSpec,
    *,
    name: str,
    recipe_name: str,
    images_seen: int | None = None,
    device: torch.device | str = "cpu",
) -> Generator:
    """The generator of a method and its trained networks.

    The networks are moved to ``device``, put in eval mode and take no gradients of their own.
    """
    where = torch.device(device)
    order = torch.contiguous_format if where.type == "mps" else torch.channels_last
    networks.to(where, memory_format=order).eval().requires_grad_(False)  # type: ignore[call-overload]
    return Generator(
        name=name,
        recipe_name=recipe_name,
        spec=spec,
        method=method,
        networks=networks,
        images_seen=images_seen,
        device=where,
    )
