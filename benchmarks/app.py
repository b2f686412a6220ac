"""How soon the page shows a picture, and how soon it follows a slider.

    python benchmarks/app.py [RUN] [--slides 100] [--threads 2] [--quick]

RUN is a run that makes images of noise; without one an untrained faces64 is measured, which is as fast as a
trained one. The app runs as a process of its own, a headless Chromium opens the page, and the page's own
clock is read: from the page being there (DOMContentLoaded) to the first picture, and from a slider to the
changed picture, decoded. Needs gansmith[app], playwright and a Chromium.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from measuring import Row, noise_pictures, our_trainer, print_table
from playwright.sync_api import Browser, sync_playwright

from gansmith.recipes import named
from gansmith.runs.run import Run

FIRST = """async () => {
  const shown = () => document.querySelector(".picture")?.dataset.ms;
  while (!shown()) await new Promise(requestAnimationFrame);
  return performance.now() - performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd;
}"""
SLIDE = """async (value) => {
  const picture = document.querySelector(".picture"), slider = document.querySelector("[data-move]");
  const changed = new Promise((done) => new MutationObserver((_, seen) => { seen.disconnect(); done(); })
    .observe(picture, { attributes: true, attributeFilter: ["src"] }));
  const begun = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event("input"));
  await changed;
  await picture.decode();
  return performance.now() - begun;
}"""


def untrained(folder: Path) -> Path:
    """A run of faces64 before its first step."""
    trainer = our_trainer(named("faces64"), noise_pictures(64, 64), torch.device("cpu"))
    run = Run.create(folder / "faces64", replace(trainer.recipe), {})
    run.save(trainer.state(), 0)
    return folder / "faces64"


def measure(browser: Browser, address: str, slides: int) -> tuple[float, list[float]]:
    """Milliseconds to the first picture, and of each slide."""
    page = browser.new_page()
    page.goto(address, wait_until="commit")
    page.wait_for_load_state("domcontentloaded")
    first = float(page.evaluate(FIRST))
    page.locator("[data-move]").first.wait_for()
    page.wait_for_timeout(2000)  # The sheet of pictures beside it is made meanwhile.
    amounts = [round(-1 + 2 * (number + 0.5) / slides, 4) for number in range(slides)]
    times = [float(page.evaluate(SLIDE, str(amount))) for amount in amounts if abs(amount) >= 0.01]
    page.close()
    return first, times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--slides", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    asked = parser.parse_args()
    pages, slides = (1, 4) if asked.quick else (5, asked.slides)
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as player:
        run = asked.run or untrained(Path(folder))
        command = [sys.executable, "-m", "gansmith", "app", str(run), "--port", "0", "--device", "cpu"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(asked.threads), "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
            try:
                assert server.stdout is not None
                found = re.search(r"http://\S+", server.stdout.readline())
                assert found is not None
                browser = player.chromium.launch(executable_path=program, args=["--no-sandbox"])
                firsts, times = [], []
                for _ in range(pages):
                    first, some = measure(browser, found[0], slides // pages or 1)
                    firsts.append(first)
                    times += some
                browser.close()
            finally:
                server.terminate()
    times.sort()
    late = times[int(0.95 * (len(times) - 1))]
    print_table(
        [
            Row("first picture, first page", f"{firsts[0]:.0f} ms"),
            Row("first picture, later pages", f"{statistics.median(firsts[1:] or firsts):.0f} ms"),
            Row("slider to picture", f"{statistics.median(times):.0f} ms", f"95 of 100 below {late:.0f} ms"),
        ]
    )


if __name__ == "__main__":
    main()
