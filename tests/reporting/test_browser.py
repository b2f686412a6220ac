"""The pages in a real browser, from file://: they load, move, draw, and ask nobody for anything."""

import pytest
from browsing import Browser, installed

from gansmith.reporting.compare import compare
from gansmith.reporting.compare_page import build as compare_page
from gansmith.reporting.page import report, write_page

pytestmark = pytest.mark.skipif(installed() is None, reason="needs Chromium: apt-get install chromium")

SLIDER = "document.getElementById('time')"
GRID = "document.getElementById('grid')"
DRAWN = "[...document.querySelectorAll('.chart')].map(c => c.querySelectorAll('.plot path.line').length)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    made = Browser(str(installed()), tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def page(full_run, tmp_path_factory):
    return report(full_run, tmp_path_factory.mktemp("page") / "report.html")


def test_the_page_loads_alone_and_without_errors(browser, page):
    browser.open(page)
    assert browser.errors == []
    asked = [address for address in browser.requests if not address.startswith("data:")]
    assert asked == [page.as_uri()]
    assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)") is True


def test_nothing_can_be_asked_for_even_if_something_got_in(browser, page):
    browser.open(page)
    browser.run("document.body.append(Object.assign(new Image(), {src: 'http://localhost:9/x.png'}))")
    assert browser.run("fetch('http://localhost:9/').then(() => 'let out', () => 'kept in')") == "kept in"
    browser.run(
        "{ const made = document.createElement('script'); made.textContent = 'window.harm = 1'; "
        "document.body.append(made); }"
    )
    assert browser.run("window.harm === undefined") is True
    assert len(browser.errors) >= 3 and "Content Security Policy" in browser.errors[0]


def test_the_slider_the_keys_and_the_button_change_the_picture(browser, page):
    browser.open(page)
    newest = browser.run(f"{GRID}.src")
    browser.run(f"{SLIDER}.value = 0; {SLIDER}.dispatchEvent(new Event('input'))")
    first = browser.run(f"{GRID}.src")
    assert first != newest
    assert browser.run(f"{SLIDER}.getAttribute('aria-valuetext')") == "0 images, grid 1 of 41"
    assert browser.run(f"{GRID}.alt") == "Grid of pictures the generator made, after 0 images"
    browser.run("document.activeElement.blur()")
    browser.press("ArrowRight")
    assert browser.run(f"{SLIDER}.value") == "1" and browser.run(f"{GRID}.src") != first
    browser.run(f"{SLIDER}.focus()")
    browser.press("End")
    assert browser.run(f"{GRID}.src") == newest
    browser.click("#play")
    browser.until(f"{SLIDER}.value > 1 && {SLIDER}.value < 40")
    assert browser.run("document.getElementById('play').textContent") == "Pause"
    browser.click("#play")
    assert browser.run("document.getElementById('play').textContent") == "Play"
    assert browser.errors == []


def test_every_chart_draws_and_reads_out(browser, page):
    browser.open(page)
    lines = browser.run(DRAWN)
    assert lines == [1, 1, 1, 2, 2, 1, 1]
    assert browser.run("document.querySelectorAll('.plot path.band').length") == 1
    assert browser.run("document.querySelectorAll('svg [d*=NaN], svg [cx*=NaN], svg [y*=NaN]').length") == 0
    number = "document.querySelectorAll('.chart')[3].querySelector('.legend b').textContent"
    assert browser.run(number) == "0.5"
    x, y = browser.middle("[data-chart='3'] .plot")
    browser.move(x, y)
    assert browser.run(number) in ("0.75", "0.7")
    assert browser.run("document.querySelector('[data-chart=\"3\"] .where').textContent").endswith(
        "00 images"
    )
    browser.move(1, 1)
    assert browser.run(number) == "0.5"
    browser.run("document.querySelector('[data-chart=\"3\"] .plot').focus()")
    browser.press("Home")
    assert browser.run(number) == "0.95"
    said = browser.run("document.querySelector('[data-chart=\"3\"] .unseen').textContent")
    assert said == "At 100 images: discriminator 0.95, generator 2.1"
    browser.press("Escape")
    assert browser.run(number) == "0.5"


def test_smoothing_and_the_logarithmic_axis(browser, page):
    browser.open(page)
    curve = "document.querySelector('[data-chart=\"3\"] .plot path.line').getAttribute('d')"
    before = browser.run(curve)
    browser.click("[data-chart='3'] [data-do=log]")
    assert browser.run(curve) != before
    browser.click("[data-chart='3'] [data-do=log]")
    assert browser.run(curve) == before
    browser.click("[data-chart='3'] [data-do=smooth]")
    assert browser.run("document.querySelectorAll('[data-chart=\"3\"] .plot path.raw').length") == 2
    pressed = "document.querySelector('[data-chart=\"3\"] [data-do=smooth]').getAttribute('aria-pressed')"
    assert browser.run(pressed) == "true"
    assert browser.errors == []


@pytest.mark.parametrize("width", [320, 360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_phones_and_follows_the_colours_of_the_system(browser, page, width, dark):
    browser.open(page, width, 700, dark)
    assert browser.run("document.documentElement.scrollWidth") <= width
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in paper[4:-1].split(",")) < 200) == dark


CONTRAST = """(() => {
  const probe = document.createElement('i'), style = getComputedStyle(document.documentElement);
  document.body.append(probe);
  const light = (name) => {
    probe.style.color = style.getPropertyValue(name);
    return getComputedStyle(probe).color.match(/[0-9.]+/g).slice(0, 3).map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
      .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const texts = [['--ink', '--page'], ['--soft', '--page'], ['--soft', '--card'], ['--ink', '--card'],
    ['--accent', '--page'], ['--on-accent', '--accent'], ['--warn', '--warn-page']];
  const lines = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => ['--c' + n, '--card']);
  return [Math.min(...texts.map((p) => ratio(...p))), Math.min(...lines.map((p) => ratio(...p)))];
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_colours_have_the_contrast_that_wcag_aa_asks_for(browser, page, dark):
    browser.open(page, dark=dark)
    texts, lines = browser.run(CONTRAST)
    assert texts >= 4.5 and lines >= 3.0


def test_everything_that_is_operated_has_a_name(browser, page):
    browser.open(page)
    tree = browser.ask("Accessibility.getFullAXTree")["nodes"]
    operated = ("button", "slider", "link", "image")
    nodes = [node for node in tree if not node["ignored"] and node["role"]["value"] in operated]
    assert len(nodes) > 15
    assert [node["role"]["value"] for node in nodes if not node.get("name", {}).get("value")] == []


def test_those_who_asked_for_calm_get_slow_steps(browser, page):
    browser.open(page, calm=True)
    browser.run(
        "window.waits = []; window.plain = setInterval; "
        "window.setInterval = (work, wait) => { waits.push(wait); return plain(work, wait); }; 1"
    )
    browser.click("#play")
    assert browser.run("waits") == [1000]


def test_folds_open_for_the_printer(browser, page):
    browser.open(page)
    count = "document.querySelectorAll('details[open]').length"
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(count) == browser.run("document.querySelectorAll('details').length") == 3
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run(count) == 0


def test_runs_that_are_hardly_there_load_without_errors(browser, make_run, tmp_path):
    lone = '{"images": 5, "a": NaN, "b/loss": 0, "c/loss": -3, "images_per_second": 1e-9}'
    for name, rows, grids in (
        ("empty", [], ()),
        ("one", [lone], (5,)),
        ("<script>alert(1)<", [lone, '{"images": 6, "b/loss": 1e30}'], (0, 5)),
    ):
        browser.open(report(make_run(name, rows=rows, grids=grids), tmp_path / "page.html"))
        assert browser.errors == []
        assert browser.run("document.querySelector('h1').textContent") == name
        assert browser.run("document.querySelectorAll('svg [d*=NaN], svg [y*=NaN]').length") == 0


def test_the_comparison_draws_lines_over_each_other(browser, make_run, tmp_path):
    runs = [make_run(f"s{seed}", seed=seed) for seed in range(3)] + [make_run("other", batch=8)]
    page = write_page(tmp_path / "compare.html", compare_page(compare(runs)))
    browser.open(page, 360, 700)
    assert browser.errors == []
    assert set(browser.run(DRAWN)) == {2}
    assert browser.run("document.querySelectorAll('.plot path.band').length") == len(browser.run(DRAWN))
    assert browser.run("document.documentElement.scrollWidth") <= 360
