"""GAT and CAT in pixels and in latents: the papers' sizes, and narrow ones for a processor."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from gansmith.augment.policies import Augmentation, DiffAugment, NoAugmentation
from gansmith.config.optimizers import AdamW
from gansmith.config.recipe import Recipe
from gansmith.config.training import Average, Precision, TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.losses.penalties import R1R2
from gansmith.methods.cat import CAT
from gansmith.methods.gat import GAT
from gansmith.methods.multilevel import MultiLevel
from gansmith.networks.autoencoder import Autoencoder, KLAutoencoder
from gansmith.networks.transformer import Transformer


class Preset(NamedTuple):
    """What the recipes differ in.

    Example:
        >>> gat("gat64-wide", Preset(GAT, Transformer(width=512, heads=8), size=64))
    """

    method: type[MultiLevel]
    networks: Transformer
    size: int
    gamma: float = 0.1
    distance: float = 0.01
    rate: float = 2e-4
    batch: int = 512
    images: int = 50_000_000
    augment: Augmentation = DiffAugment()
    precision: Precision = "auto"
    autoencoder: Autoencoder | None = None


def gat(name: str, preset: Preset) -> Recipe:
    """AdamW with betas (0, 0.99) and no decay, a constant rate, gradients of length 1 at most.

    The average's half-life is that of 0.999 a step.
    """
    adam = AdamW(lr=preset.rate, betas=(0.0, 0.99), weight_decay=0.0, clip=1.0)
    half_life = 693.0 * preset.batch
    kind = preset.method.__name__
    where = "" if preset.autoencoder is None else " in an autoencoder's latents"
    penalty = R1R2(gamma=preset.gamma, distance=preset.distance)
    return Recipe(
        name=name,
        about=f"{kind} at {preset.size} px{where}: a transformer, {preset.networks.width} wide.",
        method=preset.method(
            networks=preset.networks,
            penalty=penalty,
            augment=preset.augment,
            autoencoder=preset.autoencoder,
        ),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(preset.size, preset.size), mirror=True),
        train=TrainConfig(
            images=preset.images,
            batch=preset.batch,
            precision=preset.precision,
            average=Average(half_life=min(half_life, preset.images / 10)),
            picture_every=max(preset.images // 40, 500),
            checkpoint_every=max(preset.images // 20, 1000),
        ),
    )


_GAT = {"s": (12, 384, 6), "b": (12, 768, 12), "l": (24, 1024, 16), "xl": (28, 1152, 16)}
_CAT = {"m": (24, 768, 12), "h": (32, 1280, 16)}
_TOKENS = 16  # A side, as the papers' latents of 32 have with patches of 2.


def _gat(letter: str, size: int) -> Preset:
    depth, width, heads = _GAT[letter]
    networks = Transformer(patch=size // _TOKENS, width=width, depth=depth, heads=heads)
    return Preset(GAT, networks, size, rate=2e-4 * 768 / width)  # The paper's rule of width.


def _cat(letter: str, size: int) -> Preset:
    depth, width, heads = _CAT[letter]
    networks = Transformer(
        patch=size // _TOKENS,
        width=width,
        depth=depth,
        heads=heads,
        shift=True,
        critic_width=768,
        critic_depth=12,
        critic_heads=12,
    )
    return Preset(CAT, networks, size, gamma=1.0)


def _latent(preset: Preset) -> Preset:
    """The same on latents of 32 px, as the papers have it: patches of 2 are 256 tokens, too."""
    networks = replace(preset.networks, patch=2)
    return preset._replace(size=256, networks=networks, autoencoder=KLAutoencoder())


_SMALL = Preset(
    GAT,
    Transformer(patch=4, width=64, depth=4, heads=4),
    32,
    distance=0.05,
    rate=1e-3,
    batch=32,
    images=20_000,
    augment=NoAugmentation(),
    precision="float32",  # Finite differences of bfloat16 lose most of their digits.
)

_PRESETS = {
    "gat32-small": _SMALL,
    "cat32-small": _SMALL._replace(
        method=CAT, networks=Transformer(patch=4, width=64, depth=4, heads=4, shift=True)
    ),
    **{f"gat{size}-{letter}": _gat(letter, size) for size in (64, 128) for letter in _GAT},
    **{f"cat{size}-{letter}": _cat(letter, size) for size in (64, 128) for letter in _CAT},
    **{f"gat256-{letter}": _latent(_gat(letter, 64)) for letter in _GAT},
    **{f"cat256-{letter}": _latent(_cat(letter, 64)) for letter in _CAT},
}

RECIPES: dict[str, Callable[[], Recipe]] = {
    name: partial(gat, name, preset) for name, preset in _PRESETS.items()
}
