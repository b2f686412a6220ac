"""Watch: runs below the folder, those that go on among them: how far, curves, alarms, grids."""

import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from gansmith.app.services import PNG, Services
from gansmith.app.shelf import NoSuchModelError
from gansmith.core.files import is_held
from gansmith.errors import RunError
from gansmith.reporting.run_files import Log, Point, Record, read

_POINTS = 300  # Of a curve; more do not fit on a screen.
_CURVES = 60
_ALARMS = 50  # The newest of a run.
_GRIDS = 500  # The newest of a run.
_KEPT = 600  # Runs whose files stay read.

State = Literal["training", "finished", "stopped", "empty", "broken"]


class Watched(BaseModel):
    """A run in the list.

    Example:
        >>> client.get("/api/watch/runs").json()[0]["state"]
        'training'
    """

    id: str
    recipe: str
    state: State = Field(
        description="training: a process holds its lock; finished: it saw all images it was to see; stopped: "
        "neither, so it was stopped or crashed; empty: it saw nothing yet; broken: no recipe can be read."
    )
    images: int = Field(description="Seen so far.")
    goal: int | None = Field(description="To be seen.")
    seconds_left: float | None = Field(description="At the pace of the newest numbers; null where unknown.")
    alarms: int
    age: float | None = Field(description="Seconds since it last wrote numbers.")


class Curve(BaseModel):
    """One number over images seen.

    Example:
        >>> Curve(name="generator/loss", images=[64, 128], values=[0.7, None]).values
        [0.7, None]
    """

    name: str
    images: list[float]
    values: list[float | None] = Field(description="null where the run wrote what is no finite number.")


class Warned(BaseModel):
    """What the health watch said.

    Example:
        >>> Warned(images=6400, name="collapsed", message="The samples are nearly all alike.").name
        'collapsed'
    """

    images: float
    name: str
    message: str


class Details(Watched):
    """All that is shown of one run.

    Example:
        >>> client.get("/api/watch/run", params={"run": "faces"}).json()["grids"]
        [0, 800, 1600]
    """

    data: str
    images_per_second: float | None
    curves: list[Curve]
    metrics: list[Curve]
    warnings: list[Warned]
    grids: list[int] = Field(description="Images seen when each grid was made.")
    notes: list[str] = Field(description="What is wrong with the files of the run.")


Run = Annotated[str, Query(max_length=300, description="Its id, from /api/watch/runs.")]


def routes(services: Services) -> APIRouter:
    """What the tab Watch asks for."""
    router, watcher = APIRouter(prefix="/api/watch", tags=["watch"]), _Watcher(services)

    @router.get("/runs")
    def runs() -> list[Watched]:
        """All runs, by id; those that were moved away meanwhile are not among them."""
        return watcher.runs()

    @router.get("/run")
    def run(run: Run) -> Details:
        """One run, as its files are now."""
        return watcher.details(run)

    @router.get("/grid", response_class=Response, responses=dict(PNG))
    def grid(run: Run, images: Annotated[int, Query(ge=0, le=2**53 - 1)]) -> Response:
        """The grid that was made after so many images."""
        return Response(watcher.grid(run, images), media_type="image/png")

    return router


class _Watcher:
    """Reads run directories; a run whose files did not change is not read again."""

    def __init__(self, services: Services) -> None:
        self._shelf = services.shelf
        self._kept: OrderedDict[Path, tuple[object, Record]] = OrderedDict()

    def runs(self) -> list[Watched]:
        found = []
        for one in self._shelf.listed():
            try:
                found.append(_watched(one.id, self._record(one.path)))
            except RunError:  # Without a recipe that can be read; where it has gone, it is not listed.
                if one.path.is_dir():
                    found.append(_broken(one.id))
        return found

    def details(self, run: str) -> Details:
        record = self._record(self._path(run))
        speed = record.stats.last("images_per_second")
        return Details(
            **_watched(run, record).model_dump(),
            data=record.data_name,
            images_per_second=None if speed is None else speed.value,
            curves=_curves(record.stats),
            metrics=_curves(record.metrics),
            warnings=[
                Warned(images=one.images, name=one.name, message=one.message)
                for one in record.alarms[-_ALARMS:]
            ],
            grids=[images for images, _ in record.grids[-_GRIDS:]],
            notes=[self._shelf.plain(note) for note in record.notes],
        )

    def grid(self, run: str, images: int) -> bytes:
        file = dict(self._record(self._path(run)).grids).get(images)
        try:
            if file is not None:
                return file.read_bytes()
        except OSError:
            pass
        raise NoSuchModelError(f"{run} has no grid of {images:,} images. Look at the run again.")

    def _path(self, run: str) -> Path:
        path = self._shelf.get(run).path
        if not path.is_dir():
            raise NoSuchModelError(f"The run {run} was moved or removed while it was looked at.")
        return path

    def _record(self, path: Path) -> Record:
        state = _state_of_files(path)
        kept = self._kept.pop(path, None)
        if kept is None or kept[0] != state:
            kept = state, read(path)
        self._kept[path] = kept
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return kept[1]


def _state_of_files(path: Path) -> object:
    """What changes when a run writes."""
    found: list[tuple[int, int] | None] = []
    for name in ("recipe.json", "data.json", "stats.jsonl", "metrics.jsonl", "pictures"):
        try:
            stat = (path / name).stat()
            found.append((stat.st_mtime_ns, stat.st_size))
        except OSError:
            found.append(None)
    return found


def _broken(run: str) -> Watched:
    return Watched(
        id=run, recipe="?", state="broken", images=0, goal=None, seconds_left=None, alarms=0, age=None
    )


def _watched(run: str, record: Record) -> Watched:
    seen, goal, state = record.images, record.goal, _state(record)
    speed = record.stats.last("images_per_second")
    left = None
    if state == "training" and goal is not None and speed is not None and speed.value > 0:
        left = max(0, goal - seen) / speed.value
    return Watched(
        id=run,
        recipe=record.recipe_name,
        state=state,
        images=seen,
        goal=goal,
        seconds_left=left,
        alarms=len(record.alarms),
        age=_age(record.path / "stats.jsonl"),
    )


def _state(record: Record) -> State:
    if is_held(record.path / "run.lock"):
        return "training"
    if record.images == 0:
        return "empty"
    return "finished" if record.goal is not None and record.images >= record.goal else "stopped"


def _age(file: Path) -> float | None:
    try:
        return max(0.0, time.time() - file.stat().st_mtime)
    except OSError:
        return None


def _curves(log: Log) -> list[Curve]:
    named = [(name, points) for name, points in log.series.items() if name not in ("seconds",)]
    return [_curve(name, _thinned(points)) for name, points in named[:_CURVES]]


def _curve(name: str, points: Sequence[Point]) -> Curve:
    values = [point.value if math.isfinite(point.value) else None for point in points]
    return Curve(name=name, images=[point.images for point in points], values=values)


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Evenly spread points, the first and the last among them."""
    if len(points) <= _POINTS:
        return points
    return [points[place * (len(points) - 1) // (_POINTS - 1)] for place in range(_POINTS)]
