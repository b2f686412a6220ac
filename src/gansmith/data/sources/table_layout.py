"""Which column of a table holds the images, and which ones say something of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gansmith.core.json_files import parse_json
from gansmith.core.text import find_name
from gansmith.data.metadata.samples import unknown_label
from gansmith.errors import DataError

_IMAGES = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "pixel_values", "bytes")
_LABELS = ("label", "labels", "fine_label", "class", "target", "category")
_CAPTIONS = ("caption", "captions", "text", "prompt", "sentence", "description")


@dataclass(frozen=True)
class Layout:
    """Names of columns; "" where there is none.

    Example:
        >>> layout_of(pyarrow.parquet.read_schema("faces.parquet"), label="age")
        Layout(image='image', label='age', caption='', attributes=(), label_names=())
    """

    image: str
    label: str = ""
    caption: str = ""
    attributes: tuple[str, ...] = ()  # Columns of true and false.
    label_names: tuple[str, ...] = ()


def layout_of(kinds: Mapping[str, str], said: str, label: str | None = None) -> Layout:
    """The layout of a table, from the names and types of its columns and the metadata of Hugging Face.

    Args:
        kinds: name of a column -> its type, as Arrow writes it.
        said: the metadata of Hugging Face, JSON; "" where there is none.
        label: the column that is the class.

    Raises:
        DataError: no column holds images, or is called ``label``.
    """
    features = _features(said)
    image = _first(_IMAGES, kinds, lambda name: _is_image(features.get(name), kinds[name], name))
    if not image:
        columns = ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "none"
        raise DataError(f"no column holds the bytes of pictures; its columns: {columns[:300]}")
    label = _label(kinds, features) if label is None else find_name(label, kinds) or label
    if label and label not in kinds:
        raise unknown_label(label, kinds)
    return Layout(
        image=image,
        label=label,
        caption=_first(_CAPTIONS, kinds, lambda name: name in _CAPTIONS and "string" in kinds[name]),
        attributes=tuple(name for name, kind in kinds.items() if kind == "bool" and name != label),
        label_names=_names(features.get(label, {}).get("names")),
    )


def _names(given: object) -> tuple[str, ...]:
    """The names of classes; nothing where something else is said."""
    return tuple(map(str, given)) if isinstance(given, list) else ()


def _label(kinds: Mapping[str, str], features: Mapping[str, dict[str, Any]]) -> str:
    classes = [name for name in kinds if _kind(features.get(name)) == "ClassLabel"]
    liked = _first(_LABELS, classes, lambda _: True)
    return liked or _first(_LABELS, kinds, lambda name: name in _LABELS and _is_label(kinds[name]))


def _first(liked: tuple[str, ...], names: Iterable[str], fits: Callable[[str], bool]) -> str:
    """Of the names that fit the one that is liked most, else the first."""
    fitting = [name for name in names if fits(name)]
    known = [name for name in liked if name in fitting]
    return (known or fitting or [""])[0]


def _is_image(feature: Mapping[str, Any] | None, kind: str, name: str) -> bool:
    holds = kind.startswith("struct<") and "bytes: " in kind
    if _kind(feature):
        return _kind(feature) == "Image" and (holds or kind.endswith("binary"))
    return holds or (kind.endswith("binary") and name in _IMAGES)


def _is_label(kind: str) -> bool:
    return kind.lstrip("u").startswith("int") or kind in ("string", "large_string")


def _kind(feature: Mapping[str, Any] | None) -> str:
    return str((feature or {}).get("_type", ""))


def _features(said: str) -> dict[str, dict[str, Any]]:
    """What Hugging Face says of the columns; nothing where it says nothing that can be read."""
    try:
        given = parse_json(said)
        features = given["info"]["features"]
        return {str(name): feature for name, feature in features.items() if isinstance(feature, dict)}
    except (ValueError, TypeError, LookupError, AttributeError):
        return {}
