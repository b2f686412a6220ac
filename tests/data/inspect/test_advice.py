"""Each piece of advice is given for the set that needs it, and none for a healthy one."""

import dataclasses
import re

import numpy as np
import pytest

from gansmith.data.inspect import advice
from gansmith.data.inspect.advice import EMPTY, HEALTHY, Goal, advise, percent
from gansmith.data.inspect.findings import Faces, Findings, Sizes
from gansmith.data.metadata.facts import Refused
from gansmith.recipes import CATALOGUE

GOAL = Goal(recipe="faces64", width=64, height=64, images=56_000, channels=3)
SIZES = Sizes(
    smallest=(100, 100),
    median=(128, 128),
    largest=(300, 300),
    frequent=((128, 128, 10_000),),
    different=3,
    narrowest=0.95,
    widest=1.05,
    tiny=0.0,
    cut=0.02,
    enlarged=0.0,
)
HEALTHY_SET = Findings(
    name="faces",
    count=10_000,
    looked_at=10_000,
    refused=(),
    bytes=1,
    sizes=SIZES,
    formats=(("JPEG", 10_000),),
    modes=(("RGB", 10_000),),
    exact=(),
    near=(("a", "b"),),
    blurred=0.01,
    softest=("a",),
    faces=Faces(10_000, 10, 32),
    labels=(("cat", 3000), ("dog", 7000)),
    attributes=(("hat", 0.001),),
    captions=(10_000, 10_000),
    landmarks=True,
    pairs=False,
    split=(9500, 500, 0),
)


def told(goal=GOAL, **changes):
    return advise(dataclasses.replace(HEALTHY_SET, **changes), goal)


def sized(**changes):
    return dataclasses.replace(SIZES, **changes)


PAIRS = tuple((f"{n}a", f"{n}b") for n in range(600))


def test_of_a_built_in_set_nothing_is_to_be_left_out():
    warned = {"exact": PAIRS, "near": PAIRS, "blurred": 0.9}
    assert len(told(**warned)) == 3
    assert told(**warned, formats=(("built-in", 10_000),)) == (HEALTHY,)
    assert len(told(**warned, formats=(("built-in", 9_000), ("JPEG", 1_000)))) == 3


PLANTED = {
    "few": ({"count": 400, "looked_at": 400}, ("400 pictures", "data.mirror=true", "faces32")),
    "repeats": (
        {"count": 2000, "looked_at": 2000},
        ("2,000 pictures", "each shown 500 times", "data.mirror=true", "train.images=200000"),
    ),
    "refused": ({"refused": (Refused("x", "bad"),) * 1200}, ("1,200 files (11 %)", "JSON report")),
    "copies": ({"exact": PAIRS[:120]}, ("120 files (1.2 %)", "JSON report")),
    "look-alikes": ({"near": PAIRS}, ("600 pictures (6.0 %)", "JSON report")),
    "enlarged": ({"sizes": sized(enlarged=0.3)}, ("30 %", "64x64", "gansmith recipes")),
    "tiny": ({"sizes": sized(tiny=0.05)}, ("5.0 %", "faces28")),
    "cut": ({"sizes": sized(cut=0.25)}, ("25 %", "--fit pad", "crop box")),
    "mixed": ({"modes": (("RGB", 9000), ("L", 1000))}, ("10 %", "data.channels=1")),
    "grey": ({"modes": (("L", 9000), ("I;16", 1000))}, ("All", "data.channels=1")),
    "alpha": ({"modes": (("RGB", 9800), ("RGBA", 200))}, ("2.0 %", "white", "gansmith prepare")),
    "blurred": ({"blurred": 0.2}, ("20 %", "JSON report")),
    "faces": ({"faces": Faces(1000, 500, 32)}, ("50 %", "32 pixels", "gansmith recipes")),
    "uneven": ({"labels": (("cat", 9000), ("dog", 200))}, ("45 times", "label")),
    "rare": (
        {"labels": (("cat", 901), ("dog", 99)), "count": 1000, "looked_at": 1000},
        ("1 of 2 label has", "100 pictures"),
    ),
    "captions": ({"captions": (9000, 10_000)}, ("1,000 of 10,000", "caption")),
}


@pytest.mark.parametrize("case", PLANTED)
def test_what_was_planted_is_told_in_one_sentence(case):
    changes, words = PLANTED[case]
    goal = dataclasses.replace(GOAL, images=1_000_000) if case == "repeats" else GOAL
    sentences = told(goal, **changes)
    assert len(sentences) == 1
    assert all(word in sentences[0] for word in words)
    assert sentences[0].endswith(".")
    assert sentences[0].count(". ") == 0
    assert sentences[0].isprintable()


@pytest.mark.parametrize("goal", [GOAL, None])
def test_a_healthy_set_gets_one_line(goal):
    assert told(goal) == (HEALTHY,)


def test_a_set_without_pictures_gets_one_line():
    assert told(looked_at=0, sizes=None, exact=PAIRS) == (EMPTY,)


def test_everything_at_once_is_told_at_once():
    changes = {}
    for case, (change, _) in PLANTED.items():
        if case not in ("few", "repeats", "mixed", "grey", "tiny", "cut", "enlarged", "rare"):
            changes |= change
    changes["sizes"] = sized(tiny=0.5, cut=0.5, enlarged=0.5)
    changes["modes"] = (("RGB", 5000), ("LA", 5000))
    sentences = told(**changes)
    assert len(sentences) == len(set(sentences)) == len(PLANTED) - 4


@pytest.mark.parametrize(
    ("goal", "changes"),
    [
        (GOAL, {"count": 4000, "looked_at": 4000}),  # Shown 14 times each.
        (dataclasses.replace(GOAL, fit="pad"), {"sizes": sized(cut=0.5)}),
        (dataclasses.replace(GOAL, channels=1), {"modes": (("L", 10_000),)}),
        (dataclasses.replace(GOAL, channels=1), {"modes": (("L", 5000), ("RGB", 5000))}),
        (dataclasses.replace(GOAL, width=28, height=28), {"sizes": sized(tiny=1.0)}),  # Digits.
        (None, {"modes": (("L", 10_000),)}),  # One channel is what grey pictures get by themselves.
        (None, {"sizes": sized(enlarged=1.0)}),
        (GOAL, {"faces": None, "captions": None, "labels": ()}),
    ],
)
def test_no_advice_where_it_would_be_wrong(goal, changes):
    assert told(goal, **changes) == (HEALTHY,)


@pytest.mark.parametrize(
    ("side", "goal", "recipe"),
    [
        (128, GOAL, "faces32"),
        (128, None, "faces32"),
        (30, None, "faces28"),
        (28, GOAL, "faces28"),
        (16, GOAL, "faces8"),
        (4, None, "faces8"),
        (28, dataclasses.replace(GOAL, width=28, height=28), ""),
        (128, dataclasses.replace(GOAL, width=32, height=32), ""),
        (8, dataclasses.replace(GOAL, width=8, height=8), ""),
    ],
)
def test_a_small_start_is_no_larger_than_the_pictures_and_smaller_than_the_goal(side, goal, recipe):
    sizes = sized(median=(side, side + 5))
    sentence = told(goal, count=400, looked_at=400, sizes=sizes)[0]
    named = [word.strip(".,") for word in sentence.split() if re.match(r"faces\d", word)]
    assert named == ([recipe] if recipe else [])
    assert sentence.endswith(".") and " ." not in sentence


def test_pairs_are_not_sent_to_a_recipe_of_single_pictures():
    (sentence,) = told(None, count=400, looked_at=400, pairs=True)
    assert "faces" not in sentence and sentence.endswith("right differ.")


@pytest.mark.parametrize(("side", "recipe"), [(100, "faces28"), (28, "faces28"), (20, "faces8")])
def test_tiny_pictures_get_a_recipe_of_their_size(side, recipe):
    (sentence,) = told(None, sizes=sized(median=(side, side), tiny=0.3))
    assert sentence.endswith(f"--recipe {recipe}.")


def test_labels_of_no_picture_are_rare_and_not_uneven():
    (sentence,) = told(labels=(("a", 0), ("b", 0), ("c", 5000), ("d", 5000)))
    assert sentence.startswith("2 of 4 labels have fewer")


@pytest.mark.parametrize("goal", [None, dataclasses.replace(GOAL, images=0)])
def test_a_few_thousand_are_told_of_without_a_recipe(goal):
    (sentence,) = told(goal, count=2000, looked_at=2000)
    assert "2,000 pictures are learnt by heart" in sentence
    assert "times" not in sentence


def test_labels_of_a_sample_are_scaled_up():
    sample = {"count": 10_000, "looked_at": 500}
    assert told(**sample, labels=(("a", 250), ("b", 250)), captions=None) == (HEALTHY,)
    assert "1 of 2 label has" in told(**sample, labels=(("a", 496), ("b", 4)), captions=None)[1]


def test_one_picture_is_one_picture():
    assert told(count=1, looked_at=1, near=(), labels=())[0].startswith("1 picture ")


def test_the_commands_it_names_exist():
    text = " ".join(sentence for changes, _ in PLANTED.values() for sentence in told(**changes))
    named = {word.strip(".,)") for word in text.split() if re.match(r"faces\d", word)}
    assert named
    assert named <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "0 %"),
        (0.0001, "under 0.1 %"),
        (0.0123, "1.2 %"),
        (0.1234, "12 %"),
        (0.9999, "99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_shares_are_read_easily(share, words):
    assert percent(share) == words


def test_thresholds_are_shares():
    shares = [value for name, value in vars(advice).items() if name.endswith("_SHARE")]
    assert len(shares) == 9
    assert np.all((np.array(shares) > 0) & (np.array(shares) < 1))
