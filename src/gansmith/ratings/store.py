"""Ratings of a run's images: ``RUN/ratings.sqlite``, for several raters at once, never overwritten.

A rating is of an image, and an image is a seed and the weights that made it. So every rating bears the
fingerprint of its generator: a run that was trained further keeps its old ratings, and they are not counted
among those of its new images.
"""

import csv
import hashlib
import json
import re
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from gansmith.config.serialization import to_json
from gansmith.core.files import whole_file
from gansmith.errors import DataError, GansmithError, RunError, SettingError, StorageError
from gansmith.models.generator import Generator
from gansmith.ratings.agreement import krippendorff
from gansmith.runs.run import Run

FILE = "ratings.sqlite"
"""Of a run's ratings, in its directory."""

ANYONE = "me"
"""The rater who gave no name."""

COLUMNS = ("kind", "seed", "other", "liked", "rater", "time", "fingerprint")
"""Of a CSV file of ratings; of a pair, ``liked`` says whether ``seed`` was preferred to ``other``."""

Kind = Literal["thumb", "pair"]

_APPLICATION = 0x67616E72  # "ganr", in the header of our databases.
_VERSION = 1
_REFUSED = sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR
_LAST_SEED = 2**63 - 1
_PAIR = "A pair is two different seeds, and one of them wins."
_RATER = re.compile(r"\w[\w .@'-]{0,39}")
_SCHEMA = (
    "CREATE TABLE generators (fingerprint TEXT PRIMARY KEY, origin TEXT NOT NULL, name TEXT NOT NULL) STRICT",
    """CREATE TABLE ratings (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL CHECK (kind IN ('thumb', 'pair')),
        seed INTEGER NOT NULL CHECK (seed >= 0),
        other INTEGER CHECK (other >= 0 AND other <> seed),
        liked INTEGER NOT NULL CHECK (liked IN (0, 1)),
        rater TEXT NOT NULL,
        time REAL NOT NULL,
        fingerprint TEXT NOT NULL,
        CHECK ((kind = 'pair') = (other IS NOT NULL))
    ) STRICT""",
    "CREATE INDEX by_generator ON ratings (fingerprint, kind)",
)


@dataclass(frozen=True)
class Rating:
    """One answer of a rater.

    Args:
        kind: "thumb" for one image, "pair" for two side by side.
        seed: of the image, or of the first of a pair.
        other: of the second of a pair.
        liked: the image, or the first of the pair more than the second.
        rater: a name.
        time: in seconds since 1970.

    Example:
        >>> Rating("pair", 3, 8, False, "Ada", 1.8e9).winner
        8
    """

    kind: Kind
    seed: int
    other: int | None
    liked: bool
    rater: str
    time: float

    @property
    def winner(self) -> int | None:
        """The seed that was preferred; of a thumb its own, or None where it pointed down."""
        return self.seed if self.liked else self.other


@dataclass(frozen=True)
class Summary:
    """What a store holds, in numbers.

    Args:
        thumbs, liked: answers to single images, and how many were yes.
        pairs: answers to two images.
        raters: answers of each, by name.
        repeated: images or pairs that somebody answered more than once, and each time otherwise.
        disputed: images or pairs about which two raters differ.
        alpha_thumbs, alpha_pairs: Krippendorff's alpha between raters; None where no two rated the same.
        older: ratings of images that other weights of this run made; they are kept, and not used.

    Example:
        >>> store.summary().alpha_thumbs
        0.61
    """

    thumbs: int
    liked: int
    pairs: int
    raters: Mapping[str, int]
    repeated: int
    disputed: int
    alpha_thumbs: float | None
    alpha_pairs: float | None
    older: int

    def to_json(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Store:
    """The ratings of one generator's images; any number of threads and processes can use one file.

    Args:
        path: of the database, which is made where it is missing.
        fingerprint: of the generator whose images are rated.
        origin: stands for the run, whatever its weights are.
        name: of the run, for messages.
        patience: seconds to wait while another rater writes.

    Raises:
        RunError: the file is locked, damaged, of another run, of a newer version or of another program. It
            is left as it is.
        StorageError: the disk refuses.

    Example:
        >>> store = Store.of("runs/one", open_generator("runs/one"))
        >>> store.thumb(12, True, "Ada"); store.pair(3, 8, winner=8, rater="Ada")
        >>> store.undo("Ada").winner
        8
    """

    path: Path
    fingerprint: str
    origin: str
    name: str = ""
    patience: float = 10.0
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def of(cls, run: Path | str, generator: Generator, patience: float = 10.0) -> "Store":
        """Of a run directory and its generator.

        Raises:
            RunError: no run; the rest as the class says.
            SettingError: a generator without weights, whose images nobody could make again, or one that
                makes images out of images.
        """
        opened = Run.open(Path(run))
        generator.prompts([0])  # Says so where a seed alone gives no image.
        if generator.fingerprint is None:
            raise SettingError(
                f"Ratings belong to trained weights. Received: {generator.name}, which has none."
            )
        return cls(opened.path / FILE, generator.fingerprint, origin_of(opened), opened.path.name, patience)

    def __post_init__(self) -> None:
        with self._writing() as base:
            bad = base.execute("PRAGMA quick_check(1)").fetchone()[0]
            if bad != "ok":
                raise sqlite3.DatabaseError(bad)
            foreign = base.execute(
                "SELECT name FROM generators WHERE origin <> ? LIMIT 1", (self.origin,)
            ).fetchone()
            if foreign is not None:
                raise RunError(
                    f"Ratings belong to the run whose images were rated. Received: {self.path}, which holds "
                    f"those of {foreign[0] or 'another run'}: there the same seeds show other images. Put "
                    f"that file back to its run, or move it away, and a new one is made here."
                )
            base.execute(
                "INSERT OR IGNORE INTO generators VALUES (?, ?, ?)",
                (self.fingerprint, self.origin, self.name),
            )

    # ---- rating -----------------------------------------------------------------------------------

    def thumb(self, seed: int, liked: bool, rater: str = ANYONE) -> None:
        """Add that a rater likes an image or not. An earlier answer stays, and counts as well.

        Raises:
            SettingError: no seed, or a name that is none; RunError, StorageError: as the class says.
        """
        self.add([Rating("thumb", seed, None, liked, rater, time.time())])

    def pair(self, seed_a: int, seed_b: int, winner: int, rater: str = ANYONE) -> None:
        """Add which of two images a rater likes more.

        Raises:
            SettingError: twice one seed, or a winner that is neither; the rest as ``thumb``.
        """
        if winner not in (seed_a, seed_b):
            raise SettingError(f"{_PAIR} Received: {seed_a}, {seed_b} and winner={winner}.")
        self.add([Rating("pair", seed_a, seed_b, winner == seed_a, rater, time.time())])

    def add(self, ratings: Sequence[Rating]) -> None:
        """Add answers, all or none; much faster than one by one.

        Raises:
            SettingError: one that cannot be; the rest as ``thumb``.
        """
        rows = [(*_values(_checked(rating)), self.fingerprint) for rating in ratings]
        with self._writing() as base:
            base.executemany(_INSERT, rows)

    def undo(self, rater: str = ANYONE) -> Rating | None:
        """Take back a rater's last answer; None where there is none. Others' answers stay."""
        with self._writing() as base:
            row = base.execute(
                "DELETE FROM ratings WHERE id = "
                "(SELECT max(id) FROM ratings WHERE rater = ? AND fingerprint = ?) "
                "RETURNING kind, seed, other, liked, rater, time",
                (rater_name(rater), self.fingerprint),
            ).fetchone()
        return None if row is None else _rating(row)

    # ---- reading ----------------------------------------------------------------------------------

    def ratings(self, kind: Kind | None = None, rater: str | None = None) -> list[Rating]:
        """Answers about this generator's images, in the order they came, contradicting ones and all."""
        with self._reading() as base:
            rows = base.execute(
                "SELECT kind, seed, other, liked, rater, time FROM ratings WHERE fingerprint = ?1 "
                "AND kind = ifnull(?2, kind) AND rater = ifnull(?3, rater) ORDER BY id",
                (self.fingerprint, kind, rater),
            ).fetchall()
        return [_rating(row) for row in rows]

    def thumbs(self, rater: str | None = None) -> list[Rating]:
        """Answers about single images."""
        return self.ratings("thumb", rater)

    def pairs(self, rater: str | None = None) -> list[Rating]:
        """Answers about two images."""
        return self.ratings("pair", rater)

    def summary(self) -> Summary:
        """Counts, contradictions and agreement."""
        with self._reading() as base:
            older = base.execute(
                "SELECT count(*) FROM ratings WHERE fingerprint <> ?", (self.fingerprint,)
            ).fetchone()[0]
        ratings = self.ratings()
        thumbs = [rating for rating in ratings if rating.kind == "thumb"]
        pairs = [rating for rating in ratings if rating.kind == "pair"]
        units = [*_units(thumbs), *_units(pairs)]
        return Summary(
            len(thumbs),
            sum(rating.liked for rating in thumbs),
            len(pairs),
            dict(sorted(Counter(rating.rater for rating in ratings).items())),
            sum(any(len(set(answers)) > 1 for answers in unit.values()) for unit in units),
            sum(len({answers[-1] for answers in unit.values()}) > 1 for unit in units),
            agreement(thumbs),
            agreement(pairs),
            older,
        )

    # ---- files ------------------------------------------------------------------------------------

    def export_csv(self, path: Path) -> int:
        """Write all ratings of the run, older ones too, and return how many: ``COLUMNS``, UTF-8.

        Raises:
            StorageError: the disk refuses.
        """
        with self._reading() as base:
            rows = base.execute(f"SELECT {', '.join(COLUMNS)} FROM ratings ORDER BY id").fetchall()
        with whole_file(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            table.writerows(map(_written, rows))
        return len(rows)

    def import_csv(self, path: Path) -> int:
        """Add the ratings of a file that ``export_csv`` wrote, all or none; what is there is left out.

        Returns: how many were new.

        Raises:
            DataError: a file that is none, or a line that is no rating, which is named.
            RunError: ratings of another run's images.
        """
        added, known = 0, self._fingerprints()
        rows = list(_csv_rows(path))
        for line, (_, fingerprint) in rows:
            if fingerprint not in known:
                raise RunError(
                    f"Ratings belong to the run whose images were rated. Received: {path}, line {line}, of "
                    f"the weights {fingerprint}, which {self.path.parent} does not know. Import it into the "
                    "run that it was exported from."
                )
        with self._writing() as base:
            for _, (rating, fingerprint) in rows:
                values = (*_values(rating), fingerprint)
                found = base.execute(
                    "SELECT 1 FROM ratings WHERE kind = ? AND seed = ? AND other IS ? AND liked = ? "
                    "AND rater = ? AND time = ? AND fingerprint = ?",
                    values,
                ).fetchone()
                if found is None:
                    base.execute(_INSERT, values)
                    added += 1
        return added

    def _fingerprints(self) -> set[str]:
        with self._reading() as base:
            return {row[0] for row in base.execute("SELECT fingerprint FROM generators")}

    # ---- the database -----------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that ends whole or not at all."""
        with self._turn, self._connected() as base:  # Threads queue here: SQLite would let them race.
            base.execute("BEGIN IMMEDIATE")
            yield base
            base.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as base:
            yield base

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection for a moment, so that no thread or process keeps the file from another."""
        base = None
        try:
            base = sqlite3.connect(self.path, timeout=self.patience, isolation_level=None)
            self._prepare(base)
            yield base
        except sqlite3.Error as problem:
            raise self._explained(problem) from problem
        finally:
            if base is not None:
                base.close()  # What was begun and not committed is as if it had never been.

    def _prepare(self, base: sqlite3.Connection) -> None:
        """Make the tables of a new file; refuse one that is not ours, untouched."""
        if _is_ready(base):
            return
        base.execute("BEGIN")  # One moment for all three: another process may be making the tables.
        application, version = (_pragma(base, name) for name in ("application_id", "user_version"))
        filled = base.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
        base.execute("COMMIT")
        if (application, version) == (_APPLICATION, _VERSION):
            return
        if application == _APPLICATION and version > _VERSION:
            raise RunError(
                f"{self.path} was written by a newer gansmith (form {version}; this one knows {_VERSION}). "
                "Update gansmith: pip install -U gansmith"
            )
        if application or version or filled:
            raise RunError(
                f"{self.path} is a database of another program. Ratings are not mixed into it: move it away, "
                "and a new one is made."
            )
        self._to_wal(base)
        base.execute("BEGIN IMMEDIATE")
        if not _is_ready(base):  # Another process may have been faster.
            for line in _SCHEMA:
                base.execute(line)
            base.execute(f"PRAGMA application_id = {_APPLICATION}")
            base.execute(f"PRAGMA user_version = {_VERSION}")
        base.execute("COMMIT")

    def _to_wal(self, base: sqlite3.Connection) -> None:
        """Readers and a writer side by side. SQLite does not wait for this change by itself."""
        until = time.monotonic() + self.patience
        while True:
            try:
                base.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as problem:
                if problem.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def _explained(self, problem: sqlite3.Error) -> GansmithError:
        code = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return RunError(
                f"{self.path} is held by another program for more than {self.patience:g} s, so nothing was "
                "read or written. What was rated before is safe. Close the other program, or try again."
            )
        if code in _REFUSED:
            return StorageError(
                f"Cannot use {self.path}: {problem}. What was rated before is safe. See that the folder is "
                "there and yours, and that the disk has room."
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return RunError(
                f"{self.path} is damaged or no database ({problem}). It was left as it is. To go on, move it "
                f"away; what can be read of it: sqlite3 {self.path.name} .recover. An export can be brought "
                "back: gansmith rate RUN --import FILE.csv"
            )
        return RunError(f"{self.path} cannot be used: {problem}. It was left as it is.")


def origin_of(run: Run) -> str:
    """Sixteen letters that stand for a run, however long it is trained: its method, seed and data."""
    facts = {
        "method": to_json(run.recipe.method),
        "data": to_json(run.recipe.data),
        "seed": run.recipe.train.seed,
        "fingerprint": run.facts_of_data().get("fingerprint"),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def agreement(ratings: Sequence[Rating]) -> float | None:
    """Krippendorff's alpha between raters, by each one's last answer; None where no two rated the same."""
    return krippendorff([[answers[-1] for answers in unit.values()] for unit in _units(ratings)])


_INSERT = f"INSERT INTO ratings ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?)"


def _units(ratings: Sequence[Rating]) -> list[dict[str, list[bool]]]:
    """For each image or pair the answers of each rater, in order; a pair is one whichever came first."""
    units: dict[tuple[int, int | None], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for rating in ratings:
        turned = rating.other is not None and rating.other < rating.seed
        key = (rating.other, rating.seed) if turned else (rating.seed, rating.other)
        units[key][rating.rater].append(rating.liked != turned)  # type: ignore[index]
    return list(units.values())


def _rating(row: Sequence[Any]) -> Rating:
    kind, seed, other, liked, rater, when = row
    return Rating(kind, seed, other, bool(liked), rater, when)


def _checked(rating: Rating) -> Rating:
    other = None if rating.other is None else _seed(rating.other)
    if (rating.kind == "pair") != (other is not None) or other == rating.seed:
        raise SettingError(f"{_PAIR} Received: {rating}.")
    return replace(rating, seed=_seed(rating.seed), other=other, rater=rater_name(rating.rater))


def _values(rating: Rating) -> tuple[Any, ...]:
    return rating.kind, rating.seed, rating.other, int(rating.liked), rating.rater, rating.time


def _written(row: Sequence[Any]) -> list[str]:
    """A row of a CSV file; repr has all digits of a number."""
    return ["" if value is None else repr(value) if isinstance(value, float) else str(value) for value in row]


def _is_ready(base: sqlite3.Connection) -> bool:
    return (_pragma(base, "application_id"), _pragma(base, "user_version")) == (_APPLICATION, _VERSION)


def _pragma(base: sqlite3.Connection, name: str) -> int:
    return int(base.execute(f"PRAGMA {name}").fetchone()[0])


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LAST_SEED:
        raise SettingError(f"A seed is a whole number from 0 to 2^63 - 1. Received: {value!r:.80}.")
    return value


def rater_name(name: str) -> str:
    """A rater's name with single spaces.

    Raises:
        SettingError: too long, empty, or with other signs.
    """
    plain = " ".join(str(name).split())
    if not _RATER.fullmatch(plain):
        raise SettingError(
            "A rater's name has 1 to 40 letters, digits, spaces and .@'-, and begins with a letter or digit. "
            f"Received: {name!r:.80}."
        )
    return plain


def _csv_rows(path: Path) -> Iterator[tuple[int, tuple[Rating, str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            table = csv.reader(file)
            header = next(table, [])
            if tuple(header) != COLUMNS:
                raise DataError(
                    f"A file of ratings begins with {','.join(COLUMNS)}. Received: {path}, which begins with "
                    f"{','.join(header)!r:.80}. Export one to see: gansmith rate RUN --export FILE.csv"
                )
            for row in table:
                if row:
                    yield table.line_num, _csv_rating(path, table.line_num, row)
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror or problem}.") from problem
    except (csv.Error, UnicodeDecodeError) as problem:
        raise DataError(f"{path} is no CSV file in UTF-8: {problem}.") from problem


def _csv_rating(path: Path, line: int, row: Sequence[str]) -> tuple[Rating, str]:
    try:
        kind, seed, other, liked, rater, when, fingerprint = row
        kinds: dict[tuple[str, bool], Kind] = {("thumb", True): "thumb", ("pair", False): "pair"}
        answer = {"0": False, "1": True}[liked]
        second = None if other == "" else _seed(int(other))
        moment = float(when)
        if second == int(seed) or not 0 <= moment < 1e12:
            raise ValueError(row)
        return Rating(
            kinds[kind, other == ""], _seed(int(seed)), second, answer, rater_name(rater), moment
        ), fingerprint
    except (ValueError, KeyError, SettingError) as problem:
        raise DataError(
            f"{path}, line {line}, is no rating. Its columns are {', '.join(COLUMNS)}: thumb or pair, a "
            f"seed, the other seed of a pair, 1 or 0, a name, seconds since 1970, and the weights' letters. "
            f"Received: {','.join(row)!r:.120}. Nothing was imported."
        ) from problem
