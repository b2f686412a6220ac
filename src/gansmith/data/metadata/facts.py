"""Finds what is known of images besides pixels: labels, attributes, captions, landmarks, the owner's split.

Tables are read in a fixed order (see ``docs/labels.md``). What an earlier one says stands; a later one
adds what is missing, and where both speak and differ the later one is listed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from gansmith.core.text import classes_of
from gansmith.data.metadata.fact_types import VANISHED, Facts, Refused, is_repeated
from gansmith.data.metadata.licences import found_in
from gansmith.data.metadata.records import SIDECAR_ENDINGS, read_sidecars
from gansmith.data.metadata.settle import HELD_OUT, SPLITS, TRAIN, resolve_columns
from gansmith.data.metadata.tables import CELEBA, TABLE_ENDINGS
from gansmith.data.metadata.told import FIRST, MergedTables

__all__ = ["VANISHED", "Facts", "Refused", "find_facts", "is_repeated"]


def find_facts(
    names: Sequence[str],
    others: Sequence[str],
    read: Callable[[str], bytes],
    *,
    label: str | None = None,
) -> tuple[Facts, list[Refused]]:
    """Facts of the images, and what could not be used: from tables, files beside them, and class folders.

    Args:
        names: of the images, relative, with forward slashes.
        others: files that are not images; those that may be tables are read.
        read: name of a file -> its bytes.
        label: the column that is the class; else one called label, class or target.

    Raises:
        DataError: no table has the column ``label``, or it has too many different values for classes.
    """
    if not names:
        return Facts(), []
    merged = MergedTables(names)
    for file in _in_order(names, others, label):
        merged.read(file, read)
    for ending in SIDECAR_ENDINGS:
        if (table := read_sidecars(names, others, ending, read)) is not None:
            merged.add(f"*{ending}", table)
    facts = replace(resolve_columns(merged, label), licence=found_in(others, read))
    if "dataset.json" not in others:  # Its folders are shards (00000, 00001, ...), not classes.
        wanted = label is None and facts.labels is None and not merged.no_labels
        facts = _from_folders(names, facts, wanted)
    return facts, merged.refused


_THEN = tuple(
    stem + ending
    for stem in ("captions", "attributes", "landmarks", "metadata", "data")
    for ending in TABLE_ENDINGS
)


def _in_order(names: Sequence[str], others: Sequence[str], label: str | None) -> list[str]:
    """The files that may be tables, the most trusted first."""
    beside = {name.rpartition(".")[0] for name in names}  # Their JSON says something about one image.
    ranked = []
    for file in others:
        folder, _, name = file.lower().rpartition("/")
        if name in CELEBA:
            ranked.append((2, CELEBA.index(name), file))
        elif folder and name not in ("metadata.csv", "metadata.jsonl"):  # Hugging Face has one per split.
            continue
        elif name in FIRST:
            ranked.append((0, FIRST.index(name), file))
        elif name in _THEN:
            ranked.append((1, _THEN.index(name), file))
        elif name.endswith(TABLE_ENDINGS) and file.removesuffix(".json") not in beside:
            ranked.append((3, 0, file))
    no_people = label is None or label.strip().lower() != "identity"  # 10,177 of them in CelebA.
    return [
        file
        for _, _, file in sorted(ranked)
        if not (no_people and file.lower().endswith("identity_celeba.txt"))
    ]


def _from_folders(names: Sequence[str], facts: Facts, labels_wanted: bool) -> Facts:
    """Folders at the top are classes; where they are called train and test, they are the owner's split."""
    tops = [name.rpartition("/")[0].partition("/")[0].lower() for name in names]
    if set(tops) <= {*TRAIN, *HELD_OUT} and len({SPLITS[top] for top in tops}) == 2:
        if facts.held_out is None:
            facts = replace(facts, held_out=np.array([SPLITS[top] for top in tops]))
        names = [name.partition("/")[2] for name in names]
    folders = [name.rpartition("/")[0].partition("/")[0] for name in names]
    if not labels_wanted or "" in folders:
        return facts
    numbers, kinds = classes_of(folders)
    if len(kinds) < 2:
        return facts
    return replace(facts, labels=np.array(numbers, dtype=np.int64), label_names=kinds)
