"""Real faces: finding them in photographs and bringing them all to the same place. Needs no torch."""

from gansmith.faces.align import TEMPLATES, Aligned, Template, align, named_template, similarity
from gansmith.faces.detect import Detector, FoundFace, open_detector

__all__ = [
    "TEMPLATES",
    "Aligned",
    "Detector",
    "FoundFace",
    "Template",
    "align",
    "named_template",
    "open_detector",
    "similarity",
]
