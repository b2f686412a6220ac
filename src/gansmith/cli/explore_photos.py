"""What ``explore`` does with photos and seeds: find them in latent space, mix, film, and look for copies."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from gansmith.cli.generate import open_model, say_unknown
from gansmith.cli.options import Verb, given, on_device, to_wish, with_code, with_prompt, with_wish

if TYPE_CHECKING:
    from gansmith.core.tensors import BytePictures
    from gansmith.explore.latent_encoder import LatentEncoder
    from gansmith.explore.places import Places
    from gansmith.explore.projection import Projection, Search
    from gansmith.models.generator import Generator

_SEEDS = re.compile(r"[\d\s,-]*\d[\d\s,-]*", re.ASCII)
_MOST = 4096  # Results that are compared with training images.


def _with_search(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how the latent of a photo is searched for."""
    steps, starts, encoder = "Moves of each start.", "Starts of each photo.", "A network that guesses first."
    for option in (
        click.option("--align", metavar="TEMPLATE", help="Find the face, bring it to ffhq, celeba or close."),
        click.option("--steps", type=click.IntRange(0, 100_000), default=200, show_default=True, help=steps),
        click.option("--starts", type=click.IntRange(1, 64), default=2, show_default=True, help=starts),
        click.option(
            "--encoder",
            type=click.Choice(["auto", "none", "train"]),
            default="auto",
            show_default=True,
            help=f"{encoder} auto: if the run has one; train: first make one, some minutes.",
        ),
        click.option("--space", metavar="NAME", help="z, w or w+. [the last one that the model has]"),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the search."),
    ):
        verb = option(verb)
    return verb


@click.command("project", cls=Verb)
@click.argument("photo", callback=given)
@click.option(
    "-o", "--out", default="projected", show_default=True, callback=given, metavar="OUT", help="A folder."
)
@_with_search
@with_prompt
@with_code
@on_device
@click.pass_obj
def project_(model: str, /, photo: str, out: str, **asked: Any) -> None:
    r"""Find the latent whose image is nearest to a photo.

    PHOTO is an image, or up to 64 in a folder, zip or tar. OUT gets sheet.png (photo, the encoder's guess
    where there is one, what was found), latents.safetensors for `mix` and `between`, and report.json.
    A photo has failed where what was found is no nearer to it than two chance pictures of the model are to
    each other, the best of 64.

    \b
    gansmith explore runs/one project photo.jpg --align ffhq -o projected
    gansmith explore runs/one project photos --encoder train
    """
    from gansmith.core.files import check_outside_data
    from gansmith.explore.places import places_of_photos
    from gansmith.models.edit import open_photos

    generator = _opened(model, asked)
    check_outside_data(Path(out), photo)
    how = _search(generator, asked)
    names, photos = open_photos(photo, generator, asked["align"])
    encoder = _encoder(generator, model, how, asked)
    found = _found(generator, photos, how, encoder, asked)
    folder = Path(out)
    guess = None if encoder is None else _guessed(generator, photos, how, encoder, asked)
    _write_sheet(found, guess, folder / "sheet.png", generator)
    places_of_photos(found, names).save(folder / "latents.safetensors", generator)
    _write_report(found, names, folder / "report.json", generator, encoder is not None)
    for row, name in enumerate(names):
        click.echo(_line(found, row, name))
    if encoder is None and asked["encoder"] == "auto":
        click.echo("The run has no encoder yet: --encoder train makes one, for nearer results.", err=True)
    click.echo(f"{len(names)} photo{'s' * (len(names) != 1)} in {folder}, {found.seconds:.1f} s of search")


@click.command("between", cls=Verb)
@click.argument("places", nargs=-1, required=True, metavar="PLACE...")
@click.option(
    "-o", "--out", required=True, callback=given, metavar="FILE", help="A .gif, .webp or .mp4 file."
)
@click.option("--frames", type=click.IntRange(2, 10_000), default=24, show_default=True, help="To the next.")
@click.option("--fps", type=click.IntRange(1, 240), default=24, show_default=True, help="Frames a second.")
@click.option("--loop/--no-loop", default=True, help="Back to the first place. [yes]")
@click.option("--mode", type=click.Choice(["spherical", "linear"]), help="How to go. [as the space wants it]")
@_with_search
@with_wish
@with_code
@on_device
@click.pass_obj
def between(
    model: str,
    /,
    places: tuple[str, ...],
    out: str,
    frames: int,
    fps: int,
    loop: bool,
    mode: Literal["spherical", "linear"] | None,
    **asked: Any,
) -> None:
    r"""Film the way from photo to photo, or seed to seed.

    A PLACE is a seed (or 0-3), a photo or a folder of photos, or a latents.safetensors of `project`.

    \b
    gansmith explore runs/one between anna.jpg ben.jpg -o between.gif
    gansmith explore runs/one between projected/latents.safetensors 14 -o between.mp4
    """
    from gansmith.core.files import check_outside_data
    from gansmith.explore.interpolation import MOST_SEEDS, Held, Interpolation, VideoOptions, film

    generator = _opened(model, asked)
    check_outside_data(Path(out), *places)
    there = _places(generator, model, places, asked)
    if not 2 <= len(there.latents) <= MOST_SEEDS:
        raise _bad(f"A film goes between 2 to {MOST_SEEDS} places. Received: {len(there.latents)}.")
    way = Interpolation(frames_per_leg=frames, mode=mode, loop=loop)
    held = Held(space=there.space, seed=there.seed, prompt=there.prompt)
    film(generator, there.latents, Path(out), way, VideoOptions(fps=fps), held)
    click.echo(f"From {there.names[0]} to {there.names[-1]}, by {len(there.names)} places, in {out}")


@click.command("mix", cls=Verb)
@click.argument("places", nargs=-1, required=True, metavar="PLACE...")
@click.option("--with", "others", multiple=True, metavar="PLACE", help="Whose layers are taken. [the same]")
@click.option(
    "--layers",
    default="fine",
    show_default=True,
    help="Which layers are taken: 4-9, or coarse, middle, fine.",
)
@click.option("-o", "--out", required=True, callback=given, metavar="FILE", help="A .png, .jpg or .webp.")
@_with_search
@with_wish
@with_code
@on_device
@click.pass_obj
def mix_(
    model: str, /, places: tuple[str, ...], others: tuple[str, ...], layers: str, out: str, **asked: Any
) -> None:
    r"""Mix styles: most layers of one picture, some of another. For models with the latent space w+.

    The sheet has a row for each PLACE and a column for each --with; the layers named are the column's. A
    PLACE is a seed (or 0-3), a photo or a folder of photos, or a latents.safetensors of `project`.

    \b
    gansmith explore runs/styles mix 0-3 --with 10-15 --layers 4-9 -o mix.png
    """
    from gansmith.core.files import check_outside_data
    from gansmith.explore.mixing import LAYERED, layers_of, parse_layers, write_mixing
    from gansmith.images.provenance import KINDS

    generator = _opened(model, asked)
    chosen = parse_layers(layers, layers_of(generator))
    if Path(out).suffix.lower() not in KINDS:
        raise _bad(f"A table of mixes is one picture: {', '.join(KINDS)}. Received: {out}. Try -o mix.png.")
    check_outside_data(Path(out), *places, *others)
    words = {**asked, "space": asked["space"] or LAYERED}
    base = _places(generator, model, places, words, wide=True)
    other = _places(generator, model, others, words, wide=True) if others else base
    write_mixing(generator, base, other, chosen, Path(out))
    click.echo(f"{len(base.names)} by {len(other.names)}, layers {chosen[0]}-{chosen[-1]}, in {out}")


@click.command("nearest", cls=Verb)
@click.argument("results", nargs=-1, required=True, metavar="RESULT...")
@click.option(
    "-o", "--out", default="nearest.png", show_default=True, callback=given, metavar="OUT", help="A .png."
)
@click.option("--data", metavar="DATA", callback=given, help="The training images. [as the run has them]")
@click.option(
    "--features", default="pixels", show_default=True, help="pixels; face for faces in line; dino, clip, ..."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@with_wish
@with_code
@on_device
@click.pass_obj
def nearest_(model: str, /, results: tuple[str, ...], out: str, as_json: bool, **asked: Any) -> None:
    r"""Find the training picture nearest to each result: what is copied, and what is new.

    A RESULT is a seed (or 0-63), pictures that were made, or a latents.safetensors of `project`. The
    distance is told beside that of held-out pictures to theirs, which were never trained on.

    \b
    gansmith explore runs/one nearest 0-15 -o nearest.png
    """
    from gansmith.core.console import bar
    from gansmith.engine.device import pick_device
    from gansmith.explore.directions import home_of
    from gansmith.explore.nearest import Training, nearest_training, write_nearest
    from gansmith.metrics.features.registry import open_features

    generator = open_model(model, asked["code"], asked["device"])
    say_unknown(generator, to_wish(asked))
    network = open_features(asked["features"], device=pick_device(asked["device"]))
    known = Training.of(home_of(model), asked["data"])
    names, images = _results(generator, results, asked)
    with bar("Comparing", len(known.training)) as progress:
        found = nearest_training(images, names, known, network, progress.update)
    written = write_nearest(found, Path(out), generator, known.place, *results)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
        return
    for row in found.distance.argsort(stable=True)[:16].tolist():
        share = float(found.distance[row]) / found.usual if found.usual else None
        beside = "" if share is None else f", {share:.2f} of what is usual"
        close = "; as near as a copy" if found.close[row] else ""
        mirrored = " mirrored" if found.mirrored[row] else ""
        click.echo(
            f"{names[row]}: row {int(found.rows[row])}{mirrored}, "
            f"distance {float(found.distance[row]):.3g}{beside}{close}"
        )
    click.echo(f"{int(found.close.sum())} of {len(names)} as near as copies; pairs in {written[0]}")


def _bad(message: str) -> Exception:
    from gansmith.errors import SettingError

    return SettingError(message)


def _opened(model: str, asked: dict[str, Any]) -> "Generator":
    """A generator with a latent; what it does not know of a caption is said."""
    from gansmith.explore.places import check_latent

    generator = open_model(model, asked["code"], asked["device"])
    check_latent(generator)
    say_unknown(generator, to_wish(asked))
    return generator


def _search(generator: "Generator", asked: dict[str, Any]) -> "Search":
    from gansmith.explore.projection import Search

    space = asked["space"] or generator.spaces[-1]
    generator.way(space)  # An unknown one is refused before any work.
    return Search(space=space, steps=asked["steps"], starts=asked["starts"], seed=asked["seed"])


def _encoder(
    generator: "Generator", model: str, how: "Search", asked: dict[str, Any]
) -> "LatentEncoder | None":
    """The encoder of the run, a new one, or none."""
    from gansmith.core.console import counter
    from gansmith.explore.directions import home_of
    from gansmith.explore.latent_encoder import stored_encoder, train_encoder

    space = how.space or generator.spaces[-1]
    if asked["encoder"] == "none":
        return None
    if asked["encoder"] == "auto":
        return stored_encoder(generator, home_of(model), space)
    encoder = train_encoder(generator, space, progress=counter("Training an encoder"))
    encoder.save(home_of(model))
    return encoder


def _found(
    generator: "Generator",
    photos: "BytePictures",
    how: "Search",
    encoder: "LatentEncoder | None",
    asked: dict[str, Any],
) -> "Projection":
    """The latents of photos, and which ones failed."""
    from gansmith.core.console import counter
    from gansmith.explore.projection import learned_threshold, project

    wish = to_wish(asked)
    threshold = learned_threshold(generator, how, wish=wish)
    told = counter("Searching")
    return project(generator, photos, how, encoder=encoder, wish=wish, threshold=threshold, progress=told)


def _line(found: "Projection", row: int, name: str) -> str:
    failed = ", failed: no nearer than chance pictures are" if found.failed[row] else ""
    return f"{name}: {float(found.psnr[row]):.1f} dB, distance {float(found.distance[row]):.3f}{failed}"


def _guessed(
    generator: "Generator",
    photos: "BytePictures",
    how: "Search",
    encoder: "LatentEncoder",
    asked: dict[str, Any],
) -> "BytePictures":
    """What the encoder alone finds."""
    from dataclasses import replace

    from gansmith.explore.projection import project

    alone = replace(how, steps=0, starts=1)
    return project(generator, photos, alone, encoder=encoder, wish=to_wish(asked)).images


def _write_sheet(
    found: "Projection", guess: "BytePictures | None", path: Path, generator: "Generator"
) -> None:
    import torch

    from gansmith.images.grid import grid
    from gansmith.images.provenance import write_png

    columns = [found.photos, *([] if guess is None else [guess]), found.images]
    rows = torch.stack(columns, dim=1).flatten(0, 1)
    note = "photo, the encoder's guess, what was found" if guess is not None else "photo, what was found"
    write_png(grid(rows, columns=len(columns)), path, generator.provenance(note=f"projected: {note}"))


def _write_report(
    found: "Projection", names: Sequence[str], path: Path, generator: "Generator", encoded: bool
) -> None:
    from gansmith.core.files import write_text

    told = zip(names, found.psnr.tolist(), found.distance.tolist(), found.failed.tolist(), strict=True)
    facts = {
        "model": generator.name,
        "fingerprint": generator.fingerprint,
        "space": found.space,
        "seed": found.seed,
        "encoder": encoded,
        "threshold": round(found.threshold, 5),
        "seconds": round(found.seconds, 2),
        "photos": [
            {"name": name, "psnr_db": round(db, 3), "distance": round(apart, 5), "failed": failed}
            for name, db, apart, failed in told
        ],
    }
    write_text(path, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


def _places(
    generator: "Generator", model: str, words: Sequence[str], asked: dict[str, Any], *, wide: bool = False
) -> "Places":
    """Seeds, photos and files of latents as places of one space, in the order they were named."""
    from gansmith.core.seeds import parse_seeds
    from gansmith.explore.places import SUFFIX, joined, places_of_seeds, read_places, widened

    files = {word: read_places(Path(word), generator) for word in words if word.lower().endswith(SUFFIX)}
    stored = next(iter(files.values()), None)
    photos = [word for word in words if word not in files and not _SEEDS.fullmatch(word)]
    first = stored.seed if stored else asked["seed"] if photos else None
    space = asked["space"] or (stored.space if stored else None)
    found = _all_found(generator, model, photos, {**asked, "space": space, "seed": first}) if photos else {}
    parts = []
    for word in words:
        if word in files or word in found:
            parts.append(files[word] if word in files else found[word])
            continue
        seeds = parse_seeds(word)
        if len(seeds) > _MOST:
            raise _bad(f"At most {_MOST} seeds are shown. Received: {len(seeds):,} in {word}.")
        first = seeds[0] if first is None else first
        psi, wish = asked["truncation"], to_wish(asked)
        parts.append(places_of_seeds(generator, list(seeds), space, first=first, wish=wish, truncation=psi))
    return joined([widened(part, generator) for part in parts] if wide else parts, generator)


def _all_found(
    generator: "Generator", model: str, words: Sequence[str], asked: dict[str, Any]
) -> "dict[str, Places]":
    """The places of photos by the word that names them, found in one search; each is said."""
    from dataclasses import replace

    import torch

    from gansmith.explore.places import places_of_photos
    from gansmith.models.edit import open_photos

    how = _search(generator, asked)
    opened = {word: open_photos(word, generator, asked["align"]) for word in words}
    names = [name for some, _ in opened.values() for name in some]
    encoder = _encoder(generator, model, how, asked)
    found = _found(generator, torch.cat([each for _, each in opened.values()]), how, encoder, asked)
    for row, name in enumerate(names):
        click.echo(_line(found, row, name), err=True)
    everything, places, at = places_of_photos(found, names), dict[str, "Places"](), 0
    for word, (some, _) in opened.items():
        rows = slice(at, at + len(some))
        places[word] = replace(everything, latents=everything.latents[rows], names=everything.names[rows])
        at += len(some)
    return places


def _results(
    generator: "Generator", words: Sequence[str], asked: dict[str, Any]
) -> "tuple[list[str], BytePictures]":
    """Images to be compared with training images, and what they are called."""
    import torch

    from gansmith.core.seeds import parse_seeds
    from gansmith.explore.places import SUFFIX, read_places
    from gansmith.models.edit import open_photos
    from gansmith.models.write import Choice, pictures

    names, images = list[str](), []
    for word in words:
        if word.lower().endswith(SUFFIX):
            places = read_places(Path(word), generator)
            names += places.names
            images.append(places.images(generator))
        elif _SEEDS.fullmatch(word):
            seeds = parse_seeds(word)
            if len(seeds) > _MOST:
                raise _bad(f"At most {_MOST} results are compared. Received: {len(seeds):,} in {word}.")
            made = pictures(generator, seeds, choice=Choice(to_wish(asked), asked["truncation"]))
            images += [some for _, some in made]
            names += [f"seed {seed}" for seed in seeds]
        else:
            found, photos = open_photos(word, generator)
            names += found
            images.append(photos)
    return names, torch.cat(images)
