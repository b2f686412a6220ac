"""The verb ``attack``: what a classifier, a detector or a critic withstands."""

import json
from pathlib import Path
from typing import Any

import click

from gansmith.cli.options import Verb, given, import_code, on_device, with_code
from gansmith.errors import SettingError

_METHODS = ("all", "fgsm", "r-fgsm", "pgd", "pgd-l2", "latent")


@click.command("attack", cls=Verb)
@click.argument("model", callback=given)
@click.argument("data", callback=given)
@click.option("--method", type=click.Choice(_METHODS), default="all", show_default=True, help="See below.")
@click.option(
    "--epsilon",
    metavar="4/255,...",
    help="How far: of the range from black to white. [2/255,4/255,8/255; L2 0.25,0.5,1]",
)
@click.option("--steps", type=click.IntRange(1), help="Of PGD. [10, and 50 with restarts]")
@click.option("--step", type=float, help="Of PGD, in units of epsilon. [2.5 / steps]")
@click.option("--restarts", type=click.IntRange(1), help="Random starts of PGD. [5 of PGD-50]")
@click.option("--samples", type=click.IntRange(1), default=500, show_default=True, help="Pictures at most.")
@click.option("--seed", type=click.IntRange(0, 2**30), default=0, show_default=True, help="Of random starts.")
@click.option("--against", metavar="MODEL", callback=given, help="What a detector was trained against.")
@click.option("--attribute", metavar="NAME", help="Which one turns, for --method latent.")
@click.option("-o", "--out", metavar="DIR", callback=given, help="Numbers, pictures, page. [MODEL/attack]")
@with_code
@on_device
@click.option("--json", "as_json", is_flag=True, help="The numbers for programs, alone on stdout.")
def attack(model: str, data: str, out: str | None, as_json: bool, **asked: Any) -> None:
    r"""Change held-out pictures of DATA by epsilon so that MODEL is wrong, and count how often it is.

    MODEL is a classifier or a detector (gansmith classify), or any run with a critic: then real pictures are
    made to look fake to it, and fakes real. all: FGSM, R-FGSM, PGD-10 and PGD-50 with restarts in L-inf.
    latent: DATA is a generator's run, and z is moved as little as turns what MODEL, a classifier, says of
    its picture. For measuring your own models.

    \b
    gansmith attack runs/digits mnist --epsilon 0.1,0.2,0.3
    gansmith attack runs/one my_pictures --method pgd --epsilon 4/255 --steps 40
    gansmith attack runs/detector my_pictures --against runs/one
    gansmith attack runs/traits runs/one --method latent --attribute smiling
    """
    from gansmith.core.console import counter
    from gansmith.core.distributed import my_device
    from gansmith.core.files import check_outside_data
    from gansmith.reporting.attack_page import build
    from gansmith.reporting.page import write_page
    from gansmith.robustness.attack import Wanted, as_text, parse_epsilons, write
    from gansmith.robustness.attack import attack as start

    import_code(asked.pop("code"))
    epsilons, device = parse_epsilons(asked.pop("epsilon")), my_device(asked.pop("device"))
    attribute, place = asked.pop("attribute"), Path(model)
    folder = Path(out) if out else (place if place.is_dir() else place.parent) / "attack"
    check_outside_data(folder, data)
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"Numbers and pictures go into a folder. Received: {folder}, which is a file.")
    about = {"model": model, "data": data, "seed": asked["seed"]}
    if asked["method"] == "latent":
        _latent(model, data, folder, {**about, "attribute": attribute}, device, asked["samples"], as_json)
        return
    if attribute is not None:
        raise SettingError(f"--attribute is for --method latent. Received: --method {asked['method']}.")
    found = start(model, data, Wanted(epsilons=epsilons, device=device, **asked), counter("Attacking"))
    folder.mkdir(parents=True, exist_ok=True)
    tree = write(found, folder, about)
    page = write_page(folder / "attack.html", build(tree, folder))
    if as_json:
        click.echo(json.dumps(tree, indent=2))
        return
    click.echo(as_text(found))
    click.echo(f"  {page}")


def _latent(
    model: str, data: str, folder: Path, about: dict[str, Any], device: str, count: int, as_json: bool
) -> None:
    """The smallest changes of z, told and written."""
    from gansmith.core.console import counter
    from gansmith.robustness.latent import PICTURES, latent_attack, latent_text, write_latent

    found = latent_attack(
        model,
        data,
        attribute=about["attribute"],
        count=count,
        seed=about["seed"],
        device=device,
        progress=counter("Searching"),
    )
    folder.mkdir(parents=True, exist_ok=True)
    tree = write_latent(found, folder, about)
    click.echo(json.dumps(tree, indent=2) if as_json else f"{latent_text(found)}\n  {folder / PICTURES}")
