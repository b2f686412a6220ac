"""Every picture a generator made says so: who made it, from which seed, in a form machines can read."""

import functools
import io
import itertools
import json
import os
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar
from xml.sax.saxutils import escape

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from gansmith.core.files import whole_file
from gansmith.errors import DataError, StorageError
from gansmith.images.grid import Picture, to_pil

KEY = "gansmith"
XMP_KEY = "XML:com.adobe.xmp"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's word for "made by a model trained on examples" (Digital Source Type NewsCodes)."""

_GENERATED_BY = "generative model"
# Pillow compresses outside the interpreter lock, but around it small pictures only wait for each other: of
# 32 px a picture took 1.4 ms with one thread, 1.7 with two and 2.0 with four.
_THREADS = max(1, min(8, (os.cpu_count() or 1) - 1))
_SMALL = 2**13  # Numbers of a picture, up to which one thread is fastest: 32 px yes, 64 px no longer.
_GROUP = 8  # Pictures a thread takes at a time: handing them over costs as much as a small one.
_AHEAD = 16  # Pictures that wait to be encoded.

Out = TypeVar("Out")

# XMP specification part 1 (ISO 16684-1), section 7; the property is of the IPTC Extension schema.
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/">
   <Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>
   <xmp:CreatorTool>{software}</xmp:CreatorTool>
   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">{description}</rdf:li></rdf:Alt></dc:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


@functools.cache  # Asked for once a picture.
def software_version() -> str:
    """The installed version of gansmith; ``"unknown"`` where it runs from its source alone."""
    try:
        return version("gansmith")
    except PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True)
class Provenance:
    """Where a picture came from.

    ``seed`` is None for a picture of several seeds, ``images_seen`` where the length of the training
    is not known. ``version`` is that of gansmith. ``note`` is what else it was made of, such as its label.
    """

    model: str
    recipe: str
    seed: int | None
    images_seen: int | None
    version: str
    note: str | None = None

    @property
    def software(self) -> str:
        """``"gansmith 1.0"``."""
        return f"gansmith {self.version}"


Named = tuple[str, Picture, Provenance]
"""A picture to be written, under which name, and where it came from."""


def description(provenance: Provenance) -> str:
    """The provenance as a sentence."""
    seed = "" if provenance.seed is None else f", seed {provenance.seed}"
    note = "" if provenance.note is None else f", {provenance.note}"
    return (
        f"Made by a generative model, not a photograph: model {provenance.model}, "
        f"recipe {provenance.recipe}{seed}{note} ({provenance.software})."
    )


def xmp_packet(provenance: Provenance) -> str:
    """The mark as an XMP packet whose Iptc4xmpExt:DigitalSourceType is trainedAlgorithmicMedia."""
    return _XMP.format(
        source_type=SOURCE_TYPE,
        software=escape(provenance.software),
        description=escape(description(provenance)),
    )


def png_info(provenance: Provenance) -> PngInfo:
    """The text chunks that mark a PNG: ``gansmith`` (JSON), Software, Comment, and an XMP packet.

    The same provenance gives the same bytes: there is no date in it.
    """
    known = {name: value for name, value in vars(provenance).items() if (name, value) != ("note", None)}
    facts = {"generated_by": _GENERATED_BY, "software": provenance.software, **known}
    info = PngInfo()
    info.add_text(KEY, json.dumps(facts))  # ASCII, whatever the names: JSON escapes the rest.
    info.add_text("Software", provenance.software)
    # Text chunks are Latin-1, international ones UTF-8; a model may have any name.
    info.add_itxt("Comment", description(provenance))
    info.add_itxt(XMP_KEY, xmp_packet(provenance))
    return info


def png_bytes(picture: Picture, provenance: Provenance) -> bytes:
    """A marked PNG in memory; equal pictures, uint8 [channels, height, width], give equal bytes."""
    file = io.BytesIO()
    # "Almost as fast as Huffman coding alone, with better compression of PNG data" is what zlib's manual says
    # of run lengths. benchmarks/png_compression.py: 3.6 times as fast at 128 px, for 6 % more room.
    to_pil(picture).save(file, format="PNG", pnginfo=png_info(provenance), compress_type=zlib.Z_RLE)
    return file.getvalue()


def write_png(picture: Picture, path_or_file: Path | io.BufferedIOBase, provenance: Provenance) -> None:
    """A marked PNG at a path, which is replaced only when the new file is whole, or in an open file.

    Raises:
        StorageError: the disk refused; for a path alone.
    """
    if isinstance(path_or_file, Path):
        with whole_file(path_or_file) as part:
            part.write_bytes(png_bytes(picture, provenance))
    else:
        path_or_file.write(png_bytes(picture, provenance))


def write_pngs(
    pictures: Iterable[Named], folder: Path, ahead: int = _AHEAD, beside: bool = True
) -> Iterator[Named]:
    """Write marked PNGs under their names, in a few threads; yields each picture once its file is whole.

    ``ahead`` pictures are in memory besides those that ``pictures`` holds: as many as it makes at a time.
    With ``beside`` these are written while it makes the next; without, which is faster where a processor
    makes them, in turn with that.

    Raises:
        StorageError: the disk refused; what was yielded before is written.
    """

    def write(named: Named) -> Named:
        name, picture, provenance = named
        write_png(picture, folder / name, provenance)
        return named

    return _in_threads(write, pictures, ahead, beside)


def encoded(
    pictures: Iterable[Named], ahead: int = _AHEAD, beside: bool = True
) -> Iterator[tuple[str, bytes]]:
    """Names and marked PNGs, in order, encoded in a few threads; the rest as in ``write_pngs``."""

    def encode(named: Named) -> tuple[str, bytes]:
        name, picture, provenance = named
        return name, png_bytes(picture, provenance)

    return _in_threads(encode, pictures, ahead, beside)


def write_zip(files: Iterable[tuple[str, bytes]], path: Path, progress: Callable[[int], object]) -> None:
    """An archive of named PNGs, stored as they come: PNGs do not shrink again.

    Equal pictures give an equal archive: all files bear the date 1980-01-01. Besides a file, only the table
    of names is in memory, about half a kilobyte for each. ``progress`` is called with 1 for each.

    Raises:
        StorageError: the disk refused; no archive was written.
    """
    with whole_file(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3  # Unix, on every system, for equal bytes.
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
            progress(1)


def _in_threads(
    work: Callable[[Named], Out], items: Iterable[Named], ahead: int, beside: bool
) -> Iterator[Out]:
    """``map`` in a few threads, in order, with few items in memory however many there are.

    With ``beside`` that happens while the next items are made. Without, in turn with them: on a processor
    both want the same cores, and torch's threads wait for the slowest of them.
    """

    def do(group: list[Named]) -> list[Out]:
        return [work(item) for item in group]

    rest, waiting = iter(items), deque[Future[list[Out]]]()
    with ThreadPoolExecutor(_THREADS if beside else _THREADS + 1) as pool:
        try:
            while group := list(itertools.islice(rest, _GROUP if beside else ahead)):
                if not beside and group[0][1].numel() <= _SMALL:
                    yield from map(work, group)
                    continue
                parts = [group[at : at + _GROUP] for at in range(0, len(group), _GROUP)]
                waiting.extend(pool.submit(do, part) for part in parts)
                while waiting and (not beside or len(waiting) * _GROUP > ahead):
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def read_provenance(path: Path) -> Provenance | None:
    """Where a picture came from, by the ``gansmith`` chunk of a PNG; None if it has no such mark.

    Raises:
        DataError: the file is no picture.
        StorageError: the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            text = image.info.get(KEY)
    except UnidentifiedImageError:
        raise DataError(f"A mark can only be read from a picture. Received: {path}, which is none.") from None
    except OSError as problem:
        raise StorageError(f"Cannot read {path}: {problem.strerror or problem}.") from problem
    try:
        facts = json.loads(text or "null")
        return Provenance(
            **{"note": None}
            | {
                name: facts[name]
                for name in Provenance.__dataclass_fields__
                if name != "note" or name in facts
            }
        )
    except (ValueError, TypeError, KeyError):
        return None  # No mark, or another program's under our name.
