"""What is learnt from ratings, what is asked next, and what is refused."""

import dataclasses
import itertools
import math
from pathlib import Path

import pytest
import torch
from helpers import generator_of
from rated import colours, rated_generator

from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.errors import DataError, SettingError
from gansmith.models.generator import from_method
from gansmith.networks.preference import Preference
from gansmith.networks.preference_file import PreferenceFacts, save_preference
from gansmith.ratings.ask import Asker, candidates, logits_of
from gansmith.ratings.preference import Fit, _Games, _principal, critic_of, fit_preference, open_preference
from gansmith.ratings.simulated import Simulated, brightness, redness
from gansmith.ratings.store import Rating, Store
from gansmith.recipes import named

GENERATOR = rated_generator()
FRESH = tuple(itertools.islice(candidates(5), 256))


def store_at(folder: Path) -> Store:
    return Store(folder / "ratings.sqlite", str(GENERATOR.fingerprint), "0" * 16, "one")


def auc_on_fresh_images(fit: Fit) -> float:
    images = GENERATOR.make(Noise.of(*FRESH))
    mean, liked = fit.preference(images)[0], redness(images) > 0
    apart = mean[liked][:, None] - mean[~liked]
    return float((apart > 0).float().mean())


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Fit]:
    store = store_at(tmp_path_factory.mktemp("rated"))
    Simulated(redness, name="Ada").rate(GENERATOR, store, 100)
    return store, fit_preference(GENERATOR, store)


def test_features_are_uncorrelated_and_of_variance_one() -> None:
    rows = Noise.of(*range(40)).normal(12) @ torch.diag(torch.arange(12) / 4.0)  # The first column is zero.
    center, basis = _principal(rows, 16)
    features = (rows - center) @ basis
    expected = torch.diag(torch.tensor([1.0] * 11 + [0.0] * 5))
    torch.testing.assert_close(features.T @ features / len(rows), expected, atol=1e-4, rtol=0)


def test_a_pair_is_won_by_the_difference_of_scores() -> None:
    thumb, pair = Rating("thumb", 7, None, True, "Ada", 0.0), Rating("pair", 9, 8, False, "Ada", 0.0)
    games = _Games.of([thumb, pair, dataclasses.replace(pair, seed=8, other=9)], [7, 8, 9])
    scores = torch.tensor([[1.0, 2.0, 5.0], [0.0, -1.0, 1.0]])
    assert games.logits(scores).tolist() == [[1.0, 3.0, -3.0], [0.0, 2.0, -2.0]]
    assert games.won.tolist() == [1.0, 0.0, 0.0]
    assert games.unit.tolist() == [0, 1, 1]
    assert games.touching(games.unit == 0).tolist() == [True, False, False]


def test_a_known_taste_is_learnt_from_thumbs(fitted: tuple[Store, Fit]) -> None:
    store, fit = fitted
    assert fit.facts.auc > 0.9 and fit.facts.ratings == 100 and "AUC 0.9" in fit.says
    assert auc_on_fresh_images(fit) > 0.9
    again = fit_preference(GENERATOR, store)
    assert again.facts == fit.facts
    assert fit_preference(GENERATOR, store, seed=1).facts.digest != fit.facts.digest


def test_a_known_taste_is_learnt_from_pairs(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    Simulated(redness).rate(GENERATOR, store, 80, pairs=True)
    fit = fit_preference(GENERATOR, store)
    assert fit.facts.auc > 0.8 and auc_on_fresh_images(fit) > 0.9


def test_answers_at_random_teach_nothing(tmp_path: Path) -> None:
    aucs = []
    for seed in range(2):
        (tmp_path / str(seed)).mkdir()
        store = store_at(tmp_path / str(seed))
        Simulated(redness, noise=1.0, seed=seed).rate(GENERATOR, store, 100)
        fit = fit_preference(GENERATOR, store)
        aucs.append(fit.facts.auc)
    assert max(aucs) < fit.facts.least and "nothing goes by it" in fit.says


def test_what_contradicts_itself_weighs_nothing(fitted: tuple[Store, Fit], tmp_path: Path) -> None:
    store, clear = fitted
    both = store_at(tmp_path)
    turned = [dataclasses.replace(each, liked=not each.liked, rater="Bob") for each in store.ratings()]
    both.add([*store.ratings(), *turned])
    assert both.summary().disputed == 100
    fit = fit_preference(GENERATOR, both)
    images = GENERATOR.make(Noise.of(*FRESH))
    assert float(fit.preference(images)[0].abs().max()) < 0.05 * float(
        clear.preference(images)[0].abs().max()
    )


def test_the_lower_bound_has_slopes_and_no_image_sees_another(fitted: tuple[Store, Fit]) -> None:
    look = fitted[1].preference
    images = GENERATOR.make(Noise.of(1, 2, 3)).clone().requires_grad_(True)
    bound = look.lower_bound(images)
    mean, std = look(images)
    torch.testing.assert_close(bound, mean - std)
    assert bool((std > 0).all())
    slopes = torch.autograd.grad(bound[1], images)[0].abs().flatten(1).sum(dim=1)
    assert float(slopes[1]) > 0 and slopes[[0, 2]].tolist() == [0.0, 0.0]
    torch.testing.assert_close(look.lower_bound(images[1:2])[0], bound[1])


def test_what_was_learnt_is_kept_in_the_run(fitted: tuple[Store, Fit], tmp_path: Path) -> None:
    fit = fitted[1]
    with pytest.raises(DataError, match="learnt of ratings first"):
        open_preference(tmp_path, GENERATOR)
    save_preference(fit.preference, fit.facts, tmp_path)
    images = GENERATOR.make(Noise.of(1, 2, 3))
    assert torch.equal(open_preference(tmp_path, GENERATOR)(images)[0], fit.preference(images)[0])
    with pytest.raises(DataError, match="Rate its images as they are now"):
        open_preference(tmp_path, rated_generator(seed=1))


def test_few_ratings_must_say_more_than_many() -> None:
    facts = PreferenceFacts(generator="a", ratings=1000, auc=0.65, digest="b")
    assert facts.known
    few = dataclasses.replace(facts, ratings=200)
    assert few.least == pytest.approx(0.675, abs=0.005) and not few.known
    with pytest.raises(SettingError, match=r"0\.67 or more.*Received: 0\.65"):
        few.check_known("runs/one")
    lucky = dataclasses.replace(few, auc=0.61)  # What a rater by coin came to, of five.
    assert not lucky.known and dataclasses.replace(few, auc=0.7).known


@pytest.mark.parametrize("ratings", [30, 60, 200, 1000])
def test_the_least_auc_is_surely_above_a_guess(ratings: int) -> None:
    auc = PreferenceFacts(generator="a", ratings=ratings, auc=0.5, digest="b").least
    half = ratings / 2  # Hanley and McNeil (1982), as many liked as not.
    first, second = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    both = (half - 1) * (first - auc**2 + second - auc**2)
    error = math.sqrt((auc * (1 - auc) + both) / half**2)
    assert auc - 1.96 * error == pytest.approx(0.6, abs=0.01)


def test_too_few_or_one_sided_ratings_are_refused(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    with pytest.raises(DataError, match=r"Received: 0\. Rate more: gansmith rate"):
        fit_preference(GENERATOR, store)
    store.add([Rating("thumb", seed, None, True, "Ada", 0.0) for seed in range(35)])
    with pytest.raises(DataError, match=r"all up\. Rate pairs"):
        fit_preference(GENERATOR, store)
    store.add([Rating("pair", 1, 2, True, "Ada", 0.0)])
    assert fit_preference(GENERATOR, store).facts.ratings == 36


def test_a_generator_without_a_critic_is_refused() -> None:
    bare = generator_of(lambda noise: noise.normal(6), colours, DataSpec(16, 16))
    with pytest.raises(SettingError, match="the run's own critic"):
        critic_of(bare)


def test_a_critic_without_convolutions_is_refused(fitted: tuple[Store, Fit]) -> None:
    other = rated_generator()
    other.networks.discriminator = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 1))
    with pytest.raises(SettingError, match="whose critic is a Sequential"):
        fit_preference(other, fitted[0])


@pytest.mark.parametrize("recipe", ["cdcgan32", "acgan32"])
def test_a_conditional_critic_judges_under_one_condition(recipe: str) -> None:
    spec = DataSpec(16, 16, class_names=("a", "b"))
    method = named(recipe).method.tiny()
    generator = from_method(method, method.build(spec), spec, name="toy", recipe_name=recipe)
    generator = dataclasses.replace(generator, table={"labels": torch.tensor([0, 1, 1])})
    mean, _ = Preference(critic_of(generator), spec)(GENERATOR.make(Noise.of(1, 2, 3)))
    assert mean.shape == (3,)


# ---- asking ---------------------------------------------------------------------------------------------


def test_raters_begin_with_the_same_images_and_never_see_one_twice(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    asker, first = Asker(GENERATOR, store), list(itertools.islice(candidates(0), 6))
    assert asker.thumbs(4, "Ada") == asker.thumbs(4, "Bob") == first[:4]
    assert asker.pairs(3) == list(zip(first[::2], first[1::2], strict=True))
    store.thumb(first[0], True, "Ada")
    store.pair(first[1], first[0], winner=first[0], rater="Ada")
    assert asker.thumbs(4, "Ada") == first[1:5] and asker.thumbs(4, "Bob") == first[:4]
    assert asker.pairs(1, "Ada") == [(first[2], first[3])] and asker.pairs(1, "Bob") == [(first[0], first[1])]
    assert Asker(GENERATOR, store, seed=1).thumbs(4) != first[:4]
    for wrong in ({"pool": 1}, {"start": -1}):
        with pytest.raises(SettingError):
            Asker(GENERATOR, store, **wrong)


def test_then_the_least_sure_ones_are_asked(fitted: tuple[Store, Fit], tmp_path: Path) -> None:
    store, fit = fitted
    asker = Asker(GENERATOR, store, fit.preference, pool=64)
    asked = asker.thumbs(5, "Ada")
    assert asked == Asker(GENERATOR, store, fit.preference, pool=64).thumbs(5, "Ada")
    rated = {each.seed for each in store.thumbs()}
    assert rated.isdisjoint(asked)
    pool = [seed for seed in itertools.islice(candidates(0), 164) if seed not in rated]
    logits = logits_of(GENERATOR, fit.preference, pool)
    sure = logits.mean(dim=0).abs() / logits.std(dim=0, correction=0)
    assert {pool[place] for place in sure.argsort()[:5]} == set(asked)
    assert asker.thumbs(5, "Bob") == list(itertools.islice(candidates(0), 5))  # Who has not begun, begins.
    paired = dataclasses.replace(asker, start=0)
    pairs = paired.pairs(6, "Ada")
    assert len({seed for pair in pairs for seed in pair}) == 12
    one, other = (logits_of(GENERATOR, fit.preference, side) for side in zip(*pairs, strict=True))
    gaps = (one - other).mean(dim=0).abs() / (one - other).std(dim=0, correction=0)
    assert float(gaps.max()) < float(sure.median())


# ---- simulated raters -----------------------------------------------------------------------------------


def test_simulated_raters_like_what_they_say(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    Simulated(brightness, threshold=0.1, name="Ada").rate(GENERATOR, store, 30)
    Simulated(brightness, name="Bob").rate(GENERATOR, store, 30, pairs=True)
    Simulated(brightness, noise=1.0, name="Cy").rate(GENERATOR, store, 30)
    bright = {
        seed: float(brightness(GENERATOR.make(Noise.of(seed))))
        for seed in {seed for each in store.ratings() for seed in (each.seed, each.other) if seed is not None}
    }
    assert all(each.liked == (bright[each.seed] > 0.1) for each in store.thumbs("Ada"))
    assert all(each.liked == (bright[each.seed] > bright[each.other]) for each in store.pairs("Bob"))
    wrong = sum(each.liked != (bright[each.seed] > 0.0) for each in store.thumbs("Cy"))
    assert 6 < wrong < 24
    with pytest.raises(SettingError, match="from 0 to 1"):
        Simulated(brightness, noise=1.5)
