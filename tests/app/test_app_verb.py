"""The verb ``app``: where it listens, with which address and token, and what it refuses to begin with."""

import re
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from shelves import shelf

pytest.importorskip("fastapi", reason="the extra app is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra app is not installed")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelf(tmp_path_factory.mktemp("runs"), {"faces": "lazy"})


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a request to the app gives while it is served, which then ends; [] until then."""
    found: list[Any] = []
    run = uvicorn.Server.run

    def short(server: Any, sockets: list[socket.socket]) -> None:
        # Nobody else ends it.
        thread = threading.Thread(target=run, args=(server, sockets))
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        address = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/api/about"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                found.append(answer.status)
        except urllib.error.HTTPError as error:
            found.append(error.code)
        server.should_exit = True
        thread.join(10)

    monkeypatch.setattr(uvicorn.Server, "run", short)
    return found


def test_it_serves_this_machine_without_a_token(run_cli: Any, root: Path, answers: list[Any]) -> None:
    code, out, err = run_cli("app", root, "--port", "0", "--device", "cpu")
    assert code == 0, err
    assert re.fullmatch(r"gansmith app: http://127\.0\.0\.1:\d+/  \(Ctrl-C ends it\)\n", out)
    assert answers == [200]


def test_elsewhere_it_prints_a_token_and_asks_for_it(
    run_cli: Any, root: Path, answers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    code, out, err = run_cli("app", root, "--host", "0.0.0.0", "--port", "0", "--open", "--device", "cpu")
    assert code == 0, err
    address = re.search(r"http://\S+/\?token=[\w-]{30,}", out)
    assert address is not None and opened == [address[0]]
    assert answers == [401]


def test_what_it_does_not_begin_with(run_cli: Any, root: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words, says in (
            ((tmp_path / "none",), "not there"),
            ((tmp_path,), "holds none"),
            ((root, "--port", port), "Choose another --port"),
            ((root, "--host", "no such host"), "an address of this machine"),
            ((root, "--host", "192.0.2.1"), "an address of this machine"),
        ):
            code, _, err = run_cli("app", *words, "--device", "cpu")
            assert code == 2 and says in err and "Traceback" not in err, (words, err)
