"""Where the eyes of turned, scaled and shifted faces end up once gansmith.faces has aligned them.

    pip install 'gansmith[faces]'
    python benchmarks/face_alignment.py [--faces 60] [--photographs ../shared/data/london_faces_256]

Each face is turned by -30..30 degrees, scaled by 0.5..2 and put somewhere on a canvas of 900 x 700 pixels.
It is then found and aligned to 128 px with the ffhq template, and the distance of the true eyes from the
template's is measured in pixels of the result, one number per eye. "spread" is the same about the middle of
where that eye lands: what is left without an offset that all faces share. The rows "true points" give the
alignment the true eyes instead: what moves then is the resampling, measured on two soft dots painted in the
eyes' place. The drawn faces are demo-faces; the photographs are the London set (folder as in --photographs),
whose pupils are known. It needs neither torch nor a GPU.
"""

import argparse
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gansmith.data.builtin.demo_faces import draw, sample
from gansmith.faces.align import Template, align, named_template
from gansmith.faces.detect import open_detector

Picture = NDArray[np.uint8]
Eyes = NDArray[np.float64]
SIDE = 128
CANVAS = (900, 700)
NAMES = ("left_eye", "right_eye")
FULL = named_template("ffhq")
EYES_ONLY = replace(FULL, points=tuple(point for point in FULL.points if point[0] in NAMES))


@dataclass(frozen=True)
class Scene:
    """A face on a canvas, its true eyes [2, 2] and how much it was scaled."""

    picture: Picture
    eyes: Eyes
    scale: float


def place(picture: Picture, eyes: Eyes, random: np.random.Generator) -> Scene:
    """Put a picture somewhere on a grey canvas, by known numbers."""
    scale = float(np.exp(random.uniform(np.log(0.5), np.log(2.0))))
    angle = float(np.radians(random.uniform(-30, 30)))
    side = round(picture.shape[0] * scale)
    scale = side / picture.shape[0]
    sized = Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    room = side * (abs(np.sin(angle)) + np.cos(angle)) / 2
    middle = np.array([random.uniform(min(room, end / 2), max(end - room, end / 2)) for end in CANVAS])
    back = np.column_stack((turn.T, side / 2 - turn.T @ middle))
    mask = Image.new("L", sized.size, 255)
    args = (CANVAS, Image.Transform.AFFINE, tuple(back.ravel().tolist()))
    canvas = Image.new("RGB", CANVAS, (128, 128, 128))
    canvas.paste(sized.transform(*args, Image.Resampling.BICUBIC), (0, 0), mask.transform(*args))
    return Scene(np.array(canvas), (eyes * scale - side / 2) @ turn.T + middle, scale)


def drawings(count: int) -> Iterator[tuple[Picture, Eyes]]:
    """Demo faces of 256 px."""
    for index in range(count):
        face = sample.face(0, index)
        yield draw.draw(face, 256, 256), draw.landmarks(face, 256, 256)[:2].astype(float)


def photographs(folder: Path, count: int) -> Iterator[tuple[Picture, Eyes]]:
    """London faces of 256 px and the middles of their pupils, evenly chosen."""
    places = json.loads((folder / "landmarks_189.json").read_text())
    names = sorted(name for name in places if name.startswith(("neutral/", "canada/")))
    with zipfile.ZipFile(folder / f"{folder.name}.zip") as archive:
        for name in names[:: max(len(names) // count, 1)][:count]:
            picture = np.array(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
            yield picture, np.array(places[name][:2])


def by_detector(scenes: list[Scene], template: Template) -> list[Eyes]:
    """The true eyes in the results, [2, 2] each; faces that were not found are left out."""
    detector = open_detector(every_face=False)
    found = []
    for scene in scenes:
        for face in detector.find(scene.picture)[:1]:
            result = align(scene.picture, face.landmarks, detector.points, (SIDE, SIDE), template)
            found.append(scene.eyes @ result.matrix[:, :2].T + result.matrix[:, 2])
    return found


def by_truth(scenes: list[Scene]) -> list[Eyes]:
    """The same for the true eyes, each measured as the middle of a soft dot."""
    targets = np.array([FULL.places((SIDE, SIDE))[name] for name in NAMES])
    down, across = np.mgrid[: CANVAS[1], : CANVAS[0]] + 0.5
    found = []
    for scene in scenes:
        wide = np.hypot(*(scene.eyes[1] - scene.eyes[0])) / 13
        dots = [np.hypot(across - x, down - y) / wide for x, y in scene.eyes]
        light = np.round(255 * sum(np.exp(-(dot**2) / 2) for dot in dots)).astype(np.uint8)
        picture = np.repeat(light[..., None], 3, axis=2)
        pixels = align(picture, scene.eyes, NAMES, (SIDE, SIDE), FULL).pixels[..., 0]
        found.append(np.array([middle(pixels, target) for target in targets]))
    return found


def middle(pixels: Picture, near: Eyes) -> Eyes:
    """The centre of what is light within 12 px of a place, (x, y)."""
    down, across = np.mgrid[:SIDE, :SIDE] + 0.5
    weight = np.where(np.hypot(across - near[0], down - near[1]) < 12, pixels, 0).astype(float)
    return np.array([(across * weight).sum(), (down * weight).sum()]) / weight.sum()


def row(name: str, found: list[Eyes], asked: int, template: Template) -> str:
    """One line of the table."""
    if not found:
        return f"| {name} | 0 of {asked} | - | - | - | - | - |"
    targets = np.array([template.places((SIDE, SIDE))[point] for point in NAMES])
    eyes = np.array(found)
    errors = np.hypot(*np.moveaxis(eyes - targets, -1, 0)).ravel()
    spread = np.hypot(*np.moveaxis(eyes - np.median(eyes, axis=0), -1, 0)).ravel()
    numbers = [np.median(errors), np.quantile(errors, 0.9), errors.max(), np.median(spread)]
    cells = " | ".join(f"{number:.2f}" for number in [*numbers, np.quantile(spread, 0.9)])
    return f"| {name} | {len(found)} of {asked} | {cells} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=60)
    parser.add_argument("--photographs", type=Path, default=Path("../shared/data/london_faces_256"))
    options = parser.parse_args()
    sources = {"demo-faces": drawings(options.faces)}
    if options.photographs.is_dir():
        sources["London"] = photographs(options.photographs, options.faces)
    print("| faces, points | found | median | 90 % | max | spread: median | spread: 90 % |")
    print("|---|---|---|---|---|---|---|")
    for name, pictures in sources.items():
        random = np.random.default_rng(0)
        scenes = [place(picture, eyes, random) for picture, eyes in pictures]
        asked = len(scenes)
        print(row(f"{name}, dlib's eyes and nose base", by_detector(scenes, FULL), asked, FULL), flush=True)
        print(row(f"{name}, dlib's eyes", by_detector(scenes, EYES_ONLY), asked, FULL), flush=True)
        print(row(f"{name}, true points", by_truth(scenes), asked, FULL), flush=True)


if __name__ == "__main__":
    main()
