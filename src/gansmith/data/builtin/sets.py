"""Data sets that have a name instead of a path: drawn faces, small digits, and torchvision's classics.

The downloaded sets live in the folder named by the environment variable GANSMITH_DATA, or in
~/.cache/gansmith/datasets. They are looked for there first and downloaded only when they are missing.
"""

import importlib
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansmith.core.image_size import Size
from gansmith.data.builtin.demo_faces import draw, sample
from gansmith.data.builtin.demo_faces.traits import GLASSES, HATS, Face
from gansmith.data.builtin.names import BUILTIN_NAMES
from gansmith.data.builtin.stacked_mnist import COUNT, Digits, StackedDigits
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet, DatasetInfo, GrowingDataSet
from gansmith.data.load import ReportProgress, from_array, load, with_channels
from gansmith.data.metadata.captions import to_column
from gansmith.data.metadata.facts import Facts
from gansmith.data.metadata.licences import of_builtin
from gansmith.data.sources.folder import FolderSource
from gansmith.data.sources.pairs import DRAWN
from gansmith.errors import DataError, MissingPackageError, nearest

_FACES = 10_000
_FACE_SIZE = Size(64, 64)  # Where nobody asks for another.
_POSE_POINTS = (
    *("left_eye", "right_eye", "nose", "left_mouth", "right_mouth", "left_pupil", "right_pupil"),
    *("upper_lip", "lower_lip", "chin", "crown"),
)
_LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
_CAPTION = 160  # Bytes; the longest of the first 10,000 has 137.
_SMALLEST_FACE = 8  # In pixels.
_COUNTED = ("demo-faces", "stacked-mnist")


class DemoFaces(GrowingDataSet):
    """Drawn faces, made when first asked for; every fact about them is known exactly.

    Columns: ``images`` uint8 [n, channels, height, width], ``labels`` int64 [n] (see `sample.LABELS`),
    ``captions`` uint8 [n, 160], ``attributes`` uint8 [n, a] (see `sample.ATTRIBUTES`), ``landmarks``
    float32 [n, 5, 2] in pixels.

    Args:
        count: how many; face i is the same whatever the count.
        size: they are drawn at this size.
        channels: 3, or 1 for luma.
        seed: another seed, other faces.

    Example:
        >>> faces = DemoFaces(count=100, size=Size(32, 32))
        >>> faces.fetch(torch.tensor([0, 1]), ("images",))["images"].shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self, count: int = _FACES, size: Size = _FACE_SIZE, channels: int = 3, seed: int = 0
    ) -> None:
        if min(size.width, size.height) < _SMALLEST_FACE:
            raise DataError(
                f"demo-faces are drawn from {_SMALLEST_FACE} pixels a side on. Received: size={size}."
            )
        self._size, self._channels, self._seed = size, channels, seed
        info = DatasetInfo(
            label_names=sample.LABELS, attribute_names=sample.ATTRIBUTES, landmark_names=_LANDMARKS
        )
        super().__init__("demo-faces", count, self._row, f"demo-faces:{count} seed {seed}", info)

    def caption(self, index: int) -> str:
        """A sentence about face ``index``."""
        return sample.caption(sample.face(self._seed, index))

    def facts(self) -> Facts:
        """What is known of every face, without drawing any."""
        width, height = self._size.width, self._size.height
        known = [sample.face(self._seed, index) for index in range(len(self))]
        return Facts(
            labels=np.array([sample.label(face) for face in known], np.int64),
            label_names=sample.LABELS,
            attributes=np.stack([sample.attributes(face) for face in known]),
            attribute_names=sample.ATTRIBUTES,
            captions=tuple(sample.caption(face) for face in known),
            landmarks=np.stack([draw.landmarks(face, width, height) for face in known]),
            landmark_names=_LANDMARKS,
        )

    def _row(self, index: int) -> Mapping[str, Tensor]:
        face = sample.face(self._seed, index)
        width, height = self._size.width, self._size.height
        picture = torch.from_numpy(draw.draw(face, width, height)).permute(2, 0, 1)
        return {
            "images": with_channels(picture[None], self._channels)[0],
            "labels": torch.tensor(sample.label(face), dtype=torch.int64),
            "captions": to_column([sample.caption(face)], _CAPTION)[0],
            "attributes": torch.from_numpy(sample.attributes(face)),
            "landmarks": torch.from_numpy(draw.landmarks(face, width, height)),
        }


class DemoPairs(GrowingDataSet):
    """Pairs of drawn images, every fact of which is known.

    ``item:hat`` and ``item:glasses``: a face that wears one, and what it wears alone on white. ``pose``: a
    face, and the same face with another smile, gaze, tilt and place; ``landmarks`` are eleven points of the
    target (`draw.pose_points`). ``segments``: the parts of a face in flat colours, and the face.

    Args:
        kind: one of these.
        count: how many; pair i is the same whatever the count.
        config: the size, the channels of targets and of sources, and which is which.
        seed: another seed, other faces.

    Example:
        >>> DemoPairs("pose", 100, DataConfig()).fetch(torch.arange(2))["landmarks"].shape
        torch.Size([2, 11, 2])
    """

    def __init__(self, kind: str, count: int, config: DataConfig, seed: int = 0) -> None:
        size = config.size
        if min(size.width, size.height) < _SMALLEST_FACE:
            raise DataError(
                f"demo-faces are drawn from {_SMALLEST_FACE} pixels a side on. Received: size={size}."
            )
        self._kind, self._seed, self._config = kind, seed, config
        names = ("landmarks",) if kind == "pose" else ()
        info = DatasetInfo(landmark_names=_POSE_POINTS if names else ())
        mark = f"demo-faces:{count} {kind} swap {config.swap} seed {seed}"
        super().__init__(f"demo-faces, {kind}", count, self._row, mark, info)

    def facts(self) -> Facts:
        """What is known of every pair, without drawing any."""
        if self._kind != "pose":
            return Facts()
        points = np.stack([self._points(index) for index in range(len(self))])
        return Facts(landmarks=points, landmark_names=_POSE_POINTS)

    def _posed(self, index: int) -> Face:
        """Face ``index`` with another smile, gaze, tilt and place."""
        like = sample.face(self._seed + 1, index)
        return replace(
            sample.face(self._seed, index),
            smile=like.smile,
            gaze=like.gaze,
            tilt=like.tilt,
            offset_x=like.offset_x,
            offset_y=like.offset_y,
        )

    def _points(self, index: int) -> NDArray[np.float32]:
        """The eleven points of the target of a pose."""
        shown = sample.face(self._seed, index) if self._config.swap else self._posed(index)
        return draw.pose_points(shown, self._config.size.width, self._config.size.height)

    def _row(self, index: int) -> Mapping[str, Tensor]:
        width, height = self._config.size.width, self._config.size.height
        face, points = sample.face(self._seed, index), dict[str, Tensor]()
        if self._kind == "pose":
            target = draw.draw(self._posed(index), width, height)
            points = {"landmarks": torch.from_numpy(self._points(index))}
        elif self._kind == "segments":
            target = draw.draw_segments(face, width, height)
        elif self._kind == "item:hat":
            face = replace(face, hat=HATS[1:][index % len(HATS[1:])]) if face.hat == "none" else face
            target = draw.draw_item(face, "hat", width, height)
        else:
            glasses = GLASSES[1:][index % len(GLASSES[1:])]
            face = replace(face, glasses=glasses) if face.glasses == "none" else face
            target = draw.draw_item(face, "glasses", width, height)
        first, second = draw.draw(face, width, height), target
        if self._kind == "segments":
            first, second = second, first
        source, target = (second, first) if self._config.swap else (first, second)
        channels = self._config.channels or 3
        return {
            "source": _pixels(source, self._config.source_channels or channels),
            "target": _pixels(target, channels),
            **points,
        }


def _pixels(drawn: NDArray[np.uint8], channels: int) -> Tensor:
    """[height, width, 3] -> [channels, height, width]."""
    return with_channels(torch.from_numpy(drawn).permute(2, 0, 1)[None], channels)[0]


def native_size(name: str) -> Size | None:
    """The size the set's images have before resizing; None where they are drawn at any size."""
    return _entry(name).size


def native_channels(name: str) -> int:
    """1 where the set is grey, 3 where it has colour."""
    return _entry(name).channels


def builtin_facts(name: str) -> tuple[int, Size, int]:
    """(number of images, size, channels) without opening the set; faces, of any size, count as 64 x 64."""
    entry = _entry(name)
    return _count(name), entry.size or _FACE_SIZE, entry.channels


def open_builtin(name: str, config: DataConfig, *, progress: ReportProgress | None = None) -> DataSet:
    """A built-in set at the size and with the channels of ``config`` (None: the set's own).

    Raises:
        DataError: no such set, or its files are neither here nor to be had.
        MissingPackageError: it needs scikit-learn or torchvision.
    """
    _count(name)  # Refuses a count where none can be given.
    data = _entry(name).open(name, config, progress)
    data.info = replace(data.info, licence=of_builtin(name))
    return data


def data_root() -> Path:
    """Where downloaded sets live: $GANSMITH_DATA, or ~/.cache/gansmith/datasets."""
    given = os.environ.get("GANSMITH_DATA")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "gansmith" / "datasets"


def is_here(name: str) -> bool:
    """Whether a built-in set can be opened without a download, as far as a look at its folder tells."""
    base = name.partition(":")[0]
    published = _PUBLISHED.get("mnist" if base == "stacked-mnist" else base)
    if published is None:
        return base in _BUILTINS
    return (data_root() / published.files[0].partition("/")[0]).is_dir()


def _entry(name: str) -> "_Builtin":
    base, _, _ = name.partition(":")
    if base not in _BUILTINS:
        raise DataError(f"There is no built-in data set '{name}'.{nearest(base, _BUILTINS)}")
    return _BUILTINS[base]


def _count(name: str) -> int:
    base, colon, text = name.partition(":")
    if not colon:
        return _entry(name).count
    if base not in _COUNTED or not text.isdecimal() or int(text) < 1:
        raise DataError(
            f"Only {' and '.join(_COUNTED)} take a count, from 1 on, as in demo-faces:50000. "
            f"Received: {name}."
        )
    return int(text)


def mnist(*, training: bool = True) -> Digits:
    """MNIST's 60,000 training digits, or its 10,000 test digits, 28 x 28, as the set ``mnist`` reads them.

    Raises:
        DataError: its files are neither here nor to be had.
        MissingPackageError: torchvision is not installed.
    """
    published = _find("mnist", train=training)
    return Digits(torch.as_tensor(published.data), torch.as_tensor(published.targets).to(torch.int64))


def _open_faces(name: str, config: DataConfig, progress: ReportProgress | None) -> DataSet:
    del progress  # Faces are drawn while training runs; nothing is waited for.
    if config.box is not None:
        raise DataError(
            "demo-faces are drawn at the size that is wanted, so there is nothing to cut out of them. "
            f"Received: data.box={','.join(map(str, config.box))}. Leave it out."
        )
    if config.pairs in DRAWN:
        return DemoPairs(str(config.pairs), _count(name), config)
    return DemoFaces(_count(name), config.size, config.channels or 3)


def _open_digits(name: str, config: DataConfig, progress: ReportProgress | None) -> DataSet:
    del progress
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ModuleNotFoundError as error:
        raise MissingPackageError("scikit-learn", "The data set digits", "datasets") from error
    digits = datasets.load_digits()
    pictures = np.rint(digits.images * (255.0 / 16.0)).astype(np.uint8)[:, None]
    return from_array(name, torch.from_numpy(pictures), torch.from_numpy(digits.target), config)


# --- torchvision --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Published:
    """How torchvision names a set, and the files it wants to find under the root."""

    kind: str
    files: tuple[str, ...]
    options: Mapping[str, str]


_IDX = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
_CELEBA = (
    "img_align_celeba/000001.jpg to 202599.jpg",
    *("list_attr_celeba.txt", "identity_CelebA.txt", "list_bbox_celeba.txt"),
    *("list_landmarks_align_celeba.txt", "list_eval_partition.txt"),
)
_LFW = ("lfw-funneled.tgz", "lfw_funneled/ (that file unpacked)", "people.txt", "lfw-names.txt")
_CIFAR = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")


def _published(kind: str, folder: str, files: tuple[str, ...], **options: str) -> _Published:
    return _Published(kind, tuple(f"{folder}/{file}" for file in files), options)


_PUBLISHED = {
    "mnist": _published("MNIST", "MNIST/raw", _IDX),
    "fashion-mnist": _published("FashionMNIST", "FashionMNIST/raw", _IDX),
    "cifar10": _published("CIFAR10", "cifar-10-batches-py", _CIFAR),
    "celeba": _published("CelebA", "celeba", _CELEBA, split="all"),
    "lfw": _published("LFWPeople", "lfw-py", _LFW),
}
# What torchvision's data sets raise where files are missing, damaged, or cannot be downloaded.
_TROUBLE = (
    OSError,
    RuntimeError,
    ValueError,
    ImportError,
    LookupError,
    AssertionError,
    EOFError,
    pickle.PickleError,
)


def _open_arrays(name: str, config: DataConfig, progress: ReportProgress | None) -> DataSet:
    del progress
    published = _find(name)
    pictures = torch.as_tensor(published.data)
    pictures = pictures[:, None] if pictures.dim() == 3 else pictures.permute(0, 3, 1, 2)
    return from_array(name, pictures, torch.as_tensor(published.targets), config)


def _open_files(name: str, config: DataConfig, progress: ReportProgress | None) -> DataSet:
    published = _find(name)
    if name == "celeba":
        source = FolderSource(Path(published.root) / "celeba" / "img_align_celeba")
        row = {file: index for index, file in enumerate(published.filename)}
        rows = [row[file] for file in source.names if file in row]
        if len(rows) == len(source.names):  # Somebody may have put images of their own there.
            source.facts = Facts(attributes=published.attr[rows].to(torch.uint8).numpy())
    else:
        source = FolderSource(published.images_dir)
        source.facts = Facts()  # Its folders are people, most with one image: nothing to learn apart.
    source.name = name
    return load(source, config, progress=progress)


def _open_stacked(name: str, config: DataConfig, progress: ReportProgress | None) -> DataSet:
    del progress
    return StackedDigits(name, mnist(), _count(name), config)


def _find(name: str, **options: bool) -> Any:
    """The set as torchvision reads it: from the files here, else downloaded."""
    entry, root = _PUBLISHED[name], data_root()
    make = getattr(import_torchvision(name).datasets, entry.kind)
    reason = ""
    for download in (False, True):
        try:
            with _quiet():
                return make(str(root), download=download, **entry.options, **options)
        except _TROUBLE as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
    files = "".join(f"\n  {file}" for file in entry.files)
    raise DataError(
        f"The data set {name} is not in {root} and could not be downloaded ({reason}). "
        f"Put these files there, or set GANSMITH_DATA to the folder that has them:{files}"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():  # Compiled parts that data sets do not need, old pickles of numpy.
        warnings.simplefilter("ignore")
        yield


_schemas: list[torch.library.Library] = []  # A schema lives as long as its Library object.


def import_torchvision(name: str) -> ModuleType:
    """torchvision, also where its compiled operators were built for another torch.

    Raises:
        MissingPackageError: it is not installed.
    """
    with _quiet():
        try:
            try:
                return importlib.import_module("torchvision")
            except RuntimeError as error:  # "operator torchvision::nms does not exist"
                if "torchvision::" not in str(error):
                    raise
            _declare_operators()
            for module in [key for key in sys.modules if key.partition(".")[0] == "torchvision"]:
                del sys.modules[module]  # What is left of the failed import.
            return importlib.import_module("torchvision")
        except ModuleNotFoundError as error:
            raise MissingPackageError("torchvision", f"The data set {name}", "datasets") from error
        except (ImportError, OSError, RuntimeError) as error:
            raise DataError(
                f"The data set {name} needs torchvision, which is installed but does not start ({error}). "
                f"Install the torchvision that belongs to torch {torch.__version__}."
            ) from error


def _declare_operators() -> None:
    """Name the two operators torchvision describes at import; images are read without them."""
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(schema)  # type: ignore[no-untyped-call]
    _schemas.append(library)


Opener = Callable[[str, DataConfig, ReportProgress | None], DataSet]


@dataclass(frozen=True)
class _Builtin:
    count: int
    size: Size | None
    channels: int
    open: Opener


_BUILTINS = {
    "demo-faces": _Builtin(_FACES, None, 3, _open_faces),
    "digits": _Builtin(1_797, Size(8, 8), 1, _open_digits),
    "mnist": _Builtin(60_000, Size(28, 28), 1, _open_arrays),
    "fashion-mnist": _Builtin(60_000, Size(28, 28), 1, _open_arrays),
    "cifar10": _Builtin(50_000, Size(32, 32), 3, _open_arrays),
    "celeba": _Builtin(202_599, Size(178, 218), 3, _open_files),
    "lfw": _Builtin(13_233, Size(250, 250), 3, _open_files),
    "stacked-mnist": _Builtin(COUNT, Size(28, 28), 3, _open_stacked),
}
assert tuple(_BUILTINS) == BUILTIN_NAMES
