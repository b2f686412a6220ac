"""Translate: a photo, a drawing or a picture with a hole, and what a model makes of it."""

import io
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Form, Query, UploadFile
from fastapi.responses import Response
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from gansmith.app.photos import TooLargeError, photo_of
from gansmith.app.services import PNG, Services, Tab
from gansmith.core.image_size import Fit, Size
from gansmith.core.image_size import Form as PhotoForm
from gansmith.data.decode.reading import probe, read
from gansmith.data.decode.resize import fit as fit_photo
from gansmith.data.sources.made_pairs import edges, grey
from gansmith.errors import SettingError
from gansmith.images.provenance import marked
from gansmith.models.generator import Generator
from gansmith.models.translate import Translation, translate_one

_MOST_SEED = 2**53 - 1
_MADE = {"edges": edges, "grey": grey}
_HOLE = r"^\d{1,5},\d{1,5},\d{1,5},\d{1,5}$"


class Translatable(BaseModel):
    """What a model makes images of, and what can be asked besides.

    Example:
        >>> client.get("/api/translate/model", params={"model": "edges"}).json()["takes"]
        'edges'
    """

    model: str
    recipe: str
    takes: Literal["photo", "edges", "grey", "hole"] = Field(
        description="A photo, lines on white, a grey photo, or a photo with a hole."
    )
    width: int = Field(description="Of what it is given, in pixels.")
    height: int
    enlarges: int = Field(description="How many times larger its results are.")
    directions: bool = Field(description="Whether it goes both ways: a_to_b and b_to_a.")
    attributes: list[str] = Field(description="Attributes that can be set.")
    points: int = Field(description="Key points that it is given, too; 0 for none.")
    most_pixels: int = Field(description="Of a photo that is not brought to the model's size.")
    images_seen: int | None


class SourceAsked(BaseModel):
    """A photo whose lines or grey are to be made as they were for the model's training.

    Example:
        >>> client.post("/api/translate/source", data={"model": "edges"}, files={"photo": raw})
    """

    model_config = ConfigDict(extra="forbid")

    photo: UploadFile = Field(description="An image file.")
    model: str = Field(max_length=300, description="Its id, from /api/about.")


class PhotoAsked(SourceAsked):
    """A photo and what is to become of it, as multipart/form-data.

    Example:
        >>> client.post("/api/translate/picture", data={"model": "edges"}, files={"photo": raw})
    """

    direction: Literal["a_to_b", "b_to_a"] | None = Field(None, description="Of a model of two domains.")
    fit: Literal["crop", "pad", "stretch"] | None = Field(
        None, description="How the photo is brought to the model's size; null: in tiles, as large as it is."
    )
    settings: str | None = Field(None, max_length=1000, description="Attributes to set: smiling=1,glasses=0")
    strength: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="How far to go to what is set."
    )
    points: str | None = Field(None, max_length=2000, description="Key points, x,y,x,y,... in pixels.")
    hole: str | None = Field(None, pattern=_HOLE, description="The hole to fill: x,y,width,height in pixels.")
    scale: float | None = Field(None, ge=1, le=16, allow_inf_nan=False, description="Of one that enlarges.")
    seed: int = Field(0, ge=0, le=_MOST_SEED, description="Of the noise, where there is any.")
    compare: bool = Field(False, description="Source and result side by side, two white pixels between.")

    def translation(self) -> Translation:
        """What is asked, as `translate` wants it."""
        x, y, width, height = (int(part) for part in (self.hole or "0,0,0,0").split(","))
        return Translation(
            direction=self.direction,
            fit=self.fit,
            compare=self.compare,
            scale=self.scale,
            seed=self.seed,
            settings=self.settings or None,
            strength=self.strength,
            points=self.points or None,
            hole=None if self.hole is None else (x, y, width, height),
        )


def routes(services: Services) -> APIRouter:
    """What the tab Translate asks for."""
    router, maker = APIRouter(prefix="/api/translate", tags=["translate"]), _Maker(services)
    desk, limits = services.desk, services.limits

    @router.get("/model")
    async def model(model: Annotated[str, Query(max_length=300)], x_tab: Tab = "?") -> Translatable:
        """What a model is given, and what can be asked of it; its newest checkpoint is opened."""
        return await desk.work(f"{x_tab} model", lambda: maker.translatable(model))

    @router.post("/picture", response_class=Response, responses=dict(PNG))
    async def picture(asked: Annotated[PhotoAsked, Form()], x_tab: Tab = "?") -> Response:
        """What the model makes of the photo, a PNG marked as made by it."""
        raw, name = await photo_of(asked.photo, limits)
        content = await desk.work(f"{x_tab} translate", lambda: maker.picture(raw, name, asked))
        return Response(content, media_type="image/png")

    @router.post("/source", response_class=Response, responses=dict(PNG))
    async def source(asked: Annotated[SourceAsked, Form()], x_tab: Tab = "?") -> Response:
        """The lines, or the grey, of a photo in the model's size, as its training had them."""
        raw, _ = await photo_of(asked.photo, limits)
        content = await desk.work(f"{x_tab} source", lambda: maker.source(raw, asked.model))
        return Response(content, media_type="image/png")

    return router


@dataclass(frozen=True)
class _Maker:
    """What the routes give, in the desk's thread."""

    services: Services

    def translatable(self, model: str) -> Translatable:
        generator = self._generator(model, newest=True)
        method: Any = generator.method
        fields, spec = method.prompt_type._fields, generator.spec
        _, height, width = spec.source if fields[0] == "source" else (0, spec.height, spec.width)
        return Translatable(
            model=model,
            recipe=generator.recipe_name,
            takes=self._takes(model, fields),
            width=width,
            height=height,
            enlarges=spec.source_shrink if fields[0] == "source" else 1,
            directions=hasattr(method, "direction"),
            attributes=list(spec.attribute_names) if "attributes" in fields else [],
            points=spec.landmarks if "landmarks" in fields else 0,
            most_pixels=self.services.limits.tiled_pixels,
            images_seen=generator.images_seen,
        )

    def picture(self, raw: bytes, name: str, asked: PhotoAsked) -> bytes:
        generator = self._generator(asked.model)
        most, header = self.services.limits.tiled_pixels, probe(raw)
        if asked.fit is None and header.width * header.height > most:
            raise TooLargeError(
                f"A photo that keeps its size has at most {most / 1e6:g} million pixels here. Received: "
                f"{header.width}x{header.height}. Make it smaller, or bring it to the model's size."
            )
        image, mark = translate_one(generator, raw, name, asked.translation())
        return marked(image, mark)

    def source(self, raw: bytes, model: str) -> bytes:
        generator = self._generator(model)
        takes = self._takes(model, generator.method.prompt_type._fields)  # type: ignore[union-attr]
        if takes not in _MADE:
            raise SettingError(
                f"Lines and grey are for models that were trained on them. Received: {generator.name} "
                f"({generator.recipe_name}), which takes a {takes}. Send it the photo itself."
            )
        _, height, width = generator.spec.source
        fit: Fit = "crop"
        form = PhotoForm(size=Size(width, height), channels=3, fit=fit)
        made = _MADE[takes](fit_photo(read(raw, form), form).pixels)
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(made[0])).save(file, format="PNG")
        return file.getvalue()

    def _generator(self, model: str, newest: bool = False) -> Generator:
        if self.services.shelf.get(model).kind != "photo":
            raise SettingError(
                "Translate is for models that make images out of images, such as pix2pix and CycleGAN. "
                f"Received: {model}, which makes them of something else. Try it in Explore."
            )
        return self.services.shelf.generator(model, newest)

    def _takes(self, model: str, fields: tuple[str, ...]) -> Literal["photo", "edges", "grey", "hole"]:
        run = self.services.shelf.get(model).run
        pairs = None if run is None else run.recipe.data.pairs
        if "mask" in fields:
            return "hole"
        return "edges" if pairs == "edges" else "grey" if pairs == "grey" else "photo"
