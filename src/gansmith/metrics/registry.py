"""What can be asked of two sets of pictures: each metric by name, what it needs, and what it means."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from gansmith.core.tensors import BytePictures
from gansmith.errors import DataError, SettingError, nearest
from gansmith.metrics.features.base import FeatureNetwork
from gansmith.metrics.image_sets import PictureSet
from gansmith.metrics.math.resampling import mean_value
from gansmith.metrics.math.values import Result, Value
from gansmith.metrics.scores.critic_auc import critic_auc, roc
from gansmith.metrics.scores.fid import fid, fid_infinity
from gansmith.metrics.scores.inception_score import inception_score
from gansmith.metrics.scores.kid import SUBSET_SIZE, kid
from gansmith.metrics.scores.laplacian import Patches
from gansmith.metrics.scores.lpips import FeatureDistance, open_lpips
from gansmith.metrics.scores.memorization import Memorization, memorization
from gansmith.metrics.scores.mode_count import modes
from gansmith.metrics.scores.paired import each_lpips, each_psnr, each_ssim, psnr_value
from gansmith.metrics.scores.pixels import ms_ssim, swd
from gansmith.metrics.scores.ppl import ppl
from gansmith.metrics.scores.prd import prd
from gansmith.metrics.scores.prdc import neighbours
from gansmith.metrics.statistics import Statistics
from gansmith.models.generator import Generator

_PAIRS = 64  # Pictures compared at a time.
_PATHS = 2000  # That ppl walks along, at most.

MEANINGS = {
    "fid": "distance of mean and spread of features from the real ones; 0 is equal, smaller is better",
    "fid_infinity": "the fid that infinitely many pictures would show; comparable between sample counts",
    "kid": "distance of features by a kernel, free of bias; around 0 is equal, smaller is better",
    "is": "how surely and how variously the pictures are classified; from 1 up, larger is better",
    "precision": "share of generated pictures that lie among real ones; 1 is all, larger is better",
    "recall": "share of real pictures that lie among generated ones; 1 is all, larger is better",
    "density": "how densely real pictures lie around generated ones; around 1 is as among real ones",
    "coverage": "share of real pictures that have a generated one as a neighbour; 1 is all",
    "prd_f_1_8": "quality, by the precision-recall curve; 1 is best",
    "prd_f_8": "variety, by the precision-recall curve; 1 is best",
    "copying_z": "below -3 the pictures are nearer to training pictures than held-out ones are: copies",
    "copying_ratio": "median distance to training pictures, over that of held-out ones; near 1 is honest",
    "swd": "distance of patches at all levels of detail, x 1000; smaller is better, never quite 0",
    "ms_ssim": "how alike the pictures are to each other; compare with real ones, larger is less variety",
    "ppl": "how far pictures move for a small step in the latent; smaller is smoother",
    "accuracy": "how well the run's own critic tells real from generated; 0.5 is chance",
    "auc": "chance that the critic puts a real picture above a generated one; 0.5 is chance",
    "psnr": "likeness of pairs in decibels; larger is better",
    "ssim": "likeness of structure of pairs; 1 is equal",
    "lpips": "perceptual distance of pairs; 0 is equal",
    "repeated": "share of generated pictures that look like another generated one; 0 is best",
    "modes": "of the 1,000 stacks of three digits, how many are made at all",
    "modes_kl": "how unevenly they are made, in nats; 0 is evenly, smaller is better",
}
"""What each number means, in plain words."""


_WITHOUT_CLASSES = frozenset(("pixels", "face", "dino", "clip", "vgg"))
_NO_CLASSES = (
    "The Inception score needs a network that tells classes apart. Use --features inception, or leave is out."
)
_NEEDS = {
    "ppl": "ppl walks through a model's latents. Received: pictures as A. Give a run.",
    "critic_auc": (
        "critic_auc asks a run's own critic about its pictures and held-out ones. Give a run as A, and the "
        "data it was trained on as B."
    ),
    "memorization": (
        "Memorization compares with training pictures and held-out ones. Give the data a run was trained on "
        "as B: pictures, not saved statistics."
    ),
}


@dataclass(frozen=True, eq=False)
class ExtraInputs:
    """What some metrics need besides two sets of pictures."""

    parts: tuple[PictureSet, PictureSet] | None = None  # Training and held-out ones, for memorization.
    generator: Generator | None = None  # For ppl.
    scores: tuple[Tensor, Tensor] | None = None  # Of made and of held-out pictures, for critic_auc.


@dataclass(frozen=True)
class Metric:
    """How numbers are made of the features of two sets."""

    compute: Callable[["Inputs"], Result]
    features: bool = True  # Whether all features are needed, and not their moments alone.
    network: bool = True  # Whether the feature network is asked at all.


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a metric may look at."""

    fake: Statistics
    real: Statistics
    patches: tuple[Patches, ...] = ()  # Of made and of real pictures.
    pictures: BytePictures | None = None  # Some of the made ones.
    pairs: tuple[PictureSet, PictureSet] | None = None  # Both sets, where neither is saved statistics.
    network: FeatureNetwork | None = None
    extra: ExtraInputs = field(default_factory=ExtraInputs)
    parts: tuple[Statistics, ...] = ()  # Of training and held-out pictures.
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    found: list[Memorization] = field(default_factory=list)
    classes: Tensor | None = None  # Of the generated pictures, as stacks of three digits.

    def rows(self) -> tuple[Tensor, Tensor]:
        """The features of both sets.

        Raises:
            DataError: only moments were saved of one.
        """
        for side in (self.fake, self.real):
            if side.features is None:
                raise DataError(
                    f"This metric needs the features of every picture, and {side.name} holds only their "
                    "mean and covariance. Give the pictures themselves, or ask for fid alone."
                )
        assert self.fake.features is not None and self.real.features is not None
        return self.fake.features, self.real.features


def _score(inputs: Inputs) -> Result:
    if inputs.fake.logits is None:
        raise DataError(_NO_CLASSES)
    return inception_score(inputs.fake.logits)


def _kernel(inputs: Inputs) -> Result:
    found = dict(kid(*inputs.rows()))
    if min(inputs.fake.count, inputs.real.count) <= SUBSET_SIZE:  # All subsets are the whole set.
        del found["kid_std"]
    return found


def _neighbours(*names: str) -> Callable[[Inputs], Result]:
    def compute(inputs: Inputs) -> Result:
        found = neighbours(*inputs.rows())
        return {name: found[name] for name in names}

    return compute


def _curve(inputs: Inputs) -> Result:
    found = prd(*inputs.rows())
    points = zip(found.curve.precision.tolist(), found.curve.recall.tolist(), strict=True)
    inputs.curves["prd"] = list(points)
    return found.values


def _wasserstein(inputs: Inputs) -> Result:
    if len(inputs.patches) != 2:
        raise DataError("swd looks at pictures. Received: saved statistics. Give the pictures themselves.")
    return swd(*inputs.patches)


def _diversity(inputs: Inputs) -> Result:
    if inputs.pictures is None:
        raise DataError("ms_ssim looks at pictures. Received: saved statistics. Give the pictures.")
    return {"ms_ssim": ms_ssim(inputs.pictures)}


def _path_length(inputs: Inputs) -> Result:
    generator = inputs.extra.generator
    if generator is None:
        raise SettingError(_NEEDS["ppl"])
    assert inputs.network is not None
    return {"ppl": ppl(generator, FeatureDistance(inputs.network), samples=min(inputs.fake.count, _PATHS))}


def _critic_auc(inputs: Inputs) -> Result:
    scores = inputs.extra.scores
    if scores is None:
        raise SettingError(_NEEDS["critic_auc"])
    found = roc(*scores)
    points = zip(found.false_positive.tolist(), found.true_positive.tolist(), strict=True)
    inputs.curves["roc"] = list(points)
    return critic_auc(*scores)


def _paired(name: str) -> Callable[[Inputs], Result]:
    def compute(inputs: Inputs) -> Result:
        if inputs.pairs is None:
            raise DataError(f"{name} looks at pictures. Received: saved statistics. Give the pictures.")
        fake, real = inputs.pairs
        if len(fake) != len(real):
            raise DataError(
                f"{name} compares the first picture of A with the first of B, and so on. Received: "
                f"{len(fake)} and {len(real)} pictures. Give two folders with the same file names."
            )
        return {name: _pair_scores(name, fake, real)}

    return compute


def _pair_scores(name: str, fake: PictureSet, real: PictureSet) -> Value:
    """The mean over pairs, a batch at a time."""
    if name == "lpips":
        distance = open_lpips()
    of_pair: dict[str, Callable[[BytePictures, BytePictures], Tensor]] = {
        "psnr": each_psnr,
        "ssim": each_ssim,
        "lpips": lambda a, b: each_lpips(a, b, distance),
    }
    score = of_pair[name]
    scores = torch.cat([score(a, b) for a, b in zip(fake.batches(_PAIRS), real.batches(_PAIRS), strict=True)])
    return psnr_value(scores) if name == "psnr" else mean_value(scores)


def _modes(inputs: Inputs) -> Result:
    assert inputs.classes is not None  # `evaluate` counts them where modes are asked for.
    return modes(inputs.classes)


def _memorization(inputs: Inputs) -> Result:
    if not inputs.parts:
        raise SettingError(_NEEDS["memorization"])
    training, held_out = (part.features for part in inputs.parts)
    fake, _ = inputs.rows()
    assert training is not None and held_out is not None
    found = memorization(fake, training, held_out)
    inputs.found.append(found)
    return {
        "copying_z": replace(found.z, note=found.verdict),
        "copying_ratio": found.ratio,
        "repeated": found.repeated,
    }


METRICS: Mapping[str, Metric] = {
    "fid": Metric(lambda inputs: {"fid": fid(inputs.fake.moments, inputs.real.moments)}, features=False),
    "fid_infinity": Metric(lambda inputs: {"fid_infinity": fid_infinity(*inputs.rows())}),
    "kid": Metric(_kernel),
    "is": Metric(_score),
    "pr": Metric(_neighbours("precision", "recall")),
    "prdc": Metric(_neighbours("precision", "recall", "density", "coverage")),
    "prd": Metric(_curve),
    "memorization": Metric(_memorization),
    "swd": Metric(_wasserstein, features=False, network=False),
    "ms_ssim": Metric(_diversity, features=False, network=False),
    "ppl": Metric(_path_length, features=False),
    "critic_auc": Metric(_critic_auc, features=False, network=False),
    "psnr": Metric(_paired("psnr"), features=False, network=False),
    "ssim": Metric(_paired("ssim"), features=False, network=False),
    "lpips": Metric(_paired("lpips"), features=False, network=False),
    "modes": Metric(_modes, features=False, network=False),
}
"""What can be asked for with --metrics."""


def needs_network(metrics: Sequence[str]) -> bool:
    """Whether any of these metrics asks the feature network; where none does, the cheapest one will do."""
    return any(METRICS[name].network for name in metrics)


_OLD_NAMES = {"memorisation": "memorization", "separation": "critic_auc"}
"""Metrics as version 0.1 called them -> what they are called now."""


def parse_metrics(text: str) -> tuple[str, ...]:
    """``fid,kid`` -> names.

    Raises:
        SettingError: an unknown name, or none.
    """
    given = [part.strip().lower() for part in text.split(",") if part.strip()]
    names = tuple(dict.fromkeys(_OLD_NAMES.get(name, name) for name in given))
    if not names:
        raise SettingError(f"--metrics names one or more of {', '.join(METRICS)}. Received: none.")
    for name in names:
        if name not in METRICS:
            raise SettingError(f"There is no metric '{name}'.{nearest(name, METRICS)}")
    return names


def check_possible(metrics: Sequence[str], network: FeatureNetwork, extra: ExtraInputs) -> None:
    """Say at once what could only fail after all pictures were looked at.

    Raises:
        DataError, SettingError: a metric lacks what it needs.
    """
    if "is" in metrics and network.name in _WITHOUT_CLASSES:
        raise DataError(_NO_CLASSES)
    needs = {"ppl": extra.generator, "critic_auc": extra.scores, "memorization": extra.parts}
    for name, there in needs.items():
        if name in metrics and there is None:
            raise SettingError(_NEEDS[name])
