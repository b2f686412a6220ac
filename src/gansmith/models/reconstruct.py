"""Power-function averages of another width, made after the run of the snapshots it kept (Karras 2024)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gansmith.config.recipe import Recipe
from gansmith.config.serialization import from_json, to_json
from gansmith.config.training import PowerAverage, exponent
from gansmith.errors import RunError, SettingError
from gansmith.runs.checkpoint import Checkpoint
from gansmith.runs.run import Run


@dataclass(frozen=True)
class Reconstructed:
    """A checkpoint with an average of another width, and how well the snapshots could make it.

    Example:
        >>> found = reconstruct("runs/one", 0.05, "runs/one-5.safetensors")
        >>> found.error < 0.1
        True
    """

    path: Path
    snapshots: int
    error: float  # Of the profile: root of its squared distance, as a share of its own length; 0: exact.


def reconstruct(run: Path | str, sigma: float, out: Path | str) -> Reconstructed:
    """Average a run's weights as if ``train.average=PowerAverage(sigma)`` had been asked for.

    Every checkpoint that is there is a snapshot of the average; their best sum (least squares between
    profiles, Karras 2024, section 3.2) is written as a checkpoint, for ``generate`` and all else.

    Args:
        run: trained with ``train.average=PowerAverage`` and ``train.keep_checkpoints`` large: ten or more.
        sigma: the width wanted, 0.01 to 0.28 of the run.
        out: a ``.safetensors`` file; an old one is replaced.

    Raises:
        RunError: the run has another average, or fewer than two checkpoints.
        SettingError: the width makes no sense, or OUT is no such file.
        CheckpointError: a checkpoint is damaged.
        StorageError: the disk refuses.

    Example:
        >>> reconstruct("runs/one", 0.05, "runs/one-5.safetensors").path
    """
    opened, out = Run.open(Path(run)), Path(out)
    wanted = PowerAverage(sigma=sigma)
    if out.suffix != ".safetensors":
        raise SettingError(
            f"OUT is a .safetensors file. Received: {out}. Try {out.with_suffix('.safetensors')}."
        )
    kept = opened.recipe.train.average
    if not isinstance(kept, PowerAverage):
        raise RunError(
            "Averages of other widths are made of power-function averages. Received: a run with "
            f"train.average={type(kept).__name__}. Train with --set train.average=PowerAverage."
        )
    files = opened.checkpoint_files()
    if len(files) < 2:
        raise RunError(
            f"Averages of other widths are made of snapshots. Received: a run with {len(files)} of "
            "two or more checkpoints. Train with --set train.keep_checkpoints=20 and a smaller "
            "train.checkpoint_every."
        )
    times = [int(file.stem) for file in files]
    shares, error = weights(times, kept.sigma, times[-1], sigma)
    sums: dict[str, Tensor] = {}
    for file, share in zip(files, shares, strict=True):
        last = Checkpoint.load(file)
        for name, value in last.tensors.items():
            if name.startswith("average.") and value.is_floating_point():
                sums[name] = sums.get(name, torch.zeros_like(value, dtype=torch.float64)) + share * value
    recipe: Recipe = from_json(last.facts["recipe"], Recipe)
    recipe = replace(recipe, train=replace(recipe.train, average=wanted))
    made = {name: value.to(last.tensors[name].dtype) for name, value in sums.items()}
    facts = {**last.facts, "recipe": to_json(recipe)}
    Checkpoint({**last.tensors, **made}, facts).save(out)
    return Reconstructed(out, len(files), error)


def weights(
    times: Sequence[float], sigma: float, end: float, wanted: float
) -> tuple[NDArray[np.float64], float]:
    """How much each snapshot counts, and the error of the profile they make.

    In the paper their sum is free; here it is 1, so that a weight that never moved stays what it is.

    Args:
        times: when the snapshots were taken, ascending, each after an average of width ``sigma``.
        end: when the average that is wanted ends.
        wanted: its width.

    Returns: [snapshots], and the distance of profiles as a share of the wanted one's length.

    Example:
        >>> weights([1.0, 2.0], 0.1, 2.0, 0.1)
        (array([0., 1.]), 0.0)
    """
    ends = np.asarray(times, np.float64) / end  # In shares of the run: no large powers.
    have, want = exponent(sigma), exponent(wanted)
    gram = products(ends[:, None], have, ends, have)
    right = products(ends, have, np.float64(1.0), want)
    length = float(products(np.float64(1.0), want, np.float64(1.0), want))
    count = len(ends)
    system = np.ones((count + 1, count + 1))  # With a multiplier for their sum.
    system[:count, :count], system[count, count] = gram, 0.0
    found = np.asarray(np.linalg.lstsq(system, np.append(right, 1.0), rcond=1e-12)[0][:count], np.float64)
    distance = length - 2.0 * float(found @ right) + float(found @ gram @ found)
    return found, float(np.sqrt(max(distance, 0.0) / length))


def products(
    a: NDArray[np.float64] | np.float64, of_a: float, b: NDArray[np.float64] | np.float64, of_b: float
) -> NDArray[np.float64]:
    """The integral of two profiles' product, p(t) = (gamma + 1) t^gamma / T^(gamma + 1) up to T, else 0.

    (Karras 2024, equation 8, in closed form.)

    Example:
        >>> products(np.float64(1.0), 0.0, np.float64(1.0), 1.0)  # of 1 and 2 t
        array(1.)
    """
    both = np.minimum(a, b)
    share = (both / a) ** of_a * (both / b) ** of_b * both / (a * b)
    return np.asarray((of_a + 1.0) * (of_b + 1.0) / (of_a + of_b + 1.0) * share)
