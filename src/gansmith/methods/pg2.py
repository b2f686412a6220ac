"""PG2: a person in the pose of given key points, coarse first and then in detail (Ma et al. 2017)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Landmarks, Scalar, Scores, full
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import accuracy
from gansmith.methods.base import Lender, Loss, Method, Turn
from gansmith.methods.batches import PoseBatch, PosePrompt
from gansmith.networks.bundle import Networks
from gansmith.networks.dcgan import DCGANDiscriminator, initialize
from gansmith.networks.resolution import resolution_steps

_SIDES = 32  # Directions a hull is seen from.


def key_point_maps(
    points: Landmarks, height: int, width: int, radius: float
) -> Float[Tensor, "batch points height width"]:
    """A map for each point: 1 in a disc around it, -1 elsewhere; -1 all over where it is not known.

    Args:
        points: x and y in pixels, NaN where not known.
        height: of the maps.
        width: of the maps.
        radius: of the discs, in pixels.

    Example:
        >>> key_point_maps(torch.tensor([[[2.5, 2.5]]]), 5, 5, 1.0)[0, 0, 2].tolist()
        [-1.0, 1.0, 1.0, 1.0, -1.0]
    """
    x, y = _grid(points, height, width)
    far = (x - points[:, :, 0, None, None]).square() + (y - points[:, :, 1, None, None]).square()
    return torch.where(far <= radius**2, 1.0, -1.0)  # No comparison with NaN is true.


def pose_mask(
    points: Landmarks, height: int, width: int, margin: float
) -> Float[Tensor, "batch 1 height width"]:
    """1 inside the convex hull of the known points, widened by a margin in pixels; 0 elsewhere.

    Of bodies the paper joins points to limbs; a face is its hull. It is seen from 32 directions.

    Example:
        >>> square = torch.tensor([[[1.0, 1.0], [4.0, 1.0], [4.0, 4.0], [1.0, 4.0]]])
        >>> int(pose_mask(square, 5, 5, 0.0).sum())
        9
    """
    x, y = _grid(points, height, width)
    inside = torch.ones(len(points), 1, height, width, dtype=torch.bool, device=points.device)
    unknown = points.isnan().any(dim=2)
    for side in range(_SIDES):
        angle = 2.0 * math.pi * side / _SIDES
        dx, dy = math.cos(angle), math.sin(angle)
        reach = (points[:, :, 0] * dx + points[:, :, 1] * dy).masked_fill(unknown, -math.inf).amax(dim=1)
        inside &= x * dx + y * dy <= reach[:, None, None, None] + margin + 1e-4
    return inside.float()


def _grid(points: Landmarks, height: int, width: int) -> tuple[Tensor, Tensor]:
    """X and y of the middles of all pixels."""
    x = torch.arange(width, device=points.device) + 0.5
    y = torch.arange(height, device=points.device) + 0.5
    return x.view(1, 1, 1, -1), y.view(1, 1, -1, 1)


class ResidualUNet(nn.Module):
    """Images -> images: levels of two convolutions added to what came in, halved between, with skips.

    3x3 convolutions with ReLU and no norm; level i has ``width`` (i + 1) channels, so many levels that 8
    px of the height are left (128x64: five levels, 8x4).

    Args:
        spec: the images wanted.
        channels: of what is given, key-point maps among it.
        width: channels at full size.
        code: numbers of a fully connected layer in the middle (the paper's first stage: 64); 0: none.

    Raises:
        SettingError: the sides cannot be halved.

    Example:
        >>> ResidualUNet(DataSpec(height=64, width=64), 14, 128, 64)(torch.zeros(1, 14, 64, 64)).shape
        torch.Size([1, 3, 64, 64])
    """

    def __init__(self, spec: DataSpec, channels: int, width: int, code: int) -> None:
        super().__init__()
        self.spec = spec
        halvings = min(max(1, int(math.log2(spec.height)) - 3), 5)
        if spec.height % 2**halvings or spec.width % 2**halvings:
            step = 2**halvings
            high, wide = (max(step, round(side / step) * step) for side in (spec.height, spec.width))
            raise SettingError(
                f"PG2 halves a picture {halvings} times, so its sides are multiples of {step}. "
                f"Received: {spec.width}x{spec.height}. Try data.size={wide}x{high}."
            )
        widths = [width * (level + 1) for level in range(halvings + 1)]
        grid = (spec.height >> halvings, spec.width >> halvings)
        self.first = nn.Conv2d(channels, width, 3, 1, 1)
        self.down = nn.ModuleList(_Residual(wide, wide) for wide in widths)
        self.halve = nn.ModuleList(nn.Conv2d(wide, wider, 3, 2, 1) for wide, wider in pairwise(widths))
        cells = widths[-1] * grid[0] * grid[1]
        self.code = nn.Linear(cells, code) if code else None
        self.decode = nn.Linear(code, cells) if code else None
        self.up = nn.ModuleList(_Residual(2 * wide, wide) for wide in reversed(widths))
        self.narrow = nn.ModuleList(
            nn.Conv2d(wider, wide, 1)
            for wide, wider in zip(reversed(widths[:-1]), reversed(widths[1:]), strict=True)
        )
        self.last = nn.Conv2d(width, spec.channels, 3, 1, 1)
        initialize(self)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):  # Without a norm the scale has to be right itself.
                nn.init.kaiming_normal_(module.weight)
        nn.init.normal_(self.last.weight, 0.0, 0.02)

    def forward(self, given: Tensor) -> Float[Tensor, "batch wanted height width"]:
        features, skips = F.relu(self.first(given)), []
        for level, block in enumerate(self.down):
            features = block(features)
            skips.append(features)
            if level < len(self.halve):
                features = F.relu(self.halve[level](features))
        if self.code is not None and self.decode is not None:
            code = self.code(features.flatten(1))
            features = self.decode(code).view_as(features)
        for level, block in enumerate(self.up):
            features = block(torch.cat([features, skips.pop()], dim=1))
            if level < len(self.narrow):
                features = self.narrow[level](F.interpolate(features, scale_factor=2.0, mode="nearest"))
        made: Tensor = self.last(features)
        return full(made)


class _Residual(nn.Module):
    """Two convolutions with ReLU, added to what came in, which a 1x1 convolution narrows where need be."""

    def __init__(self, channels: int, wanted: int) -> None:
        super().__init__()
        self.narrow = nn.Identity() if channels == wanted else nn.Conv2d(channels, wanted, 1)
        self.main = nn.Sequential(
            nn.Conv2d(wanted, wanted, 3, 1, 1), nn.ReLU(), nn.Conv2d(wanted, wanted, 3, 1, 1), nn.ReLU()
        )

    def forward(self, features: Tensor) -> Tensor:
        features = self.narrow(features)
        changed: Tensor = self.main(features)
        return features + changed


class PoseNetworks(Networks):
    """The network of stage one alone.

    Example:
        >>> networks = PoseStage(width=8).build(DataSpec(height=32, width=32, landmarks=5))
        >>> networks.coarse(torch.zeros(1, 8, 32, 32)).shape
        torch.Size([1, 3, 32, 32])
    """

    def __init__(self, coarse: nn.Module) -> None:
        super().__init__()
        self.coarse = coarse


class RefineNetworks(PoseNetworks):
    """Stage one, frozen, the network of difference maps and a critic.

    Example:
        >>> networks = RefineStage(width=8).build(DataSpec(height=32, width=32, landmarks=5))
        >>> networks.refiner(torch.zeros(1, 6, 32, 32)).shape
        torch.Size([1, 3, 32, 32])
    """

    def __init__(self, coarse: nn.Module, refiner: nn.Module, discriminator: nn.Module) -> None:
        super().__init__(coarse)
        self.refiner, self.discriminator = refiner, discriminator


def in_range(networks: PoseNetworks, images: Tensor) -> Images:
    """Images with what lies beyond black and white cut off: the last layer is linear."""
    spec: Any = networks.coarse.spec
    found: Images = spec.to_network(spec.to_pictures(images).clamp(-1.0, 1.0))
    return found


@dataclass(frozen=True, kw_only=True)
class PoseStage(Method[Any, PoseBatch, PosePrompt]):
    """Stage one: G1 min E|(G1(s, p) - t) (1 + M)| (equation 2), M the mask of the pose p of the target t.

    Example:
        >>> PoseStage(width=32, code=64)
    """

    batch_type: ClassVar[type[PoseBatch]] = PoseBatch
    prompt_type: ClassVar[type[Any] | None] = PosePrompt

    width: int = 128  # Channels at full size of G1, and of G2 in stage two.
    code: int = 64  # Numbers of the fully connected middle of G1.
    radius: float = 1 / 32  # Of the discs in key-point maps, as a share of the height: 4 px of 128.
    margin: float = 1 / 16  # That the mask reaches beyond the points, likewise.
    mask: float = 1.0  # Weight of the distance inside the mask, beside that of the whole image.

    def __post_init__(self) -> None:
        at_least(self, 1, "width")
        at_least(self, 0, "code", "radius", "margin", "mask")

    @property
    def width_of_coarse(self) -> int:
        """Channels at full size of G1."""
        return self.width

    def build(self, spec: DataSpec) -> Any:
        return PoseNetworks(self._coarse(spec))

    def _coarse(self, spec: DataSpec) -> nn.Module:
        if spec.source_shrink != 1:
            raise SettingError(
                "PG2 makes images as large as their sources. Received: sources "
                f"{spec.source_shrink} times smaller. Use other pairs, such as data.pairs=pose."
            )
        channels = spec.source[0] + max(spec.landmarks, 1)
        return ResidualUNet(spec, channels, self.width_of_coarse, self.code)

    def tiny(self) -> "PoseStage":
        return replace(self, width=4, code=min(self.code, 6))

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"coarse": ("coarse",)}

    def turns(self) -> Sequence[Turn[Any, PoseBatch]]:
        return (Turn(name="coarse", player="coarse", loss=self.coarse_loss),)

    def coarse_loss(self, networks: Any, batch: PoseBatch, noise: Noise, progress: Progress) -> Loss:
        distance, masked = self.distances(self.draft(networks, self.prompt(batch)), batch)
        return Loss(distance + self.mask * masked, {"l1": distance, "l1 in mask": masked})

    def draft(self, networks: Any, prompt: PosePrompt) -> Images:
        """G1: the coarse result."""
        size = prompt.source.shape[2:]
        maps = key_point_maps(prompt.landmarks, size[0], size[1], self.radius * size[0])
        images: Images = networks.coarse(torch.cat([prompt.source, maps.to(prompt.source.dtype)], dim=1))
        return images

    def distances(self, made: Images, batch: PoseBatch) -> tuple[Scalar, Scalar]:
        """E|made - t|, and the same with all outside the mask counted as 0."""
        height, width = made.shape[2:]
        mask = pose_mask(batch.landmarks, height, width, self.margin * height)
        error = (made - batch.target).abs()
        return error.mean(), (error * mask).mean()

    def generate(self, networks: Any, prompt: PosePrompt, noise: Noise) -> Images:
        return in_range(networks, self.draft(networks, prompt))

    def validation_metrics(self, networks: Any, batch: PoseBatch, noise: Noise) -> Mapping[str, Tensor]:
        """Distances to the target of results and, as a baseline, of the source, unchanged."""
        made = self.generate(networks, self.prompt(batch), noise)
        distance, masked = self.distances(made, batch)
        copied, copied_masked = self.distances(batch.source, batch)
        found = {"l1": distance, "l1 in mask": masked}
        return found | {"l1 of a copy": copied, "l1 in mask of a copy": copied_masked}


@dataclass(frozen=True, kw_only=True)
class RefineStage(PoseStage):
    """Stage two: the result is G1 + G2(s, G1), G1 borrowed and frozen (section 3.2).

    D: min -log D(t) / 2 - log(1 - D(s)) / 4 - log(1 - D(result)) / 4: the source, too, is false, so that it
    is not given back as it is (the authors' code; the paper's D sees pairs). G2: min -log D(result)
    + l1 E|(result - t) (1 + M)|.

    Example:
        >>> RefineStage(width=32, l1=10.0)
    """

    discriminator_width: int = 64
    l1: float = 10.0  # lambda: 10 at 128x64, 50 at 256 px.
    coarse_width: int = 0  # Of the borrowed G1; 0: as ``width``. Found by the run, as are code and radius.

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "discriminator_width")
        at_least(self, 0, "l1", "coarse_width")

    @property
    def width_of_coarse(self) -> int:
        return self.coarse_width or self.width

    def with_lenders(self, spec: DataSpec, lenders: Mapping[str, Lender]) -> "RefineStage":
        """With the width, the middle and the discs of the stage one that is borrowed.

        Raises:
            SettingError: it is no stage one of PG2, or makes other images of other points.
        """
        if "coarse" not in lenders:
            return self
        lender = lenders["coarse"]
        if not isinstance(lender.method, PoseStage):
            raise SettingError(
                "Stage one is a run by PG2, such as pg2-64-small-coarse. Received: "
                f"{lender.name}, by {type(lender.method).__name__}."
            )
        theirs, ours = _form(lender.spec), _form(spec)
        differ = [
            f"{name} {ours[name]} here and {theirs[name]} there"
            for name in ours
            if ours[name] != theirs[name]
        ]
        if differ:
            raise SettingError(
                "Both stages of PG2 have pictures of one size, with as many channels and key points. "
                f"Received: for {lender.name}, {'; '.join(differ)}. Use the same data and settings, such as "
                f"data.size={theirs['size']}, or train stage one again."
            )
        method, wide = lender.method, lender.method.width_of_coarse
        wide = 0 if wide == self.width else wide
        return replace(self, coarse_width=wide, code=method.code, radius=method.radius)

    def build(self, spec: DataSpec) -> Any:
        if spec.source[0] != spec.channels:
            raise SettingError(
                "PG2's critic sees sources and results, which have as many channels. Received: "
                f"{spec.source[0]} and {spec.channels}. Leave data.source_channels out."
            )
        resolution_steps(spec.height, spec.width)
        refiner = ResidualUNet(spec, spec.source[0] + spec.channels, self.width, 0)
        return RefineNetworks(self._coarse(spec), refiner, DCGANDiscriminator(spec, self.discriminator_width))

    def tiny(self) -> "RefineStage":
        return replace(self, width=4, code=min(self.code, 6), discriminator_width=4, coarse_width=0)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"discriminator": ("discriminator",), "refiner": ("refiner",)}

    def turns(self) -> Sequence[Turn[Any, PoseBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.discriminator_loss),
            Turn(name="refiner", player="refiner", loss=self.refiner_loss, reuse_fakes=True),
        )

    def discriminator_loss(self, networks: Any, batch: PoseBatch, noise: Noise, progress: Progress) -> Loss:
        fakes = self.fakes(networks, batch, noise).detach()
        real, source, fake = (networks.discriminator(shown) for shown in (batch.target, batch.source, fakes))
        total = 0.5 * F.softplus(-real).mean() + 0.25 * (F.softplus(source).mean() + F.softplus(fake).mean())
        parts = {
            "accuracy on real": accuracy(real, real=True),
            "accuracy on fake": accuracy(fake, real=False),
        }
        return Loss(total, parts)

    def refiner_loss(self, networks: Any, batch: PoseBatch, noise: Noise, progress: Progress) -> Loss:
        fakes = self.fakes(networks, batch, noise)
        game = F.softplus(-networks.discriminator(fakes)).mean()
        distance, masked = self.distances(fakes, batch)
        total = game + self.l1 * (distance + self.mask * masked)
        return Loss(total, {"game": game, "l1": distance, "l1 in mask": masked})

    def fakes(self, networks: Any, batch: PoseBatch, noise: Noise) -> Images:
        """The same results for both players."""
        return noise.cached("fakes", lambda: self.refined(networks, self.prompt(batch)))

    def refined(self, networks: Any, prompt: PosePrompt) -> Images:
        """The coarse result and its difference map."""
        draft = self.draft(networks, prompt)
        difference: Tensor = networks.refiner(torch.cat([prompt.source, draft], dim=1))
        return draft + difference

    def generate(self, networks: Any, prompt: PosePrompt, noise: Noise) -> Images:
        return in_range(networks, self.refined(networks, prompt))

    def critic_scores(self, networks: Any, images: Images, prompt: PosePrompt) -> Scores:
        scores: Scores = networks.discriminator(images)
        return scores


def _form(spec: DataSpec) -> dict[str, object]:
    """What both stages must have in common."""
    return {
        "size": f"{spec.width}x{spec.height}",
        "channels": spec.channels,
        "channels of sources": spec.source[0],
        "key points": spec.landmarks,
    }
