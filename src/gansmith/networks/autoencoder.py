"""Frozen autoencoders: a game may be played on their latents in place of pixels (Rombach 2022)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.core.tensor_file import read_tensors
from gansmith.core.tensors import Images, full
from gansmith.errors import DataError, SettingError, at_least

_GROUPS = 32  # Of every group norm.
_EPSILON = 1e-6
_RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # By older writers.


class Lens(nn.Module):
    """An autoencoder ready for use: frozen, and in no checkpoint.

    Example:
        >>> lens = Unshuffle(factor=2).network(DataSpec(height=32, width=32))
        >>> lens.encode(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 12, 16, 16])
    """

    def encode(self, images: Images, noise: Noise | None = None) -> Tensor:
        """Images in [-1, 1] -> latents [batch, channels, h, w]; with ``noise`` a draw, else the mean."""
        raise NotImplementedError

    def decode(self, latents: Tensor) -> Images:
        """Latents -> images in [-1, 1]; differentiable."""
        raise NotImplementedError


@runtime_checkable
class Autoencoder(Protocol):
    """Which latents a game is played on; ``--set "method.autoencoder=KLAutoencoder(file=...)"`` picks one.

    Example:
        >>> KLAutoencoder().latents(DataSpec(height=256, width=256)).height
        32
    """

    def latents(self, spec: DataSpec) -> DataSpec:
        """The form of the latents of images of this form."""
        ...

    def network(self, spec: DataSpec) -> Lens:
        """It, with its weights."""
        ...

    def tiny(self) -> "Autoencoder":
        """One for tests, without a file."""
        ...


@dataclass(frozen=True, kw_only=True)
class Unshuffle:
    """Squares of pixels as channels: no weights, and nothing is lost (Shi 2016, the other way round).

    Example:
        >>> Unshuffle(factor=4).latents(DataSpec(height=64, width=64)).channels
        48
    """

    factor: int = 2  # Side of a square.

    def __post_init__(self) -> None:
        at_least(self, 1, "factor", prefix="method.autoencoder.")

    def latents(self, spec: DataSpec) -> DataSpec:
        return _smaller(spec, self.factor, spec.channels * self.factor**2)

    def network(self, spec: DataSpec) -> Lens:
        return _Unshuffled(self.factor)

    def tiny(self) -> "Unshuffle":
        return Unshuffle(factor=2)


@dataclass(frozen=True, kw_only=True)
class KLAutoencoder:
    """Stable Diffusion's autoencoder, and any of its kind, with weights of the user's (Rombach 2022).

    Nothing is downloaded and nothing unpickled. The file is a ``.safetensors`` as the library diffusers
    writes it, such as ``diffusion_pytorch_model.safetensors`` of sd-vae-ft-mse (83.7 million parameters;
    see its licence). Widths and the number of blocks are read from it.

    Args:
        file: where it lies.
        channels: of a latent.
        factor: how many times smaller its sides are.
        scale: latents are (z - shift) x scale, so that their variance is about 1.
        shift: see ``scale``.

    Example:
        >>> KLAutoencoder(file="~/sd-vae-ft-mse/diffusion_pytorch_model.safetensors")
    """

    file: str = "sd-vae-ft-mse.safetensors"
    channels: int = 4
    factor: int = 8
    scale: float = 0.18215
    shift: float = 0.0

    def __post_init__(self) -> None:
        at_least(self, 1, "channels", "factor", prefix="method.autoencoder.")
        if not self.scale > 0:
            raise SettingError(f"method.autoencoder.scale must be positive. Received: scale={self.scale}.")

    def latents(self, spec: DataSpec) -> DataSpec:
        if spec.channels != 3 or spec.scale is not None:
            raise SettingError(
                "The autoencoder is shown images in colour, in [-1, 1]. Received: "
                f"data.channels={spec.channels}, data.standardize={str(spec.scale is not None).lower()}. "
                "Leave both out, or method.autoencoder."
            )
        return _smaller(spec, self.factor, self.channels)

    def network(self, spec: DataSpec) -> Lens:
        """Raises DataError where the file is not there, or another one."""
        rule = (
            "The autoencoder's weights (method.autoencoder.file) are a .safetensors as diffusers writes it, "
            "such as diffusion_pytorch_model.safetensors of stabilityai/sd-vae-ft-mse, which you fetch."
        )
        path = Path(self.file).expanduser()
        try:
            tensors = _renamed(read_tensors(path)[0])
            network = _KL(*_sizes(tensors), scale=self.scale, shift=self.shift)
            network.load_state_dict(tensors)
        except OSError as error:
            raise DataError(f"{rule} Received: {path} ({error.strerror}).") from error
        except ValueError as error:
            raise DataError(f"{rule} Received: {path}: {error}. Pickles are not read.") from error
        except (KeyError, RuntimeError) as error:
            raise DataError(f"{rule} Received: {path}, which holds other networks.") from error
        if (network.channels, network.factor) != (self.channels, self.factor):
            raise SettingError(
                f"The file says what its latents are: {network.channels} channels, {network.factor} times "
                f"smaller. Received: channels={self.channels} and factor={self.factor}. Set "
                f"method.autoencoder.channels={network.channels} method.autoencoder.factor={network.factor}."
            )
        return network

    def tiny(self) -> Autoencoder:
        return Unshuffle(factor=2)


def _smaller(spec: DataSpec, factor: int, channels: int) -> DataSpec:
    if spec.height % factor or spec.width % factor:
        raise SettingError(
            f"An autoencoder makes sides {factor} times smaller, so they are multiples of it. Received: "
            f"{spec.width}x{spec.height}. Try data.size={max(spec.height // factor, 1) * factor}."
        )
    form = {"height": spec.height // factor, "width": spec.width // factor, "channels": channels}
    return replace(spec, **form, scale=None)  # type: ignore[arg-type]


class _Unshuffled(Lens):
    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def encode(self, images: Images, noise: Noise | None = None) -> Tensor:
        return F.pixel_unshuffle(images, self.factor)

    def decode(self, latents: Tensor) -> Images:
        return F.pixel_shuffle(latents, self.factor).clamp(-1.0, 1.0)


# ---- Stable Diffusion's, by the names that its weights have ---------------------------------------------


class _Residual(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))), with a 1x1 convolution of x where the width changes."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(channels), nn.Conv2d(channels, out, 3, padding=1)
        self.norm2, self.conv2 = _norm(out), nn.Conv2d(out, out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        inner = self.conv1(F.silu(self.norm1(features)))
        inner = self.conv2(F.silu(self.norm2(inner)))
        return torch.add(self.conv_shortcut(features), inner)


class _Attention(nn.Module):
    """x + self-attention of one head over all positions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.group_norm = _norm(channels)
        self.to_q, self.to_k, self.to_v = (nn.Linear(channels, channels) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, features: Tensor) -> Tensor:
        tokens = self.group_norm(features).flatten(2).transpose(1, 2)
        seen = F.scaled_dot_product_attention(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens))
        out: Tensor = self.to_out[0](seen)
        return features + out.transpose(1, 2).reshape(features.shape)


class _Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([_Attention(channels)])
        self.resnets = nn.ModuleList(_Residual(channels, channels) for _ in range(2))

    def forward(self, features: Tensor) -> Tensor:
        made: Tensor = self.resnets[1](self.attentions[0](self.resnets[0](features)))
        return made


class _Resize(nn.Module):
    """Half the size by a stride, or twice by nearest pixels and a convolution."""

    def __init__(self, channels: int, *, halves: bool) -> None:
        super().__init__()
        stride, padding = (2, 0) if halves else (1, 1)
        self.conv = nn.Conv2d(channels, channels, 3, stride, padding)
        self._halves = halves

    def forward(self, features: Tensor) -> Tensor:
        if self._halves:
            features = F.pad(features, (0, 1, 0, 1))  # On the right and below alone.
        else:
            features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        made: Tensor = self.conv(features)
        return made


class _Stage(nn.Module):
    """Residual blocks of one size, and what leads to the next; ``resize`` names it as the weights do."""

    def __init__(self, channels: int, out: int, blocks: int, resize: str, changes: bool) -> None:
        super().__init__()
        widths = [channels, *[out] * blocks]
        self.resnets = nn.ModuleList(_Residual(*pair) for pair in pairwise(widths))
        self._resize = resize if changes else ""
        if changes:
            self.add_module(resize, nn.ModuleList([_Resize(out, halves=resize == "downsamplers")]))

    def forward(self, features: Tensor) -> Tensor:
        for block in self.resnets:
            features = block(features)
        if not self._resize:
            return features
        made: Tensor = getattr(self, self._resize)[0](features)
        return made


class _Coder(nn.Module):
    """Encoder or decoder: stages, and the middle at the smallest size."""

    def __init__(self, channels: int, out: int, widths: list[int], blocks: int, *, encodes: bool) -> None:
        super().__init__()
        name, resize = ("down_blocks", "downsamplers") if encodes else ("up_blocks", "upsamplers")
        order = widths if encodes else widths[::-1]
        around = [order[0], *order]
        last = len(order) - 1
        self.conv_in = nn.Conv2d(channels, order[0], 3, padding=1)
        stages = [_Stage(around[i], order[i], blocks, resize, changes=i < last) for i in range(len(order))]
        self.add_module(name, nn.ModuleList(stages))
        self.mid_block = _Middle(widths[-1])
        self.conv_norm_out, self.conv_out = _norm(order[-1]), nn.Conv2d(order[-1], out, 3, padding=1)
        self._stages, self._encodes = name, encodes

    def forward(self, features: Tensor) -> Tensor:
        stages = list(getattr(self, self._stages))
        features = self.conv_in(features)
        for part in [*stages, self.mid_block] if self._encodes else [self.mid_block, *stages]:
            features = part(features)
        made: Tensor = self.conv_out(F.silu(self.conv_norm_out(features)))
        return made


class _KL(Lens):
    def __init__(
        self, channels: int, widths: list[int], blocks: int, quantized: bool, *, scale: float, shift: float
    ) -> None:
        super().__init__()
        self.channels, self.factor, self._scale, self._shift = channels, 2 ** (len(widths) - 1), scale, shift
        self.encoder = _Coder(3, 2 * channels, widths, blocks, encodes=True)
        self.decoder = _Coder(channels, 3, widths, blocks + 1, encodes=False)
        self.quant_conv: nn.Module = nn.Identity()
        self.post_quant_conv: nn.Module = nn.Identity()
        if quantized:
            self.quant_conv = nn.Conv2d(2 * channels, 2 * channels, 1)
            self.post_quant_conv = nn.Conv2d(channels, channels, 1)

    def encode(self, images: Images, noise: Noise | None = None) -> Tensor:
        mean, log_variance = full(self.quant_conv(self.encoder(images))).chunk(2, dim=1)
        if noise is not None:
            spread = (0.5 * log_variance.clamp(-30.0, 20.0)).exp()
            mean = mean + spread * noise.fork("autoencoder").bulk_normal(*mean.shape[1:])
        return (mean - self._shift) * self._scale

    def decode(self, latents: Tensor) -> Images:
        z = latents / self._scale + self._shift
        return full(self.decoder(self.post_quant_conv(z))).clamp(-1.0, 1.0)


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(_GROUPS, channels, eps=_EPSILON)


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with today's names of attention layers, whose weights were 1x1 convolutions once."""
    made = {}
    for name, value in tensors.items():
        parts = name.split(".")
        if "attentions" in parts:
            name = ".".join(_RENAMED.get(part, part) for part in parts)
            value = value.flatten(1) if value.dim() == 4 else value
        made[name] = value
    return made


def _sizes(tensors: Mapping[str, Tensor]) -> tuple[int, list[int], int, bool]:
    """Channels of a latent, widths from full size on, blocks of a stage, and whether there are 1x1 layers.

    Raises:
        KeyError: they are another network's.
    """
    stages = {name.split(".")[2] for name in tensors if name.startswith("encoder.down_blocks.")}
    first = {name.split(".")[4] for name in tensors if name.startswith("encoder.down_blocks.0.resnets.")}
    widths = [
        len(tensors[f"encoder.down_blocks.{stage}.resnets.0.conv2.weight"]) for stage in range(len(stages))
    ]
    if not widths or any(width % _GROUPS for width in widths):
        raise KeyError("encoder.down_blocks")
    return tensors["decoder.conv_in.weight"].shape[1], widths, len(first), "quant_conv.weight" in tensors
