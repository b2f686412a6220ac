"""Latent attacks: how little of z turns a classifier's answer about the image a generator makes of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith.attacks.latent import SmallestTurn
from gansmith.core.files import write_text
from gansmith.core.noise import Noise
from gansmith.core.tensors import BytePictures, Images, Latents
from gansmith.errors import SettingError, nearest
from gansmith.images import grid
from gansmith.images.provenance import Provenance, software_version, write_png
from gansmith.losses.classification import Logits, margin
from gansmith.metrics.math.intervals import Value, mean_value, share
from gansmith.models.classifier import TrainedClassifier, open_classifier
from gansmith.models.generator import Generator
from gansmith.models.load import open_generator
from gansmith.robustness.cells import value_json

RESULT, PICTURES = "latent.json", "latent.png"
_PART = 16  # Images attacked at a time.
_SHOWN = 12


@dataclass(frozen=True, eq=False, kw_only=True)
class LatentAttack:
    """What was found.

    Args:
        turned: the share of images whose answer could be turned.
        distance: mean length of the change as a share of the latent's own length, of those.
        chance: the share that a step of the same length in a random direction turns.
        distances: of each image, in order of seeds; nan where nothing was found.
        before: the first images.
        after: the same, turned.
        said: of those, before and after.

    Example:
        >>> found = latent_attack("runs/traits", "runs/one", attribute="smiling")
        >>> found.turned.value, found.distances.nanmedian()
    """

    turned: Value
    distance: Value | None
    chance: Value
    distances: Tensor
    before: BytePictures
    after: BytePictures
    said: list[tuple[str, str]]


def latent_attack(
    judge: str,
    model: str,
    *,
    attribute: str | None = None,
    count: int = 64,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> LatentAttack:
    """The smallest change of z that turns an attribute, or the class, of generated images.

    Args:
        judge: a classifier; images are brought to its size.
        model: the run of a generator.
        attribute: which one, of a classifier of attributes.
        count: images.
        seed: of the first one.
        device: where both run.
        progress: told (images done, images in all).

    Raises:
        SettingError: the model has no latent, or the attribute or the colours do not fit.
        CheckpointError, RunError: there is no such model.
    """
    classifier, generator = open_classifier(judge, device), open_generator(model, device)
    if classifier.spec.channels != generator.spec.channels:
        raise SettingError(
            f"Both models need pictures of as many channels. Received: {classifier.spec.channels} of {judge} "
            f"and {generator.spec.channels} of {model}."
        )
    place = _place(classifier, attribute)
    search, distances, chances, shown = SmallestTurn(), list[Tensor](), list[Tensor](), list[Any]()
    for start in range(seed, seed + count, _PART):
        seeds = range(start, min(start + _PART, seed + count))
        noise = Noise.of(*seeds)
        prompt = generator.prompts(list(seeds))
        z = generator.latents(noise, prompt).clone()
        decode = generator.differentiable(noise, prompt)
        level = _margin(classifier, decode, place, z)
        found = search(level, z)
        length = (found.latents - z).flatten(1).norm(dim=1)
        distances.append(torch.where(found.turned, length / z.flatten(1).norm(dim=1), torch.nan).cpu())
        aside = noise.fork("aside").normal(*z.shape[1:]).to(z)
        aside = aside * (length / aside.flatten(1).norm(dim=1)).reshape(-1, *[1] * (z.dim() - 1))
        with torch.no_grad():
            chances.append((level(z + aside) <= 0).cpu()[found.turned.cpu()])
            shown.append((decode(z), decode(found.latents)))
        if progress is not None:
            progress(seeds.stop - seed, count)
    return _result(classifier, generator, place, torch.cat(distances), torch.cat(chances), shown)


def _place(classifier: TrainedClassifier, attribute: str | None) -> int | None:
    """The number of the attribute; None for a classifier of classes."""
    if classifier.column == "labels":
        if attribute is not None:
            raise SettingError(
                f"--attribute is for a classifier of attributes. Received: {attribute} for "
                f"{classifier.name}, which tells {', '.join(classifier.names[:10])}."
            )
        return None
    if attribute is None and len(classifier.names) > 1:
        raise SettingError(
            f"Which attribute shall turn? Name one with --attribute: {', '.join(classifier.names[:20])}."
        )
    if attribute is not None and attribute not in classifier.names:
        raise SettingError(
            f"{classifier.name} knows no attribute '{attribute}'.{nearest(attribute, classifier.names)}"
        )
    return 0 if attribute is None else classifier.names.index(attribute)


def _margin(
    classifier: TrainedClassifier, decode: Callable[[Latents], Images], place: int | None, z: Latents
) -> Callable[[Latents], Tensor]:
    """How far the answer is from being another than it is at z."""
    with torch.no_grad():
        first = classifier.judge(decode(z))
    if place is None:
        truth = first.argmax(dim=1)
        return lambda latents: margin(classifier.judge(decode(latents)), truth)
    sign = torch.where(first[:, place] > 0, 1.0, -1.0)
    return lambda latents: sign * classifier.judge(decode(latents))[:, place]


def _result(
    classifier: TrainedClassifier,
    generator: Generator,
    place: int | None,
    distances: Tensor,
    chances: Tensor,
    shown: list[tuple[Tensor, Tensor]],
) -> LatentAttack:
    before, after = (torch.cat([pair[side] for pair in shown])[:_SHOWN] for side in (0, 1))
    with torch.no_grad():
        told = [_words(classifier, classifier.judge(images), place) for images in (before, after)]
    known = distances[~distances.isnan()]
    return LatentAttack(
        turned=share(~distances.isnan()),
        distance=mean_value(known) if len(known) else None,
        chance=share(chances) if len(chances) else Value(0.0),
        distances=distances,
        before=grid.to_bytes(before),
        after=grid.to_bytes(after),
        said=list(zip(*told, strict=True)),
    )


def _words(classifier: TrainedClassifier, logits: Logits, place: int | None) -> list[str]:
    shares = classifier.probabilities(logits).cpu()
    if place is not None:
        return [f"{classifier.names[place]} {float(row[place]):.0%}" for row in shares]
    return [f"{classifier.names[int(row.argmax())]} {float(row.max()):.0%}" for row in shares]


def write_latent(found: LatentAttack, folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Write the numbers, and the first images above what became of them.

    Returns: what stands in ``latent.json``.

    Raises:
        StorageError: the disk refuses.
    """
    tree = {
        **about,
        "software": software_version(),
        "turned": value_json(found.turned),
        "distance": None if found.distance is None else value_json(found.distance),
        "turned_by_chance": value_json(found.chance),
        "distances": [None if value != value else value for value in found.distances.tolist()],
        "said": [list(pair) for pair in found.said],
    }
    write_text(folder / RESULT, json.dumps(tree, indent=2) + "\n")
    rows = torch.cat([found.before, found.after])
    mark = Provenance(str(about["data"]), "latent attack", None, None, software_version(), "latent attack")
    write_png(grid.grid(rows, columns=len(found.before)), folder / PICTURES, mark)
    return tree


def latent_text(found: LatentAttack) -> str:
    """A few lines for a terminal."""
    lines = [f"turned    {found.turned.value:.1%} of {len(found.distances)} images"]
    if found.distance is not None:
        known = found.distances[~found.distances.isnan()]
        lines.append(
            f"distance  {found.distance.value:.3f} of the length of z on average, median "
            f"{float(known.median()):.3f}"
        )
        lines.append(f"by chance {found.chance.value:.1%} turn by a random step of the same length")
    return "\n".join(lines)
