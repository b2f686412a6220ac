"""Settings: JSON and back, overrides by name, and refusals that name the nearest thing."""

import itertools
import json
import re
import sys
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gansmith.config.field_types import OLD_FIELDS
from gansmith.config.optimizers import SGD, Adam, Optimizer, RMSprop
from gansmith.config.overrides import differences, flat, override
from gansmith.config.recipe import Recipe
from gansmith.config.serialization import dumps, from_json, to_json, with_new_names
from gansmith.config.training import Average
from gansmith.core.image_size import Size
from gansmith.core.schedules import Constant, Cosine, Linear, Schedule, Step
from gansmith.data.config import DataConfig
from gansmith.errors import SettingError
from gansmith.losses.adversarial import Hinge, Logistic, Wasserstein
from gansmith.losses.penalties import DRAGAN
from gansmith.methods.dcgan import DCGAN
from gansmith.networks.architectures import ResNet
from gansmith.recipes import CATALOGUE, named


def again(value: Any, kind: Any) -> Any:
    return from_json(json.loads(dumps(value)), kind)


def setting(recipe: Recipe, path: str) -> Any:
    value: Any = recipe
    for name in path.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    return value


@dataclass(frozen=True)
class Wide:
    """A field that has the old name of another."""

    widest: int = 2


@dataclass(frozen=True)
class Odd:
    """Fields of kinds the catalogue has none of."""

    sizes: tuple[Size, ...] = (Size(8, 8), Size(12, 8))
    maybe: Size | None = Size(16, 8)
    either: tuple[int, ...] | None = (1, 2)
    chosen: Schedule | None = Step()
    names: dict[str, tuple[float, float]] | None = None


# ---- JSON ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_recipe_of_the_catalogue_survives_json(name: str) -> None:
    recipe = named(name)
    back = again(recipe, Recipe)
    assert back == recipe
    assert dumps(back) == dumps(recipe)
    assert isinstance(back.train.averaged, tuple)
    assert isinstance(back.data.size, Size)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (RMSprop(lr=1e-3, schedule=Step(epochs=3.0, factor=0.1)), Optimizer),
        (SGD(momentum=0.0, schedule=Linear(end=0.5, start=0.25)), Optimizer),
        (Adam(betas=(0.0, 0.99), schedule=Cosine(end=0.1)), Optimizer),
        (DCGAN(adversarial=Hinge(), head="softmax"), DCGAN),
        (DCGAN(adversarial=Logistic(real=0.9, fake=0.1)), DCGAN),
        (DataConfig(size=Size(128, 96), channels=1), DataConfig),
        (None, Average | None),
        (Odd(), Odd),
        (Odd(sizes=(), maybe=None, either=None, chosen=None, names={"a": (0.5, 1.0)}), Odd),
    ],
    ids=repr,
)
def test_choices_survive_json(value: Any, kind: Any) -> None:
    assert again(value, kind) == value


def test_the_text_says_the_class_and_the_size_as_people_write_it() -> None:
    tree = json.loads(dumps(replace(named("wgan28"), data=DataConfig(size=Size(128, 96)))))
    assert tree["is"] == "gansmith.config.recipe:Recipe"
    assert tree["method"]["is"] == "gansmith.methods.wgan:WGAN"
    assert tree["optimizers"]["critic"]["is"] == "gansmith.config.optimizers:RMSprop"
    assert tree["data"]["size"] == "128x96"


def test_an_unknown_field_names_the_nearest() -> None:
    tree = to_json(Adam()) | {"bets": [0.0, 0.9]}
    with pytest.raises(SettingError, match=r"Adam has no field 'bets'. Did you mean 'betas'\?"):
        from_json(tree, Optimizer)


@pytest.mark.parametrize(
    "tree",
    [
        {"is": "gansmith.config.recipe:Recipe"},
        {"is": "gansmith.config.recipe:Recipe", "name": "x", "method": None, "optimizers": {}},
        {"is": "gansmith.config.optimizers:Adam", "betas": [0.5]},
        {"is": "gansmith.config.optimizers:Adam", "lr": "fast"},
    ],
)
def test_a_tree_that_makes_no_value_is_a_setting_error(tree: Any) -> None:
    with pytest.raises(SettingError, match=r"cannot be made of|must be"):
        from_json(tree, Recipe)


@pytest.mark.parametrize(
    "path",
    [
        "this:Zen",
        "this:",
        "os:system",
        "subprocess:Popen",
        "torch.utils._pytree:LeafSpec",
        "collections:OrderedDict",
        "gansmith.nothing:Adam",
        "gansmith.errors:nearest",
        "gansmith.errors:SettingError",
        "gansmith.__main__:main",
        "gansmith..optimisers:Adam",
        "no colon",
        "",
        7,
        None,
    ],
)
def test_a_file_cannot_name_code_to_be_run(path: Any) -> None:
    before = set(sys.modules)
    with pytest.raises(SettingError, match="is not part of this gansmith"):
        from_json({"is": path, "x": 1}, Recipe)
    assert not {"this", "gansmith.__main__"} & set(sys.modules)
    assert {name for name in set(sys.modules) - before if not name.startswith("gansmith")} == set()


# ---- override -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("train.batch=128", 128),
        ("train.images=2e6", 2_000_000),
        ("train.images=1_000", 1000),
        ("train.seed=-3", -3),
        ("data.validation=0.25", 0.25),
        ("data.validation=0", 0.0),
        ("data.mirror=true", True),
        ("data.mirror=YES", True),
        ("data.mirror=0", False),
        ("data.fit=pad", "pad"),
        ("data.size=64", Size(64, 64)),
        ("data.size=128x96", Size(width=128, height=96)),
        ("data.channels=1", 1),
        ("data.channels=none", None),
        ("name=my own = one", "my own = one"),
        ("train.average=none", None),
        ("train.average=Average", Average()),
        ("train.average=Average(half_life=100, floor=5)", Average(half_life=100.0, floor=5.0)),
        ("train.average.half_life=1e3", 1000.0),
        ("train.averaged=generator,critic", ("generator", "critic")),
        ("train.averaged=()", ()),
        ("train.precision=bfloat16", "bfloat16"),
        ("method.adversarial=Hinge", Hinge()),
        ("method.adversarial=Wasserstein()", Wasserstein()),
        ("method.adversarial=Logistic(real=0.9, fake=0.1)", Logistic(real=0.9, fake=0.1)),
        ("method.adversarial.real=0.8", 0.8),
        ("method.head=softmax", "softmax"),
        ("method.light=no", False),
        ("optimizers.generator=RMSprop", RMSprop()),
        ("optimizers.generator=SGD(lr=1, schedule=Step(epochs=3))", SGD(lr=1.0, schedule=Step(epochs=3.0))),
        ("optimizers.generator=Adam(betas=(0.0, 0.9))", Adam(betas=(0.0, 0.9))),
        ("optimizers.generator.lr=1e-3", 1e-3),
        ("optimizers.generator.betas=0.1,0.2", (0.1, 0.2)),
        ("optimizers.generator.schedule=Cosine(end=0.1)", Cosine(end=0.1)),
        ("borrow.generator=runs/one", "runs/one"),
    ],
)
def test_one_setting_changes_and_nothing_else(assignment: str, value: Any) -> None:
    recipe = named("dcgan28")
    changed = override(recipe, assignment)
    path = assignment.partition("=")[0]
    assert setting(changed, path) == value
    assert type(setting(changed, path)) is type(value)
    lines = [line.split(": ")[0] for line in differences(recipe, changed)]
    assert all(line.startswith(path) for line in lines)
    assert recipe == named("dcgan28")


def test_settings_of_one_value_are_judged_together_in_any_order() -> None:
    """A gradient penalty and batch norm exclude each other, whichever is changed first."""
    settings = ["method.penalty=DRAGAN(weight=5)", "method.networks.norm=none", "method.latent=8"]
    with_batch_norm = override(named("lsgan32"), "method.networks.norm=batch")
    expected = with_batch_norm.method
    expected = replace(
        expected, latent=8, penalty=DRAGAN(weight=5.0), networks=replace(expected.networks, norm="none")
    )
    for order in itertools.permutations(settings):
        assert override(with_batch_norm, *order).method == expected
    with pytest.raises(SettingError, match="DRAGAN with batch norm"):
        override(with_batch_norm, settings[0])


def test_of_two_settings_of_one_field_the_later_wins() -> None:
    def networks(*settings: str) -> Any:
        return override(named("lsgan32"), *settings).method.networks

    assert networks("method.networks=ResNet", "method.networks.width=8") == ResNet(width=8)
    assert networks("method.networks.width=8", "method.networks=ResNet") == ResNet()
    assert override(named("lsgan32"), "train.batch=2", "train.batch=4").train.batch == 4
    with pytest.raises(SettingError, match=r"method\.networks\.width"):
        networks("method.networks.widht=8", "method.networks=ResNet")
    assert override(named("lsgan32")) == named("lsgan32")


def test_a_player_changes_alone() -> None:
    changed = override(named("dcgan28"), "optimizers.generator.lr=0.5")
    assert changed.optimizers["generator"].lr == 0.5
    assert changed.optimizers["discriminator"] == named("dcgan28").optimizers["discriminator"]


def test_several_networks_are_borrowed() -> None:
    changed = override(
        named("stackgan-two64"), "borrow.first=runs/one:generator", "borrow.text_encoder=runs/one"
    )
    assert changed.borrow == {"first": "runs/one:generator", "text_encoder": "runs/one"}
    with pytest.raises(SettingError, match=r"no setting 'optimizers\.criticc'"):
        override(named("stackgan-two64"), "optimizers.criticc=Adam()")


@pytest.mark.parametrize(
    ("assignment", "nearest"),
    [
        ("train.batch_size=3", "train.batch"),
        ("train.bacth=3", "train.batch"),
        ("trian.batch=3", "train"),
        ("data.sise=64", "data.size"),
        ("optimizers.generater.lr=1", "optimizers.generator"),
        ("optimizers.generater=Adam", "optimizers.generator"),
        ("optimizers.generator.beta=1", "optimizers.generator.betas"),
        ("method.adversarail=Hinge", "method.adversarial"),
        ("method.adversarial.reel=1", "method.adversarial.real"),
        ("train.average.halflife=3", "train.average.half_life"),
    ],
)
def test_a_typo_names_the_nearest_setting(assignment: str, nearest: str) -> None:
    path = assignment.partition("=")[0]
    with pytest.raises(SettingError) as caught:
        override(named("dcgan28"), assignment)
    assert str(caught.value) == f"There is no setting '{path}'. Did you mean '{nearest}'?"


def test_a_name_repeated_in_a_path_is_looked_up_where_it_stands() -> None:
    with pytest.raises(SettingError, match=r"There is no setting 'data.data'. Did you mean 'data\."):
        override(named("dcgan28"), "data.data=3")


def test_a_typo_inside_a_call_names_the_nearest_field() -> None:
    with pytest.raises(SettingError, match=r"Adam has no field 'bets'. Did you mean 'betas'\?"):
        override(named("dcgan28"), "optimizers.generator=Adam(bets=(0,1))")


@pytest.mark.parametrize(
    ("assignment", "accepted"),
    [
        ("train.batch=many", "train.batch must be a whole number"),
        ("train.batch=1.5", "train.batch must be a whole number"),
        ("train.batch=inf", "train.batch must be a whole number"),
        ("train.batch=nan", "train.batch must be a whole number"),
        ("train.batch=", "train.batch must be a whole number"),
        ("data.validation=some", "data.validation must be a number"),
        ("data.mirror=maybe", "data.mirror must be true or false"),
        ("data.fit=squeeze", "data.fit must be crop, pad or stretch"),
        ("data.channels=grey", "data.channels must be a whole number or none"),
        (
            "train.average=yes",
            "train.average must be Average(half_life, rampup, floor, schedule), PowerAverage(sigma",
        ),
        ("optimizers.generator.betas=0.5", "optimizers.generator.betas must be tuple[float, float]"),
        ("optimizers.generator.betas=a,b", "optimizers.generator.betas must be tuple[float, float]"),
        (
            "optimizers.generator.schedule=Cosinus",
            "optimizers.generator.schedule must be Constant(), Linear(end, start), Cosine(end, start, until)",
        ),
        (
            "optimizers.generator=Adam(1)",
            "optimizers.generator must be Adam(lr, schedule, clip, betas, eps, memory_schedule), AdamW(",
        ),
        ("optimizers.generator=Adam(", "optimizers.generator must be Adam("),
        ("optimizers.generator=__import__('os')", "optimizers.generator must be Adam("),
        ("method.adversarial=Constant", "method.adversarial must be Logistic(real, fake), Minimax()"),
        ("optimizers.generator=Adam(lr=fast)", "lr must be a number"),
    ],
)
def test_a_wrong_value_names_what_is_accepted_and_what_came(assignment: str, accepted: str) -> None:
    with pytest.raises(SettingError) as caught:
        override(named("dcgan28"), assignment)
    assert str(caught.value).startswith(accepted)
    assert re.search("""Received: ['"]""", str(caught.value))


@pytest.mark.parametrize("text", ["train.batch", "=3", "", "batch 3"])
def test_an_assignment_needs_a_name_and_a_value(text: str) -> None:
    with pytest.raises(SettingError, match=r"takes name=value, such as train.batch=64. Received: "):
        override(named("dcgan28"), text)


@pytest.mark.parametrize(
    "path", ["train.batch.size", "name.first", "optimizers.generator.lr.x", "data.size.width.x"]
)
def test_a_path_into_a_plain_value_goes_too_deep(path: str) -> None:
    with pytest.raises(SettingError, match=f"'{path}' goes too deep"):
        override(named("dcgan28"), f"{path}=1")


@pytest.mark.parametrize(
    ("assignment", "received"),
    [
        ("train.batch=0", "batch=0"),
        ("data.channels=2", "channels=2"),
        ("data.validation=1", "validation=1.0"),
        ("data.size=3", "size=3"),
        ("data.size=1x2x3", "'1x2x3'"),
        ("data.size=wide", "'wide'"),
        ("optimizers.generator.lr=0", "lr=0.0"),
        ("method.latent=0", "latent=0"),
    ],
)
def test_a_value_of_the_right_type_still_has_to_keep_its_rule(assignment: str, received: str) -> None:
    with pytest.raises(SettingError) as caught:
        override(named("dcgan28"), assignment)
    assert str(caught.value).endswith(f"Received: {received}.")


# ---- flat and differences -------------------------------------------------------------------------


def test_flat_names_every_leaf_by_its_path_and_every_choice_by_its_class() -> None:
    leaves = dict(flat(named("rpgan8")))
    assert leaves["train.batch"] == 32
    assert leaves["method"] == "RpGAN"
    assert leaves["method.gamma_schedule"] == "Cosine"
    assert leaves["method.gamma_schedule.end"] == 0.1
    assert leaves["optimizers.generator.betas"] == [0.0, 0.99]
    assert leaves["data.size"] == "8"
    assert leaves["data.channels"] is None
    assert not any("is" in name.split(".") for name in leaves)
    assert dict(flat(to_json(named("rpgan8")))) == leaves


def test_equal_recipes_do_not_differ() -> None:
    assert differences(named("rpgan8"), again(named("rpgan8"), Recipe)) == []


@pytest.mark.parametrize(
    ("assignment", "lines"),
    [
        ("train.batch=128", ["train.batch: 32 -> 128"]),
        ("data.size=16x8", ["data.size: 8 -> 16x8"]),
        ("data.channels=1", ["data.channels: None -> 1"]),
        ("optimizers.generator.betas=0.5,0.9", ["optimizers.generator.betas: [0.0, 0.99] -> [0.5, 0.9]"]),
        (
            "method.gamma_schedule=Linear",
            [
                "method.gamma_schedule: Cosine -> Linear",
                "method.gamma_schedule.end: 0.1 -> 0.0",
                "method.gamma_schedule.start: 1.0 -> 0.0",
                "method.gamma_schedule.until: 1.0 -> (absent)",
            ],
        ),
        (
            "train.average=none",
            [
                "train.average: Average -> None",
                "train.average.half_life: 4000.0 -> (absent)",
                "train.average.rampup: 0.05 -> (absent)",
                "train.average.floor: 500.0 -> (absent)",
                "train.average.schedule: Constant -> (absent)",
            ],
        ),
        ("borrow.generator=runs/a", ["borrow.generator: (absent) -> runs/a"]),
    ],
)
def test_each_difference_is_one_line(assignment: str, lines: list[str]) -> None:
    assert differences(named("rpgan8"), override(named("rpgan8"), assignment)) == lines


def test_a_constant_schedule_differs_from_another_by_its_class_alone() -> None:
    assert differences(Adam(schedule=Constant()), Adam(schedule=Cosine())) == [
        "schedule: Constant -> Cosine",
        "schedule.end: (absent) -> 0.0",
        "schedule.start: (absent) -> 1.0",
        "schedule.until: (absent) -> 1.0",
    ]


@pytest.mark.parametrize(
    ("path", "value", "wanted"),
    [
        (("train", "batch"), 3.5, "a whole number"),
        (("train", "batch"), True, "a whole number"),
        (("train", "precision"), "float8", "auto, float32 or bfloat16"),
        (("name",), 5, "text"),
        (("data", "mirror"), 1, "true or false"),
        (("method",), {"is": "gansmith.config.training:Average"}, "Method"),
    ],
)
def test_a_value_of_another_type_in_json_is_refused(
    path: tuple[str, ...], value: object, wanted: str
) -> None:
    tree = to_json(named("dcgan64"))
    place = tree
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(SettingError, match=wanted):
        from_json(tree, Recipe)


def test_a_recipe_of_version_0_1_is_read() -> None:
    for name in ("rpgan8", "wgan-gp28"):
        recipe = override(named(name), "data.standardize=true")
        old = dumps(recipe)
        for before, now in OLD_FIELDS.items():
            old = old.replace(f'"{now}":', f'"{before}":')
        assert '"optimisers":' in old and '"standardise":' in old and '"widest":' in old
        assert from_json(json.loads(old), Recipe) == recipe
        assert dict(flat(with_new_names(json.loads(old)))) == dict(flat(recipe))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("optimisers.generator.lr=0.5", "optimizers.generator.lr=0.5"),
        ("optimisers.generator=SGD(lr=0.5)", "optimizers.generator=SGD(lr=0.5)"),
        ("data.standardise=true", "data.standardize=true"),
        ("method.penalised=0.5", "method.penalized=0.5"),
        ("method.widest=8", "method.max_channels=8"),
    ],
)
def test_settings_of_version_0_1_can_still_be_given(old: str, new: str) -> None:
    assert override(named("rpgan8"), old) == override(named("rpgan8"), new)


def test_a_field_of_ones_own_may_be_called_as_one_of_version_0_1() -> None:
    value = Wide(widest=3)
    assert again(value, Wide) == value
    assert override(value, "widest=4") == Wide(widest=4)
    assert with_new_names(to_json(value)) == to_json(value)
