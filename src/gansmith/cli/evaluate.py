"""The verb ``evaluate``: numbers about a model or pictures against pictures."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from gansmith.cli.options import Verb, given, on_device, to_size
from gansmith.errors import SettingError

if TYPE_CHECKING:
    from gansmith.config.recipe import DataConfig
    from gansmith.core.distributed import World
    from gansmith.metrics.evaluate import Evaluation
    from gansmith.metrics.image_sets import PictureSet
    from gansmith.metrics.registry import ExtraInputs
    from gansmith.metrics.statistics import Statistics


@click.command(cls=Verb)
@click.argument("made", metavar="A", callback=given)
@click.argument("real", metavar="B", callback=given)
@click.option("--metrics", default="fid,kid,pr,prdc", show_default=True, metavar="A,B", help="See below.")
@click.option(
    "--features",
    default="inception",
    show_default=True,
    help="inception, face, dino, clip, vgg, pixels or a FILE.py.",
)
@click.option("--weights", metavar="FILE", help="Weights of the feature network. [torch's cache]")
@click.option(
    "--resize",
    type=click.Choice(["clean", "legacy"]),
    default="clean",
    show_default=True,
    help="How pictures are brought to the feature network's size.",
)
@click.option(
    "--samples", type=click.IntRange(2), default=50_000, show_default=True, help="Pictures at most."
)
@click.option("--size", callback=to_size, metavar="64|128x96", help="Compare at this size. [the model's]")
@click.option("--save", metavar="FILE", help="Save the statistics of B, to be given in place of B.")
@click.option("-o", "--out", metavar="DIR", help="Where curves and sheets go. [RUN/evaluation for a run]")
@click.option("--no-cache", is_flag=True, help="Look at all pictures anew.")
@on_device
@click.option("--json", "as_json", is_flag=True, help="The numbers for programs, alone on stdout.")
def evaluate(fake: str, real: str, as_json: bool, **asked: Any) -> None:
    r"""Numbers about A against B, each with its interval and what it means.

    A and B are a run, a checkpoint, pictures (a folder, zip, tar, prepared set or built-in name), or saved
    statistics. A model and a folder of its pictures give the same numbers. Metrics: fid, fid_infinity, kid,
    is, pr (precision and recall), prdc (density and coverage, too), prd (the curve), swd, ms_ssim, ppl,
    memorization, separation (what the run's own critic says of held-out pictures and of its own), modes (of
    stacked-mnist).

    \b
    gansmith evaluate runs/one my_pictures --metrics fid,kid,pr --samples 10000
    gansmith evaluate runs/one my_pictures --features face --metrics fid,memorization
    gansmith evaluate made.zip real.zip --features pixels --metrics fid,swd --json
    """
    from gansmith.core.distributed import my_device, process_group
    from gansmith.engine.device import pick_device
    from gansmith.metrics.image_sets import check_readable
    from gansmith.metrics.outputs import write_outputs
    from gansmith.metrics.registry import parse_metrics
    from gansmith.metrics.statistics import save

    metrics = parse_metrics(asked["metrics"])
    for place in (fake, real):
        check_readable(place)
    folder = _places(fake, real, asked)
    asked["device"] = my_device(asked["device"])
    with process_group(pick_device(asked["device"])) as world:
        found = _found(fake, real, metrics, asked, world)
    if found is None:
        return
    # The numbers first: a disk that refuses must not cost them.
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else found.as_text())
    if asked["save"] is not None:
        save(found.real, Path(asked["save"]))
    written = [] if folder is None else write_outputs(found, folder)
    for path in written if not as_json else ():
        click.echo(f"  {path}")


def _found(
    fake: str, real: str, metrics: tuple[str, ...], asked: dict[str, Any], world: "World"
) -> "Evaluation | None":
    """The numbers, at the first process; the others look at their share of the pictures."""
    from gansmith.core.console import counter
    from gansmith.engine.device import pick_device
    from gansmith.metrics.evaluate import contribute
    from gansmith.metrics.evaluate import evaluate as start
    from gansmith.metrics.features.registry import open_features
    from gansmith.metrics.statistics import EvaluationOptions, cache_folder

    with _first_alone(world):
        network = open_features(
            _features(fake, real, metrics, asked),
            weights=asked["weights"],
            resize=asked["resize"],
            device=pick_device(asked["device"]),
        )
        sides, config = _sides(fake, real, asked)
    if not world.is_main:
        parts = _parts(fake, real, config) if config is not None and "memorization" in metrics else None
        contribute([*sides, *(parts or ())], network, EvaluationOptions(world=world))
        return None
    extra = _extra_inputs(fake, real, config, metrics, sides, asked["device"])
    options = EvaluationOptions(
        progress=counter, cache=None if asked["no_cache"] else cache_folder(), world=world
    )
    return start(sides[0], sides[1], network, metrics, extra=extra, options=options)


@contextmanager
def _first_alone(world: "World") -> Iterator[None]:
    """The first process does this before the others: what is not there yet is downloaded once."""
    if not world.is_main:
        world.barrier()
    yield
    if world.is_main:
        world.barrier()


def _features(fake: str, real: str, metrics: tuple[str, ...], asked: dict[str, Any]) -> str:
    """What was asked for; where nothing was and no metric needs it, that which needs no weights."""
    from gansmith.metrics.registry import needs_network
    from gansmith.metrics.statistics import is_statistics

    source = click.get_current_context().get_parameter_source
    chosen = any(source(name) is not ParameterSource.DEFAULT for name in ("features", "weights", "resize"))
    saved = asked["save"] is not None or any(is_statistics(Path(place)) for place in (fake, real))
    name: str = asked["features"]
    return name if chosen or saved or needs_network(metrics) else "pixels"


def _places(fake: str, real: str, asked: dict[str, Any]) -> Path | None:
    """The folder for curves and sheets, once it is sure that nothing of the user's is overwritten."""
    from gansmith.core.files import check_outside_data
    from gansmith.metrics.image_sets import is_model
    from gansmith.metrics.outputs import default_folder
    from gansmith.metrics.statistics import is_statistics

    folder = Path(asked["out"]) if asked["out"] else default_folder(fake)
    pictures = [place for place in (fake, real) if not is_model(place)]
    if asked["save"] is not None:
        path = Path(asked["save"])
        check_outside_data(path, fake, real)
        if path.suffix != ".safetensors" or (path.exists() and not is_statistics(path)):
            there = "which is something else" if path.exists() else "of another kind"
            raise SettingError(f"Statistics are saved to a .safetensors file. Received: {path}, {there}.")
    if folder is not None:
        check_outside_data(folder, *pictures)
        if folder.exists() and not folder.is_dir():
            raise SettingError(f"Curves and sheets go into a folder. Received: {folder}, which is a file.")
    return folder


def _sides(
    fake: str, real: str, asked: dict[str, Any]
) -> tuple[list["PictureSet | Statistics"], "DataConfig | None"]:
    from gansmith.metrics.image_sets import common_config, is_model, open_model, open_rows
    from gansmith.metrics.statistics import is_statistics, load

    saved = [is_statistics(Path(place)) for place in (fake, real)]
    places = [place for place, is_saved in zip((fake, real), saved, strict=True) if not is_saved]
    config = common_config(places, asked["size"]) if places else None
    samples: int = asked["samples"]
    sides: list[PictureSet | Statistics] = []
    for place, is_saved in zip((fake, real), saved, strict=True):
        if is_saved:
            sides.append(load(Path(place)))
        elif is_model(place):
            sides.append(open_model(place, samples, asked["device"]))
        else:
            assert config is not None
            sides.append(open_rows(place, config, max_pictures=samples))
    return sides, config


def _extra_inputs(
    fake: str,
    real: str,
    config: "DataConfig | None",
    metrics: tuple[str, ...],
    sides: "list[PictureSet | Statistics]",
    device: str,
) -> "ExtraInputs":
    """What some of the metrics need besides two sets of pictures."""
    import torch

    from gansmith.metrics.image_sets import ModelPictures
    from gansmith.metrics.registry import ExtraInputs
    from gansmith.models.load import open_judge

    parts = None
    if config is not None and {"memorization", "critic_auc"} & set(metrics):
        parts = _parts(fake, real, config)
    model = sides[0] if isinstance(sides[0], ModelPictures) else None
    scores = None
    if "critic_auc" in metrics and model is not None and parts is not None:
        judge = open_judge(fake, device)
        ours, theirs = ([judge(part) for part in side.batches(64)] for side in (model, parts[1]))
        scores = (torch.cat(ours), torch.cat(theirs))
    return ExtraInputs(parts, None if model is None else model.generator, scores)


def _parts(fake: str, real: str, config: "DataConfig") -> "tuple[PictureSet, PictureSet] | None":
    """The pictures a run was trained on, and those it held out."""
    from gansmith.metrics.image_sets import is_model, training_and_held_out
    from gansmith.metrics.statistics import is_statistics
    from gansmith.runs.run import Run

    if is_model(real) or is_statistics(Path(real)):
        return None
    path = Path(fake)
    seed = Run.open(path).recipe.train.seed if Run.is_run(path) else 0
    return training_and_held_out(real, config, seed)
