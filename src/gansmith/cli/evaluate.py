"""The verb ``evaluate``: numbers about a model or images against images."""

import json
from pathlib import Path
from typing import Any

import click

from gansmith.cli.options import Verb, given, import_code, on_device, to_size, with_code
from gansmith.errors import SettingError


@click.command(cls=Verb)
@click.argument("fake", metavar="A", callback=given)
@click.argument("real", metavar="B", callback=given)
@click.option("--metrics", default="fid,kid,pr,prdc", show_default=True, metavar="A,B", help="See below.")
@click.option(
    "--features",
    metavar="NAME|FILE.py",
    help="inception, face, dino, clip, vgg, pixels or a FILE.py. [inception]",
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
@with_code
@on_device
@click.option("--json", "as_json", is_flag=True, help="The numbers for programs, alone on stdout.")
def evaluate(fake: str, real: str, as_json: bool, **asked: Any) -> None:
    r"""Numbers about A against B, each with its interval and what it means.

    A and B are a run, a checkpoint, images (a folder, zip, tar, prepared set or built-in name), or saved
    statistics. A model and a folder of its images give the same numbers. Metrics: fid, fid_infinity, kid,
    is, pr (precision and recall), prdc (density and coverage, too), prd (the curve), swd, ms_ssim, ppl; of
    pairs l1, psnr, ssim, lpips, psnr_y, ssim_y (but for lpips, of a model that enlarges on whole pictures
    of any size, beside bicubic);
    memorization, critic_auc (what the run's own critic says of held-out images and of its own), modes (of
    stacked-mnist); of conditional models class_fid (within classes) and obedience (is what was asked for,
    by label, attributes, caption or as the other of two domains, what is seen?), of key points pose_error.

    \b
    gansmith evaluate runs/one my_pictures --metrics fid,kid,pr --samples 10000
    gansmith evaluate runs/one my_pictures --features face --metrics fid,memorization
    gansmith evaluate made.zip real.zip --features pixels --metrics fid,swd --json
    """
    from gansmith.core.console import counter
    from gansmith.core.distributed import my_device, process_group
    from gansmith.engine.device import pick_device
    from gansmith.metrics.evaluate import Question
    from gansmith.metrics.evaluate import evaluate as start
    from gansmith.metrics.outputs import write_outputs
    from gansmith.metrics.registry import parse_metrics
    from gansmith.metrics.statistics import save

    parse_metrics(asked["metrics"])
    import_code(asked["code"])
    folder = _places(fake, real, asked)
    device = my_device(asked["device"])
    plain = {name: asked[name] for name in ("metrics", "features", "weights", "resize", "samples", "size")}
    if asked["save"] is not None and plain["features"] is None:
        plain["features"] = "inception"
    question = Question(**plain, cache=not asked["no_cache"], device=device)
    with process_group(pick_device(device)) as world:
        found = start(fake, real, question, progress=counter, world=world)
    if found is None:
        return
    # The numbers first: a disk that refuses must not cost them.
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else found.as_text())
    if asked["save"] is not None and found.real is not None:
        save(found.real, Path(asked["save"]))
    written = [] if folder is None else write_outputs(found, folder)
    for path in written if not as_json else ():
        click.echo(f"  {path}")


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
