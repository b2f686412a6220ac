"""Built-in sets: drawn faces and digits need no network; the others say which files they want."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from gansmith.core.image_size import Size
from gansmith.data.builtin import sets
from gansmith.data.builtin.demo_faces import draw, sample
from gansmith.data.builtin.names import is_builtin
from gansmith.data.builtin.sets import (
    BUILTIN_NAMES,
    DemoFaces,
    data_root,
    native_channels,
    native_size,
    open_builtin,
)
from gansmith.data.config import DataConfig
from gansmith.data.dataset import DataSet
from gansmith.data.load import from_array, with_channels
from gansmith.data.open import describe_source, open_data
from gansmith.errors import DataError, MissingPackageError

MNIST = Path(__file__).parents[3].parent / "shared" / "data" / "mnist"
SMALL = DataConfig(size=Size(16, 16))
DOWNLOADED = ("mnist", "fashion-mnist", "cifar10", "celeba", "lfw")


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    monkeypatch.setenv("GANSMITH_DATA", str(tmp_path))
    torchvision = sets.import_torchvision("mnist")

    def refuse(*_, **__):
        raise URLError("no network in tests")

    for place in (torchvision.datasets.mnist, torchvision.datasets.cifar):
        monkeypatch.setattr(place, "download_and_extract_archive", refuse)
    monkeypatch.setattr(torchvision.datasets.celeba, "download_file_from_google_drive", refuse)
    return tmp_path


def test_demo_faces_have_every_fact():
    data = open_data("demo-faces:20", SMALL)
    assert isinstance(data, DemoFaces)
    assert isinstance(data, DataSet)
    assert len(data) == 20
    rows = data.fetch(torch.tensor([3, 19]))
    assert rows["images"].shape == (2, 3, 16, 16)
    assert rows["attributes"].shape == (2, len(sample.ATTRIBUTES))
    assert rows["landmarks"].shape == (2, 5, 2)
    face = sample.face(0, 3)
    assert np.array_equal(rows["images"][0].permute(1, 2, 0).numpy(), draw.draw(face, 16, 16))
    assert rows["labels"][0] == sample.label(face)
    assert data.caption(3) == sample.caption(face)


def test_demo_faces_are_ten_thousand_and_keep_their_number():
    assert describe_source("demo-faces").count == 10_000
    rows = torch.tensor([5])
    few, many = (DemoFaces(count, Size(16, 16)).fetch(rows)["images"] for count in (6, 9))
    assert torch.equal(few, many)
    assert not torch.equal(few, DemoFaces(6, Size(16, 16), seed=1).fetch(rows)["images"])


def test_demo_faces_honour_shape_and_grey():
    config = DataConfig(size=Size(24, 16), channels=1)
    grey = open_data("demo-faces:3", config).fetch(torch.tensor([2]))["images"]
    assert grey.shape == (1, 1, 16, 24)
    wanted = np.asarray(Image.fromarray(draw.draw(sample.face(0, 2), 24, 16)).convert("L")).astype(int)
    assert np.abs(grey[0, 0].numpy().astype(int) - wanted).max() <= 1


@pytest.mark.parametrize(
    "name", ["demo-faces:0", "demo-faces:", "demo-faces:-3", "demo-faces:ten", "digits:5"]
)
def test_counts_that_make_no_sense_are_refused(name):
    with pytest.raises(DataError, match="demo-faces:50000"):
        open_data(name, SMALL)


def test_faces_too_small_to_draw_are_refused():
    with pytest.raises(DataError, match="from 8 pixels"):
        open_data("demo-faces", DataConfig(size=Size(4, 4)))


def test_digits_are_enlarged_to_the_full_range():
    pytest.importorskip("sklearn")
    data = open_data("digits", SMALL)
    rows = data.fetch(torch.arange(len(data)))
    assert rows["images"].shape == (1797, 1, 16, 16)
    assert (rows["images"].min(), rows["images"].max()) == (0, 255)
    assert rows["labels"].unique().tolist() == list(range(10))


def test_digits_at_native_size_are_the_numbers_themselves():
    load_digits = pytest.importorskip("sklearn.datasets").load_digits
    images = open_data("digits", DataConfig(size=Size(8, 8), channels=3)).fetch(torch.tensor([0]))["images"]
    assert images.shape == (1, 3, 8, 8)
    assert images[0, 1].tolist() == np.rint(load_digits().images[0] * 255 / 16).astype(int).tolist()


@pytest.mark.parametrize(("package", "name"), [("sklearn", "digits"), ("torchvision", "cifar10")])
def test_missing_packages_name_the_extra(monkeypatch, package, name):
    def absent(module):
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    monkeypatch.setattr(sets.importlib, "import_module", absent)
    with pytest.raises(MissingPackageError, match=r"pip install 'gansmith\[datasets\]'"):
        open_data(name, SMALL)


def test_arrays_fit_like_files_do():
    picture = torch.zeros(1, 3, 4, 8, dtype=torch.uint8)
    picture[..., 4:] = 200
    shape = {"size": Size(4, 4)}
    crop, pad, stretch = (
        from_array("x", picture, torch.zeros(1, dtype=torch.int64), DataConfig(fit=fit, **shape))
        .fetch(torch.tensor([0]))["images"][0, 0]
        .tolist()
        for fit in ("crop", "pad", "stretch")
    )
    assert crop == [[0, 0, 200, 200]] * 4
    assert len(pad) == 4
    assert pad[0] == pad[1] == pad[2] == pad[3]
    assert pad == stretch  # Padding repeats rows, and all rows of this picture are the same.


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_box_is_cut_out_of_arrays_first_as_out_of_files(fit):
    """Beside the box is noise; inside is what the same array without its surroundings gives."""
    picture = torch.randint(0, 256, (2, 3, 12, 20), dtype=torch.uint8)
    labels, form = torch.zeros(2, dtype=torch.int64), DataConfig(size=Size(8, 8), fit=fit)
    boxed = from_array("x", picture, labels, replace(form, box=(3, 2, 17, 11)))
    alone = from_array("x", picture[:, :, 2:11, 3:17], labels, form)
    rows = torch.arange(2)
    assert torch.equal(boxed.fetch(rows)["images"], alone.fetch(rows)["images"])
    with pytest.raises(DataError, match=r"20x12 pixels. Received: data.box=3,2,21,11"):
        from_array("x", picture, labels, replace(form, box=(3, 2, 21, 11)))
    with pytest.raises(DataError, match=r"nothing to cut out of them. Received: data.box=0,0,4,4"):
        open_data("demo-faces:4", replace(form, box=(0, 0, 4, 4)))


def test_luma_is_that_of_pillow():
    colours = torch.randint(0, 256, (5, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    for picture, grey in zip(colours, with_channels(colours, 1), strict=True):
        wanted = np.asarray(Image.fromarray(picture.permute(1, 2, 0).numpy()).convert("L")).astype(int)
        assert np.abs(wanted - grey[0].numpy().astype(int)).max() <= 1


def test_names_and_native_facts():
    assert set(BUILTIN_NAMES) == {"demo-faces", "digits", "stacked-mnist", *DOWNLOADED}
    assert is_builtin("demo-faces:7")
    assert not is_builtin("./mnist")
    assert native_size("demo-faces") is None
    assert native_size("celeba") == Size(178, 218)
    assert (native_channels("mnist"), native_channels("cifar10")) == (1, 3)
    with pytest.raises(DataError, match="Did you mean 'mnist'"):
        open_builtin("mnits", SMALL)


def test_the_root_is_the_variable_or_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANSMITH_DATA", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.delenv("GANSMITH_DATA")
    assert data_root() == Path.home() / ".cache" / "gansmith" / "datasets"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mnist", "MNIST/raw/train-images-idx3-ubyte"),
        ("fashion-mnist", "FashionMNIST/raw/t10k-labels-idx1-ubyte"),
        ("cifar10", "cifar-10-batches-py/data_batch_5"),
        ("celeba", "celeba/list_attr_celeba.txt"),
        ("lfw", "lfw-py/lfw-funneled.tgz"),
    ],
)
def test_missing_files_are_named_with_the_place_they_belong(no_network, name, file):
    with pytest.raises(DataError, match="could not be downloaded") as caught:
        open_data(name, SMALL)
    message = str(caught.value)
    assert f"\n  {file}" in message
    assert str(no_network) in message
    assert "GANSMITH_DATA" in message


@pytest.mark.skipif(not (MNIST / "MNIST").is_dir(), reason=f"MNIST is not in {MNIST}")
@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_mnist_from_its_files(monkeypatch):
    monkeypatch.setenv("GANSMITH_DATA", str(MNIST))
    data = open_data("mnist", DataConfig(size=Size(28, 28)))
    rows = data.fetch(torch.arange(1000))
    assert len(data) == 60_000
    assert rows["images"].shape == (1000, 1, 28, 28)
    assert rows["labels"][:5].tolist() == [5, 0, 4, 1, 9]
    assert int(rows["images"][0].sum()) == 27525


def test_celeba_files_with_attributes(monkeypatch, tmp_path):
    root = tmp_path / "celeba" / "img_align_celeba"
    root.mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (178, 218), (number, 0, 0)).save(root / f"00000{number + 1}.png")
    found = type("Found", (), {})()
    found.root = str(tmp_path)
    found.filename = [f"00000{number + 1}.png" for number in (2, 0, 1)]
    found.attr = torch.tensor([[1, 1], [0, 1], [1, 0]])
    monkeypatch.setattr(sets, "_find", lambda name: found)
    data = open_data("celeba", SMALL)
    rows = data.fetch(torch.arange(3))
    assert data.columns == ("images", "attributes")
    assert rows["images"][:, 0, 0, 0].tolist() == [0, 1, 2]
    assert rows["attributes"].tolist() == [[0, 1], [1, 0], [1, 1]]


def test_people_of_lfw_are_no_classes(monkeypatch, tmp_path):
    for person in ("A_B", "C_D"):
        (tmp_path / person).mkdir()
        Image.new("RGB", (250, 250)).save(tmp_path / person / f"{person}_0001.jpg")
    found = type("Found", (), {"images_dir": str(tmp_path)})()
    monkeypatch.setattr(sets, "_find", lambda name: found)
    data = open_data("lfw", SMALL)
    assert (data.name, len(data), data.columns) == ("lfw", 2, ("images",))


def test_torchvision_starts_without_its_compiled_operators_and_starts_again():
    """In a fresh process, since what is tested is the first import."""
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    code = (
        "from gansmith.data.builtin.sets import import_torchvision\n"
        "first = import_torchvision('mnist')\n"
        "assert import_torchvision('mnist') is first\n"
        "assert first.datasets.MNIST.__name__ == 'MNIST'\n"
        "import torchvision\n"
        "assert torchvision is first\n"
    )
    source = str(Path(sets.__file__).parents[3])
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
