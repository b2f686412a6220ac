"""Every image a generator made says so: who made it, from which seed, in a form machines can read."""

import functools
import io
import json
import zlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from gansmith.core.files import whole_file
from gansmith.core.json_files import parse_json
from gansmith.core.streams import clean
from gansmith.errors import DataError, StorageError
from gansmith.images.grid import Picture, to_pil

KEY = "gansmith"
XMP_KEY = "XML:com.adobe.xmp"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's word for "made by a model trained on examples" (Digital Source Type NewsCodes)."""

_GENERATED_BY = "generative model"

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


@functools.cache  # Asked for once an image.
def software_version() -> str:
    """The installed version of gansmith; ``"unknown"`` where it runs from its source alone."""
    try:
        return version("gansmith")
    except PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True)
class Provenance:
    """Where an image came from.

    ``seed`` is None for an image of several seeds, ``images_seen`` where the length of the training
    is not known. ``version`` is that of gansmith. ``note`` is what else it was made of, such as its label.

    Example:
        >>> description(Provenance("one", "dcgan64", seed=7, images_seen=51_200, version="0.1.0"))
        'Made by a generative model, not a photograph: model one, recipe dcgan64, seed 7 (gansmith 0.1.0).'
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
    info.add_itxt("Comment", clean(description(provenance)))
    info.add_itxt(XMP_KEY, xmp_packet(provenance).encode("utf-8", "backslashreplace"))
    return info


def png_bytes(picture: Picture, provenance: Provenance) -> bytes:
    """A marked PNG in memory; equal images, uint8 [channels, height, width], give equal bytes."""
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


def read_provenance(path: Path) -> Provenance | None:
    """Where an image came from, by the ``gansmith`` chunk of a PNG; None if it has no such mark.

    Raises:
        DataError: the file is no image.
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
        facts = parse_json(text or "null")
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
