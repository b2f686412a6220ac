"""The report of a run: what is on the page, and that nothing a run holds can break it."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from gansmith.cli.report import report as verb
from gansmith.errors import RunError, SettingError, StorageError
from gansmith.images.provenance import Provenance, png_info
from gansmith.metrics.descriptions import describe
from gansmith.reporting import charts, html, images, page, scores
from gansmith.reporting.page import build, report
from gansmith.reporting.run_files import Point, read, read_log

VOID = {"meta", "link", "img", "input", "br"}


class Reader(HTMLParser):
    """What a browser sees: tags in balance, attributes, text, and the contents of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif "style" not in self.open:
            self.text += " ".join(data.replace(html.THIN, " ").split()) + "\n"

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def drawn(self) -> dict:
        return json.loads(self.scripts[0])


def page_of(run: Path) -> Reader:
    return Reader(build(read(run)))


# ---- what is there ----------------------------------------------------------------------------------------


def test_a_full_run_shows_everything(full_run):
    page = page_of(full_run)
    for words in (
        "toy16 on faces.zip, finished after 1 000 images. Small.",
        "1 234 in faces.zip, 16 px, colour",
        "70 (63 to 77)",
        "best 60.5 after 800 images",
        "lower is better. The band is where the true value lies",
        "FID",
        "75.0 %",
        "20 s",
        "50 images a second",
        "Precision-recall curve",
        "about.splits",
        "70.25 (63 to 77)",
        "Few samples.",
        "<b>faces</b>",
        "CC BY 4.0",
        "bad<i>.png",
        "train.batch",
        "gansmith train faces.zip",
    ):
        assert words in page.text, words
    assert "not recorded" not in page.text and "0.125" not in page.text
    links = [link["href"] for link in page.all("a")]
    sections = ["#" + section["id"] for section in page.all("section")]
    assert (
        links == sections == ["#samples", "#scores", "#curves", "#sheet", "#evaluation", "#data", "#settings"]
    )


def test_the_curves_hold_what_the_run_logged(full_run):
    drawn = page_of(full_run).drawn
    fid, losses = drawn["charts"][0], drawn["charts"][3]
    assert fid["lines"] == [
        {"mark": 0, "x": [400, 800, 1000], "y": [90, 60.5, 70], "low": [80, 55, 63], "high": [100, 66, 77]}
    ]
    assert [line["x"] for line in losses["lines"]] == [list(range(100, 1001, 100))] * 2
    assert losses["lines"][0]["y"] == [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5]
    assert drawn["most"] == 1000


def test_frames_are_thinned_and_the_last_is_the_large_one(full_run):
    page = page_of(full_run)
    frames = page.drawn["frames"]
    assert len(frames) == images.MOST_FRAMES + 1
    assert (frames[0]["images"], frames[-1]) == (0, {"images": 1000})
    assert sorted(frame["images"] for frame in frames) == [frame["images"] for frame in frames]
    (grid,) = [image for image in page.all("img") if image.get("id") == "grid"]
    (time,) = page.all("input")
    assert grid["alt"] == f"Grid of pictures the generator made, after 1{html.THIN}000 images"
    assert (time["min"], time["max"], time["value"]) == ("0", "40", "40")


def test_the_page_is_one_file_that_asks_for_no_other(full_run):
    text = build(read(full_run))
    page = Reader(text)
    assert not re.search(r"https?://", text)
    assert all(image["src"].startswith("data:image/webp;base64,") for image in page.all("img"))
    assert all("src" not in script for script in page.all("script"))
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert all(image["alt"] for image in page.all("img"))
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy


def test_the_same_run_gives_the_same_bytes_wherever_the_page_goes(full_run, tmp_path):
    first, second = report(full_run, tmp_path / "a.html"), report(full_run, tmp_path / "new" / "b.HTM")
    assert first.read_bytes() == second.read_bytes()
    assert b"\r" not in first.read_bytes()


def test_pictures_that_are_hard_to_compress_keep_to_their_share(tmp_path):
    Image.effect_noise((640, 640), 120).convert("RGB").save(tmp_path / "noise.png", compress_level=0)
    most = images.FRAMES_BYTES // images.MOST_FRAMES
    made = images.embed(tmp_path / "noise.png", 640, most)
    assert made is not None and len(made.uri) < 1.35 * most and made.width > 200
    shares = (images.FRAMES_BYTES, page.SAMPLES_BYTES, page.SHEET_BYTES, page.EVALUATION_BYTES)
    assert sum(shares) * 4 / 3 < 4.9e6


def test_the_verb_writes_into_the_run_and_tells_where(make_run):
    run = make_run()
    result = CliRunner().invoke(verb, [str(run)], catch_exceptions=False)
    assert result.exit_code == 0 and result.stdout == ""
    assert f"{run / 'report.html'} (0." in result.stderr
    assert (run / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_torch_is_not_needed():
    code = (
        "import sys, gansmith.cli.report, gansmith.reporting.page, gansmith.reporting.compare_page; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- runs that are not whole ------------------------------------------------------------------------------


def test_a_run_that_is_going_on_says_so(make_run):
    run = make_run(rows=[row_at(100), row_at(200)], grids=(0, 200))
    text = page_of(run).text
    assert "not finished: 200 of 1 000 images so far" in text
    assert "200 of 1 000" in text


def row_at(images, **more):
    return {"images": images, "generator/loss": images / 100, **more}


def test_a_run_that_has_only_begun(make_run):
    page = page_of(make_run(rows=[], grids=()))
    assert "not yet trained" in page.text
    assert "There are no pictures yet" in page.text
    assert "There are no numbers yet: No line of stats.jsonl holds numbers" in page.text
    assert page.drawn == {"charts": [], "most": 0, "frames": []}


def test_nothing_but_a_recipe(tmp_path):
    (tmp_path / "recipe.json").write_text("{}")
    text = page_of(tmp_path).text
    assert "a recipe without a name on unknown pictures, not yet trained." in text
    assert "stats.jsonl is not there" in text
    assert "data.json is missing or cannot be read." in text
    assert "environment.json is missing or cannot be read." in text
    assert "Not recorded." in text


def test_one_row_and_one_grid(make_run):
    page = page_of(make_run(rows=[row_at(100)], grids=(100,)))
    assert page.drawn["charts"][0]["lines"] == [{"mark": 0, "x": [100], "y": [1.0]}]
    assert page.drawn["frames"] == [{"images": 100}]


@pytest.mark.parametrize(
    "line",
    [
        *("{", "[1]", "7", "null", '{"loss": 1}', '{"images": "1"}', '{"images": true}', '{"images": -1}'),
        *('{"images": NaN}', '{"images": 1e999}', "[" * 100_000, '{"images": 1' + "0" * 400 + "}"),
    ],
)
def test_damaged_lines_are_left_out_and_told(make_run, line):
    page = page_of(make_run(rows=[row_at(100), line, row_at(200)]))
    assert "1 line of stats.jsonl could not be read and is left out." in page.text
    assert page.drawn["charts"][0]["lines"][0]["x"] == [100, 200]


def test_two_damaged_lines_and_bytes_that_are_no_text(make_run):
    run = make_run(rows=[row_at(100)])
    with open(run / "stats.jsonl", "ab") as file:
        file.write(b"\xff\xfe\n{\n")
    assert "2 lines of stats.jsonl could not be read and are left out." in page_of(run).text


def test_values_that_are_no_numbers_are_gaps_and_told(make_run):
    rows = [
        row_at(100),
        '{"images": 200, "generator/loss": NaN}',
        '{"images": 300, "generator/loss": Infinity}',
    ]
    page = page_of(make_run(rows=[*rows, row_at(400)]))
    assert "generator/loss has 2 values in stats.jsonl that no number can stand for" in page.text
    assert "first after 200 images" in page.text
    assert page.drawn["charts"][0]["lines"][0]["y"] == [1.0, None, None, 4.0]


def test_a_column_of_nothing_but_nan(make_run):
    page = page_of(make_run(rows=['{"images": 100, "generator/loss": NaN}']))
    assert "not a number" in page.text
    assert page.drawn["charts"][0]["lines"][0]["y"] == [None]


def test_cells_of_other_kinds_are_ignored_and_unknown_columns_drawn(make_run):
    cells = {"note": "hello", "list": [1], "flag": True, "none": None, "weird thing": 3, "critic/colour": 5}
    page = page_of(make_run(rows=[row_at(100, **cells)]))
    titles = re.findall(r"Weird thing|Critic|Colour|Hello|Flag", page.text)
    assert "Weird thing" in titles and "Colour" in titles
    assert len(page.drawn["charts"]) == 3


def test_rows_in_another_order_and_twice(tmp_path):
    file = tmp_path / "stats.jsonl"
    file.write_text('{"images": 2, "a": 2}\n{"images": 1, "a": 1}\n\n{"images": 2, "a": 3}\n')
    log = read_log(file)
    assert log.series == {"a": (Point(1, 1), Point(2, 3))}
    assert (log.left_out, log.images) == (0, 2)


def test_damaged_grids_are_passed_over(make_run):
    run = make_run(grids=(0, 100, 200))
    (run / "pictures" / "000000300.png").write_bytes(b"\x89PNG cut short")
    (run / "pictures" / "000000100.png").write_bytes(b"")
    (run / "pictures" / "notes.png").write_bytes(b"")
    (run / "pictures" / "\u00b2.png").write_bytes(b"")
    page = page_of(run)
    assert [frame["images"] for frame in page.drawn["frames"]] == [0, 200]


def test_only_damaged_grids(make_run):
    run = make_run(grids=(0,))
    (run / "pictures" / "000000000.png").write_bytes(b"no")
    assert "There are no pictures yet" in page_of(run).text


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16", "CMYK"])
def test_pictures_of_every_kind_are_embedded(tmp_path, mode):
    file = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (20, 10)).save(file)
    made = images.embed(file, 16, 10_000)
    assert made is not None and (made.width, made.height) == (16, 8)


def test_transparent_pictures_are_put_on_white(tmp_path):
    import base64
    import io

    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "a.png")
    made = images.embed(tmp_path / "a.png", 16, 10_000)
    assert made is not None
    with Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))) as shown:
        assert shown.convert("RGB").getpixel((4, 4)) == (255, 255, 255)


def test_the_mark_of_a_made_picture_stays_with_it(tmp_path):
    import base64

    provenance = Provenance("one", "toy16", None, 100, "0.1.0")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=png_info(provenance))
    made = images.embed(tmp_path / "a.png", 16, 10_000)
    assert made is not None
    assert b"trainedAlgorithmicMedia" in base64.b64decode(made.uri.partition(",")[2])


@pytest.mark.parametrize("refused", [None, "x", {"a": 1}])
def test_a_data_file_of_another_make(make_run, refused):
    run = make_run()
    (run / "data.json").write_text(json.dumps({"name": 7, "pictures": "many", "refused": refused}))
    text = page_of(run).text
    assert "toy16 on 7" in text and "The licence of these pictures is not recorded." in text


def test_many_left_out_pictures_are_cut_short(make_run):
    run = make_run()
    (run / "data.json").write_text(json.dumps({"refused": [[f"{n}.png", "bad"] for n in range(150)]}))
    text = page_of(run).text
    assert "the first 100" in text and "99.png" in text and "100.png" not in text


def test_many_pictures_of_an_evaluation_are_cut_short(make_run):
    run = make_run()
    for number in range(30):
        Image.new("RGB", (4, 4)).save(folder(run) / f"sheet-{number:02d}.png")
    page = page_of(run)
    assert "6 more pictures in one/evaluation." in page.text
    assert "Sheet 23" in page.text and "Sheet 24" not in page.text


def folder(run: Path) -> Path:
    (run / "evaluation").mkdir(exist_ok=True)
    return run / "evaluation"


# ---- names that would do harm -----------------------------------------------------------------------------

EVIL = '</script><script>alert(1)</script>" onload="x" {{data}} \u2028\x00'


def test_text_of_a_run_cannot_become_html(make_run):
    run = make_run(
        "<script>alert(1)<",
        rows=[row_at(100, **{EVIL: 1, "a/" + EVIL: 2})],
        recipe={"name": EVIL, "about": EVIL},
    )
    evil = {"name": EVIL, "fingerprint": EVIL, "refused": [[EVIL, EVIL]], "licence": EVIL, "pictures": 1}
    (run / "data.json").write_text(json.dumps(evil))
    (run / "environment.json").write_text(json.dumps({EVIL: EVIL}))
    (folder(run) / "evaluation.json").write_text(json.dumps({EVIL: EVIL}))
    Image.new("RGB", (4, 4)).save(folder(run) / '"><img src=x onerror=alert(1)>.png')
    (run / "metrics.jsonl").write_text(json.dumps({"images": 1, EVIL: 1}))
    page = page_of(run)
    assert len(page.all("script")) == 2
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "<script>alert(1)<" in page.text
    assert "{{data}}" in page.text
    assert all(image["src"].startswith("data:") for image in page.all("img"))


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names there are always Unicode")
def test_a_name_that_is_no_utf8(make_run, tmp_path):
    run = make_run()
    other = os.path.join(os.fsencode(tmp_path), b"run-\xff")
    os.rename(run, other)
    out = report(Path(os.fsdecode(other)), tmp_path / "a.html")
    assert "run-\\udcff" in out.read_text(encoding="utf-8")


def test_data_in_the_script_is_what_it_was():
    data = {"a": ["</script>", "&amp;", "\u2028", "<!--"]}
    page = html.page("t", "", [], data)
    assert Reader(page).drawn == data


# ---- mistakes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("runs/on", "There is no run at .*Did you mean 'one'"),
        ("runs/zzz", "There is no run at .*Runs there: one, two"),
        ("runs", "which holds runs instead: one, two. Name one of them, as in .*one"),
        ("runs/one/stats.jsonl", "which is a file. Did you mean '.*one'"),
        ("runs/one/pictures", "which does not"),
        ("else/file", "which is a file"),
        ("nowhere/x", "There is no run at"),
    ],
)
def test_what_is_no_run_is_named_with_what_is_near(make_run, tmp_path, name, words):
    make_run("runs/one")
    make_run("runs/two")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "file").write_text("")
    with pytest.raises(RunError, match=words):
        report(tmp_path / name)


def test_a_folder_of_many_runs_is_not_listed_whole(make_run, tmp_path):
    for number in range(15):
        make_run(f"runs/{number:02d}", grids=())
    with pytest.raises(RunError, match=r"10, 11 and 3 more\. Name one"):
        read(tmp_path / "runs")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a":' * 5000 + "1" + "}" * 5000, "\udcff"])
def test_a_recipe_that_cannot_be_read(tmp_path, text):
    (tmp_path / "recipe.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RunError, match="cannot be read as a recipe"):
        read(tmp_path)


def test_names_a_page_cannot_have(make_run, tmp_path):
    run = make_run()
    with pytest.raises(SettingError, match=r"A page ends in .html. Received: .*a.png. Try .*a.html"):
        report(run, tmp_path / "a.png")
    (tmp_path / "b.html").mkdir()
    with pytest.raises(SettingError, match="which is a folder"):
        report(run, tmp_path / "b.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot write"):
        report(run, tmp_path / "file" / "a.html")


# ---- numbers in words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        *((0, "0"), (0.42573, "0.4257"), (1, "1"), (99.996, "100"), (12345.6, "12 350"), (-2000, "-2 000")),
        *((1.2e-5, "1.20e-5"), (3e9, "3.00e+9"), (-4e-12, "-4.00e-12"), (float("nan"), "not a number")),
    ],
)
def test_numbers_have_four_figures(value, words):
    assert html.short(value).replace(html.THIN, " ") == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (8.7, "9 s"),
        (608, "10 min 8 s"),
        (12_000, "3 h 20 min"),
        (90_000, "1 day 1 h"),
        (183_700, "2 days 3 h"),
    ],
)
def test_durations(seconds, words):
    assert html.duration(seconds).replace(html.THIN, " ") == words


def test_long_lines_become_means_of_neighbours():
    points = [Point(n, n % 2) for n in range(240)]
    short = charts.few(points, 60)
    assert len(short) == 60
    assert {point.value for point in short} == {0.5}
    assert [short[0].images, short[-1].images] == [3, 239]


def test_numbers_are_drawn_with_their_like(make_run):
    numbers = dict.fromkeys(
        (
            "critic/gradient norm",
            "critic/penalty",
            "critic/R1 penalty",
            "critic/distance",
            "held-out/distance",
        ),
        1,
    )
    text = page_of(make_run(rows=[row_at(100, **numbers, data_wait=0.25)])).text
    titles = ["Losses", "Penalties", "Gradient norms", "Distance", "Waiting for pictures"]
    assert [line for line in text.splitlines() if line in titles] == titles
    assert "25.0 %" in text and "R1 penalty, critic" in text and "held out" in text


def test_a_recipe_without_a_length(make_run):
    run = make_run(rows=[row_at(100)], grids=(), recipe={"train": {"images": "many"}})
    assert "toy16 on faces.zip, after 100 images." in page_of(run).text


def test_means_pass_over_gaps_and_keep_bands():
    nan = float("nan")
    points = [Point(1, 1, 0, 2), Point(2, nan), Point(3, nan), Point(4, nan)]
    first, second = charts.few(points, 2)
    assert first == Point(2, 1, 0, 2)
    assert second.value != second.value and second.low is None


@pytest.mark.parametrize(("name", "value"), [("fid", 1), ("precision", 3), ("odd", None)])
def test_the_best_of_a_score(name, value):
    found = scores.best(name, [Point(1, 3), Point(2, 1), Point(3, float("nan")), Point(4, 3)])
    assert (found and found.value) == value
    assert name != "precision" or found == Point(1, 3)


def test_the_facts_show_the_main_scores_and_a_table_all(make_run):
    run = make_run()
    names = ("swd", "density", "recall", "ppl", "fid", "kid", "precision", "lpips")
    rows = [{"images": 500 * n, **{name: n * 0.5 for name in names}} for n in (1, 2)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    facts, rest = build(read(run)).split('<section id="scores">')
    titles = [describe(name).title for name in names]
    assert [title for title in titles if f"<dt>{title}</dt>" in facts] == [
        "Sliced Wasserstein distance", "Recall", "FID", "KID", "Precision",
    ]  # fmt: skip
    table = rest.split("All scores")[1].split("</table>")[0]
    assert all(title in table for title in titles)
    assert "best 0.5 after 500 images" in table
    few = [{"images": 500, "fid": 3.0, "odd": 1.0}]
    (run / "metrics.jsonl").write_text(json.dumps(few[0]) + "\n")
    made = build(read(run))
    assert "<dt>Odd</dt>" in made and "All scores" not in made


def test_the_summary_of_scores_begins_with_the_best_known():
    assert scores.main(["a", "is", "b", "fid", "c", "d", "e"]) == ["fid", "is", "a", "b", "c"]
    assert scores.main([]) == []


def test_facts_for_programs_come_without_a_page(full_run: Path, tmp_path: Path) -> None:
    told = json.loads(CliRunner().invoke(verb, [str(full_run), "--json"]).stdout)
    record = read(full_run)
    assert (told["name"], told["images"], told["recipe"]) == (record.name, record.images, record.recipe_name)
    assert told["numbers"] and told["evaluation"] == record.evaluation
    assert not (full_run / "report.html").exists()
    both = CliRunner().invoke(verb, [str(full_run), "--json", "-o", str(tmp_path / "one.html")])
    assert json.loads(both.stdout) == told and (tmp_path / "one.html").exists()
