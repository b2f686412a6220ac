"""Directions: closed forms, every recipe, storage, what they do to pictures, and bad input."""

import dataclasses
import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import SPEC16, generator_of, small
from torch import Tensor, nn
from toys import TOYS

from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.core.tensor_file import read_tensors, write_tensors
from gansmith.errors import CheckpointError, SettingError
from gansmith.explore.attribute_directions import apart, attribute_directions, shares_along
from gansmith.explore.direction_sheet import direction_sheet
from gansmith.explore.directions import Direction, Directions, Steps, space_of, stored_directions
from gansmith.explore.ganspace import ganspace, principal
from gansmith.explore.interpolation import Along, walk
from gansmith.explore.sefa import first_weights, sefa
from gansmith.images.provenance import read_provenance
from gansmith.methods.batches import ImageBatch
from gansmith.methods.classifier import AttributeClassifier
from gansmith.methods.latent import LatentMethod, NoiseToImage
from gansmith.methods.stylegan2 import StyleGAN2
from gansmith.models.classifier import TrainedClassifier
from gansmith.models.generator import Generator, from_method
from gansmith.models.write import Choice, write
from gansmith.networks.bundle import Networks
from gansmith.recipes import CATALOGUE, named


class Plane(Networks):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.layer = nn.Linear(weight.shape[1], weight.shape[0], bias=True)
        self.layer.weight.data.copy_(weight)


@dataclass(frozen=True, eq=False, kw_only=True)
class Flat(NoiseToImage[Plane, ImageBatch]):
    """Images = W z + b: everything about its directions is known."""

    batch_type = ImageBatch
    weight: Tensor

    def build(self, spec: DataSpec) -> Plane:
        return Plane(self.weight)

    def players(self) -> dict[str, tuple[str, ...]]:
        return {}

    def turns(self) -> list[Any]:
        return []

    def latents(self, noise: Noise) -> Tensor:
        return noise.normal(self.weight.shape[1])

    def decode(self, networks: Plane, latents: Tensor) -> Tensor:
        return networks.layer(latents).view(-1, 3, 16, 16)


def flat(weight: Tensor) -> Generator:
    method = Flat(weight=weight)
    return from_method(method, method.build(SPEC16), SPEC16, name="flat", recipe_name="toys")


def rotation(size: int) -> Tensor:
    draws = torch.Generator().manual_seed(1)
    return torch.linalg.qr(torch.randn(size, size, generator=draws))[0]


KNOWING = DataSpec(
    height=16, width=16, class_names=("cat", "dog", "owl"), attribute_names=("smiling", "glasses")
)


def built(recipe: str) -> Generator:
    """An untrained, narrow one, with the prompts of some rows."""
    draws = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    method = (TOYS.get(recipe) or small(named(recipe))).method
    networks = method.build(KNOWING)
    networks.attach_lenses(method.lenses(KNOWING))
    generator = from_method(method, networks, KNOWING, name="one", recipe_name=recipe)
    columns = {
        "labels": torch.randint(0, 3, (40,), generator=draws),
        "attributes": torch.randint(0, 2, (40, 2), generator=draws, dtype=torch.uint8),
    }
    kind = method.prompt_type
    return replace(generator, table={} if kind is None else {name: columns[name] for name in kind._fields})


def images_of(generator: Generator, seeds: range = range(8)) -> Tensor:
    return generator.make(Noise.of(*seeds))


# ---- closed forms ---------------------------------------------------------------------------------------


def test_sefa_of_a_linear_generator_are_the_singular_directions_of_its_normed_weights() -> None:
    """Rows of W are multiples of q_j, 400 of q_1, 200 of q_2, ...; brought to length 1 they count alone."""
    q, counts = rotation(4), torch.tensor([400, 200, 108, 60])
    rows = torch.repeat_interleave(q.t(), counts, dim=0)
    lengths = torch.rand(768, 1, generator=torch.Generator().manual_seed(2)) + 0.1
    found = sefa(flat(rows * lengths), 4)
    vectors = torch.stack([one.vector for one in found])
    assert torch.allclose((vectors @ q).abs(), torch.eye(4), atol=1e-4)
    assert all(one.vector[one.vector.abs().argmax()] > 0 for one in found), "the sign is always the same"
    assert all(abs(one.reach - 3.0) < 0.2 for one in found), "three deviations of N(0, 1)"


def test_ganspace_of_a_linear_generator_are_the_singular_directions() -> None:
    left = rotation(768)[:, :4]
    right, values = rotation(4).flip(1), torch.tensor([8.0, 4.0, 2.0, 1.0])
    found = ganspace(flat(left * values @ right.t()), 4, samples=2000)
    vectors = torch.stack([one.vector for one in found])
    assert ((vectors @ right).abs().diagonal() > 0.98).all()


def test_principal_components_of_parts_are_those_of_the_whole() -> None:
    draws = torch.Generator().manual_seed(0)
    narrow = torch.randn(300, 6, generator=draws) * torch.tensor([5.0, 4, 3, 2, 1, 0.5]) + 3.0
    wide = narrow @ torch.randn(6, 500, generator=draws)  # More numbers than rows in a part: the other way.
    for rows in (narrow.double(), wide.double()):
        found = principal(rows.split([100, 70, 130]), 4)
        _, values, vectors = torch.linalg.svd(rows - rows.mean(dim=0), full_matrices=False)
        assert torch.allclose(found.mean, rows.mean(dim=0))
        assert torch.allclose(found.deviations, values[:4] / math.sqrt(299))
        assert torch.allclose((found.vectors.t() @ vectors[:4].t()).abs(), torch.eye(4).double(), atol=1e-6)


def _squares(weight: Tensor) -> Tensor:
    return (weight @ weight.t()).float()


def test_a_is_the_weight_of_the_first_layer() -> None:
    dcgan = built("dcgan28")
    weight = dcgan.networks.generator.main[0].weight  # [latent, channels, 4, 4]
    assert torch.allclose(_squares(first_weights(dcgan, "z")), _squares(weight.flatten(1)), rtol=1e-3)
    progan = built("progan32-small")  # A norm stands before it, and scales it by one factor for each z.
    stem = progan.networks.generator.stem
    rows = (stem.weight * stem.scale).t()
    assert torch.allclose(_squares(first_weights(progan, "z")), _squares(rows), rtol=1e-3, atol=1e-5)


def test_a_of_w_are_the_styles_of_the_chosen_layers() -> None:
    generator = built("stylegan2-32-small")
    synthesis = generator.networks.synthesis
    affines = [
        synthesis.convolutions[0].affine,
        synthesis.convolutions[1].affine,
        synthesis.to_images[0].affine,
    ]
    rows = torch.cat([affine.weight * affine.scale for affine in affines]).t()
    found = first_weights(generator, "w", (0, 1))  # The first colours take the style of layer 1, too.
    assert torch.allclose(_squares(found), _squares(rows), rtol=1e-3, atol=1e-6)
    assert first_weights(generator, "w").shape[1] > found.shape[1]


def test_directions_of_w_move_their_layers_alone() -> None:
    generator = built("stylegan2-32-small")
    one = sefa(generator, 1, layers=(0, 1))[0]
    assert (one.name, one.space, one.layers) == ("sefa-1@0-1", "w", (0, 1))
    w = generator.latents(Noise.of(0, 1), space="w+")
    moved = one.move(w, 0.5) - w
    assert torch.allclose(moved[:, :2], (0.5 * one.reach * one.vector).expand(2, 2, -1), atol=1e-6)
    assert moved[:, 2:].abs().max() == 0
    along = generator.latents(Noise(torch.arange(4000)), space="w") @ one.vector
    assert one.reach == pytest.approx(3 * float(along.std()), rel=0.05)
    with pytest.raises(SettingError, match="Give it latents of w"):
        one.move(w[:, 0], 1.0)
    with pytest.raises(SettingError, match="has the layers 0 to"):
        sefa(generator, 1, layers=(3, 99))


def test_z_stays_on_its_sphere_and_amounts_are_checked() -> None:
    one = Direction(name="a", space="z", vector=torch.eye(5)[2], source="sefa", reach=3.0)
    z = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    moved = one.move(z, -0.7)
    assert torch.allclose(moved.norm(dim=1), z.norm(dim=1)) and (moved[:, 2] < z[:, 2]).all()
    assert one.move(z, 0.0) is z
    for amount in (math.nan, math.inf, 3.1):
        with pytest.raises(SettingError, match="An amount is a number from -3 to 3"):
            one.move(z, amount)
    with pytest.raises(SettingError, match="found for another generator"):
        one.move(z[:, :3], 1.0)


# ---- every recipe ---------------------------------------------------------------------------------------


def _latent() -> list[str]:
    """A recipe of each method and network that makes images of noise, labels or attributes."""
    found = {}
    for name in CATALOGUE:
        kind = type(named(name).method)
        needs = () if kind.prompt_type is None else kind.prompt_type._fields
        if issubclass(kind, LatentMethod) and set(needs) <= {"labels", "attributes"}:
            found[kind, re.sub(r"[0-9].*", "", name)] = name
    return [*found.values(), "two spaces"]


@pytest.mark.parametrize("recipe", _latent())
def test_directions_of_every_method_change_its_pictures(recipe: str) -> None:
    """Both kinds are of length 1, sefa's at right angles, and pictures are others along them."""
    generator = built(recipe)
    found = (*sefa(generator, 2), *ganspace(generator, 1, samples=16))
    vectors = torch.stack([one.vector for one in found])
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-4)
    assert abs(float(vectors[0] @ vectors[1])) < 1e-3
    before = images_of(generator, range(4))
    for one in found:
        assert torch.equal(generator.make(Noise.of(0, 1, 2, 3), move=Steps(((one, 0.0),))), before)
    if recipe.startswith(("gat", "cat")):  # Its last layer starts at zero.
        return
    after = generator.make(Noise.of(0, 1, 2, 3), move=Steps(((found[0], 1.0),)))
    assert (after - before).flatten(1).abs().amax(dim=1).min() > 0


@pytest.mark.parametrize("find", [sefa, ganspace])
def test_found_directions_change_pictures_more_than_random_ones(find: Any) -> None:
    generator = built("dcgan28")
    weight = generator.networks.generator.main[0].weight
    weight.mul_(torch.logspace(0, -1.5, len(weight))[:, None, None, None])  # As after training: uneven.
    z = generator.latents(Noise(torch.arange(16)))
    noise = Noise(torch.arange(16))

    def change(vector: Tensor) -> float:
        moved = generator.synthesize(z + vector, noise) - generator.synthesize(z, noise)
        return float(moved.square().mean())

    found = [
        change(one.vector)
        for one in (find(generator, 2) if find is sefa else find(generator, 2, samples=128))
    ]
    draws = torch.randn(20, z.shape[1], generator=torch.Generator().manual_seed(0))
    random = [change(one / one.norm()) for one in draws]
    assert sum(found) / 2 > 1.3 * sum(random) / 20


# ---- attributes -----------------------------------------------------------------------------------------


class Judge(TrainedClassifier):
    """Says that an image is bright, and that it is bright at the left."""

    def judge(self, images: Tensor) -> Tensor:
        return torch.stack([images.mean(dim=(1, 2, 3)), images[:, :, :, :8].mean(dim=(1, 2, 3))], dim=1)


def judge(names: tuple[str, ...] = ("bright", "left=bright")) -> TrainedClassifier:
    recipe = small(named("classifier-attributes32"))
    recipe = replace(recipe, data=replace(recipe.data, attributes=names))
    method = recipe.method
    assert isinstance(method, AttributeClassifier)
    networks = method.build(recipe.spec())
    return Judge(name="judge", recipe=recipe, method=method, networks=networks, images_seen=0)


def painted(all_over: Tensor, left: Tensor) -> Generator:
    """The left half is ``left . z``, the right one such that the mean is ``all_over . z``."""
    weight = torch.zeros(3, 16, 16, len(left))
    weight[:, :, :8], weight[:, :, 8:] = left, 2 * all_over - left
    return flat(weight.view(768, -1) / 4)


def test_attribute_directions_are_the_normals_of_their_boundaries() -> None:
    bright, left = torch.eye(6)[0], torch.tensor([0.5, 0.75**0.5, 0, 0, 0, 0])  # 60 degrees apart.
    generator = painted(bright, left)
    found = Directions(generator.fingerprint, attribute_directions(generator, judge(), samples=1500))
    assert found.names == ("bright", "left bright"), "a name without what names cannot have"
    assert float(found["bright"].vector @ bright) > 0.98 and float(found["left bright"].vector @ left) > 0.98
    assert all(one.accuracy is not None and one.accuracy > 0.97 for one in found)
    assert all(one.share is not None and abs(one.share - 0.5) < 0.05 for one in found)
    assert float(found.angles()[0, 1]) == pytest.approx(60.0, abs=4.0)
    shares = shares_along(generator, judge(), found["bright"], (-1.0, 0.0, 1.0), samples=100)
    assert shares[0, 0] < 0.2 < 0.35 < shares[1, 0] < 0.65 < 0.8 < shares[2, 0]
    alone = apart(found["left bright"], [found["bright"]])
    assert alone.name == "left bright-without-bright" and alone.accuracy is None
    assert abs(float(alone.vector @ found["bright"].vector)) < 1e-5
    assert float(alone.vector.norm()) == pytest.approx(1.0, abs=1e-5)
    said = (
        found["left bright"].vector
        - (found["left bright"].vector @ found["bright"].vector) * found["bright"].vector
    )
    assert torch.allclose(alone.vector, said / said.norm(), atol=1e-4), "n1 - (n1 . n2) n2"
    with pytest.raises(SettingError, match="Nothing is left"):
        apart(found["bright"], [found["bright"]])
    (one,) = attribute_directions(generator, judge(), ["bright"], samples=300)
    assert one.name == "bright"
    with pytest.raises(SettingError, match="Did you mean 'bright'"):
        attribute_directions(generator, judge(), ["brigt"], samples=300)


def test_an_attribute_that_all_pictures_share_alike_has_no_direction() -> None:
    generator = painted(torch.zeros(6), torch.eye(6)[1])
    with pytest.raises(SettingError, match="alike in 'bright'"):
        attribute_directions(generator, judge(), ["bright"], samples=200)
    with pytest.raises(SettingError, match="at least 200 samples"):
        attribute_directions(generator, judge(), samples=20)


# ---- stored ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def styled() -> Generator:
    return built("stylegan2-32-small")


def test_directions_are_stored_renamed_and_bound_to_their_weights(styled: Generator, tmp_path: Path) -> None:
    assert stored_directions(styled, tmp_path).names == ()
    with pytest.raises(SettingError, match="has no directions yet"):
        stored_directions(styled, tmp_path)["smile"]
    found = Directions(styled.fingerprint, sefa(styled, 3, layers=(0, 2))) | sefa(styled, 1, space="z")
    found.renamed("sefa-2@0-2", "Lächeln").save(tmp_path)
    again = stored_directions(styled, tmp_path)
    assert again.names == ("sefa-1@0-2", "Lächeln", "sefa-3@0-2", "sefa-1")
    for one, other in zip(again, found, strict=True):
        assert torch.equal(one.vector, other.vector)
        facts = [
            {
                f.name: getattr(each, f.name)
                for f in dataclasses.fields(each)
                if f.name not in ("vector", "name")
            }
            for each in (one, other)
        ]
        assert facts[0] == facts[1]
    tree = json.loads((tmp_path / "explore" / "directions.json").read_text("utf-8"))
    assert [row["name"] for row in tree["directions"]] == list(again.names)
    with pytest.raises(SettingError, match="Did you mean 'Lächeln'"):
        again["Lacheln"]
    with pytest.raises(SettingError, match="There is a direction 'sefa-1' already"):
        again.renamed("Lächeln", "sefa-1")
    with pytest.raises(SettingError, match="no '=', comma or slash"):
        again.renamed("Lächeln", "a/b")
    with pytest.raises(CheckpointError, match="belong to the weights they were found for"):
        stored_directions(built("dcgan28"), tmp_path)
    path = tmp_path / "explore" / "directions.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole.replace(b'"F32"', b'"F31"'), b""):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="is damaged"):
            stored_directions(styled, tmp_path)


@pytest.mark.parametrize(
    "lie",
    [{"name": "a\x1b[2J"}, {"name": "../a"}, {"layers": ["a", "b"]}, {"layers": 3}, {"accuracy": "high"},
     {"reach": math.nan}, {"source": "nobody"}, {"space": 7}, {"more": 1}],
)  # fmt: skip
def test_what_a_foreign_file_says_is_checked(lie: dict[str, Any], tmp_path: Path) -> None:
    generator = painted(torch.eye(4)[0], torch.eye(4)[1])
    Directions(generator.fingerprint, sefa(generator, 1)).save(tmp_path)
    path = tmp_path / "explore" / "directions.safetensors"
    tensors, metadata = read_tensors(path)
    (facts,) = json.loads(metadata["directions"])
    write_tensors(path, tensors, metadata | {"directions": json.dumps([facts | lie])})
    with pytest.raises(CheckpointError, match="is damaged"):
        stored_directions(generator, tmp_path)


def test_steps_say_what_is_wrong(styled: Generator) -> None:
    found = Directions(
        styled.fingerprint, (*sefa(styled, 1), *(replace(d, name="old") for d in sefa(styled, 1, space="z")))
    )
    steps = Steps.parse(found, ["sefa-1=0.5", " sefa-1 = -1"])
    assert (steps.space, steps.note) == ("w", "direction sefa-1 0.5; direction sefa-1 -1")
    for text in ("sefa-1", "sefa-1=", "=1", "sefa-1=much", "sefa-1=nan"):
        with pytest.raises(SettingError, match=r"as in smile=0\.5"):
            Steps.parse(found, [text])
    with pytest.raises(SettingError, match="An amount is a number"):
        Steps.parse(found, ["sefa-1=inf"])
    with pytest.raises(SettingError, match="combined move one space"):
        Steps.parse(found, ["sefa-1=1", "old=1"])
    assert space_of([steps], "w+") == "w+" and space_of([]) == "z"
    with pytest.raises(SettingError, match="move latents of their own space"):
        space_of([steps], "z")
    noise = Noise.of(0, 1)
    with pytest.raises(SettingError, match=r"Truncation of stylegan2-32-small is in w\+"):
        styled.make(noise, truncation=0.5, move=Steps.parse(found, ["old=1"]))
    truncated = styled.make(noise, truncation=0.5)
    assert torch.equal(styled.make(noise, truncation=0.5, move=Steps.parse(found, ["sefa-1=0"])), truncated)
    assert not torch.equal(styled.make(noise, truncation=0.5, move=steps), truncated)


def test_pictures_sheets_and_films_along_a_direction(styled: Generator, tmp_path: Path) -> None:
    one = sefa(styled, 1, layers=(0, 2))[0]
    steps = Steps(((one, 1.0),))
    write(styled, [4], tmp_path / "out.png", choice=Choice(move=steps))
    mark = read_provenance(tmp_path / "out.png")
    assert mark is not None and mark.note == "direction sefa-1@0-2 1"
    place = direction_sheet(styled, one, tmp_path / "sheet.png", seeds=[1, 2], amounts=(-1, 0, 1))
    mark = read_provenance(place)
    assert mark is not None and mark.note == "sefa-1@0-2: -1, 0, 1" and mark.fingerprint == styled.fingerprint
    with pytest.raises(SettingError, match=r"A sheet is one \.png"):
        direction_sheet(styled, one, tmp_path / "sheet.gif")
    with pytest.raises(SettingError, match="1 to 64 seeds"):
        direction_sheet(styled, one, tmp_path / "no.png", seeds=[])
    with pytest.raises(SettingError, match="at least two frames"):
        Along(direction=one, frames=1).paths(styled.latents(Noise.of(0), space="w+"))
    from gansmith.explore.interpolation import Choice as Held

    film = walk(styled, [3], tmp_path / "film.gif", Along(direction=one, frames=3), choice=Held(space="w+"))
    assert film.stat().st_size > 0
    assert StyleGAN2.spaces[-1] == "w+"


def test_a_generator_without_a_latent_or_without_a_first_layer_is_refused() -> None:
    paired = TOYS["paired"].method
    networks = paired.build(KNOWING)
    translator = from_method(paired, networks, KNOWING, name="one", recipe_name="paired")
    with pytest.raises(SettingError, match="make images from a latent"):
        sefa(translator)
    folded = generator_of(
        lambda noise: noise.normal(4),
        lambda z: z.view(-1, 1, 2, 2).cos(),
        DataSpec(height=2, width=2, channels=1),
    )
    with pytest.raises(SettingError, match="Use ganspace instead"):
        sefa(folded)
    assert len(ganspace(folded, 1, samples=64)) == 1
    for wrong, message in (
        ({"count": 0}, "at least 1"),
        ({"space": "w"}, "are found in z"),
        ({"layers": (0, 1)}, "Leave --layers out"),
    ):
        with pytest.raises(SettingError, match=message):
            sefa(folded, **wrong)
    with pytest.raises(SettingError, match="at least 80 samples"):
        ganspace(folded, samples=10)
