"""Runs side by side: grouping by seeds, differences, numbers, text, JSON and page."""

import json
import math
import statistics
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gansmith.cli.report import compare as verb
from gansmith.errors import RunError, SettingError
from gansmith.reporting.compare import columns, compare, numbers, unique_names
from gansmith.reporting.compare_page import build, mean_line
from gansmith.reporting.compare_text import as_text
from gansmith.reporting.run_files import Point, read


def run(*words: object) -> Result:
    return CliRunner().invoke(verb, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def seeds(make_run):
    """Three seeds of a recipe, whose generator losses end at 2, 3 and 7; the last logs at other places."""
    made = []
    for seed, end in enumerate((2.0, 3.0, 7.0)):
        start = 50 if seed == 2 else 100
        rows = [
            {"images": images, "seconds": images / 10, "generator/loss": end * images / 1000}
            for images in range(start, 1001, start)
        ]
        made.append(make_run(f"seed-{seed}", rows=rows, seed=seed, log_every=start))
    return made


def test_seeds_of_one_recipe_become_one_group(seeds, make_run):
    other = make_run("other", batch=8)
    found = compare([seeds[0], other, *seeds[1:]])
    assert [(group.name, group.runs) for group in found.groups] == [
        ("toy16 (seed-0)", ("seed-0", "seed-1", "seed-2")),
        ("other", ("other",)),
    ]
    assert compare(seeds).groups[0].name == "toy16"
    assert found.differences == {"train.batch": (4, 8)}
    assert found.warnings == ()


def test_mean_and_spread_are_those_of_the_seeds(seeds):
    told = json.loads(run("--json", *seeds).stdout)
    (group,) = told["groups"]
    ends = [2.0, 3.0, 7.0]
    assert group["seeds"] == [0, 1, 2]
    assert group["numbers"]["generator/loss"] == pytest.approx(
        {"mean": 4.0, "deviation": statistics.stdev(ends), "count": 3}
    )
    assert group["numbers"]["images/s"] == {"mean": 10.0, "deviation": 0.0, "count": 3}
    text = as_text(compare(seeds))
    assert "mean of 3" in text and "4.0 ± 2.6" in text
    assert "toy16 on faces.zip (1234 pictures), 16 px" in text


def test_curves_of_seeds_are_joined_by_their_mean_between_lowest_and_highest():
    first = [Point(0, 0.0), Point(10, 10.0)]
    second = [Point(5, 1.0), Point(20, 4.0), Point(25, math.nan)]
    assert mean_line([first, second, []]) == [Point(5, 3.0, 1.0, 5.0), Point(10, 6.0, 2.0, 10.0)]
    assert mean_line([first]) == first
    assert mean_line([[], [Point(1, math.nan)]]) == []
    assert mean_line([first, [Point(30, 1.0)]]) == []


def test_the_page_draws_a_band_for_seeds_and_a_line_for_a_lone_run(seeds, make_run):
    lone = make_run("lone", rows=[{"images": 100, "generator/loss": 9.0}], batch=8)
    page = build(compare([*seeds, lone]))
    drawn = json.loads(page.split('id="numbers">')[1].split("</script>")[0])
    (chart,) = drawn["charts"]
    band, line = chart["lines"]
    assert (band["x"][0], band["x"][-1]) == (100, 1000)
    assert (band["low"][-1], band["y"][-1], band["high"][-1]) == (2.0, 4.0, 7.0)
    assert line == {"mark": 1, "x": [100], "y": [9.0]}
    for words in ("4 runs side by side", "toy16 (seed-0), 3 seeds", "mean of 3", "Settings that differ"):
        assert words in page
    assert page.count("<figure><img") == 4


def test_scores_have_a_last_and_a_best(full_run, make_run):
    found = numbers(read(full_run))
    assert (found["fid"], found["best fid"], found["held-out/accuracy"]) == (70.0, 60.5, 0.75)
    assert "best odd" not in found
    told = json.loads(run("--json", full_run, make_run("plain")).stdout)
    assert told["runs"][0]["best"] == {
        "fid": {"value": 60.5, "images": 800.0},
        "kid": {"value": 0.02, "images": 800.0},
    }
    page = build(compare([full_run]))
    assert ">Scores</h2>" in page and "lower is better." in page


def test_different_data_sizes_methods_and_lengths_are_told_first(make_run):
    one = make_run("one")
    other = {"data": {"size": "32"}, "method": {"is": "gansmith.methods.dcgan:DCGAN", "momentum": 0.1}}
    two = make_run("two", rows=[{"images": 100, "generator/loss": 1}], grids=(), recipe=other)
    (two / "data.json").write_text(json.dumps({"name": "/x/cats", "fingerprint": "b", "pictures": 5}))
    text = run(one, two).stdout
    said, _, rest = text.partition("toy16 on")
    assert (
        "different data, so their numbers do not compare: faces.zip (1234 pictures); cats (5 pictures)"
        in said
    )
    assert "different sizes, so their numbers do not compare: 16, 32 px" in said
    assert "different numbers of images, 100 to 1000" in said
    assert "different methods" in said
    assert "100 of 1000" in rest
    lines = [line.split() for line in rest.splitlines() if line.startswith("  ")]
    assert ["data.size", "16", "32"] in lines
    assert ["method.gamma", "0.03", "(absent)"] in lines
    page = build(compare([one, two]))
    assert page.index("do not compare") < page.index("<table>")


def test_housekeeping_is_no_difference(make_run):
    evaluate = {"is": "gansmith.config.training:EvaluateConfig", "every": 100}
    one = make_run("one", log_every=1, picture_every=2, keep_checkpoints=9, evaluate=evaluate, new=None)
    two = make_run("two", recipe={"about": "Other words."})
    found = compare([one, two])
    assert len(found.groups) == 1 and found.differences == {}
    assert "Settings that differ" not in build(found)


def test_many_differences_are_cut_short_in_text_only(make_run):
    one = make_run("one", recipe={"method": {f"a{n}": 1 for n in range(30)}})
    two = make_run("two", recipe={"method": {f"a{n}": 2 for n in range(30)}})
    text = run(one, two).stdout
    assert "method.a19" in text and "method.a20" not in text and "and 10 more" in text
    assert len(json.loads(run("--json", one, two).stdout)["differences"]) == 30
    page = build(compare([one, two]))
    assert "All others" in page and "method.a29" in page


def test_wide_tables_are_folded_to_the_width(make_run):
    rows = [{"images": 100, **{f"turn{n}/loss": float(n) for n in range(12)}}]
    text = as_text(compare([make_run(rows=rows)]), width=60)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 60
    assert sum(line.split()[:1] == ["run"] for line in lines) > 2
    assert all(f"turn{n}/loss" in text for n in range(12))


def test_one_run_named_twice_is_refused(make_run):
    one, two = make_run(), make_run("two")
    with pytest.raises(RunError, match=r"compared once. Received: .*one twice. Name"):
        compare([one, two, one])
    again = one.parent / "two" / ".." / "one"
    with pytest.raises(RunError, match=r"two/../one twice, once as .*one. Name"):
        compare([one, again])
    with pytest.raises(RunError, match="no run"):
        compare([one, one.parent / "none", one.parent / "none"])


def test_a_best_that_is_the_last_is_not_repeated(make_run):
    runs = [make_run(f"r{seed}", seed=seed) for seed in range(2)]
    ends = (((90.0, 60.0), (0.2, 0.1)), ((80.0, 50.0), (0.2, 0.3)))
    for run_, (fid, kid) in zip(runs, ends, strict=True):
        rows = [{"images": 10 * n, "fid": fid[n - 1], "kid": kid[n - 1]} for n in (1, 2)]
        (run_ / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (group,) = compare(runs).groups
    names = columns(group)
    assert "fid" in names and "best fid" not in names
    assert "best kid" in names  # In one of the runs it was better before, so all of them are shown.
    assert numbers(group.records[0])["best kid"] == 0.1
    assert "best fid" not in as_text(compare(runs)) and "best fid" not in build(compare(runs))


def test_equal_names_are_told_apart_by_their_folders(make_run):
    names = [name for name, _ in compare([make_run("a/run"), make_run("b/run"), make_run("c")]).runs]
    assert names == ["a/run", "b/run", "c"]
    assert unique_names([Path("/run"), Path("/x/run")])[1] == "x/run"


def test_runs_without_numbers_compare(make_run):
    found = compare([make_run("one", rows=[], grids=()), make_run("two", rows=[], grids=(), batch=9)])
    assert "0 of 1000" in as_text(found)
    assert "<table>" in build(found)


def test_more_runs_than_grids_are_shown(make_run):
    runs = [make_run(f"r{n:02d}", grids=(0,), seed=n) for n in range(18)]
    page = build(compare(runs))
    assert page.count("<figure><img") == 16 and "first 16 runs" in page


def test_the_page_is_written_where_it_was_asked_for(seeds, tmp_path):
    told = run(*seeds, "-o", tmp_path / "seeds.html")
    assert told.exit_code == 0 and "seeds.html" in told.stderr
    first = (tmp_path / "seeds.html").read_bytes()
    run(*seeds, "-o", tmp_path / "again.html", "--json")
    assert (tmp_path / "again.html").read_bytes() == first


def test_names_of_runs_cannot_become_html(make_run):
    name = "<script>alert(1)<"
    page = build(compare([make_run(name), make_run("b" + name, batch=9)]))
    assert page.count("<script") == 2


def test_mistakes_are_told_before_anything_is_written(make_run, tmp_path):
    one = make_run()
    with pytest.raises(RunError, match="Did you mean 'one'"):
        run(one, tmp_path / "onne")
    with pytest.raises(SettingError, match=r"ends in .html"):
        run(one, "-o", tmp_path / "page.txt")
    assert run(one, " ").exit_code == 2
    assert run().exit_code == 2
    assert not (tmp_path / "page.txt").exists()
