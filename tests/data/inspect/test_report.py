"""Reports of planted sets say what was planted, whatever the files are called."""

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gansmith.data.inspect.advice import EMPTY, Goal
from gansmith.data.inspect.findings import Measured
from gansmith.data.inspect.measure import FORMATS, MODES, SEEN, seen
from gansmith.data.inspect.report import as_json, as_text, build
from gansmith.data.metadata.facts import Facts, Refused
from gansmith.images.sheet import contact_sheet, duplicate_sheet

UTKFACE = Path(__file__).parents[3].parent / "shared" / "data" / "utkface_128" / "utkface_128.zip"
GOAL = Goal(recipe="faces64", width=64, height=64, images=56_000, channels=3)
HOSTILE = "a\nb\x1b[31m\udcff\u202e\t.png"


def rows(count, **fields):
    """Healthy rows: 128x128 JPEGs in colour, all different and sharp."""
    made = np.zeros(count, dtype=SEEN)
    made["width"] = made["height"] = 128
    made["bytes"] = 4000
    made["format"], made["mode"] = FORMATS.index("JPEG"), MODES.index("RGB")
    made["digest"] = np.arange(count)
    made["phash"] = np.random.default_rng(0).integers(0, 2**64, count, dtype=np.uint64)
    made["sharpness"], made["face"] = 1.5, np.nan
    for name, value in fields.items():
        made[name] = value
    return made


def report(made, facts=None, names=None, **given):
    names = [f"{row}.jpg" for row in range(len(made))] if names is None else names
    return build("faces.zip", Measured(names, made, facts or Facts()), **given)


def test_sizes_are_those_of_the_originals():
    made = rows(5, width=[10, 100, 100, 64, 400], height=[20, 50, 50, 64, 100])
    sizes = report(made, goal=GOAL).sizes
    assert (sizes.smallest, sizes.median, sizes.largest) == ((10, 20), (100, 50), (400, 100))
    assert sizes.frequent[0] == (100, 50, 2)
    assert sizes.different == 4
    assert (sizes.narrowest, sizes.widest) == (0.5, 4.0)
    assert sizes.tiny == pytest.approx(1 / 5)
    assert sizes.enlarged == pytest.approx(3 / 5)  # 100x50 is too low.
    assert sizes.cut == pytest.approx((0.5 + 0.5 + 0.5 + 0 + 0.75) / 5)


def test_the_cut_is_that_of_the_wanted_shape():
    made = rows(2, width=[200, 100], height=[100, 100])
    wide = dataclasses.replace(GOAL, width=128)
    assert report(made, goal=wide).sizes.cut == pytest.approx((0 + 0.5) / 2)
    assert report(made).sizes.cut == pytest.approx((0.5 + 0) / 2)
    assert report(made).sizes.enlarged == 0.0


def test_formats_and_modes_are_counted_most_frequent_first():
    made = rows(4, format=[2, 1, 2, 0], mode=[1, 2, 2, 2])
    found = report(made)
    assert found.formats == (("PNG", 2), ("other", 1), ("JPEG", 1))
    assert found.modes == (("L", 3), ("RGB", 1))
    assert found.bytes == 16_000


def test_equal_files_are_copies_and_count_once_among_look_alikes():
    made = rows(6)
    made["digest"][[1, 4]] = made["digest"][0]
    made["phash"][[1, 4]] = made["phash"][0]
    made["phash"][3] = made["phash"][0] ^ np.uint64(0b101)
    found = report(made)
    assert found.exact == (("0.jpg", "1.jpg", "4.jpg"),)
    assert found.near == (("0.jpg", "3.jpg"),)
    assert (found.copies, found.look_alikes) == (2, 1)


def test_the_worst_blurred_come_first():
    found = report(rows(4, sharpness=[0.4, 2.0, 0.1, 1.0]))
    assert found.blurred == pytest.approx(0.5)
    assert found.softest == ("2.jpg", "0.jpg")


def test_faces_are_judged_where_they_were_looked_for():
    made = rows(4, face=[20, 40, 100, np.nan])
    assert report(rows(4)).faces is None
    assert (report(made).faces.looked_for, report(made).faces.tiny) == (3, 1)
    larger = dataclasses.replace(GOAL, height=128)
    assert report(made, goal=larger).faces.tiny == 2


def test_facts_are_summed_up():
    facts = Facts(
        labels=np.array([0, 2, 2, 3]),
        label_names=("cat", "dog", "emu"),
        attributes=np.array([[0, 1], [1, 1], [0, 1], [0, 1]], dtype=np.uint8),
        attribute_names=("hat", "smile"),
        captions=("a cat", "", "  ", "x"),
        landmarks=np.zeros((4, 5, 2), dtype=np.float32),
    )
    found = report(rows(4), facts, split=(3, 1, 0))
    assert found.labels == (("cat", 1), ("dog", 0), ("emu", 2), ("3", 1))
    assert found.attributes == (("hat", 0.25), ("smile", 1.0))
    assert found.captions == (2, 4)
    assert found.landmarks
    assert "3 training, 1 held out (seed 0)" in as_text(found)
    owners = report(rows(4), facts, split=(3, 1, -1))
    assert "3 training, 1 held out (as their owner parted them)" in as_text(owners)
    assert "cat 1, dog 0, emu 2, 3 1" in as_text(found)


def test_attributes_without_names_or_rows():
    nameless = Facts(attributes=np.ones((4, 1), dtype=np.uint8))
    assert report(rows(4), nameless).attributes == (("0", 1.0),)
    assert report(rows(4), Facts(attributes=np.ones((0, 1), dtype=np.uint8))).attributes == ()


def test_a_sample_is_told_and_scaled_up():
    refused = [Refused("x", "not a picture")] * 10
    found = report(rows(90), count=1000, refused=refused)
    assert found.sampled
    assert found.usable == 900
    assert "1,000 pictures, 90 looked at" in as_text(found)
    whole = report(rows(90), refused=refused)
    assert (whole.count, whole.sampled, whole.usable) == (100, False, 90)
    assert "100 pictures, all looked at" in as_text(whole)


def test_a_set_without_pictures_has_a_report():
    found = report(rows(0), refused=[Refused("x", "the file is empty")])
    assert found.advice == (EMPTY,)
    assert found.sizes is None
    assert json.loads(json.dumps(as_json(found)))["sizes"] is None
    assert "the file is empty: x" in as_text(found)
    assert report(rows(0)).usable == 0


@pytest.mark.parametrize(("count", "dtype"), [(3, SEEN), (2, np.dtype([("width", "<u4")]))])
def test_names_and_rows_must_belong_together(count, dtype):
    with pytest.raises(ValueError, match="Received"):
        Measured(["a", "b"], np.zeros(count, dtype=dtype), Facts())


def everything(name):
    """A set in which everything is wrong at once."""
    made = rows(300, width=1000, height=20, sharpness=0.1, face=3)
    made["mode"][::2] = MODES.index("LA")
    made["digest"][:30] = 0
    made["phash"][30:60] = 5
    facts = Facts(
        labels=np.r_[np.zeros(280, np.int64), np.arange(1, 21)],
        label_names=tuple(f"{name}{number}" for number in range(21)),
        attributes=np.ones((300, 40), dtype=np.uint8),
        attribute_names=tuple(f"{name}{number}" for number in range(40)),
        captions=("",) * 300,
        landmarks=np.zeros((300, 5, 2), dtype=np.float32),
    )
    refused = [Refused(f"{name}{n}", f"{chr(97 + n % 20)}{name} {n}x{n} pixels") for n in range(100)]
    goal = Goal(recipe="faces64", width=64, height=64, images=56_000, channels=3)
    names = [f"{name}{number}" * 9 for number in range(300)]
    return report(made, facts, names, refused=refused, split=(290, 10, 7), goal=goal)


@pytest.mark.parametrize("name", ["plain", HOSTILE])
def test_the_text_stays_a_table_of_forty_lines(name):
    text = as_text(everything(name))
    lines = text.split("\n")
    assert len(lines) <= 40
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 450
    text.encode("utf-8")


def test_hostile_names_are_escaped():
    text = as_text(report(rows(1, sharpness=0.0), names=[HOSTILE]))
    assert r"a\nb\x1b[31m\udcff\u202e\t.png" in text


def test_long_names_lose_their_middle():
    text = as_text(report(rows(1, sharpness=0.0), names=["start" + "x" * 500 + "end.png"]))
    (line,) = (line for line in text.split("\n") if line.startswith("  blurred"))
    name = line.rsplit(" ", 1)[1]
    assert len(name) == 40
    assert name.startswith("startx")
    assert name.endswith("xend.png")
    assert "…" in name


def test_the_last_label_is_named_where_it_alone_would_be_left_out():
    def labels(count):
        text = as_text(
            report(rows(count), Facts(labels=np.arange(count), label_names=tuple("abcdefg"[:count])))
        )
        return next(line.split(maxsplit=1)[1] for line in text.split("\n") if line.startswith("  labels"))

    assert labels(6) == "a 1, b 1, c 1, d 1, e 1, f 1"
    assert labels(7) == "a 1, b 1, c 1, d 1, e 1 and 2 more"


def test_refusals_are_grouped_by_reason():
    refused = [Refused(f"s{n}", f"{n}x{n} pixels; at least 4") for n in range(1, 4)]
    refused += [Refused(f"t{n}", "the file is truncated") for n in range(7)]
    text = as_text(report(rows(5), refused=refused))
    assert "refused      10\n" in text
    assert "7 x the file is truncated: t0, t1, t2, t3, t4 and 2 more" in text
    assert "3 x 1x1 pixels; at least 4: s1, s2, s3" in text
    assert text.index("truncated") < text.index("1x1")


@pytest.mark.parametrize("name", ["plain", HOSTILE, "lone \ud800"])
def test_json_holds_everything_in_plain_types(name):
    found = everything(name)
    tree = as_json(found)
    text = json.dumps(tree, ensure_ascii=False, allow_nan=False)
    assert json.loads(text.encode("utf-8")) == tree  # Neither tuples, NumPy's numbers nor surrogates.
    assert set(tree) == set(as_json(report(rows(0))))
    assert tree["count"] == 400
    assert tree["split"] == {"training": 290, "held_out": 10, "seed": 7}
    assert tree["copies"] == 29
    assert tree["modes"] == {"RGB": 150, "LA": 150}
    assert tree["captions"] == {"having": 0, "of": 300}
    assert tree["labels"][0]["count"] == 280
    assert len(tree["attributes"]) == 40
    assert len(tree["refused"]) == 100
    assert set(tree["refused"][0]) == {"name", "reason"}
    assert tree["advice"] == [*found.advice]


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (84_200_000, "84.2 MB")]
)
def test_bytes_are_told_in_units(count, words):
    assert f"; {words}\n" in as_text(report(rows(1, bytes=count)))


def flat(level, channels=3, height=8, width=8):
    return np.full((channels, height, width), level, dtype=np.uint8)


def test_a_contact_sheet_is_an_even_grid():
    sheet = np.asarray(contact_sheet([flat(level) for level in range(5)]))
    assert sheet.shape == (2 * 8 + 2, 3 * 8 + 4, 3)
    assert [sheet[10 * (n // 3), 10 * (n % 3), 0] for n in range(5)] == [*range(5)]
    assert (sheet[8:10] == 255).all()
    assert (sheet[10:, 20:] == 255).all()


def test_a_contact_sheet_mixes_sizes_and_colours():
    red = flat(0, height=4, width=6)
    red[0] = 200
    sheet = np.asarray(contact_sheet([flat(7, channels=1), red], columns=1))
    assert sheet.shape == (18, 8, 3)
    assert (sheet[:8] == 7).all()
    assert (sheet[12:16, 1:7] == (200, 0, 0)).all()  # In the middle of its cell.
    assert (sheet[10:12] == 255).all()


def test_one_picture_is_a_sheet():
    assert contact_sheet([flat(9, height=3, width=5)]).size == (5, 3)
    assert contact_sheet([flat(9)], columns=4).size == (8, 8)


def test_look_alikes_stand_in_rows():
    sheet = np.asarray(duplicate_sheet([[flat(1)] * 2, [flat(2)] * 12] + [[flat(3)] * 2] * 30))
    assert sheet.shape == (16 * 10 - 2, 8 * 10 - 2, 3)
    assert (sheet[0, 0, 0], sheet[0, 10, 0], sheet[0, 20, 0]) == (1, 1, 255)
    assert sheet[10, 70, 0] == 2


@pytest.mark.parametrize(
    ("pictures", "columns"),
    [([], None), ([flat(1)], 0), ([np.zeros((8, 8), np.uint8)], None), ([flat(1, channels=4)], None)],
)
def test_what_is_no_sheet_is_refused(pictures, columns):
    with pytest.raises(ValueError, match="Received"):
        contact_sheet(pictures, columns)


def test_no_groups_are_no_sheet():
    with pytest.raises(ValueError, match="Received"):
        duplicate_sheet([])


def test_real_faces_have_a_quiet_report():
    if not UTKFACE.exists():
        pytest.skip(f"{UTKFACE} is not there")
    made, names = [], []
    with zipfile.ZipFile(UTKFACE) as archive:
        for name in sorted(archive.namelist())[:300]:
            raw = archive.read(name)
            with archive.open(name) as file, Image.open(file) as picture:
                pixels = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
                row = seen(raw, pixels, width=128, height=128, format=picture.format, mode=picture.mode)
            made.append(row)
            names.append(name)
    found = report(np.array(made, dtype=SEEN), names=names, count=18_000, goal=GOAL)
    assert found.copies == 0
    assert found.look_alikes <= 6
    assert found.blurred < 0.05
    assert len(found.advice) == 1
    assert "healthy" in found.advice[0]
