"""Curves of what a run logged."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gansmith.core.files import whole_file
from gansmith.errors import SettingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


Rows = Sequence[Mapping[str, float | int]]
"""What a run logged, oldest first: a statistic's name -> its value, and ``images`` -> images seen."""


def curves(rows: Rows, path: Path) -> Path:
    """A png of a run's losses, of what its discriminator said (0..1), and of its accuracies if it has any.

    Raises SettingError where no name ends in ``loss``, speaks of ``accuracy`` or has ``D(`` in it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for row in rows if "images" in row for name in row))
    panels = {title: [name for name in names if belongs(name)] for title, belongs in _PANELS.items()}
    panels = {title: series for title, series in panels.items() if series}
    if not panels:
        raise SettingError("There are no statistics to draw: no row has a loss, a D(...) or an accuracy.")
    figure = Figure(figsize=(9, 3 * len(panels)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (title, series) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, title, series, rows)
    axes[-1].set_xlabel("images seen")
    with whole_file(path) as part:
        figure.savefig(part, format="png")
    return path


_PANELS: dict[str, Callable[[str], bool]] = {
    "loss": lambda name: name.endswith("loss"),
    "discriminator output": lambda name: "D(" in name,
    "accuracy": lambda name: "accuracy" in name.rpartition("/")[2],
}


def _draw_panel(axis: "Axes", title: str, series: Sequence[str], rows: Rows) -> None:
    for name in series:
        points = [(row["images"], row[name]) for row in rows if name in row and "images" in row]
        # A lone point has no line to be seen by.
        marker = "o" if len(points) < 3 else ""
        axis.plot(*zip(*points, strict=True), label=name, linewidth=1.4, marker=marker, markersize=4)
    if title != "loss":
        axis.set_ylim(-0.02, 1.02)
        axis.axhline(0.5, color="0.6", linewidth=0.8, linestyle=":")
    axis.set_ylabel(title)
    axis.grid(True, color="0.9", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
