"""DCGAN generators that were trained elsewhere, read from their weights alone and ready to make pictures.

A file of weights says nothing of what lies between the layers. What is assumed is DCGAN (Radford 2015,
section 3): a ReLU after every layer, after its batch normalisation where it has one, tanh after the
last, and latents from N(0, 1). A network that was trained with something else, such as a leaky ReLU,
loads without complaint and makes wrong pictures: look at them.
"""

import math
import pickle
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gansmith.errors import CheckpointError, StorageError
from gansmith.generation import Generator, steadily
from gansmith.method import ImageSpec
from gansmith.noise import Noise
from gansmith.tensors import Images, Latents

Weights = Mapping[str, Tensor]

# Kernel -> (stride, padding, output padding) after the first layer: each doubles the picture, 3 keeps it.
_STEPS = {2: (2, 0, 0), 3: (1, 1, 0), 4: (2, 1, 0), 5: (2, 2, 1)}
_GENERATOR_WORDS = {"g", "netg", "gen", "generator", "modelg"}
_DISCRIMINATOR_WORDS = {"d", "netd", "disc", "discriminator", "modeld", "critic"}
_NORM = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}

_RESAVE = (
    "Whoever made it can save it safely: torch.save(generator.state_dict(), 'generator.pt'), "
    "or safetensors.torch.save_file(generator.state_dict(), 'generator.safetensors')."
)


@dataclass(frozen=True)
class ForeignDCGAN:
    """A DCGAN generator rebuilt from its weights.

    ``network`` takes [batch, latent, 1, 1], gives [batch, channels, height, width] in [-1, 1] and is in
    eval mode. ``found_under`` is the key of the file it came from, empty for the whole file.
    """

    network: nn.Sequential
    latent: int
    spec: ImageSpec
    found_under: str
    path: Path


def read_foreign(path: Path) -> ForeignDCGAN:
    """Read a DCGAN generator from a .safetensors file or one of torch.save (.pt, .pth, .bin, .pkl).

    No code of the file is ever run. The weights may lie under any key, with or without ``module.``, and
    the layers have any names; kernels, strides and sizes follow from the shapes: the first layer makes
    k x k pixels of one, and then kernels of 4, 5 and 2 double the picture and kernels of 3 keep its size.

    Raises:
        CheckpointError: damaged, unsafe to read, or no DCGAN generator; it says what was found.
        StorageError: the file cannot be read.
    """
    stored = _read(path)
    bundles = sorted(_bundles(stored), key=lambda bundle: -_preference(bundle[0]))
    if not bundles:
        raise CheckpointError(f"{path} has no network in it: {_contents(stored)}")
    # Whole bundles first; then the networks in one, as Lightning saves them: "generator.main.0.weight".
    parts = [part for bundle in bundles for part in _parts(*bundle)]
    refusals = []
    for name, weights in [*bundles, *sorted(parts, key=lambda part: -_preference(part[0]))]:
        try:
            network = _build(weights)
        except CheckpointError as refusal:
            refusals.append(f"{f'{name}: ' if name else ''}{refusal}")
        else:
            return _described(network, name, path)
    rule = f"{path} has no DCGAN generator (transposed convolutions, batch normalisation, nothing else)."
    raise CheckpointError(f"{rule} Found: {' '.join(refusals[:3])}")


def foreign_generator(path: Path, device: torch.device | str = "cpu") -> Generator:
    """A DCGAN generator trained elsewhere, ready to make pictures; raises as ``read_foreign`` does."""
    where = torch.device(device)
    found = read_foreign(path)
    network = found.network.to(where)

    def latents(noise: Noise) -> Latents:
        return Noise(noise.seeds.to(where)).normal(found.latent)

    def run(rows: Tensor) -> Images:
        made: Images = network(rows.to(where)[:, :, None, None])
        return made

    decode = steadily(run)

    def make(noise: Noise) -> Images:
        return decode(latents(noise))

    return Generator(path.stem, "DCGAN made elsewhere", found.spec, None, latents, decode, make, where)


def _read(path: Path) -> Any:
    """What the file holds; every way in which a file can be bad is a CheckpointError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path, device="cpu")
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"There is no file {path}.") from None
    except OSError as problem:
        raise StorageError(f"Cannot read {path}: {problem.strerror or problem}.") from problem
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        ValueError,
        EOFError,
        LookupError,
    ) as problem:
        raise _refusal(path, str(problem)) from None


def _refusal(path: Path, reason: str) -> CheckpointError:
    # torch says so for classes and functions a pickle names, and for TorchScript programs.
    if re.search(r"GLOBAL|TorchScript|Unsupported class|not an allowed|add_safe_globals", reason):
        named = re.search(r"GLOBAL (\S+)", reason)
        what = f" (it asks for {named[1]})" if named else ""
        return CheckpointError(
            f"{path} was refused: it is more than weights{what}, and reading it could run code. {_RESAVE}"
        )
    first = reason.strip().partition("\n")[0][:200] or "it ends too early"
    return CheckpointError(
        f"{path} is damaged or is no file of weights: {first}. Copy or download it again; files by "
        "torch.save and .safetensors are read."
    )


def _bundles(stored: Any, name: str = "") -> Iterator[tuple[str, Weights]]:
    """Every mapping of names to tensors in the file that could be a generator, with its place in the file."""
    if isinstance(stored, Mapping):
        tensors = {key: value for key, value in stored.items() if isinstance(value, Tensor)}
        if all(isinstance(key, str) for key in tensors) and _kernels(tensors):
            yield name, tensors
        inner: Any = stored.items()
    else:
        inner = enumerate(stored) if isinstance(stored, (list, tuple)) else ()
    for key, value in inner:
        if "optim" not in str(key).lower():  # Adam's moments have the shapes of the weights.
            yield from _bundles(value, f"{name}.{key}" if name else str(key))


def _parts(name: str, weights: Weights) -> Iterator[tuple[str, Weights]]:
    """The networks in a bundle that holds several, by the first word of their names."""
    for first in dict.fromkeys(key.partition(".")[0] for key in weights):
        part = {key: value for key, value in weights.items() if key.partition(".")[0] == first}
        if len(part) < len(weights) and _kernels(part):
            yield f"{name}.{first}" if name else first, part


def _preference(name: str) -> int:
    words = set(re.split(r"[._\W]+", name.lower()))
    generator = bool(words & _GENERATOR_WORDS) or "generator" in name.lower()
    discriminator = bool(words & _DISCRIMINATOR_WORDS)
    # The average of a generator's weights makes better pictures than its last step.
    return 4 * generator - 8 * discriminator + 2 * ("ema" in words) + bool(words & {"model", "state"})


def _kernels(weights: Weights) -> list[str]:
    return [key for key, value in weights.items() if value.dim() == 4]


def _contents(stored: Any) -> str:
    if not isinstance(stored, Mapping):
        return f"the file holds one {type(stored).__name__}."
    names = ", ".join(map(str, list(stored)[:8]))
    return f"its names are {names}{', ...' if len(stored) > 8 else ''}." if names else "it is empty."


def _natural(key: str) -> list[tuple[int, str]]:
    """``layer2`` before ``layer10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", key)]
