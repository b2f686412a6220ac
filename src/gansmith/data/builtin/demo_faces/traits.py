"""What a demo face is made of: the named choices, their colours, and the record `Face` of one face."""

from dataclasses import dataclass

Colour = tuple[int, int, int]

SKIN_COLOURS: dict[str, Colour] = {
    "pale": (253, 224, 205),
    "fair": (247, 202, 170),
    "olive": (222, 176, 130),
    "tan": (205, 146, 102),
    "brown": (158, 105, 72),
    "dark": (108, 69, 50),
}
HAIR_COLOURS: dict[str, Colour] = {
    "black": (45, 38, 48),
    "dark brown": (78, 50, 42),
    "chestnut": (134, 80, 48),
    "red": (196, 82, 42),
    "blond": (236, 194, 104),
    "grey": (158, 160, 170),
    "white": (240, 238, 234),
    "pink": (228, 112, 158),
}
BACKGROUND_COLOURS: dict[str, Colour] = {
    "teal": (88, 174, 168),
    "coral": (242, 142, 122),
    "mustard": (240, 194, 98),
    "sky blue": (142, 200, 236),
    "mint": (174, 226, 196),
    "lavender": (192, 178, 232),
    "cream": (248, 234, 208),
    "navy": (72, 92, 140),
}
CLOTHES_COLOURS: dict[str, Colour] = {
    "red": (208, 74, 72),
    "navy": (54, 70, 112),
    "green": (76, 146, 102),
    "mustard": (232, 176, 62),
    "purple": (124, 90, 166),
    "white": (244, 243, 238),
    "teal": (46, 132, 138),
    "coral": (238, 120, 100),
}
EYE_COLOURS: dict[str, Colour] = {
    "brown": (94, 58, 36),
    "blue": (66, 124, 178),
    "green": (84, 136, 84),
    "grey": (104, 116, 128),
}
FRAME_COLOURS: dict[str, Colour] = {
    "black": (42, 40, 48),
    "brown": (112, 66, 40),
    "red": (190, 52, 60),
    "blue": (48, 84, 150),
}
HAIR_STYLES = (
    "bald",
    "cropped",
    "short",
    "side parting",
    "spiky",
    "curly",
    "bob",
    "long",
    "bun",
    "pigtails",
)
GLASSES = ("none", "round", "square", "sunglasses")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
HATS = ("none", "cap", "beanie", "top hat", "sun hat")
NOSES = ("button", "round", "long")
CLOTHES = ("crew neck", "v-neck", "collar", "stripes")
BACKDROPS = ("plain", "disc", "diagonal")

_NAMES: dict[str, tuple[str, ...]] = {
    "skin": tuple(SKIN_COLOURS),
    "hair_colour": tuple(HAIR_COLOURS),
    "hair_style": HAIR_STYLES,
    "glasses": GLASSES,
    "frame_colour": tuple(FRAME_COLOURS),
    "beard": BEARDS,
    "hat": HATS,
    "hat_colour": tuple(CLOTHES_COLOURS),
    "eye_colour": tuple(EYE_COLOURS),
    "nose": NOSES,
    "clothes": CLOTHES,
    "clothes_colour": tuple(CLOTHES_COLOURS),
    "background": tuple(BACKGROUND_COLOURS),
    "backdrop": BACKDROPS,
}

# Sampled evenly; a hand-made face may use no values beyond these, so that nothing floats or collides.
RANGES: dict[str, tuple[float, float]] = {
    "tone": (-1.0, 1.0),
    "head_width": (0.385, 0.455),
    "head_height": (0.500, 0.570),
    "jaw": (0.0, 1.0),
    "eye_size": (0.82, 1.18),
    "eye_distance": (0.40, 0.46),
    "eye_opening": (0.0, 1.0),
    "brow_tilt": (-1.0, 1.0),
    "brow_height": (-1.0, 1.0),
    "brow_weight": (0.7, 1.3),
    "nose_size": (0.8, 1.25),
    "mouth_width": (0.85, 1.15),
    "ear_size": (0.8, 1.2),
    "shoulders": (0.9, 1.1),
    "tilt": (-7.0, 7.0),
    "offset_x": (-0.03, 0.03),
    "offset_y": (-0.02, 0.02),
}


@dataclass(frozen=True, kw_only=True)
class Face:
    """Every fact of one face; `draw`, `landmarks`, `attributes` and `caption` all read only this.

    `dataclasses.replace` makes pairs: `replace(f, smile=1.0)` is the same person in the same pose, smiling.
    Lengths are shares of the image's smaller side; left and right are the viewer's.

    Example:
        >>> from gansmith.data.builtin.demo_faces import draw, sample
        >>> smiling = dataclasses.replace(sample.face(seed=0, index=7), smile=1.0)
        >>> draw.draw(smiling, 64, 64).shape
        (64, 64, 3)
    """

    skin: str  # a key of SKIN_COLOURS
    tone: float  # -1 a little darker .. 1 a little lighter than the named skin
    hair_colour: str  # a key of HAIR_COLOURS; also colours brows and beard
    hair_style: str  # one of HAIR_STYLES; under a hat only what hangs below it shows
    glasses: str  # one of GLASSES
    frame_colour: str  # a key of FRAME_COLOURS; sunglasses are always black
    beard: str  # one of BEARDS
    hat: str  # one of HATS
    hat_colour: str  # a key of CLOTHES_COLOURS
    smile: float  # -1 sad .. 0 calm .. 1 broad smile, the teeth showing
    gaze: tuple[float, float]  # (-1 left .. 1 right, -1 up .. 1 down)
    eye_colour: str  # a key of EYE_COLOURS
    age_lines: bool
    blush: bool
    freckles: bool
    earrings: bool  # hidden where the hair covers the ears
    nose: str  # one of NOSES
    clothes: str  # one of CLOTHES
    clothes_colour: str  # a key of CLOTHES_COLOURS
    background: str  # a key of BACKGROUND_COLOURS
    backdrop: str  # one of BACKDROPS: a second tone of the background
    head_width: float  # ear to ear, without the ears
    head_height: float  # chin to crown
    jaw: float  # 0 narrow chin .. 1 square jaw
    eye_size: float  # 1 is ordinary
    eye_distance: float  # from the nose to either eye, as a share of half the head's width
    eye_opening: float  # 0 sleepy .. 1 wide open
    brow_tilt: float  # -1 worried .. 1 stern
    brow_height: float  # -1 low .. 1 raised
    brow_weight: float  # 1 is ordinary
    nose_size: float  # 1 is ordinary
    mouth_width: float  # 1 is ordinary
    ear_size: float  # 1 is ordinary
    shoulders: float  # 1 is ordinary
    tilt: float  # degrees, clockwise positive
    offset_x: float  # of the head, to the right
    offset_y: float  # of the head, down

    def __post_init__(self) -> None:
        for field, names in _NAMES.items():
            if getattr(self, field) not in names:
                raise ValueError(
                    f"Face.{field} must be one of {', '.join(names)}; received {getattr(self, field)!r}. "
                    "Use one of these names."
                )
        for field, (low, high) in RANGES.items():
            _check_range(field, getattr(self, field), low, high)
        for field, value in (("smile", self.smile), ("gaze[0]", self.gaze[0]), ("gaze[1]", self.gaze[1])):
            _check_range(field, value, -1.0, 1.0)


def _check_range(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(
            f"Face.{field} must lie between {low:g} and {high:g}; received {value!r}. "
            "Choose a value in that range."
        )
