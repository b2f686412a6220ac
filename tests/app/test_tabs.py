"""Data, Watch and Rate in a browser: clicked, by keyboard alone, touched on a phone; what changes is seen."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from promises import RECIPES
from shelves import store

from gansmith.ratings.store import FILE

pytest.importorskip("fastapi", reason="the extra app is not installed")
from browser import chromium, served

from gansmith.app.server import create_app


def picture(path: Path, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def grow(run: Path, images: int) -> None:
    """What a run in training writes."""
    with open(run / "stats.jsonl", "a") as log:
        log.write(json.dumps({"images": images, "seconds": 1.0, "generator/loss": 0.5}) + "\n")
    (run / "pictures").mkdir(exist_ok=True)
    picture(run / "pictures" / f"{images:09}.png", images)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for name in ("faces", "more"):
        grow(store(root / name, RECIPES["lazy"]).path, 16)
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "photos"
    folder.mkdir()
    for row in range(60):
        picture(folder / f"{row:02}.png", row % 59)  # The last one is the first one again.
    lines = [f"{row:02}.png,{'dog' if row < 5 else 'cat'},{row % 2}" for row in range(60)]
    (folder / "labels.csv").write_text("file,label,smiling\n" + "\n".join(lines) + "\n")
    (folder / "captions.csv").write_text("file,text\nother.png,a face\n")  # Of no picture here: not used.
    return folder


@pytest.fixture(scope="module")
def address(root: Path, photos: Path) -> Iterator[str]:
    with served(create_app(root, photos, device="cpu")) as place:
        yield place


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


class Tab:
    """A page of the app at one tab; what goes wrong in it is kept."""

    def __init__(self, browser: Any, address: str, tab: str, width: int = 1280, **how: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 800}, locale="en-GB", **how)
        self.page, self.errors = self.context.new_page(), []
        self.page.set_default_timeout(10_000)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{address}#{tab}")

    def until(self, script: str) -> None:
        """Wait; the page's policy forbids what Playwright's own waiting does."""
        for _ in range(400):
            if self.page.evaluate(script):
                return
            self.page.wait_for_timeout(20)
        raise AssertionError(f"never: {script}; errors: {self.errors}")

    def close(self) -> None:
        wide = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        self.context.close()
        assert wide <= 0, "the page can be moved sideways"
        assert not self.errors


def wide(page: Any, which: str) -> float:
    return float(page.locator(which).first.bounding_box()["width"])


def below(page: Any, one: str, other: str) -> bool:
    """Whether ``other`` stands below ``one``, not beside it."""
    boxes = [page.locator(which).first.bounding_box() for which in (one, other)]
    return bool(boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"])


def test_a_set_is_looked_through_filtered_and_read_by_keyboard_and_in_chinese(
    browser: Any, address: str
) -> None:
    tab = Tab(browser, address, "data", width=360)
    page = tab.page
    tab.until("document.querySelectorAll('.photos .seed').length === 48")
    assert page.locator("footer").is_hidden(), "what it says is not true of these pictures"
    assert wide(page, ".photos .seed") > 60 and below(page, ".data > .card", ".aside")
    page.get_by_role("button", name="Next").first.click()
    tab.until("document.querySelectorAll('.photos .seed').length === 12")
    tab.until("!document.querySelector('[data-show=copies]').disabled")
    page.locator("[data-show=copies]").click()
    tab.until("document.querySelectorAll('.photos .group').length === 2")
    page.locator("[data-show=all]").click()
    page.locator("[data-name=dog]").click()
    page.get_by_label("smiling").select_option("1")
    tab.until("[...document.querySelectorAll('.photos .seed')].map(e => e.dataset.row).join() === '1,3'")
    page.locator(".photos .seed").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    tab.until("document.querySelector('dialog[open] h2')?.textContent === '03.png'")
    page.keyboard.press("ArrowLeft")
    tab.until("document.querySelector('dialog[open] h2').textContent === '01.png'")
    assert "24\u00d724" in page.locator("dialog").inner_text()
    page.keyboard.press("Escape")
    page.locator("#language").select_option("zh")
    tab.until("document.querySelector('#data-labels h2').textContent === '标签'")
    assert (
        "未使用的表格" in page.locator(".unused").inner_text() and page.locator(".left-out").first.is_hidden()
    )
    page.evaluate("location.hash = '#rate'")  # Another tab, by the address of the open page.
    tab.until("document.querySelector('#tab-rate').getAttribute('aria-selected') === 'true'")
    tab.until("!document.querySelector('#panel-rate').hidden && document.querySelector('#panel-data').hidden")
    page.go_back()
    tab.until("document.querySelector('#tab-data').getAttribute('aria-selected') === 'true'")
    asked = "(await import('/page/dom.js')).askJson('/api/data/set', { set: 'gone' })"
    said = page.evaluate(
        f"(async () => {{ try {{ await {asked}; }} catch (error) {{ return error.message; }} }})()"
    )
    assert said.startswith("这里没有这个模型") and "There is no data set 'gone'" in said
    tab.close()


def test_a_run_that_goes_on_is_seen_without_flicker_and_one_that_vanishes_is_said(
    browser: Any, address: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gansmith.app.shelf._FRESH", 0.0)
    grow(store(root / "going", RECIPES["lazy"]).path, 16)
    tab = Tab(browser, address, "watch")
    page, look = tab.page, "document.dispatchEvent(new Event('visibilitychange'))"
    page.locator("[data-run=going]").click()
    tab.until("document.querySelector('.grid').dataset.images === '16'")
    assert "16 of 48 images" in page.locator(".watched .facts").first.inner_text()
    page.locator("[data-run=going]").focus()
    page.evaluate("window.before = document.querySelector('.grid')")
    grow(root / "going", 32)
    page.evaluate(look)
    tab.until("document.querySelector('.grid').dataset.images === '32'")
    tab.until("document.querySelector('.curve')?.getAttribute('d').includes('L')")
    assert page.evaluate("window.before === document.querySelector('.grid') && window.before.complete")
    assert wide(page, ".grid") > 300 and not below(page, ".runs", ".watched")
    assert page.evaluate("document.activeElement.dataset.run") == "going", "the focus stays"
    page.locator("#watch-grid").press("ArrowLeft")
    tab.until("document.querySelector('.grid').dataset.images === '16'")
    shutil.rmtree(root / "going")
    page.evaluate(look)
    tab.until("document.querySelector('#status').textContent.includes('going was moved')")
    tab.until("document.querySelector('.run[aria-pressed=true]').dataset.run === 'faces'")
    (root / "more" / "recipe.json").write_text("{")
    page.evaluate(look)
    tab.until("document.querySelector('[data-run=more]').classList.contains('broken')")
    page.locator("[data-run=more]").click()
    tab.until("document.querySelector('.broken-run').checkVisibility()")
    tab.close()


def answers(root: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(root / "faces" / FILE) as base:
        return base.execute("SELECT kind, liked, rater FROM ratings ORDER BY id").fetchall()


def stored(page: Any, root: Path, wanted: list[tuple[Any, ...]]) -> None:
    for _ in range(300):
        if answers(root) == wanted:
            return
        page.wait_for_timeout(20)
    assert answers(root) == wanted


def test_pictures_are_rated_by_keyboard_and_touch_and_nothing_is_lost_while_the_database_is_held(
    browser: Any, address: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gansmith.app.routes.rate._PATIENCE", 0.1)
    tab = Tab(browser, address, "rate")
    page, shown = tab.page, "document.querySelector('.rated')?.dataset.seed"
    page.locator("#rate-model").select_option("faces")
    page.get_by_label("Your name").fill("Ada")
    tab.until(shown)
    page.locator("#rate-name").blur()
    assert wide(page, ".rated") > 200
    first = page.evaluate(shown)
    page.keyboard.press("ArrowRight")
    second = page.evaluate(shown)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    tab.until("document.querySelector('.rate .facts').textContent.startsWith('2 by you')")
    assert second != first
    stored(page, root, [("thumb", 1, "Ada"), ("thumb", 0, "Ada")])
    page.keyboard.press("Backspace")
    stored(page, root, [("thumb", 1, "Ada")])
    page.keyboard.press("Backspace")
    tab.until(f"{shown} === '{first}'")
    assert answers(root) == []
    holder = sqlite3.connect(root / "faces" / FILE, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    page.keyboard.press("ArrowRight")
    tab.until("document.querySelector('#message').textContent.includes('held by another program')")
    tab.until("document.querySelector('.asking .alarm').textContent.startsWith('1 ')")
    page.on("dialog", lambda asks: asks.accept())  # It asks whether to leave: one answer is not stored.
    page.reload()
    holder.execute("ROLLBACK")
    holder.close()
    stored(page, root, [("thumb", 1, "Ada")])
    tab.close()
    phone = Tab(browser, address, "rate", width=360, has_touch=True)
    phone.page.locator("#rate-model").select_option("faces")
    phone.page.get_by_label("Your name").fill("Bo")
    phone.page.locator("[data-kind=pair]").tap()
    phone.until("document.querySelectorAll('.choice').length === 2")
    assert wide(phone.page, ".rated") > 120, "two stand side by side on a phone"
    phone.page.locator(".choice").last.tap()
    phone.until("document.querySelectorAll('.count-name').length === 2")
    assert answers(root)[1:] == [("pair", 0, "Bo")]
    phone.close()
