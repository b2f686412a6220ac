"""Explore: pictures of seeds, moved along directions, mixed, truncated, and saved with their marks."""

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Any

import torch
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from gansmith.app.services import PNG, Services, Tab
from gansmith.app.ways import Found
from gansmith.core.noise import Noise
from gansmith.core.tensors import Images, Latents
from gansmith.errors import SettingError
from gansmith.explore.directions import Directions, Steps, space_of
from gansmith.explore.mixing import LAYERED, layers_of, mix, parse_layers
from gansmith.images.grid import Canvas, to_bytes
from gansmith.images.provenance import png_bytes
from gansmith.methods.latent import LatentMethod
from gansmith.models.generator import Generator
from gansmith.models.latents import linear, slerp
from gansmith.models.prompts import Wish, parse_attributes

_MOST_SEED = 2**53 - 1  # The largest whole number that every JSON reader keeps.
_MOST_KEPT = 64 * 2**20  # Bytes of pictures that are kept.


class Asked(BaseModel):
    """What is asked of a model, for a picture and for a sheet alike.

    Example:
        >>> Asked(model="faces", label="smiling").wish()
        Wish(label='smiling', attributes={}, caption=None)
    """

    model_config = ConfigDict(extra="forbid")

    model: str = Field(max_length=300, description="Its id, from /api/about.")
    truncation: float | None = Field(
        None, ge=0, le=10, allow_inf_nan=False, description="For models that have it: less is less variety."
    )
    label: str | None = Field(None, max_length=200, description="A class, by name or number.")
    attributes: str | None = Field(None, max_length=1000, description="smiling=1,glasses=0")
    caption: str | None = Field(None, max_length=500, description="For models trained on captions.")

    def wish(self) -> Wish | None:
        """What is asked besides a seed; None for nothing."""
        attributes = parse_attributes(self.attributes) if self.attributes else {}
        wish = Wish(self.label or None, attributes, self.caption or None)
        return wish if wish else None


class PictureAsked(Asked):
    """One picture.

    Example:
        >>> PictureAsked(model="faces", seed=7, move=["smile=0.5"])
    """

    seed: int = Field(0, ge=0, le=_MOST_SEED)
    move: list[str] = Field(
        [], max_length=64, description="NAME=AMOUNT, from -1 to 1: three standard deviations to either side."
    )
    other: int | None = Field(None, ge=0, le=_MOST_SEED, description="A second seed to go towards.")
    layers: str | None = Field(
        None,
        max_length=20,
        description="Styles that are taken from other: coarse, middle, fine, 4-9.",
    )
    share: float = Field(0.5, ge=0, le=1, allow_inf_nan=False, description="How far: 0 is seed, 1 is other.")


class SheetAsked(Asked):
    """Several seeds in one picture, side by side without gaps.

    Example:
        >>> SheetAsked(model="faces", first=24, count=24, columns=6)
    """

    first: int = Field(0, ge=0, le=_MOST_SEED - 64, description="The first seed; the others follow it.")
    count: int = Field(24, ge=1, le=64)
    columns: int = Field(6, ge=1, le=64)


class Slider(BaseModel):
    """A direction that a picture can be moved along.

    Example:
        >>> Slider(name="smile", space="z", source="attribute")
    """

    name: str
    space: str = Field(description="The latent space it lies in; moves of one picture are in one space.")
    source: str = Field(description="How it was found: sefa, ganspace, attribute.")


class Explorable(BaseModel):
    """What can be asked of a model.

    Example:
        >>> client.get("/api/explore/model", params={"model": "faces"}).json()["spaces"]
        ['z']
    """

    model: str
    recipe: str
    width: int
    height: int
    images_seen: int | None
    spaces: list[str]
    directions: list[Slider]
    found: Found = Field(description="The directions: stored in the run, found now by SeFa, or none.")
    truncation: bool = Field(description="Whether it has truncation.")
    layers: int = Field(description="Layers of styles that can be mixed; 0 for none.")
    classes: list[str] = Field(description="Labels that can be asked for; none: it takes no label.")
    attributes: list[str] = Field(description="Attributes that can be asked for.")
    words: list[str] | None = Field(description="Words captions may have; null: it takes no caption.")


def routes(services: Services) -> APIRouter:
    """What the tab Explore asks for."""
    router, made = APIRouter(prefix="/api/explore", tags=["explore"]), _Maker(services)
    desk = services.desk

    @router.get("/model")
    async def model(model: Annotated[str, Query(max_length=300)], x_tab: Tab = "?") -> Explorable:
        """What can be asked of a model; its newest checkpoint is opened."""
        return await desk.work(f"{x_tab} model", lambda: made.explorable(model))

    @router.get("/picture", response_class=Response, responses=dict(PNG))
    async def picture(asked: Annotated[PictureAsked, Query()], x_tab: Tab = "?") -> Response:
        """One picture, as fast as can be; its last bit may differ from what is saved."""
        return _png(await desk.work(f"{x_tab} picture", lambda: made.picture(asked)))

    @router.get("/sheet", response_class=Response, responses=dict(PNG))
    async def sheet(asked: Annotated[SheetAsked, Query()], x_tab: Tab = "?") -> Response:
        """Pictures of seeds that follow each other, in one PNG."""
        return _png(await desk.work(f"{x_tab} sheet", lambda: made.sheet(asked)))

    @router.get("/save", response_class=Response, responses=dict(PNG))
    async def save(asked: Annotated[PictureAsked, Query()], x_tab: Tab = "?") -> Response:
        """A picture to keep: to the last bit what gansmith generate writes, marked with how it was made."""
        content, name = await desk.work(f"{x_tab} save", lambda: made.saved(asked))
        return _png(content, {"Content-Disposition": f'attachment; filename="{name}"'})

    return router


class _Maker:
    """What the routes give, in the desk's thread."""

    def __init__(self, services: Services) -> None:
        self._shelf = services.shelf
        self._kept, self._ways = _Kept(), services.ways

    def _directions(self, generator: Generator, asked: PictureAsked) -> Directions:
        """What the moves that are asked for are looked up in."""
        if not asked.move:
            return Directions(generator.fingerprint)
        return self._ways.of(generator, self._shelf.get(asked.model).path).directions

    def picture(self, asked: PictureAsked) -> bytes:
        generator = self._shelf.generator(asked.model)
        directions = self._directions(generator, asked)

        def make() -> bytes:
            images, note = _picture(generator, asked, directions, exact=False)
            return png_bytes(to_bytes(images)[0], generator.provenance(asked.seed, note or None))

        key = generator.fingerprint, asked.model_dump_json(), id(directions) if asked.move else 0
        return self._kept.get(key, make)

    def sheet(self, asked: SheetAsked) -> bytes:
        generator = self._shelf.generator(asked.model)
        key = generator.fingerprint, asked.model_dump_json()
        return self._kept.get(key, lambda: _sheet(generator, asked))

    def saved(self, asked: PictureAsked) -> tuple[bytes, str]:
        """The bytes of the file, and its name."""
        generator = self._shelf.generator(asked.model)
        images, note = _picture(generator, asked, self._directions(generator, asked), exact=True)
        mark = generator.provenance(asked.seed, note or None)
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", generator.name)[:60]
        return png_bytes(to_bytes(images)[0], mark), f"{plain}-seed-{asked.seed}.png"

    def explorable(self, model: str) -> Explorable:
        generator = self._shelf.generator(model, newest=True)
        method, spec = _latent_method(generator), generator.spec
        fields = () if method.prompt_type is None else method.prompt_type._fields
        ways = self._ways.of(generator, self._shelf.get(model).path)
        return Explorable(
            model=model,
            recipe=generator.recipe_name,
            width=spec.width,
            height=spec.height,
            images_seen=generator.images_seen,
            spaces=list(generator.spaces),
            directions=[Slider(name=one.name, space=one.space, source=one.source) for one in ways.directions],
            found=ways.found,
            truncation=type(method).truncate is not LatentMethod.truncate,
            layers=layers_of(generator) if LAYERED in generator.spaces else 0,
            classes=list(spec.class_names) if "labels" in fields else [],
            attributes=list(spec.attribute_names) if "attributes" in fields else [],
            words=list(method.words(spec)) if "captions" in fields else None,
        )


class _Kept:
    """Pictures made before, the newest of them up to a number of bytes."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[Any, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, key: Any, make: Callable[[], bytes]) -> bytes:
        """The picture of a key, made where it is not kept."""
        if key in self._pictures:
            self._pictures.move_to_end(key)
            return self._pictures[key]
        content = self._pictures[key] = make()
        self._bytes += len(content)
        while self._bytes > _MOST_KEPT:
            self._bytes -= len(self._pictures.popitem(last=False)[1])
        return content


def _latent_method(generator: Generator) -> LatentMethod[Any, Any, Any]:
    if not isinstance(generator.method, LatentMethod):
        raise SettingError(
            f"Explore is for models that make images from a latent. Received: {generator.name} "
            f"({generator.recipe_name}), which makes them of something else. Try it in Translate."
        )
    return generator.method


def _picture(
    generator: Generator, asked: PictureAsked, directions: Directions, exact: bool
) -> tuple[Images, str]:
    """The picture of one request, [1, channels, height, width] in [-1, 1], and a note of how it was made."""
    method, noise, steps = _latent_method(generator), Noise.of(asked.seed), _steps(asked.move, directions)
    if asked.layers:
        layers_of(generator)  # Which says why a model has none.
        if asked.other is None:
            raise SettingError("Styles are taken from another seed. Received: layers alone. Add other.")
    prompt = generator.prompts([asked.seed], asked.wish())
    note = [] if generator.asks is None else [generator.asks.describe(prompt, 0)]
    if asked.truncation is not None:
        note.append(f"truncation {asked.truncation:g}")
    if exact and asked.other is None:
        images = generator.make(noise, prompt, asked.truncation, steps)
        return images, _joined(note, steps)
    wanted = LAYERED if asked.layers else method.spaces[-1] if asked.truncation is not None else None
    space = space_of([steps] if steps else [], wanted if asked.layers or not steps else None)
    latents = generator.latents(noise, prompt, space, asked.truncation)
    if asked.other is not None:
        end = generator.latents(Noise.of(asked.other), prompt, space, asked.truncation)
        latents = _with_other(generator, latents, end, asked, space)
        note.append(_how(asked))
    if steps:
        latents = steps(latents)
    if exact:
        return generator.synthesize(latents, noise, prompt, space), _joined(note, steps)
    with torch.inference_mode():  # One picture and not sixteen: the last bit may be another one.
        return generator.differentiable(noise, prompt, space)(latents), _joined(note, steps)


def _joined(note: list[str], steps: Steps | None) -> str:
    return ", ".join(filter(None, [*note, steps.note if steps else ""]))


def _with_other(
    generator: Generator, start: Latents, end: Latents, asked: PictureAsked, space: str
) -> Latents:
    """Styles of some layers of the other picture, or a latent part of the way to it."""
    if asked.layers:
        return mix(start, end, parse_layers(asked.layers, layers_of(generator)))
    way = slerp if generator.way(space) == "spherical" else linear
    found: Tensor = way(start.flatten(), end.flatten(), asked.share).view_as(start)
    return found


def _how(asked: PictureAsked) -> str:
    if asked.layers:
        return f"layers {asked.layers} of seed {asked.other}"
    return f"{asked.share:g} of the way to seed {asked.other}"


def _steps(given: list[str], directions: Directions) -> Steps | None:
    moves = []
    for text in given:
        name, _, amount = text.rpartition("=")
        if not name or not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", amount) or abs(float(amount)) > 1:
            raise SettingError(
                f"A move is NAME=AMOUNT with an amount from -1 to 1, as in smile=0.5. Received: "
                f"{text[:80]!r}."
            )
        if float(amount):
            moves.append(text)
    return Steps.parse(directions, moves) if moves else None


def _sheet(generator: Generator, asked: SheetAsked) -> bytes:
    _latent_method(generator)
    seeds = range(asked.first, asked.first + asked.count)
    prompt = generator.prompts(seeds, asked.wish())
    pictures = to_bytes(generator.make(Noise.of(*seeds), prompt, asked.truncation))
    shape = (pictures.shape[1], pictures.shape[2], pictures.shape[3])
    canvas = Canvas(len(pictures), shape, asked.columns, gap=0)
    for number, one in enumerate(pictures):
        canvas.put(number, one)
    return png_bytes(canvas.picture, generator.provenance(note=f"seeds {seeds[0]} to {seeds[-1]}"))


def _png(content: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(content, media_type="image/png", headers=headers)
