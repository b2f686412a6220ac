"""`demo-faces`: flat-design faces drawn on the fly; `draw(face(seed=0, index=7), 64, 64)` is one picture.

Every face carries its ground truth: `landmarks`, `attributes`, one class (`label`), a sentence (`caption`).
"""

from gansmith.data.faces._draw import draw, landmarks
from gansmith.data.faces._facts import (
    BACKDROPS,
    BACKGROUND_COLOURS,
    BEARDS,
    CLOTHES,
    CLOTHES_COLOURS,
    EYE_COLOURS,
    FRAME_COLOURS,
    GLASSES,
    HAIR_COLOURS,
    HAIR_STYLES,
    HATS,
    NOSES,
    RANGES,
    SKIN_COLOURS,
    Face,
)
from gansmith.data.faces._sample import ATTRIBUTES, LABELS, attributes, caption, face, label

__all__ = [
    "ATTRIBUTES",
    "BACKDROPS",
    "BACKGROUND_COLOURS",
    "BEARDS",
    "CLOTHES",
    "CLOTHES_COLOURS",
    "EYE_COLOURS",
    "FRAME_COLOURS",
    "GLASSES",
    "HAIR_COLOURS",
    "HAIR_STYLES",
    "HATS",
    "LABELS",
    "NOSES",
    "RANGES",
    "SKIN_COLOURS",
    "Face",
    "attributes",
    "caption",
    "draw",
    "face",
    "label",
    "landmarks",
]
