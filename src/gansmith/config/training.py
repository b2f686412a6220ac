"""The numbers of the training loop, of evaluation meanwhile, and of the machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gansmith.core.progress import Progress
from gansmith.core.schedules import Constant, Schedule
from gansmith.errors import SettingError, at_least

Precision = Literal["auto", "float32", "bfloat16"]
Layout = Literal["auto", "channels_last", "contiguous"]
Compile = Literal["auto", "off", "on", "graphs"]

_WIDEST = 0.28  # Of a power-function average; gamma is 0.08 there, and 0 at 12^(-1/2).


@dataclass(frozen=True, kw_only=True)
class Average:
    """The moving average (EMA) of the weights that images are generated with; its half-life is in images.

    The half-life grows with the run, ``rampup`` x images seen, between ``floor`` and ``half_life``:
    early weights are forgotten early (Karras 2020; R3GAN's burn-in is the same idea).

    Example:
        >>> Average(half_life=4000.0, rampup=0.0, floor=4000.0).decay(Progress(batch=4000))
    """

    half_life: float = 4000.0  # In images.
    rampup: float = 0.05
    floor: float = 500.0  # In images.
    schedule: Schedule = Constant()  # What the half-life is multiplied by; R3GAN: Cosine(start=0, end=1).

    def decay(self, progress: Progress) -> float:
        """The weight of the old average after one more step."""
        half_life = min(
            self.half_life * self.schedule(progress), max(self.floor, self.rampup * progress.images)
        )
        return float(0.5 ** (progress.batch / half_life)) if half_life > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class PowerAverage:
    """A moving average whose memory is a share of the run so far (Karras 2024, equation 3).

    After t steps the weights of step s count as s^gamma: the average begins anew with every doubling of the
    run, and forgets the start by itself. ``sigma`` is the width of that profile as a share of t, from 0.01,
    short, to 0.28, the plain mean being 0.289. Snapshots of it can be made into other widths after the run
    (``gansmith.reconstruct``).

    Example:
        >>> PowerAverage(sigma=0.1).decay(Progress(images=64, batch=64))
        0.0
    """

    sigma: float = 0.1

    def __post_init__(self) -> None:
        if not 0.01 <= self.sigma <= _WIDEST:
            raise SettingError(
                f"The width of a power-function average is a share of the run, 0.01 to {_WIDEST}. Received: "
                f"sigma={self.sigma:g}. Usual are 0.05 and 0.1."
            )

    def decay(self, progress: Progress) -> float:
        """(1 - 1/t)^(gamma + 1), t in steps: the weight of the old average after one more step."""
        left = max(1.0 - progress.batch / max(progress.images, progress.batch), 0.0)
        return float(left ** (exponent(self.sigma) + 1.0))


def exponent(sigma: float) -> float:
    """The gamma whose profile t^gamma has this width: sigma^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)).

    The largest root of a cubic, by Newton from above (Karras 2024, appendix C).

    Example:
        >>> round(exponent(0.1), 2)
        6.94
    """
    linear, constant, gamma = 16.0 - sigma**-2, 12.0 - sigma**-2, 1.0 / sigma
    for _ in range(30):
        value = ((gamma + 7.0) * gamma + linear) * gamma + constant
        gamma -= value / ((3.0 * gamma + 14.0) * gamma + linear)
    return gamma


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Evaluation during training; the checkpoint that is best by the first metric is kept.

    With ``guards`` it begins before the first step, and the run stops where a number has become worse than it
    was then by more than its share, going back to the last checkpoint that was within all guards.

    Example:
        >>> TrainConfig(evaluate=EvaluateConfig(every=50_000, metrics="kid,fid", samples=5_000))
    """

    every: int = 0  # In images seen; 0: never.
    metrics: str = "fid,kid,pr"
    features: str = "inception"  # See `gansmith evaluate --help`.
    samples: int = 2_000
    guards: Mapping[str, float | None] = field(default_factory=dict)  # Number -> share; None: no guard.

    def __post_init__(self) -> None:
        at_least(self, 0, "every", prefix="train.evaluate.")
        at_least(self, 2, "samples", prefix="train.evaluate.")
        for name, share in self.guarded.items():
            if not share >= 0:
                raise SettingError(
                    f"train.evaluate.guards.{name} is a share by which the number may become worse, from 0. "
                    f"Received: {share}."
                )
        if self.guarded and self.every == 0:
            raise SettingError(
                f"A guard needs numbers. Received: {', '.join(self.guarded)} among "
                "train.evaluate.guards, and train.evaluate.every=0, which never measures. Try "
                "train.evaluate.every=5000."
            )

    @property
    def guarded(self) -> dict[str, float]:
        """The guards that are on."""
        return {name: share for name, share in self.guards.items() if share is not None}


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How the machine is used: speed and rounding, not the experiment, so it may change on resume.

    Example:
        >>> TrainConfig(engine=EngineConfig(micro_batch=16, compile="on"))
    """

    micro_batch: int | None = None  # Images a process works on at a time; None: as many as fit.
    layout: Layout = "auto"  # Of images in memory; auto: channels_last, but on Apple's GPUs.
    tf32: bool | None = None  # Ten-bit products on NVIDIA's GPUs; None: wherever precision is bfloat16.
    keep_memory: bool = True  # Tensors reuse what earlier ones gave back: on Linux, for a processor's work.
    compile: Compile = "auto"  # torch.compile of the networks; graphs: with CUDA graphs; auto: off.
    shared_batch_norm: bool = True  # With several processes: statistics over the whole batch.

    def __post_init__(self) -> None:
        if self.micro_batch is not None:
            at_least(self, 1, "micro_batch", prefix="train.engine.")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The numbers of the training loop. Everything that has a length is counted in images seen.

    Example:
        >>> TrainConfig(images=500_000, batch=32, average=Average(half_life=2000.0), precision="float32")
    """

    images: int = 200_000
    batch: int = 64
    seed: int = 0
    average: Average | PowerAverage | None = Average()  # None: images come from the weights of the last step.
    averaged: tuple[str, ...] = ("generator",)  # Networks that are averaged, or players.
    precision: Precision = "auto"  # bfloat16 where the machine has it in hardware, else float32.
    log_every: int = 640
    picture_every: int = 5_000
    checkpoint_every: int = 10_000
    keep_checkpoints: int = 3
    evaluate: EvaluateConfig = EvaluateConfig()
    engine: EngineConfig = EngineConfig()

    def __post_init__(self) -> None:
        at_least(self, 1, "images", "batch", "keep_checkpoints", prefix="train.")
        at_least(self, 1, "log_every", "picture_every", "checkpoint_every", prefix="train.")
