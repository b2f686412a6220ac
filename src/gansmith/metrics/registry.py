"""What can be asked of two sets of images: each metric by name, how it is computed and what it needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from gansmith.core.tensors import BytePictures
from gansmith.errors import DataError, SettingError, nearest
from gansmith.metrics.asked import Asked
from gansmith.metrics.features.base import FeatureNetwork
from gansmith.metrics.image_sets import DataPictures, PictureSet
from gansmith.metrics.math.intervals import Result, Value, mean_value
from gansmith.metrics.scores.critic_auc import critic_auc, roc
from gansmith.metrics.scores.fid import class_fid, fid, fid_infinity
from gansmith.metrics.scores.inception_score import inception_score
from gansmith.metrics.scores.kid import SUBSET_SIZE, kid
from gansmith.metrics.scores.lpips import FeatureDistance, open_lpips
from gansmith.metrics.scores.memorization import Memorization, memorization
from gansmith.metrics.scores.mode_count import modes
from gansmith.metrics.scores.ms_ssim import ms_ssim
from gansmith.metrics.scores.obedience import ASKED, obedience
from gansmith.metrics.scores.paired import bright, each_l1, each_lpips, each_psnr, each_ssim, psnr_value
from gansmith.metrics.scores.pose_error import POINTS, pose_error
from gansmith.metrics.scores.ppl import ppl
from gansmith.metrics.scores.prd import prd
from gansmith.metrics.scores.prdc import neighbours
from gansmith.metrics.scores.swd import Patches, swd
from gansmith.metrics.statistics import Statistics
from gansmith.models.generator import Generator

_PAIRS = 64  # Images compared at a time.
_PATHS = 2000  # That ppl walks along, at most.

_WITHOUT_CLASSES = frozenset(("pixels", "face", "dino", "clip", "vgg"))
_NO_CLASSES = (
    "The Inception score needs a network that tells classes apart. Use --features inception, or leave "
    "the metric 'is' out."
)
_NEEDS = {
    "ppl": "ppl walks through a model's latents. Received: pictures as A. Give a run.",
    "critic_auc": (
        "critic_auc asks a run's own critic about its pictures and held-out ones. Give a run as A, and the "
        "data it was trained on as B."
    ),
    "class_fid": (
        "class_fid compares each class by itself. Give a run that was trained on labels as A, and data with "
        "the same labels as B."
    ),
    "obedience": (
        "obedience asks whether what was asked for is seen in the pictures. Give a run that was trained on "
        "labels, attributes, captions or two domains as A, and the data it was trained on as B. Of key "
        "points it is pose_error that asks."
    ),
    "pose_error": (
        "pose_error asks whether key points are where they were asked for. Give a run that was trained on "
        "pairs with key points, such as one of PG2, as A, and the data it was trained on as B."
    ),
    "memorization": (
        "Memorization compares with training pictures and held-out ones. Give the data a run was trained on "
        "as B: pictures, not saved statistics."
    ),
}


@dataclass(frozen=True, eq=False)
class ExtraInputs:
    """What some metrics need besides two sets of images.

    Example:
        >>> ExtraInputs(asked={"labels": torch.tensor([3, 7])}).generator is None
        True
    """

    parts: tuple[DataPictures, DataPictures] | None = None  # Training and held-out ones, for memorization.
    generator: Generator | None = None  # For ppl.
    scores: tuple[Tensor, Tensor] | None = None  # Of made and of held-out images, for critic_auc.
    asked: Mapping[str, Tensor] = field(default_factory=dict)  # Labels or attributes that A was asked for.
    known: Mapping[str, Tensor] = field(default_factory=dict)  # Labels or attributes of B.
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)  # What these are called.
    judged: Asked | None = None  # What A was asked for, and what tells whether it is there.


@dataclass(frozen=True)
class Metric:
    """One metric: the function that computes it, and what that function needs.

    Example:
        >>> METRICS["swd"].network
        False
    """

    compute: Callable[["Inputs"], Result]
    decides: str  # The number that says which weights are best, in `descriptions.DESCRIPTIONS`.
    features: bool = True  # Whether all features are needed, and not their moments alone.
    network: bool = True  # Whether the feature network is asked at all.
    while_training: str = ""  # Why it is not measured while a run goes on; empty where it is.


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything that the function of a metric is given.

    Example:
        >>> seen = gather(pictures, open_pixels(torch.device("cpu")), keep=True)
        >>> METRICS["kid"].compute(Inputs(fake=seen, real=seen))["kid"].value
    """

    fake: Statistics
    real: Statistics
    patches: tuple[Patches, ...] = ()  # Of made and of real images.
    pictures: BytePictures | None = None  # Some of the generated ones.
    pairs: tuple[PictureSet, PictureSet] | None = None  # Both sets, where neither is saved statistics.
    network: FeatureNetwork | None = None
    extra: ExtraInputs = field(default_factory=ExtraInputs)
    parts: tuple[Statistics, ...] = ()  # Of training and held-out images.
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    found: list[Memorization] = field(default_factory=list)
    classes: Tensor | None = None  # Of the generated images, as stacks of three digits.

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


def _fid(inputs: Inputs) -> Result:
    return {"fid": fid(inputs.fake.moments, inputs.real.moments)}


def _class_fid(inputs: Inputs) -> Result:
    asked, known = inputs.extra.asked.get("labels"), inputs.extra.known.get("labels")
    if asked is None or known is None:
        raise SettingError(_NEEDS["class_fid"])
    fake, real = inputs.rows()
    return class_fid((fake, asked), (real, known), inputs.extra.names.get("labels", ()))


def _obedience(inputs: Inputs) -> Result:
    judged = inputs.extra.judged
    if judged is None:
        raise SettingError(_NEEDS["obedience"])
    return obedience(judged.made, judged.wanted, judged.parts, sources=judged.sources)


def _pose_error(inputs: Inputs) -> Result:
    judged = inputs.extra.judged
    if judged is None:
        raise SettingError(_NEEDS["pose_error"])
    return pose_error(judged.made, judged.wanted[POINTS], judged.parts, sources=judged.sources)


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
    score = pair_score(name)
    scores = torch.cat([score(a, b) for a, b in zip(fake.batches(_PAIRS), real.batches(_PAIRS), strict=True)])
    return pair_value(name, scores)


def pair_score(name: str) -> Callable[[BytePictures, BytePictures], Tensor]:
    """The function of a metric of pairs: two batches of one shape -> a number for each pair.

    Raises:
        DataError, MissingPackageError: for ``lpips``, its weights or its package are not there.

    Example:
        >>> pair_score("psnr_y")(made, large).shape
        torch.Size([16])
    """
    if name == "lpips":
        distance = open_lpips()
    of_pair: dict[str, Callable[[BytePictures, BytePictures], Tensor]] = {
        "l1": each_l1,
        "psnr": each_psnr,
        "psnr_y": lambda a, b: each_psnr(bright(a), bright(b)),
        "ssim_y": lambda a, b: each_ssim(bright(a), bright(b)),
        "ssim": each_ssim,
        "lpips": lambda a, b: each_lpips(a, b, distance),
    }
    return of_pair[name]


def pair_value(name: str, scores: Tensor) -> Value:
    """The mean of a metric of pairs, with its interval; of PSNR equal pairs, being infinite, are left out.

    Example:
        >>> pair_value("l1", torch.tensor([0.1, 0.3])).value
        0.2
    """
    return psnr_value(scores) if name.startswith("psnr") else mean_value(scores)


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


OF_PAIRS = ("l1", "psnr", "ssim", "psnr_y", "ssim_y", "lpips")
"""Metrics that compare the first image of one set with the first of the other, and so on."""

_FINISHED = "It is measured of a finished run: gansmith evaluate RUN DATA --metrics"

METRICS: Mapping[str, Metric] = {
    "fid": Metric(_fid, "fid", features=False),
    "fid_infinity": Metric(lambda inputs: {"fid_infinity": fid_infinity(*inputs.rows())}, "fid_infinity"),
    "class_fid": Metric(_class_fid, "class_fid"),
    "kid": Metric(_kernel, "kid"),
    "is": Metric(_score, "is"),
    "pr": Metric(_neighbours("precision", "recall"), "precision"),
    "prdc": Metric(_neighbours("precision", "recall", "density", "coverage"), "coverage"),
    "prd": Metric(_curve, "prd_f_8"),
    "memorization": Metric(_memorization, "copying_z", while_training=_FINISHED),
    "swd": Metric(_wasserstein, "swd", features=False, network=False),
    "ms_ssim": Metric(_diversity, "ms_ssim", features=False, network=False),
    "ppl": Metric(_path_length, "ppl", features=False),
    "critic_auc": Metric(_critic_auc, "auc", features=False, network=False),
    **{name: Metric(_paired(name), name, features=False, network=False) for name in OF_PAIRS},
    "modes": Metric(_modes, "modes", features=False, network=False),
    "obedience": Metric(_obedience, "obedience", features=False, network=False),
    "pose_error": Metric(_pose_error, "pose_error", features=False, network=False),
}
"""What can be asked for with --metrics; what the numbers mean is in `gansmith.metrics.descriptions`."""


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


def check_classes(metrics: Sequence[str], network: FeatureNetwork) -> None:
    """Raise DataError where the Inception score is asked of a network that tells no classes apart."""
    if "is" in metrics and network.name in _WITHOUT_CLASSES:
        raise DataError(_NO_CLASSES)


def check_possible(metrics: Sequence[str], network: FeatureNetwork, extra: ExtraInputs) -> None:
    """Say at once what could only fail after all images were looked at.

    Raises:
        DataError, SettingError: a metric lacks what it needs.
    """
    check_classes(metrics, network)
    asked, judged = extra.asked or None, extra.judged
    needs = {
        "ppl": extra.generator,
        "critic_auc": extra.scores,
        "memorization": extra.parts,
        "class_fid": asked and extra.known.get("labels"),
        "obedience": judged if judged is not None and judged.column in ASKED else None,
        "pose_error": judged if judged is not None and judged.column == POINTS else None,
    }
    for name, there in needs.items():
        if name in metrics and there is None:
            raise SettingError(_NEEDS[name])
