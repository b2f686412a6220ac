"""Watch: what each run is at, read from its files; runs that vanish, and paths that reach nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from promises import RECIPES, trainer_of

from gansmith.core.files import alone
from gansmith.errors import RunError
from gansmith.runs.run import Run

pytest.importorskip("fastapi", reason="the extra app is not installed")
from fastapi.testclient import TestClient

from gansmith.app.limits import Limits
from gansmith.app.server import create_app

PICTURE = b"\x89PNG stands in"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    recipe = trainer_of(RECIPES["lazy"]).recipe
    goal = recipe.train.images
    seen = {"going on": goal // 2, "done": goal, "crashed": goal // 2, "young": 0}
    for name, images in seen.items():
        run = Run.create(tmp_path / name, recipe, {"name": "/somewhere/faces"})
        (run.path / "run.lock").touch()
        if images:
            rows: list[dict[str, Any]] = [
                {"images": place * images / 999, "seconds": 1.0, "images_per_second": 10.0, "loss": place}
                for place in range(1000)
            ]
            rows[0]["loss"] = float("nan")
            rows.append({"images": images, "alarm": "collapsed", "message": "All alike."})
            run.stats.write_text("".join(json.dumps(row) + "\n" for row in rows))
            run.picture(images).write_bytes(PICTURE)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "recipe.json").write_text("no recipe")
    return tmp_path


@pytest.fixture
def client(root: Path) -> TestClient:
    app = create_app(root, device="cpu", limits=Limits(rate=1e6, burst=100_000))
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


def test_each_run_is_in_its_state_and_time_left_is_at_the_newest_pace(root: Path, client: TestClient) -> None:
    with alone(root / "going on" / "run.lock", RunError("busy")):
        runs = {run["id"]: run for run in client.get("/api/watch/runs").json()}
    states = {name: run["state"] for name, run in runs.items()}
    assert states == {
        "going on": "training",
        "done": "finished",
        "crashed": "stopped",
        "young": "empty",
        "broken": "broken",
    }
    one = runs["going on"]
    assert one["seconds_left"] == (one["goal"] - one["images"]) / 10
    assert runs["crashed"]["seconds_left"] is None and runs["crashed"]["alarms"] == 1
    again = {run["id"]: run["state"] for run in client.get("/api/watch/runs").json()}
    assert again["going on"] == "stopped", "whoever held it has gone"


def test_curves_are_thinned_to_both_ends_and_what_is_no_number_is_a_gap(client: TestClient) -> None:
    found = client.get("/api/watch/run", params={"run": "done"}).json()
    curves = {curve["name"]: curve for curve in found["curves"]}
    assert set(curves) == {"images_per_second", "loss"}
    assert len(curves["loss"]["values"]) == 300
    assert (curves["loss"]["values"][0], curves["loss"]["values"][-1]) == (None, 999)
    assert found["data"] == "faces" and "/somewhere" not in json.dumps(found)
    assert found["warnings"] == [{"images": found["images"], "name": "collapsed", "message": "All alike."}]


def test_a_new_grid_and_a_new_run_appear_and_one_that_vanishes_is_said_in_words(
    root: Path, client: TestClient
) -> None:
    first = client.get("/api/watch/run", params={"run": "young"}).json()
    assert first["grids"] == []
    (root / "young" / "pictures" / "000000064.png").write_bytes(PICTURE)
    assert client.get("/api/watch/run", params={"run": "young"}).json()["grids"] == [64]
    shown = client.get("/api/watch/grid", params={"run": "young", "images": 64})
    assert shown.content == PICTURE and shown.headers["content-type"] == "image/png"
    shutil.rmtree(root / "young")
    answer = client.get("/api/watch/run", params={"run": "young"})
    assert answer.status_code == 404 and "young" in answer.json()["message"]
    assert str(root) not in answer.text
    assert "young" not in {run["id"] for run in client.get("/api/watch/runs").json()}


@pytest.mark.parametrize("run", ["../done", "/etc", "done/../done", "done/pictures", "", "x" * 300])
def test_names_are_looked_up_and_reach_nothing_else(client: TestClient, run: str) -> None:
    for path, more in (("run", {}), ("grid", {"images": "0"})):
        answer = client.get(f"/api/watch/{path}", params={"run": run, **more})
        assert answer.status_code == 404, answer.text
    assert client.get("/api/watch/grid", params={"run": "done", "images": 7}).status_code == 404


def test_a_run_that_did_not_change_is_not_read_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get("/api/watch/run", params={"run": "done"})

    def read(path: Path) -> None:
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr("gansmith.app.routes.watch.read", read)
    for _ in range(200):
        assert client.get("/api/watch/run", params={"run": "done"}).status_code == 200
