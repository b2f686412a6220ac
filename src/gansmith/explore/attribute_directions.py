"""A direction for each attribute of a classifier, by a model's own images (InterFaceGAN, Shen 2020)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from gansmith.core.noise import Noise
from gansmith.core.tensors import Images
from gansmith.errors import SettingError, nearest
from gansmith.explore.directions import (
    Direction,
    Window,
    check_layers,
    check_space,
    spread,
    window_name,
)
from gansmith.models.classifier import TrainedClassifier
from gansmith.models.generator import Generator

_PART = 64  # Images made and judged at a time.
_LEAST = 200  # Samples.
_SIDE = 0.2  # Share of the samples that are on each side of a boundary: those judged most clearly.
_KEPT = 0.7  # Share of these that the boundary is fitted to; the others say how good it is.
_DECAY = 1e-3  # Of the boundary's weights, times half their squares.
_ELSEWHERE = 2**40  # The first seed of a check.
_LEFT_OVER = 0.05  # Length of what is left, below which one direction is the other.


def attribute_directions(
    generator: Generator,
    judge: TrainedClassifier,
    names: Sequence[str] | None = None,
    *,
    space: str | None = None,
    layers: Window = None,
    samples: int = 10_000,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Direction, ...]:
    """The direction in which an attribute comes, for each that a classifier tells.

    The generator's own images are judged. Of each attribute the fifth judged clearest to have it and the
    fifth clearest not to are parted by a plane in the latent space (logistic regression); its normal is the
    direction. ``accuracy`` is the plane's on latents it was not fitted to, ``share`` that of the images
    which have the attribute: where it is near 0 or 1 both sides look alike. Of two classes the second one
    gets a direction, of more each.

    Args:
        generator: of any method that makes images from a latent.
        judge: of attributes or classes, such as `gansmith classify` trains; images are brought to its size.
        names: of some of them; None for all.
        space: ``z`` or ``w``; None for w where there is one.
        layers: first and last layer of w+ that shall be moved; None for all.
        samples: images that are judged, of seeds 0 and on; at least 200.
        progress: told (images done, images in all).

    Raises:
        SettingError: there is no latent or no such space, the judge knows no such attribute or other
            colours, too few samples, or all images look alike to it.

    Example:
        >>> judge = open_classifier("runs/traits")
        >>> (smile,) = attribute_directions(open_generator("runs/one"), judge, ["smiling"])
        >>> smile.accuracy, smile.share
    """
    space = check_space(generator, space)
    check_layers(generator, space, layers)
    if samples < _LEAST:
        raise SettingError(f"A boundary needs at least {_LEAST} samples. Received: {samples}.")
    if judge.spec.channels != generator.spec.channels:
        raise SettingError(
            f"Both models need pictures of as many channels. Received: {judge.spec.channels} of {judge.name} "
            f"and {generator.spec.channels} of {generator.name}."
        )
    chosen = _chosen(judge, names)
    latents, scores = _judged(generator, judge, space, samples, progress)
    found = []
    for name in chosen:
        score = scores[:, judge.names.index(name)]
        vector, accuracy = _boundary(latents, score, name)
        found.append(
            Direction(
                name=direction_name(name, layers),
                space=space,
                vector=vector,
                source="attribute",
                reach=float(spread(generator, space, vector[:, None])[0]),
                layers=layers,
                accuracy=accuracy,
                share=float((score > 0).float().mean()),
            )
        )
    return tuple(found)


def apart(direction: Direction, others: Sequence[Direction], name: str | None = None) -> Direction:
    """A direction without what it has of others: its part at right angles to all of them (equation 4).

    Args:
        direction: the one to be changed.
        others: of the same space, at least one.
        name: of the result; None for ``smiling-without-glasses``.

    Raises:
        SettingError: directions of other spaces or none, or nothing is left.

    Example:
        >>> apart(directions["smiling"], [directions["glasses"]]).name
        'smiling-without-glasses'
    """
    strange = [one.name for one in others if one.space != direction.space or _size(one) != _size(direction)]
    if strange or not others:
        raise SettingError(
            f"'{direction.name}' is taken apart from directions of its own space, {direction.space}. "
            f"Received: {strange[0] if strange else 'none'}."
        )
    basis = torch.linalg.qr(torch.stack([one.vector for one in others], dim=1).double())[0]
    whole = direction.vector.double()
    left = whole - basis @ (basis.t() @ whole)
    if left.norm() < _LEFT_OVER:
        said = ", ".join(one.name for one in others)
        raise SettingError(
            f"Nothing is left of '{direction.name}' without {said}: they point the same way. Leave one out."
        )
    called = f"{direction.name}-without-{'-'.join(one.name for one in others)}"[:80]
    vector = (left / left.norm()).float()
    return replace(direction, name=name or called, vector=vector, accuracy=None)


@torch.no_grad()
def shares_along(
    generator: Generator,
    judge: TrainedClassifier,
    direction: Direction,
    amounts: Sequence[float] = (-1.0, 0.0, 1.0),
    samples: int = 256,
) -> Tensor:
    """What share of the images has each attribute after a move along a direction: [amounts, attributes].

    So one sees whether a direction does what its name says, and what else it does. Seeds are far from those
    that directions were found with.

    Raises:
        SettingError: an amount that cannot be.

    Example:
        >>> before, after = shares_along(generator, judge, directions["smiling"], (0.0, 1.0))
        >>> after[judge.names.index("smiling")] > before[judge.names.index("smiling")]
    """
    space = direction.space if direction.layers is None else "w+"
    totals = torch.zeros(len(amounts), len(judge.names))
    for start in range(_ELSEWHERE, _ELSEWHERE + samples, _PART):
        seeds = range(start, min(start + _PART, _ELSEWHERE + samples))
        noise = Noise.of(*seeds)
        prompt = generator.prompts(list(seeds))
        latents = generator.latents(noise, prompt, space)
        decode = generator.differentiable(noise, prompt, space)
        for place, amount in enumerate(amounts):
            scores = _scores(judge, decode(direction.move(latents, amount)))
            totals[place] += (scores > 0).float().sum(dim=0)
    return totals / samples


def direction_name(attribute: str, layers: Window = None) -> str:
    """An attribute as the name of a direction: without what these may not have."""
    plain = "".join(" " if letter in "=,/\\" else letter for letter in attribute).strip()[:60]
    return f"{plain or 'attribute'}{window_name(layers)}"


def _size(direction: Direction) -> int:
    return len(direction.vector)


def _chosen(judge: TrainedClassifier, names: Sequence[str] | None) -> list[str]:
    for name in names or ():
        if name not in judge.names:
            raise SettingError(f"{judge.name} knows no '{name}'.{nearest(name, judge.names)}")
    if names:
        return list(dict.fromkeys(names))
    return list(judge.names[1:] if judge.column == "labels" and len(judge.names) == 2 else judge.names)


@torch.no_grad()
def _judged(
    generator: Generator,
    judge: TrainedClassifier,
    space: str,
    samples: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[Tensor, Tensor]:
    """Latents [samples, latent], and how far each attribute, or class, is from being denied of its image."""
    latents, scores = [], []
    for start in range(0, samples, _PART):
        seeds = range(start, min(start + _PART, samples))
        noise = Noise.of(*seeds)
        prompt = generator.prompts(list(seeds))
        latent = generator.latents(noise, prompt, space)
        images = generator.differentiable(noise, prompt, space)(latent)
        latents.append(latent.cpu())
        scores.append(_scores(judge, images))
        if progress is not None:
            progress(seeds.stop, samples)
    return torch.cat(latents).double(), torch.cat(scores)


def _scores(judge: TrainedClassifier, images: Images) -> Tensor:
    """How far each attribute, or class, is from being denied of images: above 0 they have it."""
    logits = judge.judge(images.to(judge.device)).cpu().double()
    return logits if judge.column == "attributes" else _against_rest(logits)


def _against_rest(logits: Tensor) -> Tensor:
    """Of classes: the logit of each against all the others together."""
    mask = torch.eye(logits.shape[1], dtype=torch.bool)
    others = logits[:, None, :].masked_fill(mask, -torch.inf).logsumexp(dim=2)
    return logits - others


def _boundary(latents: Tensor, score: Tensor, name: str) -> tuple[Tensor, float]:
    """The normal of the plane between both ends of a score, towards the higher one, and its accuracy."""
    if float(score.std()) < 1e-6 or not bool(score.isfinite().all()):
        raise SettingError(
            f"To the classifier all pictures of this model are alike in '{name}', so it has no direction."
        )
    side = max(int(_SIDE * len(score)), 1)
    order = score.argsort()
    generator = torch.Generator().manual_seed(0)
    rows = torch.cat([order[:side], order[-side:]])
    truth = torch.cat([torch.zeros(side), torch.ones(side)]).double()
    mixed = torch.randperm(2 * side, generator=generator)
    rows, truth = rows[mixed], truth[mixed]
    fitted = int(_KEPT * len(rows))
    center, scale = latents.mean(dim=0), latents.std().clamp(min=1e-12)
    inputs = (latents[rows] - center) / scale
    weight = torch.zeros(latents.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        logits = inputs[:fitted] @ weight[:-1] + weight[-1]
        total = functional.binary_cross_entropy_with_logits(logits, truth[:fitted])
        total = total + 0.5 * _DECAY * weight[:-1].square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    solver.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        said = inputs[fitted:] @ weight[:-1] + weight[-1] > 0
        accuracy = float((said == (truth[fitted:] > 0.5)).double().mean())
        normal = weight[:-1] / weight[:-1].norm().clamp(min=1e-12)
    return normal.float(), accuracy
