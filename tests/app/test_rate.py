"""Rate: answers of one rater and of two, taken back and resumed; databases that cannot be used."""

import io
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from promises import RECIPES
from shelves import store

from gansmith.core.noise import Noise
from gansmith.images.grid import to_bytes
from gansmith.models.load import open_generator
from gansmith.networks.preference_file import read_facts
from gansmith.ratings.preference import LEAST_RATINGS
from gansmith.ratings.store import FILE, Store

pytest.importorskip("fastapi", reason="the extra app is not installed")
from fastapi.testclient import TestClient

from gansmith.app.limits import Limits
from gansmith.app.server import create_app


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store(tmp_path_factory.mktemp("run") / "faces", RECIPES["lazy"]).path


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "runs" / "faces")
    return tmp_path / "runs"


def client_of(root: Path) -> TestClient:
    app = create_app(root, device="cpu", limits=Limits(rate=1e6, burst=100_000))
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.fixture
def client(root: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr("gansmith.app.routes.rate._PATIENCE", 0.2)
    return client_of(root)


def get(client: TestClient, path: str, code: int = 200, **asked: Any) -> Any:
    answer = client.get(f"/api/rate/{path}", params={"model": "faces", **asked})
    assert answer.status_code == code, answer.text
    return answer.json() if "json" in answer.headers["content-type"] else answer.content


def post(client: TestClient, path: str, code: int = 200, **given: Any) -> Any:
    weights = given.pop("weights", None) or get(client, "questions")["weights"]
    answer = client.post(f"/api/rate/{path}", json={"model": "faces", "weights": weights, **given})
    assert answer.status_code == code, answer.text
    return answer.json()


def asked(client: TestClient, **how: Any) -> list[tuple[int, int | None]]:
    return [(one["seed"], one["other"]) for one in get(client, "questions", **how)["questions"]]


def test_what_is_rated_is_not_asked_again_and_comes_back_when_it_is_undone(
    client: TestClient, root: Path
) -> None:
    first, second = asked(client, rater="Ada", count=2)
    found = post(client, "thumb", rater="Ada", seed=first[0], liked=True)
    assert (found["thumbs"], found["liked"], found["raters"]) == (1, 1, [{"name": "Ada", "count": 1}])
    assert asked(client_of(root), rater="Ada", count=1) == [second], "another server knows it, too"
    assert asked(client, rater="Bo", count=1) == [first], "Bo has not rated it"
    (one,) = asked(client, rater="Ada", kind="pair", count=1)
    assert post(client, "pair", rater="Ada", seed=one[0], other=one[1], winner=one[1])["pairs"] == 1
    undone = post(client, "undo", rater="Ada")
    assert (undone["kind"], undone["question"]) == ("pair", {"seed": one[0], "other": one[1]})
    assert undone["progress"]["pairs"] == 0 and undone["progress"]["thumbs"] == 1
    assert post(client, "undo", rater="Bo")["kind"] is None
    assert asked(client, rater="Ada", kind="pair", count=1) == [one]


def test_the_sheet_shows_what_generate_makes(client: TestClient, root: Path) -> None:
    weights = get(client, "questions")["weights"]
    content = get(client, "sheet", weights=weights, seeds=[7, 3])
    with Image.open(io.BytesIO(content)) as image:
        sheet = np.asarray(image)
    made = to_bytes(open_generator(str(root / "faces"), "cpu").make(Noise.of(7, 3))).permute(0, 2, 3, 1)
    assert np.array_equal(sheet, np.concatenate(list(made.numpy()), axis=1))


def test_two_people_rate_at_once_and_how_far_they_agree_is_told(client: TestClient) -> None:
    seeds = [seed for seed, _ in asked(client, count=8)]
    weights = get(client, "questions")["weights"]
    found: list[Any] = []

    def rate(rater: str, differs: int) -> None:
        for place, seed in enumerate(seeds):
            liked = place % 2 == int(place < differs)
            found.append(post(client, "thumb", rater=rater, seed=seed, liked=liked, weights=weights))

    people = [threading.Thread(target=rate, args=one) for one in (("Ada", 0), ("Bo", 2))]
    for one in people:
        one.start()
    for one in people:
        one.join()
    last = get(client, "progress")
    assert len(found) == 16 and last["thumbs"] == 16 and last["disputed"] == 2
    # Units of two answers: 2 of 8 differ; 8 of 16 answers are yes. Krippendorff: 1 - 15 * 4 / (2 * 8 * 8).
    assert last["agreement_thumbs"] == pytest.approx(1 - 15 * 4 / 128)
    assert last["agreement_pairs"] is None


def _foreign(file: Path) -> None:
    with sqlite3.connect(file) as base:
        base.execute("CREATE TABLE recipes (name TEXT)")


def _other_run(file: Path) -> None:
    Store(file, "f" * 16, "another run", "others")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda file: file.write_bytes(b"no database at all " * 100), "damaged"),
        (_foreign, "another program"),
        (_other_run, "others"),
    ],
)
def test_a_database_that_is_not_ours_is_said_and_left_as_it_is(
    client: TestClient, root: Path, spoil: Any, says: str
) -> None:
    file = root / "faces" / FILE
    spoil(file)
    before = file.read_bytes()
    for answer in (
        client.get("/api/rate/progress", params={"model": "faces"}),
        client.get("/api/rate/questions", params={"model": "faces"}),
    ):
        assert answer.status_code == 400 and says in answer.json()["message"]
        assert str(root) not in answer.text
    assert file.read_bytes() == before


def test_while_another_program_holds_the_database_an_answer_waits_and_then_counts(
    client: TestClient, root: Path
) -> None:
    weights = get(client, "questions")["weights"]
    holder = sqlite3.connect(root / "faces" / FILE, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    said = post(client, "thumb", 400, rater="Ada", seed=1, liked=True, weights=weights)
    assert "held by another program" in said["message"] and str(root) not in said["message"]
    holder.execute("ROLLBACK")
    assert post(client, "thumb", rater="Ada", seed=1, liked=True, weights=weights)["thumbs"] == 1


def test_what_is_learnt_of_answers_decides_what_is_asked_next(
    client: TestClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gansmith.ratings.preference._STEPS", 30)
    monkeypatch.setattr("gansmith.ratings.preference._REFERENCE", 64)
    weights = get(client, "questions")["weights"]
    assert str(LEAST_RATINGS) in post(client, "learn", 400, weights=weights)["message"], "too few answers"
    before = [seed for seed, _ in asked(client, count=LEAST_RATINGS + 4)]
    for place, seed in enumerate(before[:LEAST_RATINGS]):
        post(client, "thumb", rater="me", seed=seed, liked=place % 3 == 0, weights=weights)
    at_random = asked(client, count=4)
    assert at_random == [(seed, None) for seed in before[LEAST_RATINGS : LEAST_RATINGS + 4]]
    found = post(client, "learn", weights=weights)
    assert found["learnt_of"] == LEAST_RATINGS and 0 <= found["auc"] <= 1
    assert found["known"] == (found["auc"] >= read_facts(root / "faces").least)  # type: ignore[union-attr]
    by_preference = asked(client, count=4)
    assert by_preference != at_random and by_preference == asked(client_of(root), count=4)
    (root / "faces" / "preference.safetensors").write_bytes(b"damaged")
    assert asked(client_of(root), count=4) == at_random, "rating goes on"


def test_answers_about_other_weights_are_refused_and_a_run_that_vanished_is_said(
    client: TestClient, root: Path
) -> None:
    said = post(client, "thumb", 404, rater="Ada", seed=1, liked=True, weights="0" * 16)
    assert "trained further" in said["message"]
    get(client, "sheet", 404, weights="0" * 16, seeds=[1])
    weights = get(client, "questions")["weights"]
    shutil.rmtree(root / "faces")
    client.app.state.services.shelf._found = None  # type: ignore[attr-defined]
    assert (
        "no model" in post(client, "thumb", 404, rater="Ada", seed=1, liked=True, weights=weights)["message"]
    )
    assert not (root / "faces").exists()


@pytest.mark.parametrize(
    ("path", "given", "code", "says"),
    [
        ("thumb", {"model": "../faces", "seed": 1, "liked": True}, 404, "no model"),
        ("thumb", {"rater": "<b>", "seed": 1, "liked": True}, 400, "A rater's name"),
        ("thumb", {"rater": "", "seed": 1, "liked": True}, 400, "A rater's name"),
        ("thumb", {"seed": -1, "liked": True}, 422, "seed"),
        ("thumb", {"seed": 1, "liked": "perhaps"}, 422, "liked"),
        ("pair", {"seed": 1, "other": 1, "winner": 1}, 400, "two different seeds"),
        ("pair", {"seed": 1, "other": 2, "winner": 3}, 400, "one of them wins"),
        ("undo", {"file": "/etc/passwd"}, 422, "file"),
    ],
)
def test_what_is_refused_is_said(
    client: TestClient, path: str, given: dict[str, Any], code: int, says: str
) -> None:
    assert says in post(client, path, code, **{"rater": "Ada", **given})["message"]
