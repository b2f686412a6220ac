"""The progress bar: one for a run, whatever becomes of its length."""

from pathlib import Path

from gansmith.core.console import Terminal


def test_a_length_that_changes_goes_on_in_the_same_bar(
    tmp_path: Path,
) -> None:
    screen = open(tmp_path / "screen", "w", encoding="utf-8")
    bar = Terminal(screen)
    bar.start(images=0, total=100)
    bar.advance(40)
    first = bar._bar
    bar.start(images=40, total=80)
    assert bar._bar is first and first is not None and (first.n, first.total) == (40, 80)
    bar.stop()
    bar.start(images=10, total=20)
    assert bar._bar is not first
    bar.stop()
    bar.stop()  # Twice does no harm.
    screen.close()
    assert " 50%" in (tmp_path / "screen").read_text(encoding="utf-8")
