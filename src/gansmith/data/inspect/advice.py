"""Plain advice about a set of images: one sentence for each thing worth doing, none for a healthy set."""

from collections.abc import Callable

from gansmith.data.inspect.findings import Findings, Sizes
from gansmith.data.inspect.findings import Goal as Goal
from gansmith.data.inspect.measure import ALPHA_MODES, GREY_MODES

FEW_PICTURES = 1_000
"""Below, a discriminator soon knows every image (Karras 2020, figure 1, has the curves)."""

SOME_PICTURES = 5_000
"""Below, what helps is augmentation: ADA (Karras 2020) made "a few thousand" suffice."""

MANY_REPEATS = 100
"""Showings of each image from which on a few thousand are learnt by heart."""

REFUSED_SHARE = 0.05
ENLARGED_SHARE = 0.1
TINY_SHARE = 0.01
CUT_SHARE = 0.1
"""Mean share of an image that a centre crop may cut off without a word; a square of 9:10 loses as much."""

GREY_SHARE = 0.01
"""Grey among colour, or colour among grey, from which a generator shows both."""

COPIES_SHARE = 0.01
LOOK_ALIKES_SHARE = 0.05
BLURRED_SHARE = 0.1
FACES_SHARE = 0.1
UNEVEN = 10.0
"""Images of the commonest label for each one of the rarest."""

RARE_LABEL = 100
"""Images below which a label is too rare to be learnt from."""

HEALTHY = "Nothing stands out: this set looks healthy."
EMPTY = "No picture could be read, so there is nothing to train on: the reasons are under 'refused'."


def advise(found: Findings, goal: Goal | None = None) -> tuple[str, ...]:
    """One sentence for each thing worth doing, the gravest first; exactly one line for a healthy set.

    Args:
        found: what was measured. Of a sample, shares are taken for those of the whole.
        goal: what is to be trained; without it, what depends on the size or the recipe is left out.
    """
    if not found.looked_at:
        return (EMPTY,)
    checks = [check for check in _CHECKS if not (_is_builtin(found) and check in _OF_FILES)]
    told = [sentence for check in checks if (sentence := check(found, goal))]
    return tuple(told) or (HEALTHY,)


def percent(share: float) -> str:
    """A share of 0..1 as a person reads it: 0.1234 -> "12 %", 0.0123 -> "1.2 %"."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0 < share < 0.1 or 0.99 < share < 1:
        return f"{min(100 * share, 99.9):.1f} %"
    return f"{100 * share:.0f} %"


def _few(found: Findings, goal: Goal | None) -> str | None:
    count = found.usable
    if count < FEW_PICTURES:
        return (
            f"{_pictures(count)} will not go far: under about {FEW_PICTURES:,} a discriminator learns them "
            "by heart (Karras 2020), so collect more, mirror them with --set data.mirror=true unless left "
            f"and right differ{_start_small(found, goal)}."
        )
    planned = goal is not None and goal.images > 0
    repeats = goal.images / count if goal and planned else float(MANY_REPEATS)
    if count >= SOME_PICTURES or repeats < MANY_REPEATS:
        return None
    shown = f"{_pictures(count)}, each shown {repeats:.0f} times," if planned else f"{_pictures(count)}"
    return (
        f"{shown} are learnt by heart without augmentation (Karras 2020): mirror them with "
        f"--set data.mirror=true unless left and right differ, and stop early, as with "
        f"--set train.images={MANY_REPEATS * count}."
    )


_SMALL = (8, 28, 32)
"""Sides in pixels of the smallest recipes for a start, each called faces and its side."""


def _start_small(found: Findings, goal: Goal | None) -> str:
    """The end of a sentence; empty where nothing smaller is to be had, and of pairs: those are no faces."""
    if found.pairs:
        return ""
    side = min(_sizes(found).median)
    fitting = max((small for small in _SMALL if small <= side), default=_SMALL[0])
    if goal is not None and min(goal.width, goal.height) <= fitting:
        return ""
    return f", and start small, as with --recipe faces{fitting}"


def _refused(found: Findings, goal: Goal | None) -> str | None:
    share = len(found.refused) / (found.looked_at + len(found.refused))
    if share < REFUSED_SHARE:
        return None
    return (
        f"{len(found.refused):,} files ({percent(share)}) were refused: the reasons are under 'refused', "
        "and the JSON report names every file."
    )


def _enlarged(found: Findings, goal: Goal | None) -> str | None:
    sizes = _sizes(found)
    if goal is None or sizes.enlarged < ENLARGED_SHARE:
        return None
    return (
        f"{percent(sizes.enlarged)} of the pictures are smaller than {goal.width}x{goal.height} and will be "
        "enlarged, which a generator learns as blur: train a smaller size (gansmith recipes lists them)."
    )


def _tiny(found: Findings, goal: Goal | None) -> str | None:
    wanted = 64 if goal is None else min(goal.width, goal.height)
    share = _sizes(found).tiny
    if share < TINY_SHARE or wanted < 64:  # For a small goal such images are no smaller than wanted.
        return None
    return (
        f"{percent(share)} of the pictures are tiny, under 32 pixels on the shorter side: leave them out, or "
        f"train them with --recipe faces{8 if min(_sizes(found).median) < 28 else 28}."
    )


def _cut(found: Findings, goal: Goal | None) -> str | None:
    share = _sizes(found).cut
    if share < CUT_SHARE or (goal is not None and goal.fit != "crop"):
        return None
    shape = "a square" if goal is None else f"{goal.width}x{goal.height}"
    return (
        f"A centre crop to {shape} cuts {percent(share)} off a picture on average: --fit pad keeps the whole "
        "picture, and a crop box says which part matters."
    )


def _grey(found: Findings, goal: Goal | None) -> str | None:
    share = _share(found, GREY_MODES)
    if goal is not None and goal.channels == 1:
        return None
    if share == 1.0:
        wasted = goal is not None
        return "All pictures are grey: train one channel with --set data.channels=1." if wasted else None
    if not GREY_SHARE <= share <= 1 - GREY_SHARE:
        return None
    return (
        f"{percent(share)} of the pictures are grey and the others in colour, and so will be what is "
        "generated: leave one kind out, or train all in grey with --set data.channels=1."
    )


def _alpha(found: Findings, goal: Goal | None) -> str | None:
    share = _share(found, ALPHA_MODES)
    if not share:
        return None
    return (
        f"{percent(share)} of the pictures have transparency, which is laid on white: where another ground "
        "suits them better, flatten them before gansmith prepare."
    )


def _copies(found: Findings, goal: Goal | None) -> str | None:
    share = found.copies / found.looked_at
    if share < COPIES_SHARE:
        return None
    return (
        f"{found.copies:,} files ({percent(share)}) equal another one, are learnt so much more often and may "
        "be both trained on and held out: keep one of each group (the JSON report names them)."
    )


def _look_alikes(found: Findings, goal: Goal | None) -> str | None:
    share = found.look_alikes / found.looked_at
    if share < LOOK_ALIKES_SHARE:
        return None
    return (
        f"{found.look_alikes:,} pictures ({percent(share)}) look like another one: look at the groups (the "
        "JSON report names them) and keep one of each that are copies; digits and icons are alike anyway."
    )


def _blurred(found: Findings, goal: Goal | None) -> str | None:
    if found.blurred < BLURRED_SHARE:
        return None
    return (
        f"{percent(found.blurred)} of the pictures are blurred even at 64 pixels, and so will be what is "
        "generated: leave the worst out (the JSON report names them)."
    )


def _faces(found: Findings, goal: Goal | None) -> str | None:
    if found.faces is None or found.faces.tiny < FACES_SHARE * found.faces.looked_for:
        return None
    share = percent(found.faces.tiny / found.faces.looked_for)
    return (
        f"{share} of the faces are under {found.faces.limit} pixels high and will be blurred when enlarged: "
        "leave those pictures out, or train a smaller size (gansmith recipes lists them)."
    )


def _uneven(found: Findings, goal: Goal | None) -> str | None:
    counts = [count for _, count in found.labels if count]
    if not counts or max(counts) <= UNEVEN * min(counts):
        return None
    return (
        f"The commonest label has {max(counts) / min(counts):.0f} times the pictures of the rarest: for a "
        "recipe that uses labels (gansmith recipes), even them out by collecting or merging."
    )


def _rare(found: Findings, goal: Goal | None) -> str | None:
    rows = sum(count for _, count in found.labels)
    scale = max(1.0, found.usable / rows) if rows else 1.0  # The labels may be those of a sample.
    rare = sum(count * scale < RARE_LABEL for _, count in found.labels)
    if not rare:
        return None
    have = "label has" if rare == 1 else "labels have"
    return (
        f"{rare} of {len(found.labels)} {have} fewer than {RARE_LABEL} pictures, too few to be learnt by a "
        "recipe that uses labels (gansmith recipes): collect more, or merge them."
    )


def _captions(found: Findings, goal: Goal | None) -> str | None:
    if found.captions is None or found.captions[0] == found.captions[1]:
        return None
    having, count = found.captions
    return (
        f"{count - having:,} of {count:,} pictures have no caption: describe them, or leave them out of a "
        "recipe that uses captions (gansmith recipes)."
    )


_CHECKS: tuple[Callable[[Findings, Goal | None], str | None], ...] = (
    _few, _refused, _copies, _look_alikes, _enlarged, _tiny, _cut, _grey, _alpha, _blurred, _faces, _uneven,
    _rare, _captions,
)  # fmt: skip

_OF_FILES = (_copies, _look_alikes, _blurred)
"""What tells to leave files out: a built-in set has none, and flat drawings and tiny digits are alike."""


def _is_builtin(found: Findings) -> bool:
    return [format for format, _ in found.formats] == ["built-in"]


def _sizes(found: Findings) -> Sizes:
    assert found.sizes is not None  # A set of which something was looked at has sizes.
    return found.sizes


def _share(found: Findings, modes: frozenset[str]) -> float:
    return sum(count for mode, count in found.modes if mode in modes) / found.looked_at


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count:,} pictures"
