"""The page in a real browser: a mouse, the keys alone, a phone, two languages."""

import io
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from promises import RECIPES
from shelves import shelf, store

from gansmith.images.provenance import read_provenance

pytest.importorskip("fastapi", reason="the extra app is not installed")
from browser import PLAYWRIGHT, chromium, page_of, served

from gansmith.app.server import create_app

expect = PLAYWRIGHT.expect


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """A browser, and the address of the app."""
    root = tmp_path_factory.mktemp("runs")
    shelf(root, {"faces": "lazy", "two spaces": "two spaces", "cycle": "cyclegan64-small"})
    store(root / "fill", RECIPES["context-encoder64-small"])
    edges = RECIPES["pix2pix64-small"]
    store(root / "edges", replace(edges, data=replace(edges.data, pairs="edges")))
    with ExitStack() as stack:
        browser = stack.enter_context(chromium())
        yield browser, stack.enter_context(served(create_app(root, device="cpu")))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "me.png")
    return tmp_path / "me.png"


def look(locator: Any) -> np.ndarray:
    """What a person sees there."""
    with Image.open(io.BytesIO(locator.screenshot())) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def new_picture(page: Any, act: Any, which: str = ".picture") -> float:
    """Do something and wait until another picture is shown; how much it differs, in levels."""
    picture = page.locator(which)
    before, source = look(picture), picture.get_attribute("src")
    act()
    expect(picture).not_to_have_attribute("src", source)
    return float(abs(look(picture) - before).mean())


def explored(page: Any) -> None:
    expect(page.locator(".picture")).to_have_attribute("data-ms", re.compile("."))
    page.locator(".thumb").first.wait_for()


def test_click_drag_undo_and_save_with_a_mouse(place: tuple[Any, str], tmp_path: Path) -> None:
    with page_of(*place) as page:
        explored(page)
        assert new_picture(page, page.locator(".seed").nth(5).click) > 3
        slider = page.locator("[data-move]").first.bounding_box()
        middle = slider["y"] + slider["height"] / 2

        def drag() -> None:
            page.mouse.move(slider["x"] + slider["width"] / 2, middle)
            page.mouse.down()
            page.mouse.move(slider["x"] + slider["width"] * 0.9, middle, steps=4)
            page.mouse.up()

        assert new_picture(page, drag) > 1
        moved = look(page.locator(".picture"))
        page.locator(".thumb").nth(2).wait_for()
        with page.expect_download() as loading:
            page.get_by_role("button", name="Save picture").click()
        loading.value.save_as(tmp_path / "kept.png")
        mark = read_provenance(tmp_path / "kept.png")
        assert mark is not None and mark.seed == 5 and "direction sefa-1 0." in (mark.note or "")
        new_picture(page, page.get_by_role("button", name="Undo").click)
        assert page.locator("[data-move]").first.input_value() == "0"
        new_picture(page, page.get_by_role("button", name="Redo").click)
        assert np.array_equal(look(page.locator(".picture")), moved)


def test_the_keys_alone_are_enough(place: tuple[Any, str]) -> None:
    with page_of(*place) as page:
        explored(page)
        press = page.keyboard.press
        press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        press("Tab")
        expect(page.locator("#tab-explore")).to_be_focused()
        press("ArrowRight")
        expect(page.locator("#tab-translate")).to_be_focused()
        expect(page.locator("#panel-translate")).to_be_visible()
        press("ArrowLeft")
        expect(page.locator("#panel-explore")).to_be_visible()
        for _ in range(40):
            press("Tab")
            if page.evaluate("document.activeElement.dataset.move ?? ''"):
                break
        assert new_picture(page, lambda: [press("ArrowRight") for _ in range(30)]) > 0.3
        page.locator(".seed").first.focus()
        press("ArrowDown")
        expect(page.locator(".seed").nth(6)).to_be_focused()
        assert new_picture(page, lambda: press("Enter")) > 3
        expect(page.locator("#status")).to_have_text("Seed 6 is shown.")


def test_a_phone_shows_it_all_in_both_languages(place: tuple[Any, str]) -> None:
    with page_of(*place, width=360, language="zh-CN") as page:
        explored(page)
        expect(page.locator("#tab-translate")).to_have_text("转换")
        assert page.locator("html").get_attribute("lang") == "zh-Hans"
        for language, named in (("zh", "评分"), ("en", "Rate")):
            page.select_option("#language", language)
            expect(page.locator("#tab-rate")).to_have_text(named)
            for tab in page.locator("[role=tab]").all():
                tab.click()
                expect(tab).to_have_attribute("aria-selected", "true")
                expect(page.locator("#message")).to_be_hidden()
                assert page.evaluate("document.documentElement.scrollWidth") <= 360
        small = page.locator("#panel-explore button:visible, [role=tab]:visible").evaluate_all(
            "all => all.filter(one => one.getBoundingClientRect().height < 24).length"
        )
        assert small == 0, "a finger finds every button"


def late(route: Any) -> None:
    """An answer that comes after the user's next move."""
    time.sleep(0.3)
    route.continue_()


def test_before_and_after_a_photo(place: tuple[Any, str], photo: Path, tmp_path: Path) -> None:
    browser, address = place
    with page_of(browser, "about:blank") as page:
        page.route("**/api/translate/model*", late)
        page.goto(f"{address}#translate")
        page.locator("#translate-model option").first.wait_for(state="attached")
        page.set_input_files("#translate-file", photo)
        frame = page.locator(".wipe")
        frame.wait_for()
        half = look(frame)
        page.locator("#translate-at").focus()
        page.keyboard.press("End")
        before = look(frame)
        page.keyboard.press("Home")
        after = look(frame)
        wide = half.shape[1] // 3
        assert np.array_equal(half[:40, 8:wide], before[:40, 8:wide])
        assert np.array_equal(half[:40, -wide:-8], after[:40, -wide:-8])
        assert abs(before - after).mean() > 3
        with page.expect_download() as loading:
            page.get_by_role("button", name="Save both side by side").click()
        assert loading.value.suggested_filename == "me-cycle-both.png"
        loading.value.save_as(tmp_path / "kept.png")
        mark = read_provenance(tmp_path / "kept.png")
        assert mark is not None and mark.composite and "translated from me.png" in (mark.note or "")
        (tmp_path / "no.png").write_bytes(b"no picture")
        page.set_input_files("#translate-file", tmp_path / "no.png")
        expect(page.locator("#message")).to_contain_text("Choose a JPEG")


def test_lines_are_drawn_and_holes_are_painted(place: tuple[Any, str], photo: Path) -> None:
    browser, address = place
    with page_of(browser, f"{address}#translate") as page:
        page.select_option("#translate-model", "edges")
        canvas, after = page.locator("canvas"), page.locator("img.after")
        canvas.wait_for()

        def stroke() -> None:
            box = canvas.bounding_box()
            page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.4)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.4, steps=3)
            page.mouse.up()

        blank = look(canvas)
        stroke()
        page.locator(".wipe").wait_for()
        assert abs(look(canvas) - blank).mean() > 1
        drawn = after.get_attribute("src")
        canvas.focus()
        page.keyboard.press("Shift+ArrowDown")
        expect(after).not_to_have_attribute("src", drawn)
        page.get_by_role("button", name="Start over").click()
        expect(page.locator(".wipe")).to_be_hidden()

        page.select_option("#translate-model", "fill")
        page.set_input_files("#translate-file", photo)
        expect(page.locator(".drop.quiet")).to_have_text("Paint a hole, and the model fills it.")
        whole = look(canvas)
        stroke()
        page.locator(".wipe").wait_for()
        page.get_by_role("button", name="Undo").click()
        expect(page.locator(".wipe")).to_be_hidden()
        assert np.array_equal(look(canvas), whole)
