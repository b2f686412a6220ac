"""Every image a generator made says so: who made it, from which seed, in a form machines can read."""

import functools
import io
import json
import zlib
from dataclasses import dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args
from xml.sax.saxutils import escape

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from gansmith.core.files import whole_file
from gansmith.core.json_files import parse_json
from gansmith.core.streams import clean
from gansmith.core.text import clipped
from gansmith.errors import DataError, SettingError, StorageError
from gansmith.images.grid import Picture, to_pil

KEY = "gansmith"
XMP_KEY = "XML:com.adobe.xmp"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's word for "made by a model trained on examples" (Digital Source Type NewsCodes)."""

_GENERATED_BY = "generative model"

COMPOSITE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""Its word for what such a model made a part of: a result beside its source, a hole that was filled."""

NAMESPACE = "urn:gansmith:1.0/"
"""Of the XMP property Provenance, whose value are the facts of a ``Provenance`` as JSON."""

# XMP specification part 1 (ISO 16684-1), section 7. The properties of Iptc4xmpExt are those of the IPTC Photo
# Metadata Standard 2025.1, each a single string: its technical reference, "XMPid".
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:gansmith="{namespace}">
{properties}
   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">{description}</rdf:li></rdf:Alt></dc:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""

_ALWAYS = ("model", "recipe", "seed", "images_seen", "version")
_MOST_FACTS = 2**17  # Bytes of JSON.
_MOST_LETTERS = 1000  # Of a name or a note in XMP: a JPEG has room for 65,502 bytes of it.


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
    ``fingerprint`` names the weights, ``composite`` says that the image shows something else, too.

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
    fingerprint: str | None = None
    composite: bool = False

    @property
    def software(self) -> str:
        """``"gansmith 1.0"``."""
        return f"gansmith {self.version}"

    @property
    def facts(self) -> dict[str, str | int | None]:
        """By name, without what need not be said."""
        plain = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in vars(self).items() if name in _ALWAYS or value != plain[name]}


def description(provenance: Provenance) -> str:
    """The provenance as a sentence, without controls."""
    seed = "" if provenance.seed is None else f", seed {provenance.seed}"
    note = "" if provenance.note is None else f", {provenance.note}"
    return clean(
        f"Made by a generative model, not a photograph: model {provenance.model}, "
        f"recipe {provenance.recipe}{seed}{note} ({provenance.software})."
    )


def xmp_packet(provenance: Provenance) -> bytes:
    """The mark as an XMP packet: IPTC's DigitalSourceType, AI system, its version and what it was asked for.

    Facts that are ours alone are in a property of our own. Who asked is not known, and not said.
    """
    provenance = replace(
        provenance,
        model=clipped(provenance.model, _MOST_LETTERS),
        recipe=clipped(provenance.recipe, _MOST_LETTERS),
        note=None if provenance.note is None else clipped(provenance.note, _MOST_LETTERS),
    )
    asked = (None if provenance.seed is None else f"seed {provenance.seed}", provenance.note)
    version = (
        provenance.software,
        None if provenance.fingerprint is None else f"weights {provenance.fingerprint}",
        None if provenance.images_seen is None else f"trained on {provenance.images_seen} images",
    )
    properties = {
        "Iptc4xmpExt:DigitalSourceType": COMPOSITE_TYPE if provenance.composite else SOURCE_TYPE,
        "Iptc4xmpExt:AISystemUsed": f"gansmith, model {provenance.model}, recipe {provenance.recipe}",
        "Iptc4xmpExt:AISystemVersionUsed": ", ".join(filter(None, version)),
        "Iptc4xmpExt:AIPromptInformation": ", ".join(filter(None, asked)),
        "xmp:CreatorTool": provenance.software,
        "gansmith:Provenance": json.dumps(provenance.facts),
    }
    lines = [f"   <{name}>{_xml(value)}</{name}>" for name, value in properties.items() if value]
    packet = _XMP.format(
        namespace=NAMESPACE, properties="\n".join(lines), description=_xml(description(provenance))
    )
    return packet.encode()


def _xml(words: str) -> str:
    """Text for XML, which has no controls and no halves of letters."""
    return escape(clean(words).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd"))


def png_info(provenance: Provenance) -> PngInfo:
    """The text chunks that mark a PNG: ``gansmith`` (JSON), Software, Comment, and an XMP packet.

    The same provenance gives the same bytes: there is no date in it.
    """
    facts = {"generated_by": _GENERATED_BY, "software": provenance.software, **provenance.facts}
    info = PngInfo()
    info.add_text(KEY, json.dumps(facts))  # ASCII, whatever the names: JSON escapes the rest.
    info.add_text("Software", provenance.software)
    # Text chunks are Latin-1, international ones UTF-8; a model may have any name.
    info.add_itxt("Comment", description(provenance))
    info.add_itxt(XMP_KEY, xmp_packet(provenance))
    return info


KINDS = (".png", ".jpg", ".jpeg", ".webp")
"""Suffixes of images that are written."""

_LONGEST_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}  # Pixels these kinds of files can count.


def check_kind(suffix: str, width: int, height: int) -> None:
    """SettingError where an image of that size has no room in a file of that kind."""
    longest = _LONGEST_SIDE.get(suffix.lower())
    if longest is not None and max(width, height) > longest:
        raise SettingError(
            f"A {suffix} has at most {longest:,} pixels a side. Received: an image of {width}x{height}. "
            "Write a .png."
        )


def marked(image: Image.Image, provenance: Provenance, suffix: str = ".png") -> bytes:
    """The bytes of an image file with its mark; equal images give equal bytes, and no pixel is changed by it.

    Args:
        image: of mode L, RGB or RGBA.
        provenance: the mark.
        suffix: ``.png`` or ``.webp``, both without loss, or ``.jpg``, which lays transparency on white.

    Raises:
        SettingError: the image is too large for the format.
    """
    check_kind(suffix, *image.size)
    file = io.BytesIO()
    if suffix.lower() == ".png":
        # "Almost as fast as Huffman coding alone, with better compression of PNG data" is what zlib's manual
        # says of run lengths. benchmarks/png_compression.py: 3.6 times as fast at 128 px, for 6 % more room.
        image.save(file, format="PNG", pnginfo=png_info(provenance), compress_type=zlib.Z_RLE)
    elif suffix.lower() == ".webp":
        image.save(file, format="WEBP", lossless=True, exact=True, xmp=xmp_packet(provenance))
    else:
        if image.mode == "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        image.save(file, format="JPEG", quality=95, subsampling=0, xmp=xmp_packet(provenance))
    return file.getvalue()


def png_bytes(picture: Picture, provenance: Provenance) -> bytes:
    """A marked PNG in memory; equal images, uint8 [channels, height, width], give equal bytes."""
    return marked(to_pil(picture), provenance)


def write_picture(picture: Picture, path: Path, provenance: Provenance) -> None:
    """A marked image of the kind its path says, one of ``KINDS``; replaced only when the new file is whole.

    Raises:
        SettingError: it is too large for the kind.
        StorageError: the disk refused.
    """
    content = marked(to_pil(picture), provenance, path.suffix)
    with whole_file(path) as part:
        part.write_bytes(content)


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
    return provenance_of(text)


def provenance_of(text: str | bytes | None) -> Provenance | None:
    """The provenance that JSON tells of; None for none, or where another program uses our name."""
    try:
        facts: dict[str, Any] = parse_json(text or "null", _MOST_FACTS)
        if not isinstance(facts, dict):
            return None
        given = {field.name: facts[field.name] for field in fields(Provenance) if field.name in facts}
        found = Provenance(**given)
    except (ValueError, TypeError):
        return None
    # As typed: not True for 1.
    typed = all(
        type(vars(found)[field.name]) in (get_args(field.type) or (field.type,)) for field in fields(found)
    )
    return found if typed else None
