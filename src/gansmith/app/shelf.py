"""The models below a folder: found anew whenever they are asked for, opened when used, a few kept open."""

import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gansmith.core.text import clipped
from gansmith.errors import GansmithError, RunError, nearest
from gansmith.methods.batches import IMAGE_COLUMNS
from gansmith.methods.latent import LatentMethod
from gansmith.models.generator import Generator
from gansmith.models.load import open_generator
from gansmith.runs.run import Run

_DEPTH = 4  # Folders below the one named in which runs are looked for.
_MOST = 500  # Runs that are listed.
_FRESH = 1.0  # Seconds for which a listing holds.
_LONGEST = 300  # Letters of a name in a message.

Kind = Literal["noise", "photo", "other"]


class NoSuchModelError(RunError):
    """A name that is not on the shelf.

    Example:
        >>> raise NoSuchModelError("There is no model 'faces'. Did you mean 'face'?")
    """


@dataclass(frozen=True)
class Listed:
    """A run as it is listed: what it is called, what it makes of what, and why it cannot be used yet.

    Example:
        >>> Shelf(Path("runs")).listed()[0].name
        'digits'
    """

    id: str  # Its path below the folder, with slashes.
    path: Path
    kind: Kind  # Made of noise (Explore), of a photo (Translate), or something else.
    recipe: str
    height: int
    width: int
    channels: int
    images_seen: int | None
    problem: str | None = None
    run: Run | None = None

    @property
    def name(self) -> str:
        """The last part of its id."""
        return self.id.rsplit("/", 1)[-1]


class Shelf:
    """Models by their path below a folder. What a request names is looked up, never opened.

    Args:
        root: a run, or a folder with runs in any nesting.
        most_open: models kept in memory; the one not used for longest goes first.
        device: where they run.

    Raises:
        RunError: there is no such folder.

    Example:
        >>> Shelf(Path("runs")).generator("digits").spec.width
        28
    """

    def __init__(self, root: Path, most_open: int = 3, device: str = "auto") -> None:
        if not root.is_dir():
            raise RunError(
                f"The app shows a run, or a folder with runs. Received: {root}, which is not there."
            )
        self.root, self._most_open, self._device = root.resolve(), most_open, device
        self._open: OrderedDict[str, tuple[str, Generator]] = OrderedDict()
        self._found: tuple[float, dict[str, Listed]] | None = None
        self._read: dict[Path, tuple[object, Run | str]] = {}

    def listed(self) -> list[Listed]:
        """All runs, by id."""
        if self._found is None or time.monotonic() - self._found[0] > _FRESH:
            found = [self._list(path) for path in _runs(self.root)]
            self._found = time.monotonic(), {one.id: one for one in found}
        return list(self._found[1].values())

    def get(self, model: str) -> Listed:
        """The run of an id. Raises NoSuchModelError where there is none."""
        known = {one.id: one for one in self.listed()}
        if model not in known:
            name = clipped(model, _LONGEST)
            raise NoSuchModelError(f"There is no model {name!r} here.{nearest(name, known)}")
        return known[model]

    def generator(self, model: str, newest: bool = False) -> Generator:
        """The generator of an id, as it was opened.

        Args:
            model: its id.
            newest: opened again where there is a newer checkpoint.

        Raises:
            NoSuchModelError: there is none.
            CheckpointError, RunError: it cannot be opened.
        """
        listed = self.get(model)
        held = self._open.pop(model, None)
        files = listed.run.checkpoint_files() if listed.run is not None else []
        state = files[-1].name if files else ""
        if held is None or (newest and held[0] != state):
            held = state, open_generator(str(listed.path), self._device)
        self._open[model] = held
        while len(self._open) > self._most_open:
            self._open.popitem(last=False)
        return held[1]

    def plain(self, message: str) -> str:
        """A message without where the folder lies on this machine."""
        return message.replace(f"{self.root}/", "").replace(str(self.root), self.root.name)

    def _list(self, path: Path) -> Listed:
        name = path.relative_to(self.root).as_posix() if path != self.root else path.name
        run = self._run(path)
        if isinstance(run, str):
            return Listed(name, path, "other", "?", 0, 0, 0, None, run)
        files, recipe = run.checkpoint_files(), run.recipe
        problem = None if files else "It has no checkpoint yet. Wait for its first one."
        spec = recipe.spec()
        seen = int(files[-1].stem) if files else None
        size = spec.height, spec.width, spec.channels
        return Listed(name, path, kind_of(recipe.method), recipe.name, *size, seen, problem, run)

    def _run(self, path: Path) -> Run | str:
        """The run, read again where its recipe was written; what is wrong with it where it cannot be."""
        try:
            stat = (path / "recipe.json").stat()
            state = stat.st_mtime_ns, stat.st_size
        except OSError as error:
            return f"recipe.json cannot be read: {error.strerror}."
        if path not in self._read or self._read[path][0] != state:
            found: Run | str
            try:
                found = Run.open(path)
            except GansmithError as error:
                found = self.plain(str(error))
            self._read[path] = state, found
        return self._read[path][1]


def kind_of(method: Any) -> Kind:
    """What a method makes images of."""
    fields = () if method.prompt_type is None else method.prompt_type._fields
    if not method.makes_images:
        return "other"
    if isinstance(method, LatentMethod) and not set(fields) & set(IMAGE_COLUMNS):
        return "noise"
    return "photo" if fields and fields[0] in IMAGE_COLUMNS else "other"


def _runs(root: Path) -> list[Path]:
    """Run directories at or below a folder, sorted; links are not followed."""

    def below(folder: Path, depth: int) -> Iterator[Path]:
        if Run.is_run(folder):
            yield folder
            return
        if depth == 0:
            return
        try:
            inside = sorted(item for item in folder.iterdir() if not item.name.startswith("."))
        except OSError:
            return
        for item in inside:
            if item.is_dir() and not item.is_symlink():
                yield from below(item, depth - 1)

    found = below(root, _DEPTH)
    return [path for path, _ in zip(found, range(_MOST), strict=False)]
