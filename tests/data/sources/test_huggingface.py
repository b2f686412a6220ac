"""Names on the hub: which names are meant, where they are looked for, and what is said without a network."""

import importlib
from types import SimpleNamespace

import pytest

from gansmith.data.sources import huggingface
from gansmith.data.sources.huggingface import fetch, hub_name
from gansmith.errors import DataError


@pytest.fixture(autouse=True)
def away(tmp_path, monkeypatch):
    """No cache, no package, and an empty working folder."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    provide(monkeypatch, None)


def provide(monkeypatch, hub):
    """Stand in for huggingface_hub; None: it is not installed."""
    real = importlib.import_module

    def load(name, *_):
        if name != "huggingface_hub":
            return real(name)
        if hub is None:
            raise ModuleNotFoundError(name)
        return hub

    monkeypatch.setattr(importlib, "import_module", load)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("hf:owner/name", "owner/name"),
        ("owner/name-1.0_x", "owner/name-1.0_x"),
        ("hf:owner", None),
        ("hf:owner/../x", None),
        ("hf:a/b/c", None),
        ("a/b/c", None),
        ("./owner/name", None),
        ("../name", None),
        ("/owner/name", None),
        ("~/name", None),
        ("owner\\name", None),
        ("owner/name.zip", None),
        ("owner/name.tar.gz", None),
        ("owner/name.jpg", None),
        ("mnist", None),
        ("", None),
    ],
)
def test_what_is_a_name(data, name):
    assert hub_name(data) == name


def test_a_mistyped_path_is_not_taken_to_the_hub(tmp_path):
    (tmp_path / "work" / "data" / "faces").mkdir(parents=True)
    assert hub_name("data/faces") is None
    assert hub_name("data/facse") is None
    assert hub_name("hf:data/facse") == "data/facse"


def snapshot(folder, *files):
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_the_hub_is_asked_for_parquet_files_only(tmp_path, monkeypatch):
    asked = []

    def download(name, **options):
        asked.append((name, options))
        return str(snapshot(tmp_path / "there", "data/train-0.parquet"))

    provide(monkeypatch, SimpleNamespace(snapshot_download=download))
    assert fetch("owner/name") == tmp_path / "there"
    options = {"repo_type": "dataset", "revision": None, "allow_patterns": ["*.parquet"]}
    assert asked == [("owner/name", options)]


def test_sets_in_other_formats_are_taken_from_the_copy_the_hub_makes(tmp_path, monkeypatch):
    def download(name, *, revision, **_):
        files = ["default/train/0000.parquet"] if revision == "refs/convert/parquet" else ["README.md"]
        return str(snapshot(tmp_path / str(revision), *files))

    provide(monkeypatch, SimpleNamespace(snapshot_download=download))
    assert fetch("owner/name") == tmp_path / "refs" / "convert" / "parquet"


def test_without_a_network_it_is_said_what_to_download(monkeypatch):
    def download(*_, **__):
        raise ConnectionError("Network is\nunreachable")

    provide(monkeypatch, SimpleNamespace(snapshot_download=download))
    with pytest.raises(DataError) as caught:
        fetch("owner/name")
    told = str(caught.value)
    assert "Network is unreachable" in told
    assert "https://huggingface.co/datasets/owner/name/tree/refs%2Fconvert%2Fparquet" in told
    assert "give that folder" in told


def test_without_the_package_it_is_said(monkeypatch):
    with pytest.raises(DataError, match=r"does not exist here.*pip install huggingface_hub"):
        fetch("owner/name")


def test_a_set_without_tables_is_said(tmp_path, monkeypatch):
    hub = SimpleNamespace(snapshot_download=lambda *_, **__: str(snapshot(tmp_path / "there", "a.txt")))
    provide(monkeypatch, hub)
    with pytest.raises(DataError, match="it has no Parquet files"):
        fetch("owner/name")


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE"])
def test_the_cache_of_the_hub_is_used_without_package_and_network(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    hub = tmp_path / "elsewhere" / ("hub" if variable == "HF_HOME" else "")
    folder = hub / "datasets--owner--name" / "snapshots" / "0123"
    snapshot(folder, "data/train-0.parquet")
    snapshot(folder.parent / "4567", "README.md")
    assert fetch("owner/name") == folder
    with pytest.raises(DataError):
        fetch("owner/other")


def test_no_name_leads_out_of_the_cache():
    assert huggingface._NAME.fullmatch("../../etc") is None
    assert huggingface._NAME.fullmatch("..") is None
