"""Hair and hats: fixed outlines in head units (ears at x = -1 and 1, crown at y = -1, chin at y = 1)."""

import numpy as np

from gansmith.data.builtin.demo_faces.shapes import (
    Path,
    Pen,
    both,
    curve,
    ellipse,
    mix,
    shade,
    smooth,
    stroke,
)
from gansmith.data.builtin.demo_faces.traits import CLOTHES_COLOURS, HAIR_COLOURS, Colour, Face

_WHITE: Colour = (255, 255, 255)


def _scallops(
    centre: complex, rx: float, ry: float, bumps: int, depth: float, arc: tuple[float, float]
) -> Path:
    """Part of an ellipse (angles `arc` in turns, 0.75 is up) whose edge is made of round curls."""
    turns = np.linspace(arc[0], arc[1], int(abs(arc[1] - arc[0]) * bumps * 10) + 1)
    angles = 2 * np.pi * turns
    radius = 1 + depth * np.abs(np.sin(bumps / 2 * angles))
    path: Path = radius * (rx * np.cos(angles) + 1j * ry * np.sin(angles)) + centre
    return path


def _outline(*half: complex) -> Path:
    return smooth(both(list(half)))


_SWEPT = _outline(
    0.2 - 1.09j, 0.62 - 0.98j, 0.93 - 0.64j, 1.05 - 0.25j, 1.03 + 0.02j, 0.95 - 0.04j, 0.88 - 0.36j,
    0.62 - 0.62j, 0.2 - 0.72j,
)  # fmt: skip
_FRINGE = _outline(
    0.25 - 1.18j, 0.75 - 1.03j, 1.06 - 0.66j, 1.13 - 0.2j, 1.08 + 0.02j, 0.96 - 0.02j, 0.9 - 0.3j,
    0.78 - 0.4j, 0.45 - 0.43j, 0.15 - 0.42j,
)  # fmt: skip
_CURTAIN = _outline(
    0.16 - 1.15j, 0.7 - 1.04j, 1.05 - 0.66j, 1.14 - 0.2j, 1.08 + 0.08j, 0.96 + 0.02j, 0.86 - 0.26j,
    0.58 - 0.52j, 0.22 - 0.74j, 0.02 - 0.92j,
)  # fmt: skip
_CROPPED = _outline(
    0.2 - 1.055j, 0.5 - 0.97j, 0.82 - 0.72j, 1.0 - 0.38j, 1.03 - 0.04j, 0.96 + 0.02j, 0.9 - 0.28j,
    0.74 - 0.54j, 0.4 - 0.63j, 0.12 - 0.61j,
)  # fmt: skip
_SHORT = _outline(
    0.2 - 1.17j, 0.62 - 1.07j, 0.96 - 0.75j, 1.08 - 0.38j, 1.04 - 0.02j, 0.96 + 0.02j, 0.9 - 0.26j,
    0.76 - 0.44j, 0.58 - 0.5j, 0.4 - 0.44j, 0.2 - 0.51j,
)  # fmt: skip
_PARTED = smooth([
    -0.47 - 0.68j, -0.2 - 0.5j, 0.3 - 0.43j, 0.74 - 0.42j, 0.9 - 0.22j, 0.96 + 0.02j, 1.04 - 0.04j,
    1.1 - 0.45j, 0.98 - 0.86j, 0.6 - 1.16j, 0.1 - 1.25j, -0.42 - 1.13j, -0.8 - 0.9j, -1.03 - 0.5j,
    -1.04 - 0.04j, -0.96 + 0.02j, -0.9 - 0.28j, -0.74 - 0.52j,
])  # fmt: skip
# Spikes stay pointed: no spline here.
_SPIKES = np.array([
    -0.02 - 1.4j, 0.16 - 1.13j, 0.44 - 1.36j, 0.48 - 1.04j, 0.82 - 1.16j, 0.78 - 0.84j, 1.08 - 0.86j,
    1.0 - 0.52j, 1.14 - 0.42j, 1.04 - 0.02j, 0.96 + 0.02j, 0.9 - 0.3j, 0.72 - 0.52j, 0.58 - 0.43j,
    0.44 - 0.58j, 0.24 - 0.42j, 0.04 - 0.58j, -0.2 - 0.44j, -0.36 - 0.58j, -0.58 - 0.44j, -0.72 - 0.54j,
    -0.9 - 0.3j, -0.96 + 0.02j, -1.04 - 0.02j, -1.1 - 0.4j, -0.98 - 0.54j, -1.04 - 0.8j, -0.76 - 0.86j,
    -0.74 - 1.14j, -0.42 - 1.06j, -0.34 - 1.32j, -0.16 - 1.13j,
])  # fmt: skip
_CURLS = np.concatenate((
    _scallops(-0.4j, 1.22, 0.84, 14, 0.13, (0.42, 1.08)),
    _scallops(0.06j, 0.98, 0.64, 14, -0.11, (1.0, 0.5)),
))  # fmt: skip
_TOPS: dict[str, Path] = {
    "cropped": _CROPPED,
    "short": _SHORT,
    "side parting": _PARTED,
    "spiky": _SPIKES,
    "curly": _CURLS,
    "bob": _FRINGE,
    "long": _CURTAIN,
    "bun": _SWEPT,
    "pigtails": _CURTAIN,
}
# Hanging beside the face, in front of it and of the shoulders: the right one of each pair.
_LOCKS: dict[str, Path] = {
    "bob": smooth([
        0.84 - 0.46j, 1.1 - 0.56j, 1.23 + 0.0j, 1.3 + 0.5j, 1.2 + 0.8j, 0.98 + 0.78j, 0.92 + 0.55j,
        0.99 + 0.25j, 0.93 - 0.1j,
    ]),
    "long": smooth([
        0.84 - 0.48j, 1.08 - 0.56j, 1.2 + 0.0j, 1.24 + 0.7j, 1.32 + 1.2j, 1.16 + 1.5j, 0.96 + 1.3j,
        1.0 + 0.75j, 0.99 + 0.25j, 0.93 - 0.1j,
    ]),
}  # fmt: skip
_BACKS: dict[str, Path] = {
    "curly": _scallops(-0.42j, 1.24, 0.88, 14, 0.13, (0.0, 1.0)),
    "bob": _outline(
        0.3 - 1.15j, 0.85 - 0.95j, 1.14 - 0.5j, 1.26 + 0.1j, 1.26 + 0.6j, 1.12 + 0.8j, 0.4 + 0.8j
    ),
    "long": _outline(0.3 - 1.12j, 0.8 - 0.95j, 1.1 - 0.5j, 1.2 + 0.2j, 1.28 + 0.9j, 1.36 + 1.6j, 0.6 + 1.7j),
}
_BACKS_UNDER_HAT: dict[str, Path] = {
    "curly": _scallops(0.02j, 1.22, 0.54, 12, 0.13, (0.0, 1.0)),
    "bob": _outline(0.85 - 0.5j, 1.16 - 0.25j, 1.26 + 0.1j, 1.26 + 0.6j, 1.12 + 0.8j, 0.4 + 0.8j),
    "long": _outline(0.85 - 0.5j, 1.14 - 0.25j, 1.2 + 0.2j, 1.28 + 0.9j, 1.36 + 1.6j, 0.6 + 1.7j),
}
_PIGTAIL = smooth([
    1.02 - 0.12j, 1.26 - 0.3j, 1.56 - 0.1j, 1.64 + 0.35j, 1.52 + 0.74j, 1.38 + 0.92j, 1.26 + 0.6j,
    1.16 + 0.2j,
])  # fmt: skip
_TIE = ellipse(1.1 - 0.1j, 0.1, 0.1)
_BUN = ellipse(-1.24j, 0.42, 0.3)
_BUN_FOLD = stroke(curve(-0.26 - 1.3j, -1.12j, 0.26 - 1.34j), 0.05, 0.03)
_SHINE = stroke(curve(-0.66 - 0.8j, -0.4 - 1.05j, 0.02 - 1.03j), 0.07, 0.03)
_SHINE_PARTED = stroke(curve(-0.24 - 0.92j, 0.2 - 1.12j, 0.72 - 0.86j), 0.09, 0.04)
_PARTING = stroke(curve(-0.46 - 0.68j, -0.52 - 0.86j, -0.44 - 1.08j), 0.05, 0.02)


def hair_behind(pen: Pen, face: Face) -> None:
    """Paint what lies behind head and neck."""
    hair = HAIR_COLOURS[face.hair_colour]
    back = (_BACKS if face.hat == "none" else _BACKS_UNDER_HAT).get(face.hair_style)
    if back is not None:
        pen.fill(back, shade(hair, 0.3))
    if face.hair_style == "pigtails":
        pen.fill_both(_PIGTAIL, hair)
    elif face.hair_style == "bun" and face.hat == "none":
        pen.fill(_BUN, hair)
        pen.fill(_BUN_FOLD, shade(hair, 0.3))


def hair_before(pen: Pen, face: Face) -> None:
    """Paint what lies before the forehead and beside the cheeks; under a hat only a crop and the locks."""
    style = face.hair_style
    if style == "bald":
        return
    hair = HAIR_COLOURS[face.hair_colour]
    pen.fill(_TOPS[style] if face.hat == "none" else _CROPPED, hair)
    if style in _LOCKS:
        pen.fill_both(_LOCKS[style], hair)
    if style == "pigtails":
        pen.fill_both(_TIE, CLOTHES_COLOURS[face.clothes_colour])
    if face.hat == "none":
        _tones(pen, style, hair)


def _tones(pen: Pen, style: str, hair: Colour) -> None:
    light = mix(hair, _WHITE, 0.22)
    if style == "side parting":
        pen.fill(_PARTING, shade(hair, 0.35))
        pen.fill(_SHINE_PARTED, light)
    elif style not in ("cropped", "spiky", "curly"):
        pen.fill(_SHINE, light)


# ------------------------------------------------------------------------------
# Hats: each hides the crown down to the middle of the forehead

_DOME = _outline(
    0.2 - 1.3j, 0.62 - 1.19j, 0.95 - 0.92j, 1.08 - 0.6j, 1.08 - 0.44j, 0.6 - 0.42j, 0.2 - 0.42j,
)  # fmt: skip
_DOME_SIDE = np.concatenate(
    (curve(0.42 - 1.25j, 0.62 - 0.9j, 0.66 - 0.5j), curve(1.05 - 0.46j, 1.1 - 0.98j, 0.5 - 1.22j))
)
_PEAK = np.concatenate((curve(-1.0 - 0.46j, -0.74j, 1.0 - 0.46j), curve(1.04 - 0.38j, -0.38j, -1.04 - 0.38j)))
_BUTTON = ellipse(-1.3j, 0.1, 0.05)
_BADGE = ellipse(-0.92j, 0.2, 0.16)
_FOLD = np.concatenate((curve(-1.14 - 0.64j, -0.8j, 1.14 - 0.64j), curve(1.12 - 0.34j, -0.5j, -1.12 - 0.34j)))
_RIBS = [
    stroke(curve(x - 0.72j, x - 1.0j, 0.55 * x - (1.26 - 0.12 * abs(x)) * 1j), 0.04)
    for x in (-0.7, -0.25, 0.25, 0.7)
]
_POMPOM = _scallops(-1.42j, 0.24, 0.18, 10, 0.14, (0.0, 1.0))
_CROWN = np.concatenate((curve(-0.9 - 0.6j, -0.5j, 0.9 - 0.6j), curve(0.98 - 1.5j, -1.6j, -0.98 - 1.5j)))
_CROWN_SIDE = np.concatenate(
    (curve(0.9 - 0.6j, 0.94 - 1.1j, 0.98 - 1.5j), curve(0.68 - 1.54j, 0.66 - 1.1j, 0.6 - 0.58j))
)
_BAND = np.concatenate((curve(-0.9 - 0.6j, -0.48j, 0.9 - 0.6j), curve(0.92 - 0.84j, -0.74j, -0.92 - 0.84j)))
_BRIM = np.concatenate((curve(-1.42 - 0.64j, -0.26j, 1.42 - 0.64j), curve(1.34 - 0.7j, -0.46j, -1.34 - 0.7j)))
_WIDE_BRIM = _outline(
    0.4 - 0.66j,
    1.1 - 0.6j,
    1.62 - 0.45j,
    1.76 - 0.34j,
    1.6 - 0.3j,
    1.0 - 0.37j,
    0.3 - 0.4j,
)
_STRAW = _outline(0.2 - 1.3j, 0.6 - 1.22j, 0.86 - 1.02j, 0.96 - 0.74j, 0.95 - 0.63j, 0.4 - 0.7j)
_RIBBON = np.concatenate(
    (curve(-0.99 - 0.56j, -0.72j, 0.99 - 0.56j), curve(0.96 - 0.76j, -0.92j, -0.96 - 0.76j))
)


def hat(pen: Pen, face: Face) -> None:
    """Paint the hat, if there is one."""
    if face.hat != "none":
        _HAT_PAINTERS[face.hat](pen, CLOTHES_COLOURS[face.hat_colour])


def _cap(pen: Pen, colour: Colour) -> None:
    dark = shade(colour, 0.22)
    pen.fill(_BUTTON, dark)
    pen.fill(_DOME, colour)
    pen.fill(_DOME_SIDE, shade(colour, 0.1))
    pen.fill(
        _BADGE, mix(colour, _WHITE, 0.75) if colour != CLOTHES_COLOURS["white"] else CLOTHES_COLOURS["red"]
    )
    pen.fill(_PEAK, dark)


def _beanie(pen: Pen, colour: Colour) -> None:
    dark = shade(colour, 0.2)
    pen.fill(
        _POMPOM, mix(colour, _WHITE, 0.55) if colour != CLOTHES_COLOURS["white"] else CLOTHES_COLOURS["coral"]
    )
    pen.fill(_DOME, colour)
    for rib in _RIBS:
        pen.fill(rib, dark)
    pen.fill(_FOLD, mix(colour, _WHITE, 0.25) if colour != CLOTHES_COLOURS["white"] else dark)


def _top_hat(pen: Pen, colour: Colour) -> None:
    dark = mix(colour, (30, 24, 40), 0.62)
    pen.fill(_CROWN, dark)
    pen.fill(_CROWN_SIDE, shade(dark, 0.3))
    pen.fill(_BAND, colour)
    pen.fill(_BRIM, mix(dark, _WHITE, 0.08))


def _sun_hat(pen: Pen, colour: Colour) -> None:
    straw = (240, 208, 140)
    pen.fill(_WIDE_BRIM, shade(straw, 0.12))
    pen.fill(_STRAW, straw)
    pen.fill(_RIBBON, colour)


_HAT_PAINTERS = {"cap": _cap, "beanie": _beanie, "top hat": _top_hat, "sun hat": _sun_hat}
