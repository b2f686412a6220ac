"""Blocks of generated images -> the files of a prepared set, with a journal of what is safely there."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gansmith.core.image_size import Form
from gansmith.data.inspect.measure import SEEN
from gansmith.data.metadata.fact_types import REPEATED, Refused
from gansmith.data.prepare.columns import ArrayWriter, Journal, TextWriter, mapped
from gansmith.data.prepare.worker import Block

JOURNAL = "unfinished.jsonl"
_ALIKE = 5  # Bits: frames of one video whose hashes differ in no more count as one image.


@dataclass
class State:
    """How far a set is prepared.

    Example:
        >>> State(plan={"size": "32x32"}, done=128, rows=127)
    """

    plan: dict[str, Any]  # Everything its bytes depend on.
    done: int = 0  # Images of the source.
    rows: int = 0  # Images in the set.
    shards: int = 0  # Shards of the set that are whole, where its images lie in shards.
    refused: list[Refused] = field(default_factory=list)


class SetWriter:
    """Appends blocks to the columns of a set and notes each in its journal.

    Args:
        dest: the folder.
        form: of every image.
        shape: (names of the image columns, landmarks of every image).
        state: where it goes on from; kept up to date.
        groups: the video each image of the source is a frame of: frames of one video that look alike are
            left out. None: nothing is left out.

    Raises:
        OSError: the disk refuses.

    Example:
        >>> form = Form(size=Size(32, 32), channels=3)
        >>> writer = SetWriter(folder, form, (("images",), 0), State(plan={}))
        >>> writer.write(block, done=12); writer.close()
    """

    def __init__(
        self,
        dest: Path,
        form: Form,
        shape: tuple[Sequence[str], int],
        state: State,
        groups: Sequence[int] | None = None,
    ) -> None:
        self._dest, self._state = dest, state
        self._untold: list[Refused] = []  # Since the last note.
        self._columns: list[ArrayWriter | TextWriter] = []
        self._journal = Journal(dest / JOURNAL)
        # Written anew: its last line may have been torn. Before the columns, for they alone say nothing.
        self._journal.start(state.plan, self._line(state.refused))
        try:
            self._open(form, *shape)
            self._frames = None if groups is None else _Frames(groups, self._index.path, self._seen.path)
        except BaseException:
            self.release()
            raise

    def _open(self, form: Form, pictures: Sequence[str], points: int) -> None:
        sides = (form.size.height, form.size.width, form.channels)
        self._images = [self._array(name, np.uint8, sides) for name in pictures]
        self._seen = self._array("seen", SEEN, ())
        self._index = self._array("rows", np.int64, ())
        self._landmarks = self._array("landmarks", np.float32, (points, 2)) if points else None
        self._names = TextWriter(self._dest, "names", self._state.rows)
        self._columns.append(self._names)

    def _array(self, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> ArrayWriter:
        column = ArrayWriter(self._dest / f"{name}.npy", dtype, shape, self._state.rows)
        self._columns.append(column)
        return column

    def write(self, block: Block, done: int) -> None:
        """Append a block; with it the source is done up to image ``done``."""
        measured = block.measured()
        new = [True] * len(block.index)
        if self._frames is not None:
            new = [
                self._frames.is_new(*row) for row in zip(block.index, measured["phash"].tolist(), strict=True)
            ]
        keep = [row for row, is_new in enumerate(new) if is_new]
        refused = [
            *block.refused,
            *(Refused(name, REPEATED) for name, is_new in zip(block.names, new, strict=True) if not is_new),
        ]
        if keep:
            self._append(block, measured, keep)
        for column in self._columns:
            column.flush()
        self._state.done, self._state.rows = done, self._index.rows
        self._state.refused += refused
        self._untold += refused
        if self._settled():
            self._note()

    def _settled(self) -> bool:
        """Whether all that was given is safely there."""
        return True

    def _note(self) -> None:
        self._journal.add(self._line(self._untold))
        self._untold = []

    def close(self) -> None:
        """Finish every file."""
        for column in self._columns:
            column.close()

    def release(self) -> None:
        """Let the files go, whatever happened."""
        for column in self._columns:
            with suppress(OSError, ValueError):
                column.close()

    def _append(self, block: Block, measured: NDArray[Any], keep: list[int]) -> None:
        for place, column in enumerate(self._images):
            for row in keep:
                column.append(block.pixels[row][place][None])
        self._seen.append(measured[keep])
        self._index.append(np.array([block.index[row] for row in keep], np.int64))
        self._names.append([block.names[row] for row in keep])
        if self._landmarks is not None:
            self._landmarks.append(np.stack([block.landmarks[row] for row in keep]))

    def _line(self, refused: Sequence[Refused]) -> dict[str, Any]:
        told = [[item.name, item.reason] for item in refused]
        return {
            "done": self._state.done,
            "rows": self._state.rows,
            "shards": self._state.shards,
            "refused": told,
        }


class _Frames:
    """The hashes of the frames kept of each video; those of an earlier command are read back."""

    def __init__(self, groups: Sequence[int], index: Path, seen: Path) -> None:
        self._groups = groups
        self._kept: dict[int, list[int]] = {}
        for row, phash in zip(mapped(index), mapped(seen)["phash"], strict=False):
            self._kept.setdefault(groups[int(row)], []).append(int(phash))

    def is_new(self, index: int, phash: int) -> bool:
        """Whether no kept frame of the same video looks like this one; if so, it is kept from now on."""
        kept = self._kept.setdefault(self._groups[index], [])
        if any((phash ^ other).bit_count() <= _ALIKE for other in kept):
            return False
        kept.append(phash)
        return True
