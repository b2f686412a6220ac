"""MODEL on the command line: a run directory, a checkpoint file, or weights of a DCGAN made elsewhere."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith.config.recipe import Recipe
from gansmith.config.serialization import from_json
from gansmith.core.tensor_file import read_metadata
from gansmith.core.tensors import BytePictures, Scores, per_image
from gansmith.data.loading.loader import to_float
from gansmith.engine.device import pick_device
from gansmith.engine.ema import EMA, bundle_for_pictures
from gansmith.engine.parameters import averaged_names
from gansmith.engine.state import under
from gansmith.errors import CheckpointError, RunError, SettingError, nearest
from gansmith.methods.base import Lender
from gansmith.models.generator import Generator, from_method
from gansmith.models.import_dcgan import foreign_generator
from gansmith.networks.bundle import Networks
from gansmith.runs.checkpoint import Checkpoint
from gansmith.runs.run import Run


def check_makes_images(recipe: Recipe, model: str) -> None:
    """Raise SettingError where the model of this recipe makes no images, such as a classifier."""
    if not recipe.method.makes_images:
        raise SettingError(
            f"This needs a model that makes images. Received: {model}, by {recipe.name}, which tells what an "
            "image shows. Name the run of a generator."
        )


def open_generator(model: str, device: str = "auto") -> Generator:
    """The generator of a MODEL, ready to make images: averaged weights where the run has them.

    Raises:
        CheckpointError: nothing there, or damaged.
        RunError: a run without a checkpoint yet.
        SettingError: it makes no images, such as a classifier.
    """
    path = Path(model)
    where = pick_device(device)
    if path.is_file() and not _is_ours(path):
        return foreign_generator(path, where)
    checkpoint = checkpoint_of(path)
    recipe: Recipe = from_json(checkpoint.facts["recipe"], Recipe)
    check_makes_images(recipe, model)
    networks = build_networks(recipe, checkpoint.tensors)
    generator = from_method(
        recipe.method,
        networks,
        recipe.spec(),
        name=path.resolve().name if path.is_dir() else path.stem,
        recipe_name=recipe.name,
        images_seen=int(checkpoint.facts["images"]),
        device=where,
    )
    return replace(generator, table=under(checkpoint.tensors, "prompts."), pairs=recipe.data.pairs)


def build_networks(recipe: Recipe, tensors: Mapping[str, Tensor]) -> Networks:
    """The bundle of a checkpoint in eval mode, averaged networks in place of the live ones, and its lenses.

    Raises:
        CheckpointError: it does not fit its own recipe.
        DataError: the file of a lens is not there.
    """
    networks = recipe.method.build(recipe.spec())
    average = None
    if recipe.train.average is not None:
        average = EMA(networks, averaged_names(recipe, networks))
    wanted = {"networks.": networks, "average.": average}
    for prefix, module in wanted.items():
        if module is None:
            continue
        part = {
            name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)
        }
        try:
            module.load_state_dict(part)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise CheckpointError(f"The checkpoint does not fit its own recipe: {reason}") from error
    networks.attach_lenses(recipe.method.lenses(recipe.spec()))
    return bundle_for_pictures(networks, average)


def open_judge(model: str, device: str = "auto") -> Callable[[BytePictures, Any], Scores]:
    """What a MODEL's own critic says of images and their prompts: uint8 [n, c, h, w] -> [n].

    More is more real; a critic of patches is averaged over them.

    Raises:
        CheckpointError, RunError: there is no such model.
        SettingError: it has no critic.
    """
    path, where = Path(model), pick_device(device)
    checkpoint = checkpoint_of(path)
    recipe: Recipe = from_json(checkpoint.facts["recipe"], Recipe)
    networks = build_networks(recipe, checkpoint.tensors).to(where).eval()
    spec = recipe.spec()

    def judge(images: BytePictures, prompt: Any) -> Scores:
        if prompt is not None:
            prompt = type(prompt)(*(column.to(where) for column in prompt))
        with torch.inference_mode():
            shown = spec.to_network(to_float(images.to(where)))
            scores = recipe.method.critic_scores(networks, shown, prompt)
        if scores is None:
            raise SettingError(f"{recipe.name} has no critic whose scores could be measured.")
        return per_image(scores).cpu()

    return judge


def borrowed_weights(borrow: Mapping[str, str]) -> dict[str, Tensor]:
    """Weights of networks, and memories of a bundle, taken from finished runs, as tensors by name.

    ``{"sketcher": "runs/one"}`` takes the network of the same name, and
    ``{"sketcher": "runs/one:generator"}`` another one.

    Averaged weights are taken where the other run has them.
    """
    weights: dict[str, Tensor] = {}
    for name, place in borrow.items():
        model, theirs = _network_of(place, name)
        tensors = checkpoint_of(Path(model)).tensors
        memory = f"networks.{theirs}"  # A buffer of the bundle itself.
        found = {name: tensors[memory]} if memory in tensors else {}
        for prefix in (f"average.{theirs}.", f"networks.{theirs}."):
            found = found or {
                f"{name}.{key.removeprefix(prefix)}": value
                for key, value in tensors.items()
                if key.startswith(prefix)
            }
        if not found:
            known = sorted({key.split(".")[1] for key in tensors if key.startswith("networks.")})
            raise SettingError(
                f"{model} has no network '{theirs}' to borrow for {name}. It has {', '.join(known)}. Name "
                f"the one you mean behind a colon: --set borrow.{name}={model}:{_meant(theirs, known)}."
            )
        weights |= found
    return weights


def _meant(name: str, known: Sequence[str]) -> str:
    """The network of a run that is nearest to a name that it lacks; its generator where none is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return near[0] if near else "generator" if "generator" in known else known[0]


def lenders(borrow: Mapping[str, str]) -> dict[str, Lender]:
    """The run that each network is borrowed from, as `Method.with_lenders` wants it.

    Raises:
        CheckpointError, RunError: there is no such model.
    """
    found = {}
    for name, place in borrow.items():
        model, _ = _network_of(place, name)
        checkpoint = checkpoint_of(Path(model))
        recipe: Recipe = from_json(checkpoint.facts["recipe"], Recipe)
        found[name] = Lender(model, recipe.method, recipe.spec(), _fingerprint_of(recipe, checkpoint))
    return found


def _fingerprint_of(recipe: Recipe, checkpoint: Checkpoint) -> str | None:
    """Of the generator as `open_generator` makes it; None where a method makes no images."""
    if not recipe.method.makes_images:
        return None
    networks = build_networks(recipe, checkpoint.tensors)
    return from_method(
        recipe.method, networks, recipe.spec(), name="lender", recipe_name=recipe.name
    ).fingerprint


def _network_of(place: str, name: str) -> tuple[str, str]:
    """``RUN`` or ``RUN:network`` -> the run, and the network that is wanted of it."""
    model, colon, network = place.rpartition(":")
    return (model, network) if colon and model and not Path(place).exists() else (place, name)


def _is_ours(path: Path) -> bool:
    """Whether a file is a gansmith checkpoint, and not weights from elsewhere."""
    if path.suffix.lower() != ".safetensors":
        return False
    try:
        return read_metadata(path).get("format", "").startswith("gansmith")
    except (OSError, ValueError):
        return True  # Damaged: our reader says so best.


def checkpoint_of(path: Path) -> Checkpoint:
    """The newest whole checkpoint of a run, or the file itself.

    Raises:
        CheckpointError: nothing there, or damaged.
        RunError: a run without a checkpoint yet.
    """
    if path.is_dir():
        found = Run.open(path).newest()
        if found is None:
            raise RunError(f"{path} has no checkpoint yet. Train it first, or wait for its first checkpoint.")
        return found[0]
    if path.is_file():
        return Checkpoint.load(path)
    raise CheckpointError(
        f"MODEL is a run directory, a checkpoint file, or a .pt or .safetensors file of DCGAN weights. "
        f"Received: {str(path)!r}, which is not there.{_siblings(path)}"
    )


def _siblings(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    return nearest(path.name, [item.name for item in path.parent.iterdir() if Run.is_run(item)])
