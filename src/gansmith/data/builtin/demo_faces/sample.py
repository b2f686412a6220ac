"""How a demo face comes from (seed, index), and what can be said about it in numbers and words."""

from bisect import bisect_right
from itertools import accumulate
from operator import index as as_integer

import numpy as np
from numpy.typing import NDArray

from gansmith.data.builtin.demo_faces.traits import (
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

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_SLOTS = 48  # random numbers per face; each fact owns one, so a new fact never disturbs the others
_STEPS = np.arange(1, _SLOTS + 1, dtype=np.uint64) * np.uint64(_GOLDEN)


class _Choice:
    """A weighted choice among names, made by one number in [0, 1)."""

    def __init__(self, names: tuple[str, ...], weights: tuple[float | int, ...] | None = None) -> None:
        steps = list(accumulate(weights or (1.0,) * len(names)))
        self._names = names
        self._edges = [step / steps[-1] for step in steps[:-1]]

    def __call__(self, number: float) -> str:
        return self._names[bisect_right(self._edges, number)]


_SKIN = _Choice(tuple(SKIN_COLOURS))
_HAIR_YOUNG = _Choice(tuple(HAIR_COLOURS), (24, 20, 18, 14, 16, 2, 0, 6))
_HAIR_OLD = _Choice(tuple(HAIR_COLOURS), (8, 8, 7, 4, 5, 38, 26, 4))
_HAIR_ON_DARK = _Choice(tuple(HAIR_COLOURS), (50, 26, 4, 6, 4, 3, 0, 7))
_STYLE_YOUNG = _Choice(HAIR_STYLES, (6, 8, 11, 12, 10, 14, 11, 13, 9, 6))
_STYLE_OLD = _Choice(HAIR_STYLES, (22, 10, 13, 14, 3, 10, 11, 5, 12, 0))
_GLASSES = _Choice(GLASSES, (64, 13, 12, 11))
_BEARD_OFTEN = _Choice(BEARDS, (42, 14, 13, 11, 20))
_BEARD_SOME = _Choice(BEARDS, (74, 7, 6, 5, 8))
_BEARD_RARELY = _Choice(BEARDS, (97, 0, 1, 1, 1))
_BEARD = dict.fromkeys(("bald", "cropped", "short", "side parting", "spiky"), _BEARD_OFTEN) | {
    "curly": _BEARD_SOME,
    "long": _BEARD_SOME,
    "bun": _BEARD_SOME,
}
_HAT = _Choice(HATS, (74, 7, 7, 6, 6))
_EYES_LIGHT = _Choice(tuple(EYE_COLOURS), (35, 30, 22, 13))
_EYES_DARK = _Choice(tuple(EYE_COLOURS), (86, 3, 8, 3))
_FRAME = _Choice(tuple(FRAME_COLOURS), (45, 20, 18, 17))
_NOSE = _Choice(NOSES)
_CLOTHES = _Choice(CLOTHES)
_COLOUR = _Choice(tuple(CLOTHES_COLOURS))
_BACKGROUND = _Choice(tuple(BACKGROUND_COLOURS))
# Hair that would vanish against its background is given another one.
_CLASHES = {("blond", "mustard"): "teal", ("white", "cream"): "coral"}
_BACKDROP = _Choice(BACKDROPS, (40, 35, 25))


def face(seed: int, index: int) -> Face:
    """The face number `index` (0 .. 2**64 - 1) of the endless series `seed` (0 .. 2**64 - 1).

    It depends on these two numbers alone, so faces can be made in any order and by any number of workers.
    """
    pool = _numbers(_checked("seed", seed), _checked("index", index))
    # The ranged measures take the first numbers, in the order of RANGES; the named choices follow.
    measures = {name: low + (high - low) * pool[i] for i, (name, (low, high)) in enumerate(RANGES.items())}
    rest = iter(pool[len(RANGES) :])
    skin, old = _SKIN(next(rest)), next(rest) < 0.24
    deep = skin in ("brown", "dark")
    style = (_STYLE_OLD if old else _STYLE_YOUNG)(next(rest))
    hair = (_HAIR_OLD if old else _HAIR_ON_DARK if deep else _HAIR_YOUNG)(next(rest))
    drawn = _BACKGROUND(next(rest))
    background = _CLASHES.get((hair, drawn), drawn)
    return Face(
        skin=skin,
        hair_style=style,
        hair_colour=hair,
        age_lines=old,
        background=background,
        backdrop=_BACKDROP(next(rest)),
        glasses=_GLASSES(next(rest)),
        frame_colour=_FRAME(next(rest)),
        beard=_BEARD.get(style, _BEARD_RARELY)(next(rest)),
        hat=_HAT(next(rest)),
        hat_colour=_another_colour(next(rest), background),
        smile=1 - 2 * next(rest) ** 1.6,  # the power makes smiles about twice as frequent as frowns
        gaze=(2 * next(rest) - 1, 1.6 * next(rest) - 0.8),
        eye_colour=(_EYES_DARK if deep else _EYES_LIGHT)(next(rest)),
        blush=next(rest) < 0.35,
        freckles=next(rest) < (0.05 if deep else 0.22),
        earrings=next(rest) < (0.4 if style in ("bun", "pigtails", "curly") else 0.12),
        nose=_NOSE(next(rest)),
        clothes=_CLOTHES(next(rest)),
        clothes_colour=_another_colour(next(rest), background),
        **measures,
    )


def _checked(name: str, value: int) -> int:
    number = as_integer(value)
    if not 0 <= number <= _MASK:
        raise ValueError(
            f"{name} must be a whole number from 0 to 2**64 - 1; received {value}. "
            f"Pass a {name} in that range, for example 0."
        )
    return number


def _mix(number: int) -> int:
    number = (number ^ number >> 30) * _MIX_1 & _MASK
    number = (number ^ number >> 27) * _MIX_2 & _MASK
    return number ^ number >> 31


def _numbers(seed: int, index: int) -> list[float]:
    """`_SLOTS` numbers in [0, 1): splitmix64 from a hash of both, quicker than making a Generator."""
    state = _mix((_mix(seed + _GOLDEN & _MASK) ^ index) + _GOLDEN & _MASK)
    bits = _STEPS + np.uint64(state)
    bits = (bits ^ bits >> np.uint64(30)) * np.uint64(_MIX_1)
    bits = (bits ^ bits >> np.uint64(27)) * np.uint64(_MIX_2)
    bits ^= bits >> np.uint64(31)
    numbers: list[float] = ((bits >> np.uint64(11)) * 2.0**-53).tolist()
    return numbers


def _another_colour(number: float, background: str) -> str:
    """A colour for cloth that stands out from the background."""
    name = _COLOUR(number)
    if name == background:
        return "white"
    return "red" if (name, background) == ("white", "cream") else name


# ------------------------------------------------------------------------------
# What can be said of a face

ATTRIBUTES: tuple[str, ...] = (
    "smiling",
    "sad",
    "teeth",
    "glasses",
    "sunglasses",
    "beard",
    "moustache",
    "hat",
    "bald",
    "long hair",
    "curly hair",
    "dark hair",
    "fair hair",
    "grey hair",
    "age lines",
    "freckles",
    "rosy cheeks",
    "looking left",
    "looking right",
)

LABELS: tuple[str, ...] = HAIR_STYLES + HATS[1:]
SMILING = 0.25  # from this smile on a face counts as smiling, and below its negative as sad
TEETH = 0.45  # from this smile on the mouth is open
_LOOKING = 0.35


def hair_shows(face: Face) -> bool:
    """Whether hair of the head can be seen: in every style but bald some hangs below any hat."""
    return face.hair_style != "bald"


def attributes(face: Face) -> NDArray[np.uint8]:
    """A vector [len(ATTRIBUTES)] of 0 and 1 in the order of `ATTRIBUTES`; each tells what can be seen.

    Hence "bald" is 0 under a hat and "looking left" is 0 behind sunglasses; "glasses" are clear ones. Left
    and right are the viewer's.
    """
    hair = face.hair_colour if hair_shows(face) else ""
    eyes_show = face.glasses != "sunglasses"
    facts = (
        face.smile > SMILING,
        face.smile < -SMILING,
        face.smile > TEETH,
        face.glasses in ("round", "square"),
        not eyes_show,
        face.beard in ("stubble", "goatee", "full"),
        face.beard in ("moustache", "full"),
        face.hat != "none",
        not hair and face.hat == "none",
        face.hair_style in ("bob", "long", "pigtails"),
        face.hair_style == "curly",
        hair in ("black", "dark brown"),
        hair in ("blond", "white"),
        hair == "grey",
        face.age_lines,
        face.freckles,
        face.blush,
        eyes_show and face.gaze[0] < -_LOOKING,
        eyes_show and face.gaze[0] > _LOOKING,
    )
    return np.array(facts, dtype=np.uint8)


def label(face: Face) -> int:
    """One class in [0, len(LABELS)): the hat if there is one, else the hair style."""
    return LABELS.index(face.hair_style if face.hat == "none" else face.hat)


_HAIR_WORDS = {
    "bald": "a bald head",
    "cropped": "cropped {} hair",
    "short": "short {} hair",
    "side parting": "side-parted {} hair",
    "spiky": "spiky {} hair",
    "curly": "curly {} hair",
    "bob": "a {} bob",
    "long": "long {} hair",
    "bun": "{} hair in a bun",
    "pigtails": "{} hair in pigtails",
}
# Under a hat these styles look alike, so the words must not tell them apart.
_HAIR_WORDS_HAT = dict.fromkeys(("cropped", "short", "side parting", "spiky", "bun"), "short {} hair") | {
    "bald": ""
}
_GLASSES_WORDS = {
    "none": "",
    "round": "round glasses",
    "square": "square glasses",
    "sunglasses": "sunglasses",
}
_BEARD_WORDS = {
    "none": "",
    "stubble": "stubble",
    "moustache": "a moustache",
    "goatee": "a goatee",
    "full": "a full beard",
}


def caption(face: Face) -> str:
    """One sentence on what can be seen: "A calm person with fair skin and a red cap on a ... background."."""
    mood = "smiling" if face.smile > SMILING else "sad" if face.smile < -SMILING else "calm"
    words = _HAIR_WORDS if face.hat == "none" else _HAIR_WORDS | _HAIR_WORDS_HAT
    details = [
        f"{face.skin} skin",
        words[face.hair_style].format(face.hair_colour),
        _BEARD_WORDS[face.beard],
        _GLASSES_WORDS[face.glasses],
        "" if face.hat == "none" else f"a {face.hat_colour} {face.hat}",
    ]
    shown = [detail for detail in details if detail]
    listed = f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]
    person = "older person" if face.age_lines else "person"
    return f"A {mood} {person} with {listed} on a {face.background} background."
