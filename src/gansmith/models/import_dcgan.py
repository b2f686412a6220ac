"""DCGAN generators that were trained elsewhere, read from their weights alone and ready to make images.

A file of weights says nothing of what lies between the layers. What is assumed is DCGAN (Radford 2015,
section 3): a ReLU after every layer, after its batch normalization where it has one, tanh after the
last, and latents from N(0, 1). Batch normalization remembers what it saw in training, so that strides and
latents can be checked (`gansmith.models.dcgan_evidence`): what contradicts them is refused, and what cannot
be checked and is often otherwise is said. A leaky ReLU or another last layer cannot be seen: look at the
images.
"""

import errno
import itertools
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.core.tensor_file import read_tensors
from gansmith.core.tensors import Images, Latents
from gansmith.core.text import clipped
from gansmith.errors import CheckpointError, SettingError, StorageError
from gansmith.methods.base import Turn
from gansmith.methods.batches import ImageBatch
from gansmith.methods.latent import NoiseToImage
from gansmith.models.dcgan_evidence import check_evidence
from gansmith.models.generator import Generator
from gansmith.models.weight_files import check_weights
from gansmith.networks.bundle import Networks

Weights = Mapping[str, Tensor]

# Kernel -> (stride, padding, output padding) after the first layer: each doubles the image, 3 keeps it.
_STEPS = {2: (2, 0, 0), 3: (1, 1, 0), 4: (2, 1, 0), 5: (2, 2, 1)}
_GENERATOR_WORDS = {"g", "netg", "gen", "generator", "modelg"}
_DISCRIMINATOR_WORDS = {"d", "netd", "disc", "discriminator", "modeld", "critic"}
_DEEPEST = 8  # Levels of dictionaries in a file.
_LARGEST = 8192  # Pixels a side.
_NORM = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


@dataclass(frozen=True)
class ForeignDCGAN:
    """A DCGAN generator rebuilt from its weights.

    ``network`` takes [batch, latent, 1, 1], gives [batch, channels, height, width] in [-1, 1] and is in
    eval mode. ``found_under`` is the key of the file it came from, empty for the whole file.

    Example:
        >>> found = read_foreign(Path("netG.pth"))
        >>> found.network(torch.randn(1, found.latent, 1, 1)).shape
    """

    network: nn.Sequential
    latent: int
    spec: DataSpec
    found_under: str
    path: Path
    doubts: tuple[str, ...] = ()  # What of it is taken for granted and could be otherwise; sentences.


def read_foreign(path: Path) -> ForeignDCGAN:
    """Read a DCGAN generator from a .safetensors file or one of torch.save (.pt, .pth, .bin, .pkl).

    No code of the file is ever run. The weights may lie under any key, with or without ``module.``, and
    the layers have any names; kernels, strides and sizes follow from the shapes: the first layer makes
    k x k pixels of one, and then kernels of 4, 5 and 2 double the image and kernels of 3 keep its size.

    Raises:
        CheckpointError: damaged, unsafe to read, or no DCGAN generator; it says what was found. Or its own
            statistics say that it was built otherwise.
        StorageError: the file cannot be read.
    """
    stored = _read(path)
    bundles = sorted(_bundles(stored), key=lambda bundle: -_preference(bundle[0]))
    if not bundles:
        raise CheckpointError(f"{path} has no network in it: {_contents(stored)}")
    # Whole bundles first; then the networks in one, as Lightning saves them: "generator.main.0.weight".
    parts = [part for bundle in bundles for part in _parts(*bundle)]
    refusals: list[str] = []
    for name, weights in [*bundles, *sorted(parts, key=lambda part: -_preference(part[0]))]:
        try:
            network = _build(weights)
        except (CheckpointError, RuntimeError, TypeError) as refusal:
            refusals.append(f"{f'{name}: ' if name else ''}{refusal}")
        else:
            return _described(network, name, path)
    rule = f"{path} has no DCGAN generator (transposed convolutions, batch normalization, nothing else)."
    raise CheckpointError(f"{rule} Found: {' '.join(refusals[: len(bundles)][:3])}")


class _Imported(Networks):
    """A bundle with nothing but the generator that was found."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator


@dataclass(frozen=True, kw_only=True)
class ImportedDCGAN(NoiseToImage[_Imported, ImageBatch]):
    """A DCGAN made elsewhere, of which only the generator is here: for making images, not for training.

    Example:
        >>> generator = foreign_generator(Path("netG.pth"))
        >>> images = generator.make(Noise.of(0, 1, 2))
    """

    batch_type: ClassVar[type[ImageBatch]] = ImageBatch

    latent: int

    def build(self, spec: DataSpec) -> _Imported:
        """Raise SettingError: its layers are those of the file, and follow from no setting."""
        raise SettingError("A DCGAN made elsewhere is read from its file and cannot be built anew.")

    def players(self) -> Mapping[str, tuple[str, ...]]:
        """None: nobody trains it."""
        return {}

    def turns(self) -> Sequence[Turn[_Imported, ImageBatch]]:
        """None."""
        return ()

    def latents(self, noise: Noise) -> Latents:
        """Z from N(0, 1)."""
        return noise.normal(self.latent)

    def decode(self, networks: _Imported, latents: Latents) -> Images:
        """The images of these latents, in [-1, 1]."""
        images: Images = networks.generator(latents[:, :, None, None])
        return images


def foreign_generator(path: Path, device: torch.device | str = "cpu") -> Generator:
    """A DCGAN generator trained elsewhere, ready to make images; raises as ``read_foreign`` does."""
    found = read_foreign(path)
    where = torch.device(device)
    return Generator(
        name=path.stem,
        recipe_name="DCGAN made elsewhere",
        spec=found.spec,
        method=ImportedDCGAN(latent=found.latent),
        networks=_Imported(found.network.to(where)).eval().requires_grad_(False),
        device=where,
        doubts=found.doubts,
    )


def _read(path: Path) -> Any:
    """What the file holds; every way in which a file can be bad is a CheckpointError."""
    try:
        if path.suffix.lower() == ".safetensors":
            return read_tensors(path)[0]
        # Opened here: a name need not be UTF-8.
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # On pickles of other kinds, which are refused below.
            check_weights(file)
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {path}.") from None
    except OSError as problem:
        if problem.errno == errno.EINVAL:  # torch looks for a place before the start of a file cut short.
            raise _refusal(path, "") from None
        raise StorageError(f"Cannot read {path}: {problem.strerror or problem}.") from problem
    except Exception as problem:  # A reader of a damaged file stumbles in any way there is.
        raise _refusal(path, str(problem)) from None


def _refusal(path: Path, reason: str) -> CheckpointError:
    # torch says so of classes and functions in a pickle, of plain pickles, and of TorchScript programs.
    if re.search(r"GLOBAL|TorchScript|Unsupported (class|operand)|safe_globals", reason):
        named = re.search(r"GLOBAL (\S+)", reason)
        what = f" (it asks for {named[1]})" if named else ""
        return CheckpointError(
            f"{path} was refused: it is more than weights{what}, and reading it could run code. Whoever made "
            "it can save it safely: torch.save(generator.state_dict(), 'generator.pt'), or "
            "safetensors.torch.save_file(generator.state_dict(), 'generator.safetensors')."
        )
    # torch's own words are kept back: they advise to read the file with code allowed.
    return CheckpointError(
        f"{path} is damaged, cut short, or no file of weights by torch.save or safetensors. "
        "Copy or download it again, and compare its size with the original's."
    )


def _bundles(stored: Any, name: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Weights]]:
    """Every mapping of names to tensors in the file that could be a generator, with its place in the file."""
    seen = set() if seen is None else seen
    if id(stored) in seen:  # A list that holds one list thirty times, and so on, has few lists in it.
        return
    seen.add(id(stored))
    if isinstance(stored, Mapping):
        tensors = {key: value for key, value in stored.items() if _is_weight(value)}
        if all(isinstance(key, str) for key in tensors) and _kernels(tensors):
            yield name, tensors
        inner: Any = stored.items()
    else:
        inner = enumerate(stored) if isinstance(stored, (list, tuple)) else ()
    for key, value in inner:
        # Adam's moments have the shapes of the weights. A hostile file can hold itself, without end.
        if "optim" not in clipped(str(key)).lower() and name.count(".") < _DEEPEST:
            yield from _bundles(value, f"{name}.{clipped(str(key))}" if name else clipped(str(key)), seen)


def _is_weight(value: Any) -> bool:
    """Whether something is a tensor of numbers that are all in the file: one number can pose as many."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_quantized
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _parts(name: str, weights: Weights) -> Iterator[tuple[str, Weights]]:
    """The networks in a bundle that holds several, by the first word of their names."""
    for first in dict.fromkeys(key.partition(".")[0] for key in weights):
        part = {key: value for key, value in weights.items() if key.partition(".")[0] == first}
        if len(part) < len(weights) and len(_kernels(part)) > 1:
            yield f"{name}.{first}" if name else first, part


def _preference(name: str) -> int:
    words = set(re.split(r"[._\W]+", name.lower()))
    generator = bool(words & _GENERATOR_WORDS) or "generator" in name.lower()
    # The average of a generator's weights makes better images than its last step.
    return (
        4 * generator
        - 8 * bool(words & _DISCRIMINATOR_WORDS)
        + 2 * ("ema" in words)
        + bool(words & {"model", "state"})
    )


def _kernels(weights: Weights) -> list[str]:
    return [key for key, value in weights.items() if value.dim() == 4]


def _contents(stored: Any) -> str:
    if not isinstance(stored, Mapping):
        return f"the file holds one {type(stored).__name__}."
    names = ", ".join(clipped(str(key), 60) for key in list(stored)[:8])
    return f"its names are {names}." if stored else "it is empty."


def _natural(key: str) -> list[tuple[int, str]]:
    """``layer2`` before ``layer10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", key)]


@dataclass
class _Layer:
    """A transposed convolution and the batch normalization behind it, each leaf name -> tensor."""

    name: str
    shape: torch.Size  # [in, out, kernel, kernel].
    convolution: dict[str, Tensor]
    norm: dict[str, Tensor] | None = None


def _build(weights: Weights) -> nn.Sequential:
    """The network of these weights; CheckpointError says what they are instead, or torch what misfits."""
    layers = _layers(weights)
    if not _chained(layers):
        # safetensors keeps no order; names then say it.
        layers = _layers({key: weights[key] for key in sorted(weights, key=_natural)})
    if not _chained(layers):
        raise CheckpointError(_what_else(_layers(weights)))
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise CheckpointError("a generator with weights that are not numbers (NaN or infinite).")
    state: dict[str, Tensor] = {}
    modules: list[nn.Module] = []
    for place, layer in enumerate(layers):
        last = place == len(layers) - 1
        for module, tensors in _modules(layer, place, last):
            state |= {f"{len(modules)}.{leaf}": tensor for leaf, tensor in tensors.items()}
            modules.append(module)
    network = nn.Sequential(*modules)
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval()


def _layers(weights: Weights) -> list[_Layer]:
    """The convolutions in the order of the names, each with its normalization."""
    by_module: dict[str, dict[str, Tensor]] = {}
    for key, tensor in weights.items():
        module, _, leaf = key.rpartition(".")
        by_module.setdefault(module, {})[leaf] = tensor.float() if leaf != "num_batches_tracked" else tensor
    layers: list[_Layer] = []
    norms: list[tuple[str, dict[str, Tensor], int]] = []
    for name, tensors in by_module.items():
        if "weight" in tensors and tensors["weight"].dim() == 4 and tensors.keys() <= {"weight", "bias"}:
            layers.append(_Layer(name, tensors["weight"].shape, tensors))
        elif {"running_mean", "running_var"} <= tensors.keys() <= _NORM:
            norms.append((name, tensors, len(layers) - 1))
        else:
            shapes = ", ".join(f"{name}.{leaf} {list(tensor.shape)}" for leaf, tensor in tensors.items())
            raise CheckpointError(f"layers that a DCGAN generator does not have: {shapes}.")
    for name, tensors, before in norms:
        _pair(layers, tensors, name, before)
    return layers


def _pair(layers: list[_Layer], norm: dict[str, Tensor], name: str, before: int) -> None:
    """Put a normalization behind the convolution listed before it, or, listed apart, the first that fits."""
    nearest = layers[before : before + 1] if before >= 0 else []
    for layer in [*nearest, *layers]:
        if layer.norm is None and layer.shape[1] == len(norm["running_mean"]):
            layer.norm = {"num_batches_tracked": torch.zeros((), dtype=torch.int64), **norm}
            return
    raise CheckpointError(
        f"a normalization that fits behind no layer: {name} of {len(norm['running_mean'])}."
    )


def _chained(layers: list[_Layer]) -> bool:
    """Whether each layer takes what the one before it gives, and the last gives an image."""
    kernels = [layer.shape[2] for layer in layers if layer.shape[2] == layer.shape[3]]
    joined = all(one.shape[1] == other.shape[0] for one, other in itertools.pairwise(layers))
    return (
        joined
        and all(min(layer.shape) > 0 for layer in layers)
        and len(kernels) == len(layers) >= 2
        and all(kernel in _STEPS for kernel in kernels[1:])
        and layers[-1].shape[1] in (1, 3)
        and layers[-1].norm is None
    )


def _what_else(layers: list[_Layer]) -> str:
    backwards = all(one.shape[0] == other.shape[1] for one, other in itertools.pairwise(layers))
    if backwards and layers[0].shape[1] in (1, 3) and len(layers) > 1:
        first, last = layers[0].shape, layers[-1].shape
        return f"a discriminator or another network from pictures: {first[1]} channels in, {last[0]} out."
    shapes = ", ".join(f"{layer.name} {list(layer.shape)}" for layer in layers[:6])
    return f"layers that are not a chain of transposed convolutions ending in 1 or 3 channels: {shapes}."


def _modules(layer: _Layer, place: int, last: bool) -> Iterator[tuple[nn.Module, dict[str, Tensor]]]:
    """What a layer is made of, with the tensors of each part."""
    before, after, kernel, _ = layer.shape
    stride, padding, output_padding = _STEPS[kernel] if place else (1, 0, 0)
    # On "meta" nothing is drawn at random: reading a file leaves torch's generator as it was.
    with torch.device("meta"):
        bias = "bias" in layer.convolution
        convolution = nn.ConvTranspose2d(before, after, kernel, stride, padding, output_padding, bias=bias)
        yield convolution, layer.convolution
        if layer.norm is not None:
            yield nn.BatchNorm2d(after, affine="weight" in layer.norm), layer.norm
    yield nn.Tanh() if last else nn.ReLU(), {}


def _described(network: nn.Sequential, name: str, path: Path) -> ForeignDCGAN:
    convolutions = [module for module in network if isinstance(module, nn.ConvTranspose2d)]
    side = convolutions[0].kernel_size[0] * math.prod(layer.stride[0] for layer in convolutions[1:])
    if side > _LARGEST:
        raise CheckpointError(
            f"{path} makes pictures of {side} pixels a side; {_LARGEST} are possible at most."
        )
    spec = DataSpec(height=side, width=side, channels=convolutions[-1].out_channels)
    doubts = check_evidence(network, str(path))
    return ForeignDCGAN(network, convolutions[0].in_channels, spec, name, path, doubts)
