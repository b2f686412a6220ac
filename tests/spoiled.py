"""Files of every kind of data that is read, and copies of them that are spoiled by a seed."""

import gzip
import io
import json
import pickle
import random
import shutil
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lies
import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import torch
from PIL import Image

from gansmith.core.image_size import Size
from gansmith.core.tensor_file import read_tensors, write_tensors
from gansmith.data.prepare.prepare import Options, prepare
from gansmith.images.animation import animate
from gansmith.images.provenance import Provenance, description, marked, xmp_packet
from gansmith.metrics.math.moments import Moments
from gansmith.metrics.statistics import Statistics, save

COUNT = 6  # Pictures of a set.
SIDE = 16
ODD_NAMES = (
    *("", ".", "..", "../../x.png", "/etc/x.png", "a/" * 500 + "x.png", "x" * 60_000 + ".png", "a\\b.png"),
    *("\x1b[2J.png", "\u202egnp.exe", "nul\0.png", "con.png", "x.zip", "labels.csv", "a/b/c/d.png", "A.PNG"),
)
ODD_CELLS = (
    *(
        "",
        " ",
        "nan",
        "inf",
        "1e999",
        "-1",
        "0x10",
        "9" * 400,
        "x" * 100_000,
        '"',
        '"""',
        "\n",
        "\0",
        "\ud83d",
    ),
    *(
        "1,5",
        "\ufeff",
        "=1+1",
        "\x1b[31m",
        "true",
        "None",
        "0.png",
        "../0.png",
        "é",
        "1\u202e",
        "-0",
        "2024-01-01",
    ),
)


@dataclass(frozen=True)
class Kind:
    """A kind of data: what is right, and how a copy of it is spoiled."""

    make: Callable[[Path], None]  # Into an empty folder.
    files: str = "*"  # Of them one is changed, byte by byte ...
    spoil: Callable[[Path, random.Random], None] | None = (
        None  # ... or the folder otherwise, half of the time.
    )
    alone: bool = False  # Whether the changed file is read, and not the folder.

    def copy(self, whole: Path, place: Path, chance: random.Random) -> Path:
        """A spoiled copy, and what is to be read of it."""
        shutil.copytree(whole, place)
        files = sorted(path for path in place.rglob(self.files) if path.is_file())
        file = chance.choice(files)
        if self.spoil is not None and chance.random() < 0.5:
            self.spoil(file if self.alone else place, chance)
        else:
            file.write_bytes(lies.mutated(file.read_bytes(), chance))
        if self.alone:
            for other in files:
                if other != file:
                    other.unlink()
        return file if self.alone else place


def photo(seed: int, side: int = SIDE) -> Image.Image:
    """Noise on a slope."""
    noise = np.random.default_rng(seed).integers(0, 60, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(noise + np.linspace(0, 190, side, dtype=np.uint8)[:, None, None])


def encoded(seed: int, kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    """A picture file."""
    file = io.BytesIO()
    photo(seed).convert(mode).save(file, kind, **options)
    return file.getvalue()


# --- Pictures -----------------------------------------------------------------------------------------

PICTURES: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "rgb.png": ("PNG", "RGB", {}),
    "palette.png": ("PNG", "P", {"transparency": 3}),
    "deep.png": ("PNG", "I;16", {}),
    "alpha.png": ("PNG", "RGBA", {}),
    "baseline.jpg": ("JPEG", "RGB", {}),
    "progressive.jpg": ("JPEG", "RGB", {"progressive": True}),
    "inks.jpg": ("JPEG", "CMYK", {}),
    "several.mpo": ("MPO", "RGB", {"save_all": True, "append_images": [photo(9)]}),
    "lossy.webp": ("WEBP", "RGB", {}),
    "moving.webp": ("WEBP", "RGB", {"save_all": True, "append_images": [photo(9)], "lossless": True}),
    "rgb.avif": ("AVIF", "RGB", {}),
    "rgb.bmp": ("BMP", "RGB", {}),
    "rgb.dib": ("DIB", "RGB", {}),
    "moving.gif": ("GIF", "P", {"save_all": True, "append_images": [photo(9)]}),
    "plain.tif": ("TIFF", "RGB", {}),
    "packed.tif": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "jpeg.tif": ("TIFF", "RGB", {"compression": "jpeg"}),
    "deep.tif": ("TIFF", "I;16", {"compression": "tiff_adobe_deflate"}),
    "float.tif": ("TIFF", "F", {}),
    "rgb.ppm": ("PPM", "RGB", {}),
    "rgb.ico": ("ICO", "RGB", {"sizes": [(SIDE, SIDE), (8, 8)]}),
    "rgb.jp2": ("JPEG2000", "RGB", {}),
    "rgb.qoi": ("QOI", "RGB", {}),
    "rgb.sgi": ("SGI", "RGB", {}),
}


def _pictures(folder: Path) -> None:
    for number, (name, (kind, mode, options)) in enumerate(PICTURES.items()):
        if mode == "I;16":
            deep = np.asarray(photo(number).convert("L")).astype(np.uint16) * 257
            Image.fromarray(deep).save(folder / name, kind, **options)
        else:
            (folder / name).write_bytes(encoded(number, kind, mode, **options))


def _marked(folder: Path) -> None:
    mark = Provenance("one", "dcgan64", 7, 51_200, "0.1.0")
    for suffix in (".png", ".jpg", ".webp"):
        (folder / f"a{suffix}").write_bytes(marked(photo(0), mark, suffix))
    for suffix in (".gif", ".webp", ".mp4"):
        film = folder / f"film{suffix}"
        animate([photo(0), photo(1)], film, comment=description(mark), xmp=xmp_packet(mark))


# --- Archives -----------------------------------------------------------------------------------------

TABLE = "file,label,age,caption\n" + "".join(
    f'{n}.png,{"ab"[n % 2]},{n},"picture, number {n}"\n' for n in range(COUNT)
)


def _loose(folder: Path) -> None:
    for number in range(COUNT):
        (folder / f"{number}.png").write_bytes(encoded(number))


def _zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(COUNT):
            archive.writestr(f"{number}.png", encoded(number))
        archive.writestr("labels.csv", TABLE)


def _odd_zip(file: Path, chance: random.Random) -> None:
    """Names, methods, flags and sizes that nobody needs."""
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a", chance.choice((0, 8, 12, 14))) as archive:
        warnings.simplefilter("ignore")
        for name in chance.sample(ODD_NAMES, 3):
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, archive.compression
            info.external_attr = chance.choice((0, 0o120777 << 16, 0o10644 << 16, 2**32 - 1))
            archive.writestr(info, chance.choice((encoded(8), b"", TABLE.encode(), bytes(2**22))))
        for info in chance.sample(archive.infolist(), 2):
            if chance.random() < 0.5:
                info.flag_bits |= chance.choice((1, 1 << 11, 1 << 6))
                info.file_size = chance.choice((info.file_size, 0, 2**31, 2**33))
                info.header_offset = chance.choice((info.header_offset, 0, 10**6))


def _tar(file: Path, chance: random.Random | None = None) -> None:
    with tarfile.open(file, f"w:{'' if file.suffix == '.tar' else file.suffix[1:]}") as archive:
        for number in range(COUNT):
            _add(archive, f"{number}.png", encoded(number), chance)
        _add(archive, "labels.csv", TABLE.encode(), chance)


def _add(archive: tarfile.TarFile, name: str, content: bytes, chance: random.Random | None) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    if chance is not None and chance.random() < 0.3:
        info.name = chance.choice(ODD_NAMES) or "x"
        info.type = chance.choice((*b"0123456789xgLKSVD",)).to_bytes()
        info.linkname = chance.choice(ODD_NAMES)
        info.pax_headers = {
            "path": chance.choice(ODD_NAMES),
            "size": chance.choice(("9" * 30, "-1", "x", "7")),
        }
    archive.addfile(info, io.BytesIO(content))


def _tars(folder: Path) -> None:
    for ending in ("tar", "tar.gz", "tar.xz", "tar.bz2"):
        _tar(folder / f"a.{ending}")


def sample(number: int) -> dict[str, Any]:
    """What is said of a picture in a shard, or in a table of JSON."""
    return {
        "label": number % 2,
        "caption": f"number {number}",
        "attributes": {"x": 1, "y": number % 2},
        "landmarks": [[1.5, 2.5], [3.0, 4.0]],
        "held_out": number == 0,
    }


def _shards(folder: Path, facts: list[Any] | None = None) -> None:
    for shard in range(2):
        with tarfile.open(folder / f"{shard:06d}.tar", "w") as archive:
            for number in range(COUNT):
                told = sample(number) if facts is None else facts[number]
                _add(archive, f"{number}.png", encoded(number), None)
                _add(archive, f"{number}.json", json.dumps(told).encode(), None)
                _add(archive, f"{number}.cls", str(number % 2).encode(), None)


def _odd_shards(folder: Path, chance: random.Random) -> None:
    facts: list[Any] = [sample(number) for number in range(COUNT)]
    number = chance.randrange(COUNT)
    facts[number] = lies.odd_tree(facts[number], chance)[1]
    _shards(folder, facts)


# --- Tables -------------------------------------------------------------------------------------------


def _csv(folder: Path) -> None:
    _loose(folder)
    (folder / "labels.csv").write_text(TABLE)


def _odd_csv(folder: Path, chance: random.Random) -> None:
    rows = [line.split(",", 3) for line in TABLE.splitlines()]
    for _ in range(chance.choice((1, 5))):
        row = chance.choice(rows)
        if row and chance.random() < 0.8:
            row[chance.randrange(len(row))] = chance.choice(ODD_CELLS)
        else:
            row[:] = chance.choice(([], row * 3, ["x"] * 2000, row[:1]))
    text = chance.choice(("\n", "\r\n", "\r")).join(map(chance.choice((",", ",", ";", "\t")).join, rows))
    coding = chance.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-32"))
    (folder / "labels.csv").write_bytes(
        text.encode(coding, "replace" if coding == "latin-1" else "surrogatepass")
    )


def _json_tables() -> dict[str, Any]:
    """Tables of JSON as different publishers write them, by the file's name."""
    landmarks = [[float(n), 2.0] for n in range(68)]
    face = {"face_landmarks": landmarks, "face_quad": [[0, 0], [0, 9], [9, 9], [9, 0]]}
    ffhq = {
        str(n): {
            "category": "training",
            "image": {"file_path": f"{n}.png", "face_landmarks": landmarks},
            "in_the_wild": face,
        }
        for n in range(COUNT)
    }
    return {
        "dataset.json": {"labels": [[f"{n}.png", n % 2] for n in range(COUNT)]},
        "metadata.json": [{"file_name": f"{n}.png", **sample(n)} for n in range(COUNT)],
        "labels.json": {f"{n}.png": n % 2 for n in range(COUNT)},
        "ffhq-dataset-v2.json": ffhq,
        "metadata.jsonl": [{"file_name": f"{n}.png", **sample(n)} for n in range(COUNT)],
    }


def _write_table(file: Path, tree: Any) -> None:
    lines = isinstance(tree, list) and file.suffix == ".jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in tree) if lines else json.dumps(tree))


def _json(folder: Path) -> None:
    _loose(folder)
    for name, tree in _json_tables().items():
        _write_table(folder / name, tree)


def _odd_json(folder: Path, chance: random.Random) -> None:
    name, tree = chance.choice(list(_json_tables().items()))
    for other in (*folder.glob("*.json"), *folder.glob("*.jsonl")):
        other.unlink()
    _write_table(folder / name, lies.odd_tree(tree, chance)[1])


def _arrow_table(names: Any = ("a", "b")) -> pa.Table:
    cells = [{"bytes": encoded(number), "path": f"{number}.png"} for number in range(COUNT)]
    columns = {
        "label": [0, 1] * (COUNT // 2),
        "text": ["a word"] * COUNT,
        "smiling": [True, False] * (COUNT // 2),
    }
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    told = json.dumps({"info": {"features": features}})
    return pa.table({"image": cells, **columns}).replace_schema_metadata({"huggingface": told})


def _write_arrow(file: Path, table: pa.Table) -> None:
    if file.suffix == ".parquet":
        pa.parquet.write_table(table, file, row_group_size=4)
    else:
        opened = pa.ipc.new_file if file.stem == "file" else pa.ipc.new_stream
        with opened(file, table.schema) as writer:
            writer.write_table(table, 4)


def _tables(ending: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for stem in ("file", "stream")[: 1 if ending == "parquet" else 2]:
            _write_arrow(folder / f"{stem}.{ending}", _arrow_table())

    return make


def _odd_table(file: Path, chance: random.Random) -> None:
    """Columns of another kind, and metadata that says anything."""
    table = _arrow_table(["a", "b"])
    told = json.loads(table.schema.metadata[b"huggingface"])
    text = json.dumps(lies.odd_tree(told, chance)[1]).encode("utf-8", "surrogatepass")
    odd: list[Any] = [
        *([None] * COUNT, ["x"] * COUNT, [1.5] * COUNT, [2**62] * COUNT, [[1]] * COUNT, [b"\xff"] * COUNT),
        *(
            [{"a": 1}] * COUNT,
            [True, None] * (COUNT // 2),
            ["\u202e"] * COUNT,
            np.zeros(COUNT, "datetime64[s]"),
        ),
    ]
    name = chance.choice(["image", "label", "text", "smiling", "more"])
    kept = {each: table[each] for each in table.column_names if each != name}
    made = pa.table({**kept, name: pa.array(chance.choice(odd))})
    _write_arrow(file, made.replace_schema_metadata({"huggingface": text}))


# --- Arrays -------------------------------------------------------------------------------------------


def _cifar(folder: Path) -> None:
    for number in (1, 2):
        (folder / f"data_batch_{number}").write_bytes(pickle.dumps(_batch(), protocol=2))


def _batch() -> dict[Any, Any]:
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 3072), dtype=np.uint8)
    return {
        "data": pixels,
        "labels": [number % 10 for number in range(COUNT)],
        "filenames": ["a.png"] * COUNT,
    }


def _odd_cifar(folder: Path, chance: random.Random) -> None:
    tree = lies.odd_tree(_batch(), chance)[1]
    endless = b"\x80\x02})" + b"2\x86" * 60 + b"K\x01s."  # A key of 60 tuples in each other, twice in each.
    content = pickle.dumps(chance.choice((tree, [tree] * 9)), protocol=chance.choice((2, 4)))
    (folder / "data_batch_1").write_bytes(endless if chance.random() < 0.1 else content)


def _cifar_pixels(folder: Path) -> None:
    rows = b"".join(bytes([number]) + bytes(3072) for number in range(COUNT))
    (folder / "data_batch_1.bin").write_bytes(rows)
    (folder / "data_batch_2.bin").write_bytes(rows)


def _idx(folder: Path) -> None:
    pixels = struct.pack(">4B3I", 0, 0, 8, 3, COUNT, SIDE, SIDE) + bytes(COUNT * SIDE * SIDE)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(pixels))
    (folder / "train-labels-idx1-ubyte").write_bytes(
        struct.pack(">4BI", 0, 0, 8, 1, COUNT) + bytes(range(COUNT))
    )
    (folder / "t10k-images-idx3-ubyte").write_bytes(pixels)


def _odd_idx(folder: Path, chance: random.Random) -> None:
    numbers = [chance.choice((0, 1, COUNT, SIDE, 255, 2**16, 2**31, 2**32 - 1)) for _ in range(3)]
    raw = struct.pack(">4B3I", 0, 0, 8, 3, *numbers) + bytes(COUNT * SIDE * SIDE)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(raw))


# --- Our own, and films -------------------------------------------------------------------------------


def _prepared(shards: int | None) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        prepare(f"demo-faces:{COUNT}", folder, Options(size=Size(8, 8), shards=shards), workers=1)

    return make


def _odd_set(folder: Path, chance: random.Random) -> None:
    file = folder / chance.choice(("set.json", "set.json", "report.json"))
    file.write_text(json.dumps(lies.odd_tree(json.loads(file.read_text()), chance)[1]))


def _statistics(folder: Path) -> None:
    rows = torch.randn(20, 4, dtype=torch.float64)
    moments = Moments(rows.mean(0), torch.cov(rows.T), 20, rows[:3])
    made = Statistics("a", "b", "c", moments, rows.float(), rows.float(), {"channels": 3})
    save(made, folder / "a.safetensors")


def _odd_statistics(file: Path, chance: random.Random) -> None:
    tensors, metadata = read_tensors(file)
    if chance.random() < 0.5:
        tensors = lies.odd_tensors(tensors, chance)[1]
    else:
        metadata = metadata | {"told": json.dumps(lies.odd_tree(json.loads(metadata["told"]), chance)[1])}
    write_tensors(file, {name: value.contiguous() for name, value in tensors.items()}, metadata)


def _films(folder: Path) -> None:
    import av

    for name, codec in {"a.mp4": "libx264", "b.mkv": "mpeg4", "c.webm": "libvpx", "d.avi": "mjpeg"}.items():
        with av.open(str(folder / name), "w") as film:
            stream: Any = film.add_stream(codec, rate=4)
            stream.width = stream.height = 32
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for number in range(8):
                film.mux(stream.encode(av.VideoFrame.from_image(photo(number, 32))))
            film.mux(stream.encode())


KINDS: dict[str, Kind] = {
    **{f"picture: {name}": Kind(_pictures, name) for name in PICTURES},
    "zip": Kind(_zip, spoil=_odd_zip, alone=True),
    "tar": Kind(_tars, spoil=_tar, alone=True),
    "WebDataset shards": Kind(_shards, spoil=_odd_shards),
    "folder with CSV": Kind(_csv, "labels.csv", _odd_csv),
    "folder with JSON": Kind(_json, "*.json*", _odd_json),
    "Parquet": Kind(_tables("parquet"), spoil=_odd_table, alone=True),
    "Arrow": Kind(_tables("arrow"), spoil=_odd_table, alone=True),
    "CIFAR pickles": Kind(_cifar, spoil=_odd_cifar),
    "CIFAR pixels": Kind(_cifar_pixels),
    "IDX": Kind(_idx, spoil=_odd_idx),
    "prepared set": Kind(_prepared(None), "*.[!t]*", _odd_set),
    "prepared set in shards": Kind(_prepared(3), "*.[!tp]*", _odd_set),
    "film": Kind(_films, alone=True),
    "statistics": Kind(_statistics, spoil=_odd_statistics, alone=True),
    "mark": Kind(_marked, alone=True),
}
"""What is read -> how it is made and spoiled."""
