"""Weights of published networks: found in the user's cache, fetched, checked by hash, never run as code.

A file lies where torch keeps such files, ``$TORCH_HOME/hub/checkpoints`` (``~/.cache/torch/hub/checkpoints``
if nothing is set), and is fetched to there if there is a network. Files are read as plain tensors only;
a pickle that names code is refused.
"""

import hashlib
import math
import pickle
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gansmith.core.console import bar
from gansmith.core.files import whole_file
from gansmith.errors import DataError, SettingError, StorageError

_RANDOM = "random:"
_TIMEOUT = 30.0  # Seconds without an answer.
_BLOCK = 1 << 20  # Bytes.


@dataclass(frozen=True)
class WeightsFile:
    """A published file.

    name: of the file, as torch keeps it.
    url: where it is published.
    sha256: of its content, 64 hexadecimal digits.
    megabytes: its size, for a message.
    purpose: what needs it, to begin a sentence with.
    instead: what can be had without it, as sentences.

    Example:
        >>> file = WeightsFile("net.pth", "https://example.org/net.pth", "0" * 64, 91, "A network", "")
        >>> file.place().name
        'net.pth'
    """

    name: str
    url: str
    sha256: str
    megabytes: int
    purpose: str
    instead: str

    def place(self) -> Path:
        """Where it lies, or will lie when it has been fetched."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.name


@dataclass(frozen=True, eq=False)
class Weights:
    """Tensors of a file that has been checked, or random numbers in their place.

    Example:
        >>> Weights("random:0", None).into(nn.Linear(4, 2))
    """

    identity: str  # The SHA-256 of the file, or "random:SEED".
    tensors: Mapping[str, Tensor] | None  # None: random.

    def into(self, module: nn.Module) -> None:
        """Fill a module.

        Raises:
            DataError: the tensors are those of another network.
        """
        if self.tensors is None:
            randomize(module, int(self.identity.removeprefix(_RANDOM)))
            return
        try:
            module.load_state_dict(dict(self.tensors))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise DataError(f"These weights belong to another network: {reason}") from error


def open_weights(file: WeightsFile, given: Path | str | None = None) -> Weights:
    """The weights a network needs.

    Args:
        file: which.
        given: where the file is; None: in torch's cache, fetched to there if it is missing. ``random:SEED``
            makes random weights, for tests and to measure speed; scores made with them mean nothing.

    Raises:
        DataError: not there and not to be fetched, of another hash, or damaged.
        SettingError: a seed that is no number.
    """
    if isinstance(given, str) and given.startswith(_RANDOM):
        seed = given.removeprefix(_RANDOM)
        if not (seed.isascii() and seed.isdigit() and len(seed) < 19):
            raise SettingError(
                f"Random weights are written random:SEED, such as random:0. Received: {given}."
            )
        return Weights(given, None)
    path = file.place() if given is None else Path(given)
    if not path.is_file():
        if given is not None:
            raise DataError(f"The weights {file.name} are a file. Received: {given}, which is not there.")
        _fetch(file, path)
    _check(file, path)
    return Weights(file.sha256, _read(path))


def digest(path: Path) -> str:
    """The SHA-256 of a file. DataError where it cannot be read."""
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def randomize(module: nn.Module, seed: int) -> None:
    """Fill a module with random numbers that keep signals at their strength (He 2015)."""
    draws = torch.Generator().manual_seed(seed)
    tensors = [*module.named_parameters(), *module.named_buffers()]
    with torch.no_grad():
        for name, tensor in tensors:
            if not tensor.is_floating_point():
                continue
            new = torch.empty(tensor.shape)
            if tensor.dim() > 1:
                new.normal_(0.0, math.sqrt(2.0 / tensor[0].numel()), generator=draws)
            elif name.endswith(("weight", "gamma", "running_var")):
                new.uniform_(0.8, 1.2, generator=draws)
            else:
                new.normal_(0.0, 0.1, generator=draws)
            tensor.copy_(new)


def _check(file: WeightsFile, path: Path) -> None:
    found = digest(path)
    if found != file.sha256:
        raise DataError(
            f"The weights {file.name} must have the SHA-256 {file.sha256}. Received: {path} with {found}, "
            "which is damaged or another file; numbers made with it could not be compared with anybody's. "
            f"Put it away and fetch {file.url}"
        )


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():  # Of other people's ways to write a pickle.
            warnings.simplefilter("ignore")
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"{path} cannot be read as weights: {reason}") from error
    if not (isinstance(tensors, dict) and all(isinstance(value, Tensor) for value in tensors.values())):
        raise DataError(f"Weights are tensors by name. Received: {path}, which holds something else.")
    return tensors


def _fetch(file: WeightsFile, path: Path) -> None:
    try:
        with whole_file(path) as part:
            with part.open("wb") as out, bar(file.name, file.megabytes * 10**6, "B") as shown:
                for block in _received(file):
                    shown.update(out.write(block))
            if digest(part) != file.sha256:
                raise DataError("what arrived has another SHA-256 than was published")
    except (DataError, StorageError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise DataError(
            f"{file.purpose} needs the weights {file.name} ({file.megabytes} MB), which are not in "
            f"{path.parent} and could not be fetched ({reason}). Where there is a network, fetch {file.url} "
            f"and put it there, or name it with --weights. {file.instead}"
        ) from error


def _received(file: WeightsFile) -> Iterator[bytes]:
    """The file in blocks. DataError where the network gives out, for the disk has errors of its own."""
    try:
        with urlopen(file.url, timeout=_TIMEOUT) as answer:
            while block := answer.read(_BLOCK):
                yield block
    except (OSError, HTTPException) as error:
        raise DataError(str(error) or type(error).__name__) from error
