"""Generation: one seed is one picture, any number of them can be written, and refusals teach."""

import dataclasses
import errno
import itertools
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.seeds import SeedRanges, parse_seeds
from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError, StorageError
from gansmith.images import provenance
from gansmith.methods.base import Turn
from gansmith.methods.latent import NoiseToImage
from gansmith.models import generator as generation
from gansmith.models import write as writing
from gansmith.models.generator import Generator, from_method, steadily
from gansmith.models.write import pictures, write
from gansmith.networks.bundle import Networks


class Pair(NamedTuple):
    images: Tensor


class ToyNetworks(Networks):
    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator


@dataclasses.dataclass(frozen=True)
class Toy(NoiseToImage[ToyNetworks, Pair]):
    """DCGAN's generator at any width."""

    batch_type = Pair
    width: int = 4
    latent: int = 10

    def build(self, spec: DataSpec) -> ToyNetworks:
        widths = [self.width * 2**power for power in reversed(range(spec.height.bit_length() - 3))]
        layers: list[nn.Module] = []
        before = self.latent
        for place, after in enumerate([*widths, spec.channels]):
            stride, padding = (2, 1) if place else (1, 0)
            layers.append(nn.ConvTranspose2d(before, after, 4, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(after), nn.ReLU()] if place < len(widths) else [nn.Tanh()]
            before = after
        network = nn.Sequential(*layers)
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.2 if parameter.dim() > 1 else 1.0)
        return ToyNetworks(network)

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {}

    def turns(self) -> Sequence[Turn[ToyNetworks, Pair]]:
        return []

    def latents(self, noise: Noise) -> Tensor:
        return noise.normal(self.latent)

    def decode(self, networks: ToyNetworks, latents: Tensor) -> Tensor:
        made: Tensor = networks.generator(latents[:, :, None, None])
        return made


def toy(size: int = 16, channels: int = 3, **settings: int) -> Generator:
    """A generator of small pictures with fixed weights."""
    torch.manual_seed(0)
    method, spec = Toy(**settings), DataSpec(size, size, channels)
    return from_method(method, method.build(spec), spec, name="toy", recipe_name="toys", images_seen=640)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("threads", [1, 2])
def test_a_dcgan_of_64_pixels_gives_a_seed_one_picture_whatever_the_batch(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        maker = toy(64, width=8, latent=100)
        together = maker.make(Noise.of(*range(64)))
        assert together.std() > 0.1, "pictures that are all alike prove nothing"
        for first, size in ((5, 1), (40, 1), (9, 7), (30, 16), (21, 33)):
            some = maker.make(Noise.of(*range(first, first + size)))
            assert torch.equal(some, together[first : first + size]), (size, first)
        order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
        assert torch.equal(maker.make(Noise(order)), together[order]), "the place in the batch matters"
    finally:
        torch.set_num_threads(before)


def test_a_network_of_other_layers_is_steady_too() -> None:
    torch.manual_seed(0)
    layers = [nn.Upsample(scale_factor=4), nn.Conv2d(30, 13, 3, padding=1), nn.LeakyReLU(0.2)]
    network = nn.Sequential(*layers, nn.Upsample(scale_factor=3), nn.Conv2d(13, 1, 5), nn.Tanh())
    sizes: list[int] = []
    make = steadily(lambda rows: (sizes.append(len(rows)), network(rows[:, :, None, None]))[1])
    rows = Noise.of(*range(40)).normal(30)
    together = make(rows)
    for place in range(0, 40, 3):
        assert torch.equal(make(rows[place : place + 1])[0], together[place])
    assert set(sizes) == {generation.RUN}, "a kernel could choose another algorithm for another batch size"


def test_a_method_becomes_a_generator_in_eval_mode_without_gradients() -> None:
    spec = DataSpec(16, 16, 1)
    networks = Toy().build(spec).train()
    maker = from_method(Toy(), networks, spec, name="toy", recipe_name="toys")
    assert not networks.training
    made = maker.make(Noise.of(3, 4))
    assert made.shape == (2, 1, 16, 16)
    assert not made.requires_grad
    assert torch.equal(maker.synthesize(maker.latents(Noise.of(3, 4)), Noise.of(3, 4)), made)
    mark = provenance.Provenance(
        "toy", "toys", 3, None, provenance.software_version(), None, maker.fingerprint
    )
    assert maker.provenance(3) == mark
    assert re.fullmatch("[0-9a-f]{12}", mark.fingerprint or "")
    again = from_method(Toy(), networks, spec, name="other", recipe_name="toys")
    assert again.fingerprint == maker.fingerprint, "weights have it, not names"
    with torch.no_grad():
        next(networks.parameters()).add_(1.0)
    changed = from_method(Toy(), networks, spec, name="toy", recipe_name="toys")
    assert changed.fingerprint != maker.fingerprint


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_pictures_stream_in_order_whatever_the_batch(batch: int) -> None:
    maker = toy()
    seeds, made = zip(*pictures(maker, iter(range(30)), batch), strict=True)
    assert list(itertools.chain.from_iterable(seeds)) == list(range(30))
    (_, expected), *_ = pictures(maker, range(30))
    assert torch.equal(torch.cat(made), expected)


def test_pictures_take_seeds_as_they_are_needed() -> None:
    endless = itertools.count()
    next(pictures(toy(), endless, batch=16))
    assert next(endless) == 16
    with pytest.raises(SettingError, match="batch=0"):
        next(pictures(toy(), [1], batch=0))


def test_seed_5_alone_is_seed_5_among_64(tmp_path: Path) -> None:
    maker = toy()
    write(maker, [5], tmp_path / "one")
    write(maker, parse_seeds("0-63"), tmp_path / "many", batch=7)
    alone, among = tmp_path / "one" / "seed000005.png", tmp_path / "many" / "seed000005.png"
    assert alone.read_bytes() == among.read_bytes()
    assert len(list((tmp_path / "many").iterdir())) == 64 + 1
    mark = provenance.read_provenance(alone)
    assert mark == maker.provenance(5) and mark.seed == 5 and mark.images_seen == 640
    assert provenance.read_provenance(tmp_path / "many" / "grid.png") == dataclasses.replace(mark, seed=None)


def test_archive_and_folder_agree_and_repeat(tmp_path: Path) -> None:
    maker, seeds = toy(channels=1), parse_seeds("90-99,3,1000000-1000019")
    done: list[int] = []
    assert write(maker, seeds, tmp_path / "out", progress=done.append).count == 31
    assert write(maker, seeds, tmp_path / "out.zip", progress=done.append).path == tmp_path / "out.zip"
    write(maker, seeds, tmp_path / "again.ZIP", batch=1, progress=done.append)
    assert sum(done) == 3 * 31
    assert (tmp_path / "out.zip").read_bytes() == (tmp_path / "again.ZIP").read_bytes()
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert len(archive.namelist()) == 31
        assert "seed1000019.png" in archive.namelist()
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / "out" / name).read_bytes()


def test_one_png_is_a_grid(tmp_path: Path) -> None:
    maker = toy()
    assert write(maker, range(10), tmp_path / "new" / "grid.png").count == 10
    assert size_of(tmp_path / "new" / "grid.png") == (4 * 18 - 2, 3 * 18 - 2)
    write(maker, [5], tmp_path / "one.png")
    write(maker, [5], tmp_path / "one")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "one" / "seed000005.png").read_bytes()


def test_many_pictures_go_into_folders_of_a_thousand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "FLAT_FOLDER", 40)
    write(toy(), parse_seeds("980-1020"), tmp_path / "out")
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.rglob("*.png"))
    assert len(names) == 41 + 1
    assert "seeds000000-000999/seed000999.png" in names
    assert "seeds001000-001999/seed001020.png" in names
    assert "grid.png" in names


@dataclasses.dataclass(frozen=True)
class NoPictures(Toy):
    """A method that makes nothing."""

    def latents(self, noise: Noise) -> Tensor:
        raise AssertionError(f"{len(noise)} pictures were made before the refusal")


@pytest.mark.parametrize(
    ("name", "seeds", "message"),
    [
        ("grid.png", parse_seeds("0-4096"), "at most 4096 pictures"),
        ("out", SeedRanges(()), "no seeds"),
        ("out.bmp", parse_seeds("1"), "a folder"),
        ("out", parse_seeds("1-9,5"), "Received twice: 5"),
        ("out.zip", [3, 4, 3], "Received twice: 3"),
        ("file", parse_seeds("1"), "which is a file"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(
    tmp_path: Path, name: str, seeds: Sequence[int], message: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=message):
        write(dataclasses.replace(toy(), method=NoPictures()), seeds, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_grid_of_large_pictures_is_refused_by_its_pixels(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="89 million pixels"):
        write(dataclasses.replace(toy(), spec=DataSpec(1024, 1024)), range(100), tmp_path / "grid.png")


def failing_after(count: int) -> Callable[..., Any]:
    real, places = Path.write_bytes, itertools.count()

    def write_bytes(path: Path, content: bytes) -> int:
        if next(places) >= count:
            real(path, content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    return write_bytes


def test_a_full_disk_leaves_whole_pictures_and_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "write_bytes", failing_after(20))
    with pytest.raises(StorageError, match=r"disk is full.*first \d+ of 64 pictures are whole") as refusal:
        write(toy(), range(64), tmp_path / "out")
    left = list((tmp_path / "out").iterdir())
    assert len(left) == 20
    first = int(str(refusal.value).partition("first ")[2].split()[0])
    assert all((tmp_path / "out" / f"seed{seed:06d}.png").exists() for seed in range(first))
    for path in left:
        assert size_of(path) == (16, 16)


def test_a_full_disk_leaves_no_half_grid_or_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_bytes", failing_after(0))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    for name in ("grid.png", "out.zip"):
        with pytest.raises(StorageError, match="disk is full"):
            write(toy(), range(4), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
