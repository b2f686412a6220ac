"""The app: the page and its files, what the page asks for, and errors in the product's words."""

import hashlib
import mimetypes
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from gansmith.app.desk import BusyError, Desk, DisplacedError
from gansmith.app.limits import Guard, Limits
from gansmith.app.photos import TooLargeError
from gansmith.app.routes import data as data_routes
from gansmith.app.routes import explore, rate, translate, watch
from gansmith.app.services import PROBLEMS, Problem, Services
from gansmith.app.shelf import NoSuchModelError, Shelf
from gansmith.core.text import clipped
from gansmith.errors import GansmithError, MissingPackageError, StorageError
from gansmith.images.provenance import software_version

_LONGEST = 2000  # Letters of a message.

ROUTES: tuple[Callable[[Services], APIRouter], ...] = (
    explore.routes, translate.routes, data_routes.routes, watch.routes, rate.routes,
)  # fmt: skip
"""Of each tab what it asks for."""

_STATUS: tuple[tuple[type[GansmithError], int], ...] = (
    (NoSuchModelError, 404),
    (DisplacedError, 409),
    (TooLargeError, 413),
    (BusyError, 503),
    (MissingPackageError, 503),
    (StorageError, 503),
    (GansmithError, 400),
)


class Model(BaseModel):
    """A run below the folder, as the page lists it.

    Example:
        >>> client.get("/api/about").json()["models"][0]["kind"]
        'noise'
    """

    id: str = Field(description="What requests name it by: its path below the folder.")
    name: str
    recipe: str
    kind: Literal["noise", "photo", "other"] = Field(description="What it makes images of.")
    width: int
    height: int
    channels: int
    images_seen: int | None = Field(description="How long it was trained, in images.")
    problem: str | None = Field(description="Why it cannot be used now; null where it can.")


class About(BaseModel):
    """What the app is, and what it shows.

    Example:
        >>> client.get("/api/about").json()["data"]
    """

    version: str
    models: list[Model]
    data: str | None = Field(description="The name of the data set it was given.")


@dataclass(frozen=True)
class _File:
    content: bytes
    kind: str
    tag: str


def create_app(
    models: Path | str,
    data: Path | str | None = None,
    *,
    token: str | None = None,
    hosts: Iterable[str] = (),
    limits: Limits | None = None,
    device: str = "auto",
) -> FastAPI:
    """The app as an ASGI application: the page at ``/``, what it asks for below ``/api``, ``/openapi.json``.

    Args:
        models: a run, or a folder with runs in any nesting; what is trained meanwhile appears.
        data: a data set for the tab Data; None for the one each run was trained on.
        token: what requests must show; None where only this machine can reach the app.
        hosts: names besides addresses and localhost by which it may be called.
        limits: sizes and rates.
        device: where models run.

    Raises:
        RunError: there is no such folder, or no run in it.

    Example:
        >>> uvicorn.run(create_app("runs"), port=7860)
    """
    chosen = limits or Limits()
    shelf = Shelf(Path(models), chosen.open_models, device)
    services = Services(shelf, Desk(chosen.waiting), chosen, None if data is None else Path(data))

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        services.desk.close()

    # The pages at /docs would load scripts from elsewhere.
    app = FastAPI(
        title="gansmith", version=software_version(), lifespan=life, docs_url=None, redoc_url=None,
        responses=dict(PROBLEMS),
    )  # fmt: skip
    app.state.services = services
    app.include_router(_about(services))
    for routes in ROUTES:
        app.include_router(routes(services))
    app.include_router(_page())
    _speak(app, shelf)
    app.add_middleware(Guard, limits=chosen, hosts=tuple(hosts), token=token)
    return app


def _about(services: Services) -> APIRouter:
    router = APIRouter(tags=["about"])

    @router.get("/api/about")
    def about() -> About:
        """The version, all models, and the data set."""
        shown = [
            Model.model_validate({name: getattr(one, name) for name in Model.model_fields})
            for one in services.shelf.listed()
        ]
        name = None if services.data is None else services.data.name
        return About(version=software_version(), models=shown, data=name)

    return router


def _page() -> APIRouter:
    """The files of the page, read once; a name is looked up among them and opens nothing."""
    router, files = APIRouter(include_in_schema=False), _files()

    def sent(name: str, request: Request) -> Response:
        found = files.get(name)
        if found is None:
            raise HTTPException(404, "There is no such page.")
        headers = {"ETag": found.tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == found.tag:
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type=found.kind, headers=headers)

    @router.get("/")
    def page(request: Request) -> Response:
        return sent("index.html", request)

    @router.get("/page/{name}")
    def file(name: str, request: Request) -> Response:
        return sent(name, request)

    return router


def _files() -> Mapping[str, _File]:
    found = {}
    for item in resources.files("gansmith.app").joinpath("page").iterdir():
        if item.is_file():
            content = item.read_bytes()
            kind = mimetypes.guess_type(item.name)[0] or "application/octet-stream"
            kind = "text/javascript" if item.name.endswith(".js") else kind
            found[item.name] = _File(content, kind, f'"{hashlib.sha256(content).hexdigest()[:16]}"')
    return found


def _speak(app: FastAPI, shelf: Shelf) -> None:
    """Errors as JSON with the product's message, never with where they arose."""

    def said(status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
        problem = Problem(kind=kind, message=clipped(shelf.plain(message), _LONGEST))
        return JSONResponse(problem.model_dump(), status, headers=headers)

    async def ours(request: Request, error: Exception) -> Response:
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        headers = {"Retry-After": "1"} if isinstance(error, BusyError) else None
        return said(status, type(error).__name__, str(error), headers)

    async def form(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        lines = [f"{_place(one['loc'])}: {one['msg']}." for one in error.errors()[:5]]
        return said(422, "RequestError", " ".join(lines))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return said(error.status_code, "RequestError", str(error.detail), error.headers)

    async def fault(request: Request, error: Exception) -> Response:
        return said(500, "Fault", "Something went wrong inside gansmith. The terminal it runs in says what.")

    handlers: tuple[tuple[type[Exception], Callable[..., Any]], ...] = (
        (GansmithError, ours), (RequestValidationError, form), (HTTPException, http), (Exception, fault),
    )  # fmt: skip
    for kind, handler in handlers:
        app.add_exception_handler(kind, handler)


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in parts[1:]) or str(parts[0])
