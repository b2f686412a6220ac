"""Illnesses planted as rows of numbers, healthy rows, and alarms that come once."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from gansmith.runs.logs import Alarm
from gansmith.training.health import monitor
from gansmith.training.health.monitor import HealthMonitor

TOTAL, EVERY, LOOK = 10_000, 100, 500  # Images, images between rows, images between looks at pictures.
SETTINGS: Mapping[str, Any] = {
    "optimizers.discriminator.lr": 4e-4,
    "optimizers.generator.lr": 2e-4,
    "method.gamma": 0.1,
    "data.mirror": False,
    "data.augment.crop": 1.0,
}


def row(images: int, **more: float) -> dict[str, float]:
    """A healthy row; looks at pictures come with their interval."""
    numbers = {
        "images": float(images),
        "seconds": images / 50,
        "discriminator/loss": 1.0,
        "discriminator/D(x)": 0.7,
        "discriminator/D(G(z))": 0.3,
        "discriminator/gradient": 2.0,
        "generator/loss": 1.5,
        "generator/D(G(z))": 0.2,
        "generator/gradient": 4.0,
    }
    if images % LOOK == 0:
        numbers |= {"health/spread": 0.9, "health/overfitting": 0.1}
    named = {name.replace("__", "/").replace("_x", "(x)"): value for name, value in more.items()}
    return numbers | named


def rows(start: int = EVERY, stop: int = TOTAL, **more: float) -> list[dict[str, float]]:
    """Rows from ``start`` to ``stop``; numbers about pictures only where there is a look."""
    made = []
    for images in range(start, stop + 1, EVERY):
        looks = images % LOOK == 0
        made.append(row(images, **{n: v for n, v in more.items() if looks or not n.startswith("health")}))
    return made


def fed(watch: HealthMonitor, some: Iterable[Mapping[str, float]]) -> list[tuple[int, Alarm]]:
    """All alarms, with the images of their row."""
    return [(int(one["images"]), alarm) for one in some for alarm in watch.look(one)]


def names(alarms: Iterable[tuple[int, Alarm]]) -> list[str]:
    return [alarm.name for _, alarm in alarms]


def watch(settings: Mapping[str, Any] | None = None) -> HealthMonitor:
    return HealthMonitor(TOTAL, LOOK, SETTINGS if settings is None else settings)


SATURATED: dict[str, Any] = {"discriminator__D_x": 0.995, "generator__D(G(z))": 1e-4}
VANISHED: dict[str, Any] = {"generator__gradient": 1e-5}
COLLAPSED: dict[str, Any] = {"health__spread": 0.02}
OVERFITTED: dict[str, Any] = {"health__overfitting": 0.9}
LASTING = {
    "saturated": SATURATED,
    "vanished": VANISHED,
    "collapse": COLLAPSED,
    "overfitting": OVERFITTED,
}


# ---- health ---------------------------------------------------------------------------------------------


def test_healthy_rows_give_no_alarm() -> None:
    assert fed(watch(), rows()) == []


def test_rows_without_anything_to_judge_give_no_alarm() -> None:
    assert fed(watch(), [{"images": float(n)} for n in range(100)]) == []


def test_a_wasserstein_critic_that_separates_perfectly_is_healthy() -> None:
    some = [
        {
            "images": n,
            "critic/loss": -1e3,
            "critic/distance": 1e3,
            "critic/gradient": 30.0,
            "generator/loss": 1e3,
        }
        for n in range(0, TOTAL, EVERY)
    ]
    assert fed(watch(), some) == []


@pytest.mark.parametrize("growth", [1.2, 1.15])
def test_a_generator_that_starts_grey_and_grows_is_healthy(growth: float) -> None:
    """Slow or fast, the spread is low for long, but higher with each tenth of the run."""
    some = rows()
    for one in some:
        if "health/spread" in one:
            one["health/spread"] = min(0.01 * growth ** (one["images"] / 1000), 0.9)
    assert some[59]["health/spread"] < monitor.COLLAPSED and some[59]["images"] > monitor.GREY * TOTAL
    assert fed(watch(), some) == []


@pytest.mark.parametrize(
    "spreads",
    [
        (0.073, 0.073, 0.073, 0.067, 0.062, 0.063, 0.069, 0.084, 0.107, 0.130, 0.158, 0.185),
        (0.080, 0.072, 0.069, 0.076, 0.094, 0.125, 0.159, 0.187, 0.207),
    ],
)
def test_a_rest_before_the_spread_grows_is_healthy(spreads: tuple[float, ...]) -> None:
    """Of DCGANs on drawn faces that came out well."""
    some = rows()
    looks = [one for one in some if "health/spread" in one and one["images"] > monitor.GREY * TOTAL]
    for one, value in zip(looks, [*spreads, *[0.2] * len(looks)], strict=False):
        one["health/spread"] = value
    for one in some:
        if "health/spread" in one and one["images"] <= monitor.GREY * TOTAL:
            one["health/spread"] = spreads[0]
    assert fed(watch(), some) == []


def test_a_fall_far_below_its_own_best_is_a_collapse() -> None:
    low = {"health__spread": 0.12}
    assert names(fed(watch(), [*rows(stop=3000), *rows(3100, **low)])) == ["collapse"]


def test_a_generator_that_shows_few_pictures_to_a_judge_that_has_won_gets_one_advice() -> None:
    ill = fed(watch(), rows(**SATURATED, **COLLAPSED))
    words = {alarm.name: alarm.message for _, alarm in ill}
    assert "cure that first" in words["collapse"]


def test_a_judge_that_wins_for_a_while_is_healthy() -> None:
    """Real runs are this sure for a quarter of their time."""
    sure = {"discriminator__D_x": 0.945, "generator__D(G(z))": 0.0006}
    assert fed(watch(), [*rows(stop=2700, **sure), *rows(2800)]) == []


def test_a_judge_that_is_certain_at_the_start_is_healthy() -> None:
    """A grey generator is no match for anybody: it takes its time."""
    assert fed(watch(), [*rows(stop=2800, **SATURATED), *rows(2900)]) == []


@pytest.mark.parametrize("name", LASTING)
def test_one_odd_row_is_no_illness(name: str) -> None:
    some = [*rows(stop=4900), row(5000, **LASTING[name]), *rows(5100)]
    assert fed(watch(), some) == []


# ---- illnesses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["generator__loss", "discriminator__gradient", "health__spread"])
def test_what_is_no_number_is_told_at_once(name: str, value: float) -> None:
    found = fed(watch(), [*rows(stop=4900), row(5000, **{name: value})])
    assert [(at, alarm.name) for at, alarm in found] == [(5000, "not_a_number")]
    assert f"{name.replace('__', '/')} became {value} by image 5,000" in found[0][1].message


def test_a_row_that_is_no_number_does_not_spoil_the_rest() -> None:
    some = [*rows(stop=1900), row(2000, generator__gradient=math.nan), *rows(2100)]
    assert names(fed(watch(), some)) == ["not_a_number"]


@pytest.mark.parametrize("name", LASTING)
def test_each_illness_is_told_once_and_once_only(name: str) -> None:
    found = fed(watch(), [*rows(stop=3000), *rows(3100, **LASTING[name])])
    assert names(found) == [name]
    assert 3000 < found[0][0] <= 5000  # A matter of a tenth of the run and of three looks.


def test_saturation_takes_a_tenth_of_the_run() -> None:
    found = fed(watch(), [*rows(stop=3000), *rows(3100, **SATURATED)])
    assert found[0][0] == 3000 + monitor.CERTAIN_SHARE * TOTAL
    assert "D(x) 0.995, D(G(z)) 0.0001" in found[0][1].message
    assert "--set optimizers.discriminator.lr=0.0002 (half)" in found[0][1].message
    assert "--set method.gamma=0.2 (double)" in found[0][1].message


def test_a_judge_that_wins_without_certainty_is_told_later() -> None:
    sure = {"discriminator__D_x": 0.945, "generator__D(G(z))": 0.0006}
    found = fed(watch(), [*rows(stop=3000), *rows(3100, **sure)])
    assert [(at, alarm.name) for at, alarm in found] == [(7000, "saturated")]


def test_either_kind_of_winning_is_one_illness() -> None:
    assert names(fed(watch(), rows(**SATURATED))) == ["saturated"]


def test_a_long_run_is_not_waited_for() -> None:
    total = 100 * monitor.LONGEST
    some = [row(n, **SATURATED) for n in range(LOOK, 3 * monitor.LONGEST, LOOK)]
    found = fed(HealthMonitor(total, LOOK), some)
    grown = monitor.LONGEST - LOOK  # A row speaks of the time since the one before.
    assert [at for at, alarm in found if alarm.name == "saturated"] == [grown + monitor.LONGEST]


def test_a_gradient_of_exactly_0_is_told_without_a_history() -> None:
    found = fed(watch(), rows(generator__gradient=0.0))
    assert [(at, alarm.name) for at, alarm in found] == [(500, "vanished")]
    assert "its norm is 0, so" in found[0][1].message


def test_a_vanished_gradient_is_held_against_its_own_history() -> None:
    found = fed(watch(), [*rows(stop=3000), *rows(3100, **VANISHED)])
    assert [(at, alarm.name) for at, alarm in found] == [(3500, "vanished")]
    assert (
        "The gradient of the generator has vanished: its norm is 1e-05, where 4 is usual"
        in found[0][1].message
    )
    small = [one | {"generator/gradient": 4e-9} for one in rows()]
    assert fed(watch(), small) == []  # WGAN's are small by nature.


def test_a_turn_that_is_played_now_and_then_has_a_history_of_its_own() -> None:
    lazy = [
        one | ({"r1/gradient": 50.0 if one["images"] < 5000 else 0.0} if one["images"] % 400 == 0 else {})
        for one in rows()
    ]
    found = fed(watch(), lazy)
    assert [(at, alarm.name) for at, alarm in found] == [(6000, "vanished")]
    assert "gradient of the r1" in found[0][1].message


def test_a_collapse_from_full_spread() -> None:
    found = fed(watch(), [*rows(stop=3000), *rows(3100, **COLLAPSED)])
    assert [(at, alarm.name) for at, alarm in found] == [(4500, "collapse")]  # Three looks.
    assert "their spread is 0.02 of that of real pictures" in found[0][1].message


def test_a_spread_that_stays_low_is_a_collapse_however_it_wavers() -> None:
    some = rows()
    for one in some:
        if "health/spread" in one:
            one["health/spread"] = 0.02 + 0.004 * (one["images"] // LOOK % 2)
    assert names(fed(watch(), some)) == ["collapse"]


def test_a_generator_that_never_spreads_is_told_after_the_first_part() -> None:
    found = fed(watch(), rows(**COLLAPSED))
    assert names(found) == ["collapse"]
    assert monitor.GREY * TOTAL < found[0][0] <= 2 * monitor.GREY * TOTAL


def test_overfitting_takes_three_looks() -> None:
    found = fed(watch(), [*rows(stop=3000), *rows(3100, **OVERFITTED)])
    assert [(at, alarm.name) for at, alarm in found] == [(4500, "overfitting")]
    assert "held-out pictures score 90% of the way" in found[0][1].message
    assert "--set data.mirror=true, or --set data.augment.crop=0.9" in found[0][1].message


def test_illnesses_are_told_side_by_side() -> None:
    found = fed(watch(), [*rows(stop=3000), *rows(3100, **SATURATED, **VANISHED, **COLLAPSED, **OVERFITTED)])
    assert sorted(names(found)) == sorted(LASTING)


# ---- going and coming back --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LASTING)
def test_an_illness_that_went_and_comes_back_is_told_again(name: str) -> None:
    some = [
        *rows(stop=3000),
        *rows(3100, 5000, **LASTING[name]),
        *rows(5100, 7500),
        *rows(7600, **LASTING[name]),
    ]
    assert names(fed(watch(), some)) == [name, name]


def test_what_is_no_number_is_told_again_after_numbers() -> None:
    bad = {"generator__loss": math.nan}
    some = [row(100), row(200, **bad), row(300, **bad), row(400), row(500, **bad)]
    assert [at for at, _ in fed(watch(), some)] == [200, 500]


@pytest.mark.parametrize(
    ("name", "between"),
    [
        ("saturated", {"discriminator__D_x": 0.9, "generator__D(G(z))": 0.02}),
        ("vanished", {"generator__gradient": 0.02}),
        ("collapse", {"health__spread": 0.2}),
        ("overfitting", {"health__overfitting": 0.5}),
    ],
)
def test_half_a_recovery_is_none(name: str, between: dict[str, float]) -> None:
    ill = LASTING[name]
    some = [*rows(stop=3000), *rows(3100, 5000, **ill), *rows(5100, 7500, **between), *rows(7600, **ill)]
    assert names(fed(watch(), some)) == [name]


@pytest.mark.parametrize("name", LASTING)
def test_an_illness_that_flickers_is_told_once(name: str) -> None:
    """One well look in three is no recovery."""
    some = rows(stop=3000)
    for images in range(3100, TOTAL + 1, EVERY):
        place = images // (LOOK if name in ("collapse", "overfitting") else EVERY)
        well = images > 5000 and place % 3 == 0
        some.append(rows(images, images, **({} if well else LASTING[name]))[0])
    assert names(fed(watch(), some)) == [name]


# ---- resuming -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LASTING)
@pytest.mark.parametrize("stop", [3300, 4400, 6000])
def test_a_resumed_run_stands_where_it_stood(name: str, stop: int) -> None:
    every = [*rows(stop=3000), *rows(3100, **LASTING[name])]
    straight = fed(watch(), every)
    resumed = watch()
    before = fed(resumed, [one for one in every if one["images"] <= stop])
    after = fed(resumed, [one for one in every if one["images"] > stop])
    assert before + after == straight
    again = watch()
    fed(again, [one for one in every if one["images"] <= stop])
    assert fed(again, [one for one in every if one["images"] > stop]) == after


@pytest.mark.parametrize("name", LASTING)
def test_rows_may_go_back_in_time(name: str) -> None:
    """After a roll back the same positions come again; nothing is told twice, and nothing is missed."""
    some = [*rows(stop=3000), *rows(3100, 5000, **LASTING[name]), *rows(4100, **LASTING[name])]
    assert names(fed(watch(), some)) == [name]
    assert fed(watch(), [*rows(stop=5000), *rows(2000)]) == []


# ---- advice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*LASTING, "not_a_number"])
@pytest.mark.parametrize("settings", [{}, SETTINGS])
def test_an_alarm_is_short_and_ends_with_what_to_try(name: str, settings: dict[str, Any]) -> None:
    ill = LASTING.get(name, {"generator__loss": math.nan})
    (_, alarm), *_ = fed(watch(settings), [*rows(stop=3000), *rows(3100, **ill)])
    assert alarm.name == name and "\n" not in alarm.message and len(alarm.message) < 480
    assert "Usually" in alarm.message and "Try a new --run with " in alarm.message
    assert alarm.message.endswith(".")


def test_advice_names_only_settings_there_are() -> None:
    settings = {"optimizers.critic.lr": 1e-4, "optimizers.generator.lr": 1e-4, "data.mirror": True}
    some = [
        {"images": float(n), "critic/gradient": 2.0, "generator/gradient": 0.0, "health/overfitting": 1.0}
        for n in range(EVERY, TOTAL, LOOK)
    ]
    told = {alarm.name: alarm.message for _, alarm in fed(watch(settings), some)}
    assert "--set optimizers.critic.lr=5e-05 (half)." in told["vanished"]
    assert "generator.lr" not in told["vanished"] and "method." not in told["vanished"]
    assert told["overfitting"].endswith("Try a new --run with more pictures, or keep an earlier checkpoint.")


def test_without_settings_advice_is_general() -> None:
    (_, alarm), *_ = fed(watch({}), rows(**SATURATED))
    assert alarm.message.endswith("Try a new --run with smaller learning rates.")


def test_not_a_number_names_the_player_whose_turn_it_was() -> None:
    (_, alarm), *_ = fed(watch(), [row(100, generator__loss=math.nan)])
    assert "--set optimizers.generator.lr=0.0001 (half)" in alarm.message
    assert "discriminator" not in alarm.message


def test_a_penalty_that_is_off_is_not_doubled() -> None:
    (_, alarm), *_ = fed(watch({**SETTINGS, "method.gamma": 0.0}), rows(**SATURATED))
    assert "gamma" not in alarm.message
