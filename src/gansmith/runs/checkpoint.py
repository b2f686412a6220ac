"""Checkpoints: one file of tensors and JSON, written whole or not at all, and never unpickled."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from gansmith.config.recipe import Recipe
from gansmith.config.serialization import from_json
from gansmith.core.files import whole_file
from gansmith.core.json_files import parse_json
from gansmith.core.tensor_file import Header, read_body, read_header, write_tensors
from gansmith.engine.layout import Idle, check_layout, check_prompt_values
from gansmith.errors import CheckpointError, GansmithError

FORMAT = "gansmith-1"
_MOST_IMAGES = 2**53


@dataclass(frozen=True)
class Checkpoint:
    """A saved state of training: tensors by name, and plain facts such as the recipe and the images seen.

    On disk it is a safetensors file whose header carries the facts as JSON and a digest of facts and
    tensors, so damage is noticed before anything is made of it. Whoever alters a file can give it a digest,
    so it is compared with what its recipe makes, too: names, types and shapes of all tensors.

    Example:
        >>> checkpoint = Checkpoint.load(Path("runs/one/best.safetensors"))
        >>> checkpoint.facts["images"]
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def save(self, path: Path) -> None:
        """Write to a temporary name and rename.

        Raises:
            StorageError: the disk is full or refuses; nothing is left behind.
        """
        tensors = _separate(self.tensors)
        facts = json.dumps(self.facts)
        metadata = {"format": FORMAT, "facts": facts, "digest": _digest(tensors, facts)}
        with whole_file(path, durable=True) as part:
            write_tensors(part, tensors, metadata)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read and verify; no tensor is made before all of them are known to be what the recipe makes.

        Raises:
            CheckpointError: not there, cut short, altered, a pickle, another program's file, or not what
                its own recipe makes.
        """
        if not path.is_file() and path.exists():
            raise CheckpointError(f"{path} cannot be read: it is no file.")
        try:
            with open(path, "rb") as file:
                return cls._read(file, path)
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error

    @classmethod
    def _read(cls, file: BinaryIO, path: Path) -> "Checkpoint":
        header = _header(file, path)
        try:
            facts = Facts.of(parse_json(header.metadata["facts"]))
            check_layout(facts.recipe, facts.images, header.layouts, facts.idle)
            tensors = read_body(file, header)
            if _digest(tensors, header.metadata["facts"]) != header.metadata["digest"]:
                raise ValueError("its contents do not match the digest it was saved with")
            check_prompt_values(facts.recipe, tensors)
        except KeyError as error:
            raise CheckpointError(f"{path} is damaged: its header has no {error.args[0]}.") from error
        except ValueError as error:
            raise CheckpointError(f"{path} is damaged: {error}.") from error
        except CheckpointError as error:
            raise CheckpointError(f"{path} cannot be used: {error}") from error
        return cls(tensors, facts.told)


@dataclass(frozen=True)
class Facts:
    """The facts of a checkpoint besides its tensors, checked to be of the right types.

    Example:
        >>> Facts.of(Checkpoint.load(Path("runs/one/best.safetensors")).facts).recipe.name
    """

    images: int
    recipe: Recipe
    idle: Idle | None  # None: an older file, which does not say.
    told: Mapping[str, Any]  # As it was written.

    @classmethod
    def of(cls, tree: Any) -> "Facts":
        """The facts in a tree of JSON.

        Raises:
            CheckpointError: something is missing, or of another kind.
        """
        if not isinstance(tree, dict):
            raise CheckpointError("its facts are no table.")
        images, idle = tree.get("images"), tree.get("idle")
        if type(images) is not int or not 0 <= images <= _MOST_IMAGES:
            raise CheckpointError(f"images is a whole number, 0 or more. Received: {images!r:.80}.")
        if idle is not None and not _is_idle(idle):
            raise CheckpointError(f"idle has the numbers of weights for each player. Received: {idle!r:.80}.")
        try:
            recipe = from_json(tree.get("recipe"), Recipe)
        except GansmithError as error:
            raise CheckpointError(f"it does not hold a recipe. {error}") from error
        if not isinstance(recipe, Recipe):
            raise CheckpointError(f"it does not hold a recipe. Received: {tree.get('recipe')!r:.80}.")
        return cls(images, recipe, idle, tree)


def _is_idle(tree: Any) -> bool:
    return isinstance(tree, dict) and all(
        isinstance(numbers, list) and all(type(number) is int for number in numbers)
        for numbers in tree.values()
    )


def _header(file: BinaryIO, path: Path) -> Header:
    start = file.read(9)
    # A safetensors file begins with the 8-byte length of a header that begins with a brace; that length
    # may by chance begin like a pickle or a zip.
    if not start.endswith(b"{") and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise CheckpointError(
            f"{path} is a pickle, a format that can run code when it is opened, so it is not opened as a "
            "run. Weights of a DCGAN made elsewhere can be used by: gansmith generate FILE -o OUT"
        )
    file.seek(0)
    try:
        header = read_header(file)
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint: {error}.") from error
    if header.metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"A gansmith checkpoint says format {FORMAT} in its header. "
            f"Received: {path}, which says {header.metadata.get('format', 'nothing'):.80}."
        )
    return header


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU, none sharing memory, to be saved while the originals go on changing."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in sorted(tensors.items())}


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As safetensors wants them: contiguous and none sharing memory. What is so already is not copied."""
    storages = Counter(value.untyped_storage().data_ptr() for value in tensors.values())
    return {
        name: value
        if value.is_cpu
        and value.is_contiguous()
        and not value.requires_grad
        and storages[value.untyped_storage().data_ptr()] == 1
        else copied({name: value})[name]
        for name, value in sorted(tensors.items())
    }


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {list(tensors[name].shape)}".encode())
        flat = tensors[name].contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
