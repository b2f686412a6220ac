"""A prepared set whose images lie in WebDataset shards: for sets that are too large to lie there as pixels.

Everything else is as in any prepared set; ``places.npy``, int64 [n, 3], says where the file of each image
is: the number of its shard, the offset in it and the size, in bytes.
"""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gansmith.core.image_size import Form
from gansmith.data.decode.reading import PICTURE_ERRORS
from gansmith.data.metadata.facts import Facts
from gansmith.data.prepare.columns import damaged, mapped
from gansmith.data.prepare.schema import check_places
from gansmith.data.prepare.worker import Block
from gansmith.data.prepare.writer import SetWriter, State
from gansmith.data.sources.tar import contents, read_part
from gansmith.data.sources.webdataset import ShardWriter
from gansmith.errors import DataError

PLACES = "places"


def picture_array(folder: Path, column: str) -> "NDArray[np.uint8] | ShardedPictures":
    """The images of a prepared set, [n, height, width, channels]: pixels as they lie, or files in shards.

    Raises:
        DataError: they are not there, or damaged.
    """
    return ShardedPictures(folder) if is_sharded(folder) else mapped(folder / f"{column}.npy")


def is_sharded(folder: Path) -> bool:
    """Whether the images of a prepared set lie in shards."""
    return (folder / f"{PLACES}.npy").is_file()


class ShardedPictures:
    """The images in the shards of a set; read like an array, decoded when they are asked for.

    Args:
        folder: of the set.

    Example:
        >>> prepare("my_photos", "sharded", Options(size=Size(32, 32), shards=6))
        >>> ShardedPictures(Path("sharded")).shape
        (12, 32, 32, 3)
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places = mapped(folder / f"{PLACES}.npy")
        check_places(folder, self._places)

    def __len__(self) -> int:
        return len(self._places)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """[n, height, width, channels]."""
        if not len(self):
            raise damaged(self._folder, "there is no picture in it")
        return (len(self), *self._decoded(0).shape)

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        """One image, or those of an array of rows."""
        if np.ndim(rows) == 0:
            return self._one(int(rows))
        chosen = [int(row) for row in rows]
        if not chosen:
            return np.zeros((0, *self.shape[1:]), np.uint8)
        with ThreadPoolExecutor(min(len(chosen), os.cpu_count() or 1)) as pool:
            return np.stack(list(pool.map(self._one, chosen)))

    def _one(self, row: int) -> NDArray[np.uint8]:
        return self._decoded(row, self.shape[1:])

    def _decoded(self, row: int, shape: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
        """An image; where ``shape`` is known nothing larger is decoded."""
        number, offset, size = (int(number) for number in self._places[row])
        name = f"{number:06d}.tar"
        try:
            raw = read_part(self._folder / name, offset, size)
            with Image.open(io.BytesIO(raw), formats=("PNG",)) as picture:
                if picture.mode not in ("L", "RGB") or shape not in (None, _shape(picture)):
                    raise DataError(f"picture {row} is {_shape(picture)} in {picture.mode}")
                pixels = np.array(picture)
        except (DataError, *PICTURE_ERRORS) as error:
            raise damaged(self._folder, f"{name} cannot be read ({error})") from error
        return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _shape(picture: Image.Image) -> tuple[int, ...]:
    return picture.height, picture.width, len(picture.getbands())


class ShardSetWriter(SetWriter):
    """Writes the images of a set into shards; what is noted in the journal ends with a shard.

    Args:
        dest: the folder.
        form: of every image.
        points: landmarks of every image.
        state: where it goes on from; kept up to date.
        groups: see `SetWriter`.
        facts: of the whole source, for the samples.
        size: images of a shard at least; its last block may bring some more.

    Example:
        >>> form = Form(size=Size(32, 32), channels=3)
        >>> writer = ShardSetWriter(folder, form, 0, State(plan={}), groups=None, facts=facts, size=1000)
        >>> writer.write(block, done=12); writer.close()
    """

    def __init__(
        self,
        dest: Path,
        form: Form,
        points: int,
        state: State,
        groups: Sequence[int] | None,
        facts: Facts,
        size: int,
    ) -> None:
        self._facts, self._size = facts, size
        self._shard: ShardWriter | None = None
        self._count = 0
        super().__init__(dest, form, ((), points), state, groups)

    def _open(self, form: Form, pictures: Sequence[str], points: int) -> None:
        super()._open(form, pictures, points)
        self._places = self._array(PLACES, np.int64, (3,))

    def _append(self, block: Block, measured: NDArray[Any], keep: list[int]) -> None:
        first = self._index.rows
        super()._append(block, measured, keep)
        if self._shard is None:
            self._shard = ShardWriter(
                self._dest, maxcount=2**62, maxsize=2**62, first=self._state.shards, fresh=False
            )
        for number, row in enumerate(keep):
            pixels = np.ascontiguousarray(block.pixels[row][0].transpose(2, 0, 1))
            self._shard.write(f"{first + number:09d}", pixels, self._sample(block, row))
        self._count += len(keep)

    def _settled(self) -> bool:
        if self._count >= self._size:
            self._finish_shard()
        return self._count == 0

    def _finish_shard(self) -> None:
        if self._shard is None:
            return
        self._shard.__exit__(None, None, None)
        number = self._state.shards
        entries = contents(self._dest / f"{number:06d}.tar").entries
        places = [
            (number, entry.offset, entry.size) for entry in entries.values() if entry.name.endswith(".png")
        ]
        self._places.append(np.array(places, np.int64))
        self._places.flush()
        self._state.shards += 1
        self._shard, self._count = None, 0

    def close(self) -> None:
        """Finish the last shard and every file."""
        self._finish_shard()
        self._note()
        super().close()

    def release(self) -> None:
        """Let the files go; a shard that is not whole is removed."""
        if self._shard is not None:
            stopped = KeyboardInterrupt()
            self._shard.__exit__(type(stopped), stopped, None)
            self._shard = None
        super().release()

    def _sample(self, block: Block, row: int) -> dict[str, Any]:
        """What is known of an image, in the words that `gansmith.data.metadata.samples` reads."""
        known, index = self._facts, block.index[row]
        told: dict[str, Any] = {"name": block.names[row].encode("utf-8", "replace").decode()}
        if known.labels is not None:
            label = int(known.labels[index])
            told["label"] = label
            if 0 <= label < len(known.label_names):
                told["label_name"] = known.label_names[label]
        if known.attributes is not None:
            told["attributes"] = dict(
                zip(known.attribute_names, known.attributes[index].tolist(), strict=False)
            )
        if known.captions is not None:
            told["caption"] = known.captions[index].encode("utf-8", "replace").decode()
        if known.held_out is not None:
            told["held_out"] = bool(known.held_out[index])
        if block.landmarks and np.isfinite(block.landmarks[row]).all():
            told["landmarks"] = block.landmarks[row].tolist()
        return told
