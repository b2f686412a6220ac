"""Data: the pictures of a set page by page, copies and look-alikes among them, labels and attributes."""

import io
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import Response
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from gansmith.app.data_sets import OpenSet, Sets, Show, sheet
from gansmith.app.desk import Desk
from gansmith.app.services import PNG, Services, Tab
from gansmith.data.inspect.report import Report, as_json
from gansmith.data.metadata.facts import Refused
from gansmith.errors import DataError

_MOST = 2**53 - 1
_LISTED = 200  # Files that are left out, named.
_COLUMNS = 8  # Of the sheet.

Id = Annotated[str, Query(alias="set", max_length=300, description="Its id, from /api/data/sets.")]


class DataSetOffered(BaseModel):
    """A set that can be looked at.

    Example:
        >>> client.get("/api/data/sets").json()[0]["id"]
        'demo-faces'
    """

    id: str
    runs: list[str] = Field(description="Runs here that were trained on it.")


class Counted(BaseModel):
    """How many images there are of a kind.

    Example:
        >>> Counted(name="smiling", count=12)
    """

    name: str
    count: int


class LeftOut(BaseModel):
    """A file that is not used.

    Example:
        >>> LeftOut(name="a.png", reason="truncated")
    """

    name: str
    reason: str


class DataSetFacts(BaseModel):
    """What is known of a set before a picture of it is decoded.

    Example:
        >>> client.get("/api/data/set", params={"set": "demo-faces"}).json()["count"]
        10000
    """

    id: str
    count: int
    labels: list[Counted] = Field(description="Classes; none: nobody said.")
    unlabelled: int = Field(description="Images of no class, where others have one.")
    attributes: list[Counted] = Field(description="Images that have each.")
    captions: int | None = Field(description="Images with a caption; null where there are no captions.")
    landmarks: bool
    held_out: int | None = Field(description="Images the owner kept for tests; null: nobody said.")
    licence: str | None
    refused: int = Field(description="Files that are left out.")
    refused_files: list[LeftOut] = Field(description=f"The first {_LISTED} of them.")
    unused: list[LeftOut] = Field(description=f"Tables and the like that are not used, {_LISTED} at most.")


class Looked(BaseModel):
    """What measuring found: what ``gansmith inspect`` reports.

    Example:
        >>> client.get("/api/data/report", params={"set": "demo-faces"}).json()["state"]
        'working'
    """

    state: Literal["working", "ready", "failed"]
    problem: str | None = Field(default=None, description="Why it failed.")
    looked_at: int = Field(default=0, description="Images measured: all, or an even sample.")
    copies: int = Field(default=0, description="Files equal to another one, the first of each not counted.")
    look_alikes: int = Field(default=0, description="Images much like another one, the first not counted.")
    blurred: int = Field(default=0, description="Blurred images that can be shown; at most 100.")
    blurred_share: float = Field(default=0, description="Share of those measured.")
    smallest: tuple[int, int] | None = Field(default=None, description="Width and height in pixels.")
    median: tuple[int, int] | None = None
    largest: tuple[int, int] | None = None
    formats: list[Counted] = []
    modes: list[Counted] = Field(default=[], description="Grey, RGB and so on, as the files have it.")
    bytes: int = Field(default=0, description="Of the files measured.")
    advice: list[str] = []


class Asked(BaseModel):
    """Which pictures of a set.

    Example:
        >>> Asked(set="faces", label="cat", have=["glasses"], first=48)
    """

    model_config = ConfigDict(extra="forbid")

    set: str = Field(max_length=300, description="Its id, from /api/data/sets.")
    show: Show = Field("all", description="All, equal files, look-alikes, or blurred ones.")
    label: str | None = Field(default=None, max_length=300, description="Of this class alone.")
    have: list[str] = Field(default=[], max_length=200, description="Attributes they have.")
    lack: list[str] = Field(default=[], max_length=200, description="Attributes they lack.")
    first: int = Field(default=0, ge=0, le=_MOST, description="How many to pass over.")
    count: int = Field(48, ge=1, le=96)


class Shown(BaseModel):
    """A picture of the page.

    Example:
        >>> Shown(row=4, name="a/4.png", label="cat", group=None, problem=None)
    """

    row: int = Field(description="Its number in the set.")
    name: str
    label: str | None
    group: int | None = Field(description="Those of one group are equal or alike.")
    problem: str | None = Field(description="Why it cannot be shown.")


class DataPage(BaseModel):
    """A page of the contact sheet.

    Example:
        >>> client.get("/api/data/page", params={"set": "demo-faces"}).json()["total"]
        10000
    """

    total: int = Field(description="Pictures asked for, on all pages.")
    side: int = Field(description="Pixels of a cell of the sheet.")
    columns: int = Field(default=_COLUMNS, description="Of the sheet.")
    pictures: list[Shown]


class One(BaseModel):
    """All that is known of one picture.

    Example:
        >>> client.get("/api/data/one", params={"set": "demo-faces", "row": 0}).json()["name"]
        '00000000'
    """

    row: int
    name: str
    label: str | None
    has: list[str] = Field(description="Attributes it has.")
    caption: str | None
    held_out: bool | None
    width: int | None = Field(description="In pixels, as its file has it; null where it cannot be read.")
    height: int | None
    problem: str | None


def routes(services: Services) -> APIRouter:
    """What the tab Data asks for."""
    router = APIRouter(prefix="/api/data", tags=["data"])
    sets, desk = Sets(services.shelf, services.data), Desk(services.limits.waiting)

    @router.get("/sets")
    async def offered(x_tab: Tab = "?") -> list[DataSetOffered]:
        """The sets that can be looked at."""
        found = await desk.work(f"{x_tab} sets", sets.offered)
        return [DataSetOffered(id=one.id, runs=list(one.runs)) for one in found]

    @router.get("/set")
    async def facts(name: Id, x_tab: Tab = "?") -> DataSetFacts:
        """What is known of a set."""
        return await desk.work(f"{x_tab} set", lambda: _facts(name, sets.get(name)))

    @router.get("/report")
    async def report(name: Id, x_tab: Tab = "?") -> Looked:
        """What measuring found; the first request begins it, and it goes on beside everything else."""
        return await desk.work(f"{x_tab} report", lambda: _looked(sets.get(name)))

    @router.get("/page")
    async def page(asked: Annotated[Asked, Query()], x_tab: Tab = "?") -> DataPage:
        """What is on a page of the contact sheet."""
        return await desk.work(f"{x_tab} page", lambda: _page(sets.get(asked.set), asked))

    @router.get("/sheet", response_class=Response, responses=dict(PNG))
    async def picture_sheet(asked: Annotated[Asked, Query()], x_tab: Tab = "?") -> Response:
        """The pictures of that page in one PNG, in square cells."""
        return await desk.work(f"{x_tab} sheet", lambda: _sheet(sets.get(asked.set), asked))

    @router.get("/one")
    async def one(name: Id, row: Annotated[int, Query(ge=0, le=_MOST)], x_tab: Tab = "?") -> One:
        """What is known of one picture."""
        return await desk.work(f"{x_tab} one", lambda: _one(sets.get(name), row))

    @router.get("/picture", response_class=Response, responses=dict(PNG))
    async def picture(name: Id, row: Annotated[int, Query(ge=0, le=_MOST)], x_tab: Tab = "?") -> Response:
        """One picture, of at most 768 pixels a side."""
        return await desk.work(f"{x_tab} picture", lambda: _picture(sets.get(name), row))

    return router


def _facts(name: str, held: OpenSet) -> DataSetFacts:
    known, told = held.facts, held.source.refused

    def listed(items: Sequence[Refused]) -> list[LeftOut]:
        return [
            LeftOut(name=_plain(item.name), reason=_plain(held.plain(item.reason)))
            for item in items[:_LISTED]
        ]

    refused = [item for item in told if item.picture]
    labels = held.label_counts()
    return DataSetFacts(
        id=name,
        count=len(held),
        labels=[Counted(name=_plain(label), count=count) for label, count in labels],
        unlabelled=len(held) - sum(count for _, count in labels) if labels else 0,
        attributes=[Counted(name=_plain(one), count=count) for one, count in held.attribute_counts()],
        captions=None if known.captions is None else sum(bool(text.strip()) for text in known.captions),
        landmarks=known.landmarks is not None,
        held_out=None if known.held_out is None else int(known.held_out.sum()),
        licence=known.licence,
        refused=len(refused),
        refused_files=listed(refused),
        unused=listed([item for item in told if not item.picture]),
    )


def _looked(held: OpenSet) -> Looked:
    if not held.measure():
        return Looked(state="working")
    if held.report is None:
        return Looked(state="failed", problem=held.problem)
    report: Report = held.report
    sizes = report.sizes
    return Looked(
        state="ready",
        looked_at=report.looked_at,
        copies=report.copies,
        look_alikes=report.look_alikes,
        blurred=len(report.softest),
        blurred_share=report.blurred,
        smallest=None if sizes is None else sizes.smallest,
        median=None if sizes is None else sizes.median,
        largest=None if sizes is None else sizes.largest,
        formats=[Counted(name=name, count=count) for name, count in report.formats],
        modes=[Counted(name=name, count=count) for name, count in report.modes],
        bytes=report.bytes,
        advice=[held.plain(sentence) for sentence in as_json(report)["advice"]],
    )


def _page(held: OpenSet, asked: Asked) -> DataPage:
    chosen = held.choose(asked.show, asked.label, asked.have, asked.lack)
    part = slice(asked.first, asked.first + asked.count)
    rows = chosen.rows[part].tolist()
    groups = [None] * len(rows) if chosen.groups is None else chosen.groups[part].tolist()
    made = [held.thumbnail(row) for row in rows]
    return DataPage(
        total=len(chosen.rows),
        side=sheet(made, _COLUMNS)[1],
        pictures=[
            Shown(
                row=row,
                name=_plain(held.source.names[row]),
                label=_told(held.label(row)),
                group=group,
                problem=picture if isinstance(picture, str) else None,
            )
            for row, group, picture in zip(rows, groups, made, strict=True)
        ],
    )


def _sheet(held: OpenSet, asked: Asked) -> Response:
    chosen = held.choose(asked.show, asked.label, asked.have, asked.lack)
    rows = chosen.rows[asked.first : asked.first + asked.count].tolist()
    if not rows:
        raise DataError("There is no picture on this page. Go back to an earlier one.")
    return _png(Image.fromarray(sheet([held.thumbnail(row) for row in rows], _COLUMNS)[0]))


def _one(held: OpenSet, row: int) -> One:
    _check(held, row)
    known = held.facts
    names, has = known.attribute_names, []
    if known.attributes is not None:
        has = [_plain(names[place]) for place in np.flatnonzero(known.attributes[row]) if place < len(names)]
    problem, size = None, (None, None)
    try:
        _, *size = held.picture(row)  # type: ignore[assignment]
    except DataError as error:
        problem = held.plain(error)
    return One(
        row=row,
        name=_plain(held.source.names[row]),
        label=_told(held.label(row)),
        has=has,
        caption=None if known.captions is None else _told(known.captions[row] or None),
        held_out=None if known.held_out is None else bool(known.held_out[row]),
        width=size[0],
        height=size[1],
        problem=problem,
    )


def _picture(held: OpenSet, row: int) -> Response:
    _check(held, row)
    pixels = held.picture(row)[0].transpose(1, 2, 0)
    return _png(Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)))


def _check(held: OpenSet, row: int) -> None:
    if row >= len(held):
        raise DataError(f"The set has {len(held):,} pictures, numbered from 0. Received: {row:,}.")


def _png(image: Image.Image) -> Response:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return Response(file.getvalue(), media_type="image/png")


def _told(text: str | None) -> str | None:
    return None if text is None else _plain(text)


def _plain(text: str) -> str:
    """Text that JSON can carry: bytes of names that are not UTF-8 as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
