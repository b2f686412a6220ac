"""The app served from this process, and a real browser without a window that opens it."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SERVED = pytest.importorskip("uvicorn", reason="the extra app is not installed")
PLAYWRIGHT = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of an app that is served while the block runs."""
    place = socket.create_server(("127.0.0.1", 0))
    config = SERVED.Config(app, log_level="warning", access_log=False)
    server = SERVED.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{place.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(10)
        place.close()


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    with PLAYWRIGHT.sync_playwright() as player:
        own = Path(player.chromium.executable_path)
        there = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if there is None and not own.exists():
            pytest.skip("no Chromium here: apt install chromium, or playwright install chromium")
        # Its sandbox wants a user of its own, which containers seldom have.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = player.chromium.launch(executable_path=there, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page_of(browser: Any, address: str, width: int = 1280, language: str = "en-GB") -> Iterator[Any]:
    """A page; what it writes to the console as an error fails the test."""
    context = browser.new_context(viewport={"width": width, "height": 800}, locale=language)
    context.set_default_timeout(10_000)
    wrong: list[str] = []
    page = context.new_page()
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    try:
        page.goto(address)
        yield page
        assert not wrong, wrong
    finally:
        context.close()
