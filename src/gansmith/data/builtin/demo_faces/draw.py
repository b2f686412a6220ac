"""The drawing of a demo face, from the background to the hat, and the points on it that landmarks name."""

from cmath import rect
from collections.abc import Callable
from math import ceil, radians
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gansmith.data.builtin.demo_faces.hair import hair_before, hair_behind, hat
from gansmith.data.builtin.demo_faces.sample import TEETH
from gansmith.data.builtin.demo_faces.shapes import (
    Path,
    Pen,
    curve,
    ellipse,
    mirror,
    mix,
    ring,
    shade,
    smooth,
    stroke,
)
from gansmith.data.builtin.demo_faces.traits import (
    BACKGROUND_COLOURS,
    CLOTHES_COLOURS,
    EYE_COLOURS,
    FRAME_COLOURS,
    HAIR_COLOURS,
    SKIN_COLOURS,
    Colour,
    Face,
)

# Outlines are filled with hard edges at this many pixels or more; averaging down makes the edges soft.
_RASTER = 256
_SMALLEST = 8
_HAT_WIDTH, _HAT_MIDDLE = 3.6, -0.98j  # What the widest hat needs, and where its middle is, in head units.
_GLASSES_WIDTH = 0.5  # Likewise, in shares of the face's side.
_ZOOM = 1.1  # the largest head and shoulders that leave room for a top hat

_WHITE: Colour = (255, 255, 255)
_EYE_WHITE: Colour = (253, 252, 248)
_INK: Colour = (38, 30, 40)
_ROSE: Colour = (214, 70, 84)
_GOLD: Colour = (246, 196, 72)

SEGMENTS: dict[str, Colour] = {
    "background": (0, 0, 0),
    "hair": (230, 160, 30),
    "clothes": (40, 90, 220),
    "skin": (250, 200, 170),
    "beard": (130, 80, 20),
    "mouth": (230, 30, 60),
    "nose": (250, 130, 110),
    "eyes": (60, 220, 250),
    "brows": (110, 0, 110),
    "glasses": (20, 150, 60),
    "hat": (180, 60, 240),
}
"""Part of a face -> its colour in ``draw_segments``."""

_HEAD_TURNS = np.linspace(0, 2 * np.pi, 64, endpoint=False)
_HEAD_COS, _HEAD_SIN = np.cos(_HEAD_TURNS), np.sin(_HEAD_TURNS)
_CROWN = np.abs(_HEAD_COS[32:]) ** 0.9 * np.sign(_HEAD_COS[32:]) - 1j * np.abs(_HEAD_SIN[32:]) ** 0.9
_LOWER_COS, _LOWER_SIN = np.abs(_HEAD_COS[:32]), np.maximum(_HEAD_SIN[:32], 0)
_LOWER_SIGN = np.sign(_HEAD_COS[:32])
_SQUARE = (np.sign(_HEAD_COS) * np.abs(_HEAD_COS) ** 0.42) + 1j * np.sign(_HEAD_SIN) * np.abs(
    _HEAD_SIN
) ** 0.42
_CIRCLE = np.exp(1j * _HEAD_TURNS)
# From the left sideburn below the nose to the right one, in head units.
_BEARD_EDGE = np.concatenate((
    curve(-0.95 - 0.1j, -0.9 + 0.3j, -0.6 + 0.4j), curve(-0.5 + 0.42j, 0.36j, 0.5 + 0.42j),
    curve(0.6 + 0.4j, 0.9 + 0.3j, 0.95 - 0.1j),
))  # fmt: skip
_GOATEE = smooth(
    [
        0.2 + 0.74j,
        0.32 + 0.84j,
        0.26 + 1.02j,
        0.1 + 1.14j,
        -0.1 + 1.14j,
        -0.26 + 1.02j,
        -0.32 + 0.84j,
        -0.2 + 0.74j,
    ]
)
_MOUSTACHE = smooth(
    [0.0 + 0.4j, 0.2 + 0.38j, 0.4 + 0.46j, 0.52 + 0.56j, 0.36 + 0.53j, 0.18 + 0.5j, 0.0 + 0.5j]
)
_FRECKLES = [ellipse(z, 0.007, 0.007) for z in (0.075 + 0.068j, 0.1 + 0.082j, 0.125 + 0.066j)]
_CHEEK = ellipse(0, 0.038, 0.025)


def draw(face: Face, width: int, height: int) -> NDArray[np.uint8]:
    """Draw the image of a face: [height, width, 3], RGB, 0 .. 255.

    Sizes run from 8 pixels upwards. The face fits the smaller side and looks the same at every size;
    background and clothes fill the rest of an oblong image.
    """
    _check_size(width, height)
    side = min(width, height)
    factor = max(3, ceil(_RASTER / side))
    image = Image.new("RGB", (width * factor, height * factor), BACKGROUND_COLOURS[face.background])
    for painters in _painters(image, face, width, height).values():
        painters()
    return np.array(image.reduce(factor))  # a copy: the image's own memory may not be written to


def draw_segments(face: Face, width: int, height: int) -> NDArray[np.uint8]:
    """What each pixel's middle shows of a face, a colour a part (``SEGMENTS``): [height, width, 3].

    Ears, earrings and what is on the skin count as skin, a tie of the hair as hair, what is seen through
    glasses that are clear as what it is.
    """
    _check_size(width, height)
    factor = max(3, ceil(_RASTER / min(width, height))) | 1  # Odd: a pixel has a middle.
    image = Image.new("RGB", (width * factor, height * factor), SEGMENTS["background"])
    now = "background"
    skin = _skin(face)
    bare = (skin, shade(skin, 0.22))

    def tint(colour: Colour) -> Colour:
        return SEGMENTS["skin" if now == "clothes" and colour in bare else now]

    for part, painters in _painters(image, face, width, height, tint).items():
        now = part.partition(" ")[0]
        painters()
    return np.array(image)[factor // 2 :: factor, factor // 2 :: factor].copy()


def _painters(
    image: Image.Image,
    face: Face,
    width: int,
    height: int,
    tint: Callable[[Colour], Colour] | None = None,
) -> dict[str, Callable[[], None]]:
    """What paints each part, from back to front; the first word is the segment."""
    side, factor = min(width, height), image.width // width
    turn, origin = _frame(face, image.width, image.height)
    body = Pen(image, _ZOOM * side * factor, complex(width, height) * factor / 2, tint=tint)
    head = Pen(image, turn, origin, tint=tint)
    skull, skin = head.stretched(face.head_width / 2, face.head_height / 2), _skin(face)
    return {
        "background": lambda: _backdrop(body, face, complex(width, height) / (2 * _ZOOM * side)),
        "hair behind": lambda: hair_behind(skull, face),
        "clothes": lambda: _body(body, face, skin, height / side / 2 / _ZOOM),
        "skin": lambda: _head(head, skull, face, skin),
        "skin marks": lambda: _marks(head, face, skin),
        "beard": lambda: _beard(skull, face, skin),
        "mouth": lambda: _mouth(head, face, skin),
        "nose": lambda: _nose(head, face, skin),
        "skin lenses": lambda: _clear_lenses(head, face, skin),
        "eyes": lambda: _eyes(head, face),
        "brows": lambda: _brows(head, face),
        "hair before": lambda: hair_before(skull, face),
        "glasses": lambda: _glasses(head, face),
        "hat": lambda: hat(skull, face),
    }


def _skin(face: Face) -> Colour:
    return mix(SKIN_COLOURS[face.skin], _WHITE if face.tone > 0 else _INK, 0.07 * abs(face.tone))


def landmarks(face: Face, width: int, height: int) -> NDArray[np.float32]:
    """Five points [5, 2] (x, y): left eye, right eye, nose tip, left and right mouth corner, on the drawing.

    The unit is the pixel of an image of that size, counted from its top left corner, so that the middle of
    the first pixel is (0.5, 0.5). Left is the viewer's left.
    """
    return pose_points(face, width, height)[:5]


def pose_points(face: Face, width: int, height: int) -> NDArray[np.float32]:
    """Eleven points [11, 2]: the five landmarks, pupils, the lips' upper and lower edge, chin and crown."""
    _check_size(width, height)
    turn, origin = _frame(face, width, height)
    left, right, lip = _mouth_points(face)
    eye, look = _eye(face), _look(face)
    five = [-eye.conjugate(), eye, _nose_tip(face), left, right]
    ends = [lip + 1j * _mouth_gap(face), 0.5j * face.head_height, -0.5j * face.head_height]
    points = np.array([*five, look - eye.conjugate(), look + eye, lip, *ends]) * turn + origin
    return points.view(np.float64).reshape(-1, 2).astype(np.float32)


def draw_item(face: Face, item: Literal["hat", "glasses"], width: int, height: int) -> NDArray[np.uint8]:
    """The hat or the glasses of a face alone on white, upright and in the middle: [height, width, 3].

    It fits the smaller side, and is white all over where the face wears none.
    """
    _check_size(width, height)
    side = min(width, height)
    factor = max(3, ceil(_RASTER / side))
    image = Image.new("RGB", (width * factor, height * factor), _WHITE)
    middle = complex(width, height) * factor / 2
    if item == "hat":
        scale = side * factor / _HAT_WIDTH
        hat(Pen(image, scale, middle - _HAT_MIDDLE * scale), face)
    else:
        scale = side * factor / _GLASSES_WIDTH
        _glasses(Pen(image, scale, middle), face)
    return np.array(image.reduce(factor))


def _check_size(width: int, height: int) -> None:
    if min(width, height) < _SMALLEST:
        raise ValueError(
            f"A face needs at least {_SMALLEST} x {_SMALLEST} pixels; received {width} x {height}. "
            f"Ask for a width and a height of {_SMALLEST} or more."
        )


def _frame(face: Face, width: int, height: int) -> tuple[complex, complex]:
    """Where the head is: its point z (chin near 0.27j, ears near -0.21, 0.21) lands at z * turn + origin."""
    side = _ZOOM * min(width, height)
    lean = rect(1.0, radians(face.tilt))
    neck = 0.25j  # the head leans about the top of the neck, so chin and collar stay together
    middle = complex(face.offset_x, face.offset_y + 0.025) + neck - neck * lean
    return side * lean, middle * side + complex(width, height) / 2


# ------------------------------------------------------------------------------
# Places on the head


def _eye(face: Face) -> complex:
    return complex(face.eye_distance * face.head_width / 2, 0.012)


def _eye_radii(face: Face) -> tuple[float, float]:
    return 0.041 * face.eye_size, (0.031 + 0.012 * face.eye_opening) * face.eye_size


def _look(face: Face) -> complex:
    """From the middle of an eye to its pupil."""
    (rx, ry), size = _eye_radii(face), face.eye_size
    return complex(face.gaze[0] * (rx - 0.023 * size), face.gaze[1] * (ry - 0.021 * size))


def _mouth_gap(face: Face) -> float:
    """How far the mouth is open in its middle."""
    return 0.0 if face.smile <= TEETH else 0.014 + 0.044 * (face.smile - TEETH) / (1 - TEETH)


def _nose_tip(face: Face) -> complex:
    return complex(0, 0.15 * face.head_height + 0.006 * face.nose_size)


def _mouth_points(face: Face) -> tuple[complex, complex, complex]:
    """Left corner, right corner, and the middle of the upper edge."""
    reach = 0.076 * face.mouth_width * (1 + 0.16 * face.smile)
    level = 0.285 * face.head_height
    corner = complex(reach, level - 0.018 * face.smile)
    return -corner.conjugate(), corner, complex(0, level + 0.014 * face.smile)


# ------------------------------------------------------------------------------
# Painters, from back to front


def _backdrop(pen: Pen, face: Face, corner: complex) -> None:
    tone = mix(BACKGROUND_COLOURS[face.background], _WHITE, 0.2)
    if face.backdrop == "disc":
        pen.fill(_CIRCLE * 0.41, tone)
    elif face.backdrop == "diagonal":
        pen.fill(np.array([corner.conjugate(), corner, -corner.conjugate()]), tone)


def _body(pen: Pen, face: Face, skin: Colour, bottom: float) -> None:
    colour = CLOTHES_COLOURS[face.clothes_colour]
    dark = shade(colour, 0.22)
    at = 0.5 * face.offset_x
    wide = face.shoulders
    side = curve(0.09 + 0.325j, 0.33 * wide + 0.335j, 0.41 * wide + 0.47j)
    side = np.append(side, (0.425 * wide + 0.52j, 0.425 * wide + 1j * bottom + 0.01j))
    pen.fill(np.concatenate((side, mirror(side)[::-1])) + at, colour)
    if face.clothes == "stripes":
        _stripes(
            pen,
            side,
            at,
            mix(colour, _WHITE, 0.6) if face.clothes_colour != "white" else (70, 100, 160),
            bottom,
        )
    sleeve = stroke(
        np.array((0.3 * wide + 0.425j, 0.285 * wide + 0.5j, 0.285 * wide + 1j * bottom + 0.02j)), 0.012
    )
    pen.fill(sleeve + at, dark)
    pen.fill(mirror(sleeve) + at, dark)
    _neck(pen, face, skin, dark, at)


def _stripes(pen: Pen, side: Path, at: float, colour: Colour, bottom: float) -> None:
    for first in (5, 8, 11):
        edge = side[first : first + 2]
        pen.fill(np.concatenate((edge, mirror(edge)[::-1])) + at, colour)
    level = 0.52
    while level < bottom:
        edge = np.array((side[-1].real + 1j * level, side[-1].real + 1j * (level + 0.03)))
        pen.fill(np.concatenate((edge, mirror(edge)[::-1])) + at, colour)
        level += 0.065


def _neck(pen: Pen, face: Face, skin: Colour, trim: Colour, at: float) -> None:
    half = 0.2 * face.head_width
    deep = 0.45 if face.clothes == "v-neck" else 0.4
    corner = complex(half + 0.015, 0.325)
    pull = 1j * (2 * deep - 0.325)
    line: Path = np.array((corner, 1j * deep - 0.01j, -corner.conjugate()))
    if face.clothes != "v-neck":
        line = curve(corner, pull - 0.04j, -corner.conjugate())
    up: Path = np.array((-half + 0.1j, half + 0.1j))
    pen.fill(np.concatenate((line, up)) + at, skin)
    # The chin's shadow on the neck.
    shadow = curve(complex(half, 0.305), complex(0, 0.385), complex(-half, 0.305))
    pen.fill(np.concatenate((shadow, up)) + at, shade(skin, 0.22))
    if face.clothes == "collar":
        flap: Path = np.array((0.055 + 0.4j, half + 0.315j, half + 0.035 + 0.322j, 0.125 + 0.44j))
        lapel = mix(CLOTHES_COLOURS[face.clothes_colour], _WHITE, 0.45)
        pen.fill(flap + at, lapel)
        pen.fill(mirror(flap) + at, lapel)
    else:
        pen.fill(stroke(line, 0.02) + at, trim)


def _head_outline(face: Face) -> Path:
    """In head units: a broad crown, and a chin between an ellipse's and a square one."""
    power = 2 / (2 + 0.8 * face.jaw)
    chin = _LOWER_SIGN * _LOWER_COS**power + 1j * _LOWER_SIN**power
    return np.concatenate((chin, _CROWN))


def _head(pen: Pen, skull: Pen, face: Face, skin: Colour) -> None:
    half = face.head_width / 2
    dark = shade(skin)
    if face.hair_style not in ("bob", "long"):
        size = face.ear_size
        middle = complex(half + 0.008, 0.02)
        pen.fill_both(ellipse(middle, 0.034 * size, 0.05 * size), skin)
        pen.fill_both(ellipse(middle + 0.004, 0.017 * size, 0.028 * size), dark)
        if face.earrings:
            pen.fill_both(ellipse(middle + complex(0.006, 0.052 * size), 0.014, 0.014), _GOLD)
    outline = _head_outline(face)
    skull.fill(outline, dark)
    # The same outline, a little narrower and flush left, leaves a soft shadow along the right cheek.
    skull.fill((outline.real + 1) * 0.955 - 1 + 1j * outline.imag * 0.995, skin)


def _marks(pen: Pen, face: Face, skin: Colour) -> None:
    half, tall = face.head_width / 2, face.head_height / 2
    if face.blush:
        pen.fill_both(_CHEEK + complex(0.6 * half, 0.31 * tall), mix(skin, _ROSE, 0.32))
    if face.freckles:
        for dot in _FRECKLES:
            pen.fill_both(dot, shade(skin, 0.34))
    if face.age_lines:
        dark = shade(skin, 0.24)
        eye = _eye(face)
        pen.fill_both(stroke(curve(eye + (-0.03 + 0.056j), eye + 0.076j, eye + (0.03 + 0.056j)), 0.008), dark)
        pen.fill_both(stroke(curve(0.05 + 0.36j * tall, 0.09 + 0.4j * tall, 0.1 + 0.56j * tall), 0.009), dark)
        for level, reach in ((-0.37, 0.07), (-0.45, 0.055)):
            y = 1j * level * tall
            pen.fill(stroke(curve(y - reach, y - 0.012j, y + reach), 0.009), dark)
    if face.hair_style == "bald":
        pen.fill(ellipse(complex(-0.36 * half, -0.72 * tall), 0.05, 0.022), mix(skin, _WHITE, 0.3))


def _beard(skull: Pen, face: Face, skin: Colour) -> None:
    hair = shade(HAIR_COLOURS[face.hair_colour], 0.1)
    if face.beard in ("full", "stubble"):
        chin = _head_outline(face)[1:32]
        if face.beard == "full":
            chin = chin.real * 1.03 + 1j * chin.imag * 1.1
        else:
            hair = mix(skin, hair, 0.26)
        skull.fill(np.concatenate((chin, _BEARD_EDGE)), hair)
    elif face.beard == "goatee":
        skull.fill(_GOATEE, hair)
    elif face.beard == "moustache":
        skull.fill_both(_MOUSTACHE, hair)


def _mouth(pen: Pen, face: Face, skin: Colour) -> None:
    left, right, middle = _mouth_points(face)
    level = (left.imag + right.imag) / 2
    lips = mix(skin, (188, 48, 68), 0.58)
    top = curve(left, 1j * (2 * middle.imag - level), right)
    if face.smile <= TEETH:
        pen.fill(stroke(top, 0.016), lips)
        return
    opened = (face.smile - TEETH) / (1 - TEETH)
    gap = _mouth_gap(face)
    lower = curve(right, 1j * (2 * (middle.imag + gap) - level), left)
    pen.fill(np.concatenate((top, lower)), (122, 32, 48))
    teeth = curve(right, 1j * (2 * (middle.imag + 0.5 * gap) - level), left)
    pen.fill(np.concatenate((top, teeth)), _WHITE)
    if opened > 0.4:
        pen.fill(ellipse(middle + 0.8j * gap, 0.026, 0.17 * gap), (222, 104, 110))
    pen.fill(stroke(lower, 0.01), lips)
    pen.fill(stroke(top, 0.01), lips)


def _nose(pen: Pen, face: Face, skin: Colour) -> None:
    dark = shade(skin, 0.24)
    tip, size = _nose_tip(face), face.nose_size
    if face.nose == "button":
        pen.fill(ellipse(tip - 0.004j, 0.026 * size, 0.019 * size), dark)
    elif face.nose == "round":
        pen.fill(
            stroke(curve(tip - 0.034 * size - 0.012j, tip + 0.03j, tip + 0.034 * size - 0.012j), 0.013), dark
        )
    else:
        start, side = tip - 0.004 - 0.07j * size, tip + 0.045 * size
        ridge = curve(start, start + 0.03j, side - 0.012 - 0.012j)
        pen.fill(stroke(np.append(ridge, curve(side, side + 0.016j, tip - 0.01 + 0.006j)), 0.012), dark)


def _clear_lenses(pen: Pen, face: Face, skin: Colour) -> None:
    if face.glasses in ("round", "square"):
        lens, _ = _lens(face)
        pen.fill_both(lens, mix(skin, _WHITE, 0.15))


def _eyes(pen: Pen, face: Face) -> None:
    size, eye, (rx, ry) = face.eye_size, _eye(face), _eye_radii(face)
    if face.glasses != "sunglasses":
        look = _look(face)
        iris, pupil = ellipse(look, 0.022 * size, 0.022 * size), ellipse(look, 0.0125 * size, 0.0125 * size)
        glint = ellipse(look + (-0.006 - 0.008j) * size, 0.006 * size, 0.006 * size)
        lid = stroke(curve(-rx, -2.05j * ry, complex(rx)), 0.012)
        for middle in (-eye.conjugate(), eye):
            pen.fill(ellipse(middle, rx, ry), _EYE_WHITE)
            pen.fill(iris + middle, EYE_COLOURS[face.eye_colour])
            pen.fill(pupil + middle, _INK)
            pen.fill(glint + middle, _WHITE)
            pen.fill(lid + middle, _INK)


def _brows(pen: Pen, face: Face) -> None:
    hair = HAIR_COLOURS[face.hair_colour]
    # Dark brows are darkened further, to stand out on dark skin.
    colour = mix(hair, _INK, 0.5) if sum(hair) < 300 else shade(hair, 0.3)
    eye = _eye(face)
    level = -0.058 - 0.009 * face.eye_size - 0.008 * face.brow_height
    inner = complex(eye.real - 0.04, level + 0.013 * face.brow_tilt)
    outer = complex(eye.real + 0.044, level + 0.006 - 0.006 * face.brow_tilt)
    arch = stroke(curve(inner, (inner + outer) / 2 - 0.02j, outer), 0.018 * face.brow_weight, 0.008)
    pen.fill_both(arch, colour)


def _lens(face: Face) -> tuple[Path, float]:
    """The right lens, and how far it reaches to either side of the eye."""
    eye = _eye(face)
    reach = min(0.84 * eye.real, 0.07)
    if face.glasses == "round":
        return _CIRCLE * reach + eye, reach
    tall = 0.74 if face.glasses == "square" else 0.78
    return _SQUARE.real * reach + 1j * _SQUARE.imag * reach * tall + eye + 0.004j, reach


def _glasses(pen: Pen, face: Face) -> None:
    if face.glasses == "none":
        return
    frame = FRAME_COLOURS[face.frame_colour if face.glasses != "sunglasses" else "black"]
    eye = _eye(face)
    lens, reach = _lens(face)
    inner, outer = eye.real - reach, eye.real + reach
    pen.fill(stroke(curve(-inner - 0.004j, -0.02j, inner - 0.004j), 0.012), frame)
    pen.fill_both(stroke(np.array((outer + 0j, face.head_width / 2 - 0.012j)), 0.012), frame)
    if face.glasses == "sunglasses":
        pen.fill_both(lens, frame)
        slant = np.array((eye + reach * (-0.4 + 0.28j), eye + reach * (0.05 - 0.4j)))
        shine = stroke(slant, 0.014)
        pen.fill(shine, mix(frame, _WHITE, 0.4))
        pen.fill(shine - 2 * eye.real, mix(frame, _WHITE, 0.4))
    else:
        pen.fill_both(ring(lens, 0.012), frame)
