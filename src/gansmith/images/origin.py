"""What a picture or a film says of where it came from: ours and everybody's marks, read as IPTC has them."""

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

from gansmith.core.streams import clean
from gansmith.core.text import clipped
from gansmith.errors import DataError
from gansmith.images.marks import Found, MarkError, find
from gansmith.images.provenance import NAMESPACE, Provenance, provenance_of

_IPTC, _XMP = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/", "http://ns.adobe.com/xap/1.0/"
# Properties by their name here; parsers join a namespace and a name by a space.
_WANTED = {
    f"{_IPTC} DigitalSourceType": "source_type",
    f"{_IPTC} AISystemUsed": "system",
    f"{_IPTC} AISystemVersionUsed": "version",
    f"{_IPTC} AIPromptInformation": "prompt",
    f"{_XMP} CreatorTool": "tool",
    f"{NAMESPACE} Provenance": "ours",
}
# Of IPTC's Digital Source Type NewsCodes, those of what a model or an algorithm made, or took part in.
_BY_MACHINE = (
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "compositeSynthetic",
    "algorithmicMedia",
)
_WORDS = 300  # Letters of a fact in a line.


@dataclass(frozen=True)
class Origin:
    """What a file says of itself. Anybody can write a mark, and anybody can take it away.

    Example:
        >>> read_origin(Path("seed000007.png")).made_by_model
        True
    """

    path: Path
    kind: str  # png, jpeg, webp, gif, mp4, tiff, ...
    source_type: str | None = None  # The last word of IPTC's DigitalSourceType, such as digitalCapture.
    system: str | None = None
    version: str | None = None
    prompt: str | None = None
    tool: str | None = None  # The program that wrote it.
    provenance: Provenance | None = None  # Of what gansmith made.
    problem: str | None = None  # Why a mark that is there cannot be read.

    @property
    def made_by_model(self) -> bool:
        """Whether it says that a model or an algorithm made it, or a part of it."""
        ours = self.provenance is not None
        return ours or self.system is not None or self.source_type in _BY_MACHINE

    def as_json(self) -> dict[str, Any]:
        """All of it by name, for programs."""
        mark = None if self.provenance is None else asdict(self.provenance)
        plain = {name: value for name, value in vars(self).items() if name not in ("path", "provenance")}
        return {"file": str(self.path), "made_by_model": self.made_by_model, **plain, "gansmith": mark}

    def as_text(self) -> str:
        """A line of it, without the file's name."""
        return clean(self._words()).replace("\n", " ")

    def _words(self) -> str:
        if self.problem is not None:
            return f"a mark that cannot be read: {self.problem}"
        if (mark := self.provenance) is not None:
            model = [f"recipe {mark.recipe}"]
            model += [] if mark.images_seen is None else [f"{mark.images_seen} images"]
            model += [] if mark.fingerprint is None else [f"weights {mark.fingerprint}"]
            asked = [f"seed {mark.seed}"] if mark.seed is not None else []
            asked += [mark.note] if mark.note else []
            made = "made in part by" if mark.composite else "made by"
            words = f"{made} {mark.software}, model {clipped(mark.model)} ({', '.join(model)})"
            return ", ".join([words, *(clipped(word, _WORDS) for word in asked)])
        named = {"system": self.system, "version": self.version, "prompt": self.prompt, "tool": self.tool}
        facts = [f"{name} {clipped(value, _WORDS)}" for name, value in named.items() if value]
        if self.made_by_model:
            kind = f" ({clipped(self.source_type)})" if self.source_type else ""
            return ", ".join([f"made by a model{kind}", *facts])
        if self.source_type:
            return ", ".join([f"marked {clipped(self.source_type)}", *facts])
        return "no mark"


def read_origin(path: Path) -> Origin:
    """What a picture (PNG, JPEG, WebP, GIF, TIFF, AVIF) or film (MP4) says made it. No pixel is decoded.

    A mark that is damaged, or longer than anyone needs, is told in ``problem``.

    Raises:
        DataError: the file cannot be read, or is neither.

    Example:
        >>> print(read_origin(Path("faces/seed000007.png")).as_text())
        made by gansmith 0.1.0, model one (recipe dcgan64, 51200 images, weights 81c0d9e1a6b2), seed 7
    """
    found = _origin(path)
    if found is None:
        raise DataError(
            f"A mark can only be read from a picture or a film. Received: {path}, which is neither."
        )
    return found


def _origin(path: Path) -> Origin | None:
    """The same; None where the file is neither."""
    if not path.is_file():
        why = "a folder or a device" if path.exists() else "which does not exist"
        why = "a link that leads nowhere" if path.is_symlink() and not path.exists() else why
        raise DataError(f"A mark can only be read from a file. Received: {path}, {why}.")
    try:
        with path.open("rb") as file:
            found = find(file)
    except MarkError as problem:
        return Origin(path, path.suffix.lower().removeprefix("."), problem=str(problem))
    except OSError as problem:
        raise DataError(f"Cannot read {path}: {problem.strerror or problem}.") from problem
    return None if found is None else _told(path, found)


def provenance_in(file: io.BufferedIOBase) -> Provenance | None:
    """What an open picture or film says gansmith made it of; None for no mark, another's, or a damaged one.

    Raises:
        OSError: the file cannot be read.

    Example:
        >>> with open("seed000007.png", "rb") as file:
        ...     provenance_in(file).seed
        7
    """
    try:
        found = find(file)
        return None if found is None else _told(Path(), found).provenance
    except MarkError:
        return None


def _told(path: Path, found: Found) -> Origin:
    own = provenance_of(found.own)
    if found.xmp is None:
        return Origin(path, found.kind, provenance=own)
    try:
        facts = _facts(found.xmp)
    except MarkError as problem:
        return Origin(path, found.kind, provenance=own, problem=None if own else str(problem))
    ours = facts.pop("ours", None)
    if "source_type" in facts:
        facts["source_type"] = facts["source_type"].rstrip("/").rpartition("/")[2]
    return Origin(path, found.kind, provenance=own or provenance_of(ours), **facts)


def _facts(packet: bytes) -> dict[str, str]:
    """What is wanted of an XMP packet, by its name here: of elements and of attributes, the first of each.

    Raises:
        MarkError: it is no XML, or defines entities, with which a few bytes can become gigabytes.
    """
    found: dict[str, str] = {}
    inside: list[str] = []
    words: list[str] = []

    def refuse(*_: object) -> None:
        raise MarkError("it has a document type, which no XMP packet needs")

    def start(name: str, attributes: dict[str, str]) -> None:
        for key in (key for key in attributes if key in _WANTED):
            found.setdefault(_WANTED[key], attributes[key].strip())
        if not inside and name in _WANTED:
            inside.append(name)
            words.clear()

    def end(name: str) -> None:
        if inside == [name]:
            found.setdefault(_WANTED[inside.pop()], "".join(words).strip())

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = lambda text: words.append(text) if inside else None
    try:
        parser.Parse(packet.strip(b"\0 \r\n\t"), True)
    except (expat.ExpatError, LookupError) as error:
        raise MarkError(f"it is no XML ({error})") from error
    return {name: value for name, value in found.items() if value}


def origins(places: Iterable[Path]) -> Iterator[Origin | DataError]:
    """The origin of every file that is named, and of every picture in folders that are, in any nesting.

    Links to folders are not followed, so there is an end. In folders what is no picture is passed over;
    what cannot be read, or is named and is no picture, comes as the error it is.

    Example:
        >>> [found.as_text() for found in origins([Path("faces")])]
    """
    for place in places:
        if place.is_dir():
            yield from _in_folder(place)
            continue
        try:
            yield read_origin(place)
        except DataError as error:
            yield error


def _in_folder(folder: Path) -> Iterator[Origin | DataError]:
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = [here / name for name in sorted(os.listdir(here))]
        except OSError as problem:
            yield DataError(f"Cannot read {here}: {problem.strerror or problem}.")
            continue
        waiting += [entry for entry in reversed(entries) if entry.is_dir() and not entry.is_symlink()]
        for entry in entries:
            lost = entry.is_symlink() and not entry.exists()
            if not (entry.is_file() or lost):
                continue
            try:
                if (found := _origin(entry)) is not None:
                    yield found
            except DataError as error:
                yield error
