"""Data sets by their name on the Hugging Face hub: from its cache, or fetched where there is a network."""

import importlib
import os
import re
from pathlib import Path
from typing import Any

from gansmith.data.sources.parquet import is_table
from gansmith.errors import DataError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_CONVERTED = "refs/convert/parquet"  # Where the hub keeps its own Parquet copy of sets in other formats.


def hub_name(data: str) -> str | None:
    """The ``owner/name`` meant by what stands for DATA; None where it is no such name.

    ``hf:owner/name`` always is one. ``owner/name`` is one where neither that path nor a folder ``owner``
    exists here: who mistypes ``data/faces`` means no data set of the user "data", and asking the hub
    would tell it so.
    """
    prefix, colon, name = data.partition("hf:")
    if colon and not prefix:
        return name if _NAME.fullmatch(name) else None
    if not _NAME.fullmatch(data) or Path(data).exists() or Path(data).parent.exists():
        return None
    return (
        None
        if re.search(r"\.(zip|tar|t?gz|txz|xz|bz2|parquet|arrow|png|jpe?g|webp)$", data.lower())
        else data
    )


def fetch(name: str) -> Path:
    """The folder with the Parquet files of a data set on the hub; HF_HOME and HF_HUB_OFFLINE are honoured.

    Args:
        name: ``owner/name``.

    Raises:
        DataError: it is neither here nor to be had; says what to download and where to put it.
    """
    reason = "huggingface_hub is not installed: pip install huggingface_hub"
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError:
        pass
    else:
        for revision in (None, _CONVERTED):
            found, reason = _snapshot(hub, name, revision)
            if found is not None:
                return found
    cached = _cached(name)
    if cached is not None:
        return cached
    raise DataError(
        f"The data set {name} does not exist here and could not be fetched from Hugging Face ({reason}). "
        f"On a machine with a network, download the .parquet files listed at https://huggingface.co/datasets/"
        f"{name}/tree/refs%2Fconvert%2Fparquet, put them into a folder, and give that folder."
    )


def _snapshot(hub: Any, name: str, revision: str | None) -> tuple[Path | None, str]:
    """A folder with tables in it, or why there is none."""
    try:
        folder = hub.snapshot_download(
            name, repo_type="dataset", revision=revision, allow_patterns=["*.parquet"]
        )
    except Exception as error:  # The hub's own kinds, those of two HTTP libraries, and the system's.
        return None, " ".join(str(error).split())[:200] or type(error).__name__
    return (Path(folder), "") if _has_tables(Path(folder)) else (None, "it has no Parquet files")


def _cached(name: str) -> Path | None:
    """The newest copy in the hub's cache; its layout is
    https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
    """
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    snapshots = hub / f"datasets--{name.replace('/', '--')}" / "snapshots"
    folders = sorted(snapshots.glob("*/"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    return next((folder for folder in folders if _has_tables(folder)), None)


def _has_tables(folder: Path) -> bool:
    return any(is_table(file.name) for file in folder.rglob("*"))
