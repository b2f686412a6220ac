"""Checkpoints: one file of tensors and JSON, written whole or not at all, and never unpickled."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gansmith.core.files import whole_file
from gansmith.errors import CheckpointError

FORMAT = "gansmith-1"


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and plain facts: the recipe, images seen.

    On disk it is a safetensors file whose header carries the facts as JSON and a digest of facts and
    tensors, so damage is noticed before anything is made of it.
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
        # safetensors reports a full disk as its own error; OSError is what storage understands.
        with whole_file(path, durable=True) as part:
            _save(tensors, part, metadata)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read and verify.

        Raises:
            CheckpointError: not there, cut short, altered, a pickle, or another program's file.
        """
        facts, digest = _header(path)
        try:
            with safe_open(path, framework="pt") as file:
                # Copies: safetensors maps the file, and reading a map of a file cut short kills the process.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged: {error}.") from error
        if _digest(tensors, facts) != digest:
            raise CheckpointError(
                f"{path} is damaged: its contents do not match the digest it was saved with."
            )
        return cls(tensors, _parsed(facts, path))


def read_facts(path: Path) -> Mapping[str, Any]:
    """The facts of a checkpoint without reading its tensors."""
    return _parsed(_header(path)[0], path)


def _header(path: Path) -> tuple[str, str]:
    """Facts as they were written, and the digest."""
    _check_no_pickle(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or not a checkpoint: {error}.") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"A gansmith checkpoint says format {FORMAT} in its header. "
            f"Received: {path}, which says {metadata.get('format', 'nothing')}."
        )
    return metadata.get("facts", ""), metadata.get("digest", "")


def _parsed(facts: str, path: Path) -> Mapping[str, Any]:
    try:
        parsed: Mapping[str, Any] = json.loads(facts)
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: its header cannot be read.") from error
    return parsed


def _check_no_pickle(path: Path) -> None:
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    # A safetensors file begins with the 8-byte length of a header that begins with a brace; that length
    # may by chance begin like a pickle or a zip.
    if not start.endswith(b"{") and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise CheckpointError(
            f"{path} is a pickle, a format that can run code when it is opened, so it is not opened as a "
            "run. Weights of a DCGAN made elsewhere can be used by: gansmith generate FILE -o OUT"
        )


def _save(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    try:
        save_file(tensors, path, metadata=metadata)
        path.chmod(0o644)  # safetensors keeps its files to their owner; a run is there to be shared.
    except SafetensorError as error:
        code = re.search(r"os error (\d+)", str(error))  # Its own error type, the system's number in words.
        raise OSError(int(code[1]) if code else 0, str(error)) from error


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
