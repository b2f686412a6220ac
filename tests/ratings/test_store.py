"""The store: nothing is lost, nothing foreign is touched, and every refusal says what to do."""

import dataclasses
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gansmith.errors import DataError, GansmithError, RunError, SettingError, StorageError
from gansmith.ratings import store as store_module
from gansmith.ratings.agreement import krippendorff
from gansmith.ratings.store import COLUMNS, Rating, Store

FINGERPRINT, ORIGIN = "abcdef012345", "0123456789abcdef"


def store_at(
    folder: Path, fingerprint: str = FINGERPRINT, origin: str = ORIGIN, patience: float = 10.0
) -> Store:
    return Store(folder / "ratings.sqlite", fingerprint, origin, "one", patience)


def test_alpha_has_its_closed_form() -> None:
    # Krippendorff 2011, part A: two observers, ten things, .095.
    one, other = (0, 1, 0, 0, 0, 0, 0, 0, 1, 0), (1, 1, 1, 0, 0, 1, 0, 0, 0, 0)
    assert krippendorff(zip(one, other, strict=True)) == pytest.approx(1 - 19 * 4 / (14 * 6))
    # Part C: four observers, five names, things that not all have judged, .743.
    rows = (
        (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
        (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
        (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
        (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
    )
    units = [[answer for answer in unit if answer is not None] for unit in zip(*rows, strict=True)]
    assert krippendorff(units) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff([(0, 0), (1, 1), (1,)]) == 1.0
    assert krippendorff([]) is krippendorff([(1,), (0,)]) is krippendorff([(1, 1), (1, 1)]) is None


def test_answers_are_kept_in_order_and_the_last_is_taken_back(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.thumb(2**63 - 1, True, "Ada")
    store.pair(3, 8, winner=8, rater="Ada")
    store.thumb(5, False, "  Bob \n the 2nd ")
    again = store_at(tmp_path)  # Another day.
    assert [(each.kind, each.seed, each.winner, each.rater) for each in again.ratings()] == [
        ("thumb", 2**63 - 1, 2**63 - 1, "Ada"),
        ("pair", 3, 8, "Ada"),
        ("thumb", 5, None, "Bob the 2nd"),
    ]
    assert [each.rater for each in again.thumbs("Ada")] == ["Ada"]
    taken = again.undo("Ada")
    assert taken is not None and (taken.kind, taken.winner) == ("pair", 8)
    assert again.undo("Ada") is not None and again.undo("Ada") is None
    assert [each.seed for each in store.ratings()] == [5]


def test_no_ratings_at_all_are_a_summary_too(tmp_path: Path) -> None:
    told = store_at(tmp_path).summary()
    assert (told.thumbs, told.pairs, told.raters, told.alpha_thumbs, told.alpha_pairs) == (
        0,
        0,
        {},
        None,
        None,
    )
    assert store_at(tmp_path).ratings() == []


def test_contradicting_ratings_are_kept_and_counted(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    for rater, seed, liked in (
        ("Ada", 1, True),
        ("Ada", 1, False),
        ("Bob", 1, False),
        ("Ada", 2, True),
        ("Bob", 2, False),
    ):
        store.thumb(seed, liked, rater)
    store.pair(3, 8, winner=8, rater="Ada")
    store.pair(8, 3, winner=8, rater="Bob")  # The same answer, shown the other way round.
    store.pair(8, 4, winner=8, rater="Bob")
    told = store.summary()
    assert (told.thumbs, told.liked, told.pairs, told.repeated, told.disputed) == (5, 2, 3, 1, 1)
    assert told.raters == {"Ada": 4, "Bob": 4}
    # Last answers: (0, 0) and (1, 0). Then 1 - (4 - 1) * 2 / (16 - 9 - 1) = 0.
    assert told.alpha_thumbs == pytest.approx(0.0)
    assert told.alpha_pairs is None  # Both agree, and chance would, too: 8 twice the larger one.


@pytest.mark.parametrize("seed", [-1, 2**63, True])
def test_what_is_no_seed_is_refused(tmp_path: Path, seed: int) -> None:
    with pytest.raises(SettingError, match="from 0 to"):
        store_at(tmp_path).thumb(seed, True)


@pytest.mark.parametrize("rater", ["", " ", "=1+1", "x" * 41, "a\0b", "<b>"])
def test_what_is_no_name_is_refused(tmp_path: Path, rater: str) -> None:
    with pytest.raises(SettingError, match="1 to 40"):
        store_at(tmp_path).thumb(1, True, rater)


def test_a_pair_is_two_seeds_and_a_winner(tmp_path: Path) -> None:
    for pair in ((1, 1, 1), (1, 2, 3)):
        with pytest.raises(SettingError, match="two different seeds"):
            store_at(tmp_path).pair(*pair)


def test_two_people_rate_at_once_in_threads_and_processes(tmp_path: Path) -> None:
    work = (
        "import sys; from pathlib import Path; from gansmith.ratings.store import Store\n"
        f"store = Store(Path(sys.argv[1]), {FINGERPRINT!r}, {ORIGIN!r})\n"
        "for seed in range(15): store.thumb(seed, True, sys.argv[2])"
    )
    words = [sys.executable, "-c", work, str(tmp_path / "ratings.sqlite")]
    other = subprocess.Popen([*words, "Ada"], stderr=subprocess.PIPE)
    failed: list[GansmithError] = []

    def rate(name: str) -> None:
        try:
            store = store_at(tmp_path)
            for seed in range(15):
                store.thumb(seed, seed % 2 == 0, name)
        except GansmithError as error:
            failed.append(error)

    threads = [threading.Thread(target=rate, args=(name,)) for name in ("Bob", "Cy")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert (other.communicate()[1], other.returncode) == (b"", 0)
    told = store_at(tmp_path).summary()
    assert told.raters == dict.fromkeys(("Ada", "Bob", "Cy"), 15)
    assert told.disputed == 7


def test_tables_that_another_made_between_two_looks_are_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_at(tmp_path).thumb(1, True)
    looks = iter([False])
    plain = store_module._is_ready
    monkeypatch.setattr(store_module, "_is_ready", lambda base: next(looks, None) is None and plain(base))
    store_at(tmp_path).thumb(2, True)
    assert store_at(tmp_path).summary().thumbs == 2


def test_a_locked_database_is_waited_for_and_then_said(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.thumb(1, True)
    hasty = dataclasses.replace(store, patience=5.0)
    object.__setattr__(hasty, "patience", 0.1)
    other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RunError, match=r"held by another program for more than 0\.1 s.*try again"):
        store_at(tmp_path, patience=0.1)
    with pytest.raises(RunError, match="held by another"):
        hasty.thumb(2, True)
    assert [each.seed for each in store.ratings()] == [1]  # Readers need not wait.
    later = threading.Timer(0.2, other.execute, ["ROLLBACK"])
    later.start()
    store.thumb(3, True)
    later.join()
    other.close()
    assert [each.seed for each in store.ratings()] == [1, 3]


def filled(folder: Path) -> Store:
    store = store_at(folder)
    store.add([Rating("thumb", seed, None, seed % 3 == 0, "Ada", float(seed)) for seed in range(300)])
    return store


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def scribbled(content: bytes) -> bytes:
    return content[:4200] + b"\xff" * 4000 + content[8200:]


def of_words(content: bytes) -> bytes:
    return b"no database, a diary\n" * 50


@pytest.mark.parametrize("damage", [cut, scribbled, of_words])
def test_a_damaged_database_is_said_and_left_as_it_is(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = filled(tmp_path).path
    spoiled = damage(path.read_bytes())
    path.write_bytes(spoiled)
    with pytest.raises(RunError, match=r"left as it is.*move it"):
        store_at(tmp_path)
    assert path.read_bytes() == spoiled


def test_a_database_of_another_program_or_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ratings.sqlite"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE bookmarks (url TEXT)")
    base.close()
    before = path.read_bytes()
    with pytest.raises(RunError, match="another program"):
        store_at(tmp_path)
    assert path.read_bytes() == before
    path.unlink()
    store_at(tmp_path)
    with sqlite3.connect(path) as base:
        base.execute("PRAGMA user_version = 9")
    base.close()
    with pytest.raises(RunError, match="newer gansmith"):
        store_at(tmp_path)


def test_ratings_of_another_run_are_refused_and_older_weights_are_kept_apart(tmp_path: Path) -> None:
    store_at(tmp_path).thumb(1, True)
    with pytest.raises(RunError, match="of one: there the same seeds show other images"):
        store_at(tmp_path, origin="f" * 16)
    further = store_at(tmp_path, fingerprint="fedcba543210")  # The run was trained further.
    further.thumb(2, True)
    assert [each.seed for each in further.ratings()] == [2]
    assert further.summary().older == 1
    assert further.undo() is not None and further.undo() is None
    assert [each.seed for each in store_at(tmp_path).ratings()] == [1]


def test_a_folder_that_is_not_there_or_a_full_disk_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the folder is"):
        store_at(tmp_path / "none")
    (tmp_path / "ratings.sqlite").mkdir()
    with pytest.raises(StorageError, match="Cannot use"):
        store_at(tmp_path)


def test_a_file_taken_away_meanwhile_is_made_anew(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.path.unlink()
    store.thumb(1, True)
    assert [each.seed for each in store_at(tmp_path).ratings()] == [1]


def test_csv_goes_out_and_comes_back_once(tmp_path: Path) -> None:
    store, table = filled(tmp_path), tmp_path / "ratings.csv"
    store.pair(3, 8, winner=8, rater="Åsa O'Hara")
    assert store.export_csv(table) == 301
    assert store.import_csv(table) == 0
    gone = store.ratings()
    store.path.unlink()
    fresh = store_at(tmp_path)
    assert fresh.import_csv(table) == 301
    assert fresh.ratings() == gone
    (tmp_path / "other").mkdir()
    with pytest.raises(RunError, match="line 2, of the weights"):
        store_at(tmp_path / "other", "0" * 12).import_csv(table)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "begins with kind,seed"),
        ("name,liked\nA,1\n", "begins with kind,seed"),
        ("{head}\nthumb,1,,1,Ada,1.0,{ours}\nthumb,1,,2,Ada,1.0,{ours}\n", "line 3, is no rating"),
        ("{head}\npair,1,,1,Ada,1.0,{ours}\n", "line 2, is no rating"),
        ("{head}\npair,1,1,1,Ada,1.0,{ours}\n", "line 2, is no rating"),
        ("{head}\nthumb,-1,,1,Ada,1.0,{ours}\n", "line 2, is no rating"),
        ("{head}\nthumb,1,,1,=Ada(),1.0,{ours}\n", "line 2, is no rating"),
        ("{head}\nthumb,1,,1,Ada,nan,{ours}\n", "line 2, is no rating"),
        ("{head}\nthumb,1\n", "line 2, is no rating"),
        ("\xff\xfe", "no CSV file in UTF-8"),
    ],
)
def test_a_csv_that_is_none_adds_nothing(tmp_path: Path, text: str, said: str) -> None:
    store, table = store_at(tmp_path), tmp_path / "some.csv"
    table.write_bytes(text.format(head=",".join(COLUMNS), ours=FINGERPRINT).encode("latin-1"))
    with pytest.raises(DataError, match=said):
        store.import_csv(table)
    assert store.ratings() == []
    with pytest.raises(DataError, match="cannot be read"):
        store.import_csv(tmp_path)
