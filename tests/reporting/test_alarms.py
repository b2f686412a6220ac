"""Alarms of the health watch in reports and comparisons."""

import json

import pytest
from click.testing import CliRunner

from gansmith.cli.report import compare as verb
from gansmith.reporting import page
from gansmith.reporting.compare import compare, rows_of
from gansmith.reporting.compare_page import build as build_comparison
from gansmith.reporting.compare_text import as_text
from gansmith.reporting.html import THIN
from gansmith.reporting.page import build
from gansmith.reporting.run_files import Alarm, read, read_log

COLLAPSE = {"images": 12_500, "alarm": "collapse", "message": "The samples look alike."}
VANISHED = {"images": 600, "alarm": "vanished", "message": "The gradient has <b>vanished</b>."}
NUMBERS = {"images": 600, "generator/loss": 1.0}


def test_alarms_are_read_in_order_and_are_no_numbers(make_run):
    run = make_run(rows=[COLLAPSE, NUMBERS, VANISHED])
    assert read(run).alarms == (
        Alarm(600, *list(VANISHED.values())[1:]),
        Alarm(12_500, *list(COLLAPSE.values())[1:]),
    )
    log = read_log(run / "stats.jsonl")
    assert list(log.series) == ["generator/loss"] and log.left_out == 0
    assert read(run).notes == ()


@pytest.mark.parametrize(
    "line",
    [
        '{"images": 5, "alarm": 7, "message": "no name"}',
        '{"images": null, "alarm": "collapse", "message": "nowhere"}',
        '{"alarm": "collapse"}',
        '["alarm"]',
        '{"images": 5, "alarm": "coll',
    ],
)
def test_damaged_alarms_are_left_out(make_run, line):
    assert read(make_run(rows=[NUMBERS, line])).alarms == ()


def test_an_alarm_without_words_shows_its_name(make_run):
    run = make_run(rows=[NUMBERS, {"images": 600, "alarm": "odd", "message": None}])
    assert "<li>After 600 images: odd</li>" in build(read(run))


def test_the_report_lists_alarms_above_the_pictures(make_run):
    text = build(read(make_run(rows=[NUMBERS, VANISHED, COLLAPSE])))
    shown = [
        "<li>After 600 images: The gradient has &lt;b&gt;vanished&lt;/b&gt;.</li>",
        f"<li>After 12{THIN}500 images: The samples look alike.</li>",
        'id="samples"',
    ]
    assert [text.index(one) for one in shown] == sorted(text.index(one) for one in shown)
    assert 'aria-label="What the health watch said"' in text


def test_options_in_an_alarm_are_not_broken_at_their_hyphens(make_run):
    told = {**COLLAPSE, "message": "Try a new --run with --set a.lr=1e-4."}
    text = build(read(make_run(rows=[NUMBERS, told])))
    assert 'Try a new <span class="whole">--run</span> with <span class="whole">--set</span> a.lr' in text


def test_a_healthy_run_has_no_list(make_run):
    assert "health watch" not in build(read(make_run()))


def test_many_alarms_are_cut_short(make_run):
    every = [{**VANISHED, "images": n} for n in range(page.MOST_ALARMS + 2)]
    text = build(read(make_run(rows=every)))
    assert text.count("<li>After ") == page.MOST_ALARMS
    assert "<li>2 more alarms in stats.jsonl.</li>" in text


def test_a_comparison_counts_them(make_run):
    ill = make_run("ill", rows=[NUMBERS, VANISHED, COLLAPSE, {**COLLAPSE, "images": 13_000}])
    well = make_run("well", rows=[NUMBERS], seed=1)
    found = compare([ill, well])
    head, first, second, mean = rows_of(found.groups[0])
    place = head.index("alarms")
    assert [row[place] for row in (first, second, mean)] == ["3 (vanished 1, collapse 2)", "0", ""]
    assert len({len(row) for row in (head, first, second, mean)}) == 1
    assert "3 (vanished 1, collapse 2)" in as_text(found)
    assert "3 (vanished 1, collapse 2)" in build_comparison(found)
    told = json.loads(CliRunner().invoke(verb, ["--json", str(ill), str(well)]).stdout)
    assert [[alarm["name"] for alarm in run["alarms"]] for run in told["runs"]] == [
        ["vanished", "collapse", "collapse"],
        [],
    ]
    assert told["runs"][0]["alarms"][0] == {"images": 600, "name": "vanished", "message": VANISHED["message"]}


def test_healthy_runs_have_no_column(make_run):
    found = compare([make_run("one"), make_run("two", seed=1)])
    assert "alarms" not in next(rows_of(found.groups[0]))


def test_vital_signs_are_drawn_with_words(make_run):
    text = build(read(make_run(rows=[{**NUMBERS, "health/spread": 0.9, "health/overfitting": 0.2}])))
    assert "How much samples differ from each other" in text
    assert "on the way down to generated ones" in text


def test_a_run_of_version_0_1_is_compared_by_the_names_of_now(make_run) -> None:
    adam = {"is": "gansmith.optimisers:Adam", "lr": 0.5}
    old = {"is": "gansmith.recipe:Recipe", "optimisers": {"generator": adam}}
    settings = read(make_run(recipe=old)).settings
    assert settings["optimizers.generator.lr"] == 0.5 and "optimisers.generator.lr" not in settings
