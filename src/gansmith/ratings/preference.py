"""What people like, learnt from ratings: features of the run's own critic, an ensemble of small heads."""

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.errors import DataError, SettingError, at_least
from gansmith.models.generator import Generator
from gansmith.networks.preference import Preference
from gansmith.networks.preference_file import PreferenceFacts, load_preference, read_facts
from gansmith.ratings.ask import candidates
from gansmith.ratings.store import Rating, Store

LEAST_RATINGS = 30
"""Fewer say nothing that could be held against others."""

_SURE = 0.75  # Training on less went astray where it was tried (docs/methods/prefer.md).
_BATCH = 64
_REFERENCE = 192  # Images besides the rated ones that the features' spread is measured on.
_FOLDS = 5
_STEPS, _RATE = 250, 0.02
_DECAY = 0.02  # Of the heads' weights: L2, in the loss.


@dataclass(frozen=True, eq=False)
class Fit:
    """A preference, and what is known of it.

    Args:
        preference: in eval mode, without gradients of its own weights.
        facts: what ``save_preference`` writes beside it.

    Example:
        >>> fit = fit_preference(generator, store)
        >>> fit.facts.auc
        0.87
    """

    preference: Preference
    facts: PreferenceFacts

    @property
    def says(self) -> str:
        """Its quality in a sentence."""
        least, known = self.facts.least, self.facts.known
        more = f" After so many nothing goes by it below {least:.2f}: rate more, or by a clearer rule."
        if known:
            more = f" Before training on it rate more, until it is {_SURE}." if self.facts.auc < _SURE else ""
        return (
            f"Of two held-out images, one liked and one not, it puts the right one first in "
            f"{100 * self.facts.auc:.0f} % (AUC {self.facts.auc:.2f}; 0.5 is a guess), after "
            f"{self.facts.ratings} ratings.{more}"
        )


def fit_preference(
    generator: Generator,
    store: Store,
    *,
    members: int = 5,
    components: int = 48,
    hidden: int = 16,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Fit:
    """Learn what raters like: logistic loss on thumbs, Bradley and Terry's (1952) on pairs.

    Every rating counts once, so what contradicts itself weighs nothing. Each head has a bootstrap sample of
    its own (weights of a Poisson distribution, by image or pair), so that heads differ where ratings say
    little. The AUC is cross-validated: images are held out with all their ratings.

    Args:
        generator: whose images were rated.
        store: their ratings.
        members, components, hidden: as ``Preference`` says.
        seed: of the folds, the bootstrap and the heads' start; the same seed gives the same preference.
        progress: called with the number of images that were made.

    Raises:
        DataError: fewer than ``LEAST_RATINGS`` ratings, or all thumbs one way and no pairs.
        SettingError: a generator without a critic.

    Example:
        >>> fit = fit_preference(generator, store)
        >>> save_preference(fit.preference, fit.facts, Path("runs/one"))
    """
    at_least(_Numbers(members, components, hidden), 1, "members", "components", "hidden", prefix="")
    ratings = _enough(store)
    preference = _unfitted(generator, members, components, hidden).to(generator.device)
    preference.eval().requires_grad_(False)
    rated = sorted({seed for rating in ratings for seed in (rating.seed, rating.other) if seed is not None})
    others = [seed for seed, _ in zip(candidates(1), range(_REFERENCE), strict=False)]
    with torch.no_grad():
        pooled = _pooled(preference, generator, [*rated, *others], progress)
        center, basis = _principal(pooled, components)
        features = (pooled[: len(rated)] - center) @ basis
    games = _Games.of(ratings, rated)
    auc = _cross_validated(features, games, preference, seed)
    heads = _fitted(features, games, preference, torch.ones(1, len(games.first), dtype=torch.bool), seed)
    with torch.no_grad():
        preference.center.copy_(center)
        preference.basis.copy_(basis)
        for mine, found in zip(_weights(preference), heads, strict=True):
            mine.copy_(found)
    facts = PreferenceFacts(
        generator=str(generator.fingerprint),
        ratings=len(ratings),
        auc=auc,
        digest=preference.fingerprint(),
        members=members,
        components=components,
        hidden=hidden,
    )
    return Fit(preference, facts)


def open_preference(run: Path | str, generator: Generator) -> Preference:
    """The preference that was fitted to a run's ratings, on the generator's device.

    Raises:
        DataError: there is none, it is damaged, or it is of other weights than the generator's.
    """
    path = Path(run)
    facts = read_facts(path)
    if facts is not None and facts.generator != generator.fingerprint:
        raise DataError(
            f"A preference is of the generator whose images were rated. Received: {path}, whose "
            f"preference is of the weights {facts.generator}; the generator has {generator.fingerprint}. "
            f"Rate its images as they are now: gansmith rate {path}, then gansmith rate {path} --fit."
        )
    found = load_preference(path, copy.deepcopy(critic_of(generator)), generator.spec)
    return found.to(generator.device).requires_grad_(False)


def critic_of(generator: Generator) -> nn.Module:
    """The network that judges a generator's images, as a function of images alone.

    A critic of images and conditions is given those that seed 0 draws.

    Raises:
        SettingError: there is none.
    """
    critic = getattr(generator.networks, "discriminator", None)
    if not isinstance(critic, nn.Module):
        raise SettingError(
            "A preference looks at images through the run's own critic. Received: "
            f"{generator.name} ({generator.recipe_name}), which has none. Rate the run of a GAN."
        )
    alone = len(inspect.signature(critic.forward).parameters) == 1  # Of images, whatever the generator takes.
    prompt = None if alone else generator.prompts([0])
    return critic if prompt is None else _Fixed(critic, tuple(prompt))


def _unfitted(generator: Generator, members: int, components: int, hidden: int) -> Preference:
    critic = copy.deepcopy(critic_of(generator))
    try:
        return Preference(critic, generator.spec, members, components, hidden)
    except (RuntimeError, TypeError, IndexError) as problem:  # Of other shapes, or without convolutions.
        raise SettingError(
            "A preference looks at images through the convolutions of the run's own critic. Received: "
            f"{generator.name} ({generator.recipe_name}), whose critic is a {type(critic).__name__} that "
            "does not show them. Rate the run of a convolutional GAN, such as faces, dcgan or stylegan2."
        ) from problem


class _Fixed(nn.Module):
    """A conditional critic under one condition."""

    def __init__(self, critic: nn.Module, columns: Sequence[Tensor]) -> None:
        super().__init__()
        self.critic = critic
        for number, column in enumerate(columns):
            self.register_buffer(f"column{number}", column.clone())
        self._count = len(columns)

    def forward(self, images: Tensor) -> Tensor:
        columns = [getattr(self, f"column{number}") for number in range(self._count)]
        rows = (column.expand(len(images), *column.shape[1:]) for column in columns)
        scores: Tensor = self.critic(images, *rows)
        return scores


@dataclass(frozen=True)
class _Numbers:
    members: int
    components: int
    hidden: int


@dataclass(frozen=True, eq=False)
class _Games:
    """Ratings as games between rows of features: a thumb is a game against nobody.

    ``first`` won or lost against ``second`` (-1 for a thumb); ``unit`` is the image or pair.
    """

    first: Tensor
    second: Tensor
    won: Tensor
    unit: Tensor

    @classmethod
    def of(cls, ratings: Sequence[Rating], seeds: Sequence[int]) -> "_Games":
        row = {seed: place for place, seed in enumerate(seeds)}
        units: dict[frozenset[int | None], int] = {}
        first, second, won, unit = [], [], [], []
        for rating in ratings:
            first.append(row[rating.seed])
            second.append(-1 if rating.other is None else row[rating.other])
            won.append(float(rating.liked))
            unit.append(units.setdefault(frozenset((rating.seed, rating.other)), len(units)))
        return cls(torch.tensor(first), torch.tensor(second), torch.tensor(won), torch.tensor(unit))

    def logits(self, scores: Tensor) -> Tensor:
        """Of each game being won, [members, games], for scores [members, rows]."""
        against = torch.where(self.second >= 0, scores[:, self.second.clamp_min(0)], 0.0)
        return scores[:, self.first] - against

    def touching(self, held: Tensor) -> Tensor:
        """Which games have an image in common with the held-out ones."""
        rows = torch.cat([self.first[held], self.second[held & (self.second >= 0)]])
        return torch.isin(self.first, rows) | torch.isin(self.second, rows)


def _enough(store: Store) -> list[Rating]:
    ratings = store.ratings()
    run = store.path.parent
    if len(ratings) < LEAST_RATINGS:
        older = store.summary().older
        kept = f" ({older} are of images that earlier weights made.)" if older else ""
        raise DataError(
            f"A preference is learnt from {LEAST_RATINGS} ratings or more, better 100 to 300. "
            f"Received: {len(ratings)}.{kept} Rate more: gansmith rate {run}"
        )
    thumbs = {rating.liked for rating in ratings if rating.kind == "thumb"}
    if len(thumbs) == 1 and all(rating.kind == "thumb" for rating in ratings):
        raise DataError(
            "A preference is learnt from what is liked and what is not. Received: "
            f"{len(ratings)} thumbs, all {'up' if thumbs.pop() else 'down'}. Rate pairs, where one is always "
            f"better: gansmith rate {run} --pairs"
        )
    return ratings


def _pooled(
    preference: Preference,
    generator: Generator,
    seeds: Sequence[int],
    progress: Callable[[int], object] | None,
) -> Tensor:
    parts = []
    for at in range(0, len(seeds), _BATCH):
        some = seeds[at : at + _BATCH]
        images = generator.spec.to_network(generator.make(Noise.of(*some)))
        parts.append(preference.pooled(images))
        if progress is not None:
            progress(len(some))
    return torch.cat(parts)


def _principal(pooled: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """Mean of the rows, and the matrix that brings them to so many uncorrelated numbers of variance 1."""
    center = pooled.mean(dim=0)
    # The rows' own products are a smaller matrix than those of the columns.
    values, vectors = torch.linalg.eigh((pooled - center).double() @ (pooled - center).double().T)
    count = min(components, len(pooled) - 1)
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    sizes = values.clamp_min(0.0).sqrt()
    axes = (pooled - center).double().T @ vectors  # Each as long as its size.
    scale = torch.where(sizes > 1e-6 * sizes[0].clamp_min(1e-12), sizes.clamp_min(1e-12) ** -2, 0.0)
    basis = pooled.new_zeros(pooled.shape[1], components)
    basis[:, :count] = (axes * scale * len(pooled) ** 0.5).to(basis.dtype)
    return center, basis


def _weights(preference: Preference) -> tuple[nn.Parameter, ...]:
    return preference.first, preference.first_bias, preference.second, preference.second_bias


def _fitted(features: Tensor, games: _Games, form: Preference, used: Tensor, seed: int) -> list[Tensor]:
    """The weights of heads for each row of ``used``, [rows, games]; each head has a bootstrap sample of them.

    All are fitted side by side, [rows x members, ...], and none sees another.
    """
    random, rows = torch.Generator().manual_seed(seed), len(used)
    heads = [
        torch.randn(weights.shape, generator=random) * (weights.shape[1] ** -0.5)
        if place % 2 == 0
        else torch.zeros(weights.shape)
        for place, weights in enumerate(_weights(form))
    ]
    members, units = len(heads[0]), int(games.unit.max()) + 1
    drawn = torch.poisson(torch.ones(members, units), generator=random)[:, games.unit]
    share = (drawn * used[:, None]).flatten(0, 1).to(features.device)
    share = share / share.sum(dim=1, keepdim=True).clamp_min(1.0)
    heads = [torch.cat([weights] * rows).to(features.device).requires_grad_(True) for weights in heads]
    won = games.won.to(features.device).expand(len(share), -1)
    optimizer = torch.optim.Adam(heads, lr=_RATE)
    with torch.enable_grad():
        for _ in range(_STEPS):
            scores = _scores(features, heads)
            losses = F.binary_cross_entropy_with_logits(games.logits(scores), won, reduction="none")
            size = sum(weights.square().sum() for weights in heads[::2])
            optimizer.zero_grad()
            ((losses * share).sum() + _DECAY * size).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return [weights.detach() for weights in heads]


def _scores(features: Tensor, heads: Sequence[Tensor]) -> Tensor:
    first, first_bias, second, second_bias = heads
    inside = torch.tanh(features @ first + first_bias)
    return (inside * second[:, None]).sum(dim=2) + second_bias[:, None]


def _cross_validated(features: Tensor, games: _Games, form: Preference, seed: int) -> float:
    """AUC of held-out ratings; ties count half.

    A thumb is compared with all thumbs the other way, also of other folds: of few ratings that is surer, and
    heads that saw less of one kind only make it smaller. A pair is compared with itself.
    """
    units = int(games.unit.max()) + 1
    folds = min(_FOLDS, units)
    place = torch.randperm(units, generator=torch.Generator().manual_seed(seed))
    held = (place % folds)[games.unit] == torch.arange(folds)[:, None]
    used = torch.stack([~games.touching(fold) for fold in held])
    heads = _fitted(features, games, form, used, seed)
    logits = games.logits(_scores(features, heads)).view(folds, -1, len(games.first)).mean(dim=1).cpu()
    told = (logits * held).sum(dim=0)  # Each game by the heads that did not see it.
    thumbs = games.second < 0
    liked, not_liked = told[thumbs & (games.won == 1)], told[thumbs & (games.won == 0)]
    right = compared = 0.0
    if len(liked) and len(not_liked):
        compared = float(thumbs.sum())
        right = compared * float(((liked[:, None] - not_liked).sign() + 1).mean()) / 2
    if not bool(thumbs.all()):
        signed = told[~thumbs] * (2 * games.won[~thumbs] - 1)
        right += float((signed.sign() + 1).sum()) / 2
        compared += len(signed)
    return right / compared if compared else 0.5
