"""Any images -> a prepared set: every core works, a kill loses nothing, the bytes depend on neither.

SRC is only ever read. Workers turn runs of images into blocks; this process writes the blocks in the
order of the source and notes each in a journal, so that the same command after a kill goes on from there.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median_low
from typing import Any

from gansmith.core.files import alone, storage_error
from gansmith.core.image_size import Box, Fit, Form, Size, check_box
from gansmith.data.decode.reading import Header
from gansmith.data.inspect.findings import Measured
from gansmith.data.inspect.report import Report
from gansmith.data.metadata.facts import VANISHED, Refused
from gansmith.data.prepare.columns import Journal
from gansmith.data.prepare.finish import finish, note_licence, report_of, write_report
from gansmith.data.prepare.format import PreparedFolder, is_prepared
from gansmith.data.prepare.shard_set import ShardSetWriter
from gansmith.data.prepare.worker import Block, Faces, Job, blocks, cores
from gansmith.data.prepare.writer import JOURNAL, SetWriter, State
from gansmith.data.sources.base import Source, none_usable, nothing_found, with_licence
from gansmith.data.sources.identity import is_same
from gansmith.data.sources.made_pairs import MADE, PREPARED
from gansmith.data.sources.named import How, named_source
from gansmith.data.sources.pairs import DRAWN, PAIR, headers, picture_columns
from gansmith.errors import DataError

LOCK = ".lock"
_HEADERS = 256  # Images looked at to choose a size and the number of channels.
_SIZES = (8, 16, 28, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a prepared set is to be; None is chosen from the images.

    Example:
        >>> prepare("my_photos", "mine", Options(size=Size(32, 32), channels=3, fit="pad"))
    """

    size: Size | None = None
    channels: int | None = None
    fit: Fit = "crop"
    box: Box | None = None
    faces: Faces | None = None
    shards: int | None = None  # Images of a WebDataset shard; None: images lie there as pixels.
    licence: str | None = None  # Of the images, in words; None: what the source says.

    def __post_init__(self) -> None:
        check_box(self.box)


@dataclass(frozen=True)
class Prepared:
    """What ``prepare`` came to.

    Example:
        >>> done = prepare("my_photos", "photos32", Options(size=Size(32, 32)))
        >>> done.pictures, done.report.refused
        (12, ())
    """

    path: Path
    report: Report
    pictures: int
    before: int  # Images of the source that an earlier, interrupted command had done already.


def prepare(
    source: Source | str,
    dest: Path | str,
    options: Options | None = None,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Prepare the images of a source in the folder ``dest``, or go on where an earlier command stopped.

    Args:
        source: what to read, or its name: a folder, an archive, a built-in set.
        dest: new or empty; or an unfinished set of the same source and options.
        options: what the set is to be; None: size and channels are chosen from the images.
        workers: processes; None: one for each core, 1: this process alone.
        progress: told (images done, images in all).

    Raises:
        DataError: no image can be used; ``dest`` holds something else, or lies inside the source.
        StorageError: the disk is full or refuses; what is done so far is kept.
        MissingPackageError: faces are wanted and no detector is installed.

    Example:
        >>> prepare("my_photos", "faces64", Options(size=Size(64, 64))).pictures
    """
    options, dest = options or Options(), Path(dest)
    if isinstance(source, str):
        source = named_source(source, How(size=options.size or Size(64, 64)))
    check_outside(source, dest)
    _check_kind(source, dest, options)
    if workers is not None and workers < 1:
        raise DataError(
            f"At least one worker is needed. Received: {workers}. Leave --workers out for all cores."
        )
    if not len(source.names):
        raise nothing_found(source)
    form = _form(source, options)
    plan = _plan(source, form, options)
    points = _points(source, options)
    with_licence(source, options.licence)
    busy = f"Another process is preparing {dest}. Wait for it, or choose another DEST."
    job = Job(reader=source.reader, form=form, faces=options.faces)
    with alone(dest / LOCK, DataError(busy)):
        try:
            state = _state(dest, plan)
            before = state.done
            if is_prepared(dest):
                report = _told_again(source, dest, form, options.licence)
            else:
                _run(source, dest, job, state, workers or cores(), len(points), progress)
                report = finish(source, dest, state, form, points)
            _tidy(dest)
        except OSError as error:
            so_far = "What is prepared so far is kept; the same command goes on."
            raise storage_error(dest, error, so_far) from error
        finally:
            with suppress(OSError):  # Windows removes no file that is open; the lock does no harm.
                (dest / LOCK).unlink(missing_ok=True)
    return Prepared(dest, report, state.rows, before)


def _run(
    source: Source,
    dest: Path,
    job: Job,
    state: State,
    workers: int,
    points: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    writer = _writer(source, dest, job, state, points)
    try:
        for done, block in blocks(source, job, state.done, workers):
            _check_there(source, dest, block)
            writer.write(block, done)
            if progress is not None:
                progress(done, len(source.names))
        if not state.rows:
            raise none_usable(source.name, state.refused)
        writer.close()
    finally:
        writer.release()


def _check_there(source: Source, dest: Path, block: Block) -> None:
    """Raise where files are gone because all of SRC is, such as an unplugged disk: nothing is lost."""
    gone = any(item.reason == VANISHED for item in block.refused)
    if gone and not Path(source.name).expanduser().exists():
        raise DataError(
            f"SRC must stay where it is while it is read. Received: {source.name}, which is gone. What is "
            f"prepared in {dest} is kept: bring it back, and the same command goes on."
        )


def _writer(source: Source, dest: Path, job: Job, state: State, points: int) -> SetWriter:
    columns, groups = picture_columns(source), getattr(source, "groups", None)
    size: int | None = state.plan["shards"]
    if size is None:
        return SetWriter(dest, job.form, (columns, points), state, groups)
    if len(columns) > 1:
        raise DataError("Pairs are not written as shards. Leave --shards out, or --pairs.")
    return ShardSetWriter(dest, job.form, points, state, groups, source.facts, size)


def _told_again(source: Source, dest: Path, form: Form, licence: str | None) -> Report:
    """The report of a set that was finished before; a licence that is new is added to it."""
    new = licence is not None and note_licence(dest, licence)
    folder = PreparedFolder(dest)
    report = report_of(source, form, Measured(folder.names, folder.seen, folder.facts), folder.refused)
    if new:
        write_report(dest, report)
    return report


def _tidy(dest: Path) -> None:
    """Remove what only an unfinished set needs, and what a kill in the middle of a write left."""
    (dest / JOURNAL).unlink(missing_ok=True)
    for part in dest.iterdir():
        if _is_part(part.name):
            part.unlink(missing_ok=True)


def _is_part(name: str) -> bool:
    return name.startswith(".") and name.endswith(".part")


# ---- the plan -------------------------------------------------------------------------------------------


def check_outside(source: Source, dest: Path) -> None:
    """Raise where DEST lies inside SRC, which is never written to."""
    origin = Path(source.name).expanduser()
    if origin.is_dir() and dest.resolve().is_relative_to(origin.resolve()):
        raise DataError(
            f"SRC is never written to. Received: DEST {dest}, inside {origin}. Choose a folder elsewhere."
        )


def _check_kind(source: Source, dest: Path, options: Options) -> None:
    """Raise where DEST is a file, or SRC is of a kind of which an image in two would be lost."""
    if dest.exists() and not dest.is_dir():
        raise DataError(f"DEST is a folder, new or empty. Received: {dest}, a file. Choose another.")
    if isinstance(source, PreparedFolder) and set(PAIR) <= set(source.arrays):
        raise DataError(
            f"A prepared set of pairs is not prepared again. Received: {source.name}. Prepare the pictures "
            "it was made of; or train on it with another --size."
        )
    kind = getattr(source, "asked", {}).get("pairs")
    if kind is not None and options.faces is not None:
        raise DataError(
            f"Faces are found in single pictures, not in pairs. Received: pairs of the kind {kind} with "
            "faces to be found. Prepare the pictures with --align first, then make pairs of the prepared set."
        )
    if kind in MADE and kind not in PREPARED:
        raise DataError(
            f"Pairs of the kind {kind} are made while training, not before. Prepare the pictures alone, and "
            f"train on them with --set data.pairs={kind}. What can be prepared: beside, folders, "
            f"{', '.join((*PREPARED, *DRAWN))}."
        )


def _form(source: Source, options: Options) -> Form:
    size, channels = options.size, options.channels
    if size is None or channels is None:
        found = _headers(source)
        size = size or _usual_size(found, options)
        channels = channels or (1 if found and all(header.grey for header in found) else 3)
    return Form(size=size, channels=channels, fit=options.fit, box=options.box)


def _headers(source: Source) -> list[Header]:
    count = min(len(source.names), _HEADERS)
    found: list[Header] = []
    for place in range(count):
        with suppress(DataError, OSError):
            found += headers(source, place * len(source.names) // count)
    return found


def _usual_size(found: Sequence[Header], options: Options) -> Size:
    """The images' own size where all have one; else the largest usual square that does not enlarge most."""
    if options.box is not None:
        left, top, right, bottom = options.box
        return Size(right - left, bottom - top)
    sizes = {(header.width, header.height) for header in found}
    if len(sizes) == 1 and options.faces is None:
        width, height = sizes.pop()
        if 4 <= min(width, height) <= max(width, height) <= 8192:
            return Size(width, height)
    side = median_low([min(header.width, header.height) for header in found]) if found else 64
    side = side // 2 if options.faces is not None else side  # A face is seldom more than half of its image.
    return Size(*(2 * (max((usual for usual in _SIZES if usual <= side), default=8),)))


def _points(source: Source, options: Options) -> tuple[str, ...]:
    """Names of the landmarks every image of the set will have."""
    if options.faces is not None:  # Opened here, too, so that a missing package is told before any work.
        return options.faces.open().points
    facts = source.facts
    if facts.landmarks is None:
        return ()
    return facts.landmark_names or tuple(str(number) for number in range(facts.landmarks.shape[1]))


_NAMES_OF_0_1 = {"min_face": "least_face", "min_score": "least_score"}
"""Options that a plan calls as version 0.1 did: the fingerprint of a set depends on the name."""


def _plan(source: Source, form: Form, options: Options) -> dict[str, Any]:
    """Everything the bytes of the set depend on, as plain JSON."""
    faces = None if options.faces is None else _plain(asdict(options.faces))
    if faces is not None:
        faces = {_NAMES_OF_0_1.get(name, name): value for name, value in faces.items()}
    return {
        "source": source.fingerprint,
        "pictures": len(source.names),
        "facts": source.facts.digest(),
        "size": str(form.size),
        "channels": form.channels,
        "fit": form.fit,
        "box": None if form.box is None else list(form.box),
        "faces": faces,
        "shards": options.shards,
        **_plain(getattr(source, "asked", {})),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value


# ---- going on where an earlier command stopped -------------------------------------------------------------


def _state(dest: Path, plan: dict[str, Any]) -> State:
    """How far DEST is: new, unfinished, or finished already.

    Raises:
        DataError: it holds something else, or was begun from other images or with other options.
    """
    there = sorted(entry.name for entry in dest.iterdir() if entry.name != LOCK and not _is_part(entry.name))
    if is_prepared(dest):
        return _finished(dest, plan)
    lines = Journal(dest / JOURNAL).read()
    if not lines:
        if there and there != [JOURNAL]:
            names = ", ".join(there[:3]) + (", ..." if len(there) > 3 else "")
            raise DataError(
                f"DEST must be new or empty. Received: {dest}, which holds {names}. Choose another."
            )
        return State(plan)
    _check_same_plan(dest, lines[0], plan)
    refused = [Refused(name, reason) for line in lines[1:] for name, reason in line["refused"]]
    last = lines[-1] if len(lines) > 1 else {"done": 0, "rows": 0}
    return State(plan, last["done"], last["rows"], last.get("shards", 0), refused)


def _finished(dest: Path, plan: dict[str, Any]) -> State:
    try:
        folder = PreparedFolder(dest)
    except DataError as error:
        raise DataError(f"{error} Delete {dest} first.") from error
    made = folder.description.get("made")
    _check_same_plan(dest, made if isinstance(made, dict) else {}, plan)
    return State(plan, plan["pictures"], len(folder), refused=list(folder.refused))


_OF_SOURCE = ("source", "pictures", "facts")
_ASKED = ("pairs", "between", "swap", "every", "frames")
"""Options that choose among what SRC holds, so that a change of them looks like another SRC."""


def _check_same_plan(dest: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    differ = [key for key in {**now, **before} if not _is_equal(key, before.get(key), now.get(key))]
    if "source" not in differ:  # Sets of older versions do not tell these apart.
        differ = [key for key in differ if key not in _ASKED]
    if not differ:
        return
    changed = [key for key in differ if key not in _OF_SOURCE]
    if len(changed) < len(differ) and not (before and set(changed) & set(_ASKED)):
        raise DataError(
            f"SRC is not what {dest} was begun from ({before.get('pictures')} pictures then, "
            f"{now['pictures']} now; or names, contents, labels and the like differ). Delete that folder, or "
            "choose another DEST."
        )
    told = "; ".join(f"{_option(key)}: {_said(before.get(key))} -> {_said(now.get(key))}" for key in changed)
    raise DataError(
        f"{dest} was begun with other options ({told}). Repeat the old command, or choose another DEST."
    )


def _is_equal(key: str, before: Any, now: Any) -> bool:
    return is_same(before, now) if key == "source" else bool(before == now)


def _option(key: str) -> str:
    return f"--{key}" if key in _ASKED else key


def _said(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
