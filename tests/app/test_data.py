"""Data: which sets there are, their pictures page by page, filters, copies, and files that cannot be read."""

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from promises import RECIPES, trainer_of

from gansmith.errors import DataError
from gansmith.runs.run import Run

pytest.importorskip("fastapi", reason="the extra app is not installed")
from fastapi.testclient import TestClient

from gansmith.app.limits import Limits
from gansmith.app.server import create_app

WIDE = 7  # The row that is wide; 10 equals 0, 11 cannot be read.


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("somewhere") / "photos"
    folder.mkdir()
    noise = np.random.default_rng(0)
    for row in range(10):
        size = (20, 40) if row == WIDE else (40, 40)
        Image.fromarray(noise.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{row:02}.png")
    (folder / "10.png").write_bytes((folder / "00.png").read_bytes())
    (folder / "11.png").write_bytes((folder / "01.png").read_bytes()[:300])
    lines = [f"{row:02}.png,{'cat' if row % 3 else 'dog'},{row % 2},{int(row > 5)}" for row in range(12)]
    (folder / "labels.csv").write_text("file,label,smiling,hat\n" + "\n".join(lines) + "\n")
    return folder


def runs_of(tmp_path: Path, *trained_on: str) -> Path:
    for number, name in enumerate(trained_on):
        Run.create(tmp_path / f"run {number}", trainer_of(RECIPES["lazy"]).recipe, {"name": name})
    return tmp_path


def client_of(root: Path, data: Path | str | None = None) -> TestClient:
    app = create_app(root, data, device="cpu", limits=Limits(rate=1e6, burst=100_000))
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return client_of(runs_of(tmp_path_factory.mktemp("runs"), "demo-faces:3"), photos)


def get(client: TestClient, path: str, code: int = 200, **asked: Any) -> Any:
    answer = client.get(f"/api/data/{path}", params={"set": "photos", **asked})
    assert answer.status_code == code, answer.text
    return answer.json() if "json" in answer.headers["content-type"] else pixels(answer.content)


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def rows(client: TestClient, **asked: Any) -> list[int]:
    return [one["row"] for one in get(client, "page", **asked)["pictures"]]


def measured(client: TestClient) -> Any:
    for _ in range(400):
        found = get(client, "report")
        if found["state"] != "working":
            return found
        time.sleep(0.02)
    raise AssertionError("it is still measured")


def test_a_set_is_told_with_counts_and_filtered_by_label_and_attributes(client: TestClient) -> None:
    facts = get(client, "set")
    assert facts["count"] == 12 and facts["unlabelled"] == 0
    assert facts["labels"] == [{"name": "cat", "count": 8}, {"name": "dog", "count": 4}]
    assert facts["attributes"] == [{"name": "smiling", "count": 6}, {"name": "hat", "count": 6}]
    assert rows(client, label="dog") == [0, 3, 6, 9]
    assert rows(client, label="dog", have=["hat"], lack=["smiling"]) == [6]
    assert get(client, "page", label="dog", count=3, first=3)["total"] == 4
    assert rows(client, label="dog", count=3, first=3) == [9]
    one = get(client, "one", row=WIDE)
    assert (one["width"], one["height"], one["label"], one["has"]) == (40, 20, "cat", ["smiling", "hat"])


def test_the_sheet_shows_each_picture_whole_in_its_cell(client: TestClient, photos: Path) -> None:
    sheet = get(client, "sheet", first=6, count=3)
    side = get(client, "page", first=6, count=3)["side"]
    assert side == 40 and sheet.shape == (40, 8 * 40, 4)
    cell = sheet[:, 40:80]
    assert (cell[..., 3] == 255).sum() == 20 * 40 and (cell[10:30, :, 3] == 255).all()
    assert np.array_equal(cell[10:30, :, :3], pixels((photos / f"{WIDE:02}.png").read_bytes()))
    assert np.array_equal(get(client, "picture", row=0), pixels((photos / "00.png").read_bytes()))


def test_copies_are_found_and_a_damaged_file_has_its_reason(client: TestClient, photos: Path) -> None:
    found = measured(client)
    assert (found["state"], found["looked_at"], found["copies"]) == ("ready", 11, 1)
    page = get(client, "page", show="copies")
    assert [(one["row"], one["group"]) for one in page["pictures"]] == [(0, 0), (10, 0)]
    assert rows(client, show="copies", lack=["hat"]) == [0]
    problem = get(client, "page", first=11)["pictures"][0]["problem"]
    assert problem and str(photos.parent) not in problem
    assert get(client, "sheet", first=11, count=1).shape == (1, 8, 4)
    assert get(client, "one", row=11)["problem"] == problem
    get(client, "picture", 400, row=11)


@pytest.mark.parametrize(
    ("path", "asked", "code", "says"),
    [
        ("set", {"set": "../photos"}, 404, "Did you mean 'photos'"),
        ("page", {"set": "/etc"}, 404, "no data set"),
        ("sheet", {"set": "demo-faces:3"}, 404, "no data set"),
        ("page", {"label": "cut"}, 400, "Did you mean 'cat'"),
        ("page", {"have": "hats"}, 400, "Did you mean 'hat'"),
        ("picture", {"row": 12}, 400, "12 pictures"),
        ("picture", {"row": "../x"}, 422, "row"),
        ("sheet", {"first": 12}, 400, "no picture on this page"),
        ("page", {"count": 97}, 422, "count"),
        ("page", {"folder": "/"}, 422, "folder"),
    ],
)
def test_what_is_refused_is_said(
    client: TestClient, photos: Path, path: str, asked: dict[str, Any], code: int, says: str
) -> None:
    message = get(client, path, code, **asked)["message"]
    assert says in message and str(photos.parent) not in message


def test_sets_of_runs_are_offered_where_they_are_still_there(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANSMITH_DATA", str(tmp_path / "nothing"))
    root = runs_of(tmp_path / "runs", "demo-faces:5", str(photos), "demo-faces:5", "mnist", "/gone/faces", "")
    (root / "run 5" / "data.json").write_text("no json")
    client = client_of(root)
    assert client.get("/api/data/sets").json() == [
        {"id": "demo-faces:5", "runs": ["run 0", "run 2"]},
        {"id": "photos", "runs": ["run 1"]},
    ]
    assert get(client, "set", set="demo-faces:5")["count"] == 5
    assert get(client, "one", set="demo-faces:5", row=4)["caption"]


def test_a_set_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    root, folder = runs_of(tmp_path / "runs", "demo-faces:3"), tmp_path / "secret" / "faces"
    folder.mkdir(parents=True)
    with pytest.raises(DataError, match="Did you mean"):
        client_of(root, folder.with_name("face"))
    client = client_of(root, folder)
    for spoil, says in (
        (lambda: None, "No pictures in faces"),
        (folder.rmdir, "faces, which does not exist"),
    ):
        spoil()
        message = get(client, "set", 400, set="faces")["message"]
        assert says in message and str(tmp_path) not in message
