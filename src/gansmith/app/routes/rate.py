"""Rate: which pictures of a model are liked, one by one or two side by side, by one person or several."""

import threading
from contextlib import suppress
from typing import Annotated, Literal
from uuid import uuid4

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gansmith.app.desk import Desk
from gansmith.app.services import PNG, Services, Tab
from gansmith.app.shelf import NoSuchModelError
from gansmith.core.noise import Noise
from gansmith.errors import GansmithError
from gansmith.images.grid import Canvas, to_bytes
from gansmith.images.provenance import png_bytes
from gansmith.models.generator import Generator
from gansmith.networks.preference_file import PreferenceFacts, read_facts, save_preference
from gansmith.ratings.ask import Asker
from gansmith.ratings.preference import LEAST_RATINGS, fit_preference, open_preference
from gansmith.ratings.store import Rating, Store

_MOST_SEED = 2**53 - 1
_PATIENCE = 3.0  # Seconds to wait for another program that writes.
_MOST = 16  # Pictures of a sheet: what a model makes at a time.

Kind = Literal["thumb", "pair"]
Model = Annotated[str, Query(max_length=300, description="Its id, from /api/about.")]
Rater = Annotated[str, Query(max_length=80, description="Who rates.")]
Weights = Annotated[
    str, Query(max_length=100, description="The weights' fingerprint, from /api/rate/questions.")
]
Seed = Annotated[int, Field(ge=0, le=_MOST_SEED)]


class StaleWeightsError(NoSuchModelError):
    """The pictures were made by other weights than those that are open now.

    Example:
        >>> raise StaleWeightsError("The model was trained further meanwhile.")
    """


class Rated(BaseModel):
    """A model, as it was shown.

    Example:
        >>> Rated(model="faces", weights="3f2a")
    """

    model_config = ConfigDict(extra="forbid")

    model: str = Field(max_length=300, description="Its id, from /api/about.")
    weights: str = Field(max_length=100, description="The weights' fingerprint, from /api/rate/questions.")


class Answer(Rated):
    """Who rates which model, of which weights.

    Example:
        >>> Answer(model="faces", weights="3f2a", rater="Ada")
    """

    rater: str = Field(max_length=80)


class Thumb(Answer):
    """Whether one picture is liked.

    Example:
        >>> Thumb(model="faces", weights="3f2a", rater="Ada", seed=12, liked=True)
    """

    seed: Seed
    liked: bool


class Pair(Answer):
    """Which of two pictures is liked more.

    Example:
        >>> Pair(model="faces", weights="3f2a", rater="Ada", seed=3, other=8, winner=8)
    """

    seed: Seed
    other: Seed
    winner: Seed


class Question(BaseModel):
    """A picture, or two, that the rater has not rated.

    Example:
        >>> Question(seed=3, other=None)
    """

    seed: int
    other: int | None = Field(description="The second picture of a pair.")


class Named(BaseModel):
    """A rater and the number of answers.

    Example:
        >>> Named(name="Ada", count=40)
    """

    name: str
    count: int


class Progress(BaseModel):
    """What was rated so far.

    Example:
        >>> client.get("/api/rate/progress", params={"model": "faces"}).json()["thumbs"]
        40
    """

    thumbs: int
    liked: int = Field(description="Thumbs that were up.")
    pairs: int
    raters: list[Named]
    disputed: int = Field(description="Pictures or pairs about which raters differ.")
    repeated: int = Field(description="Those that one rater answered both ways.")
    agreement_thumbs: float | None = Field(
        description="Krippendorff's alpha: 1 full, 0 as by chance; null where no two rated the same."
    )
    agreement_pairs: float | None
    older: int = Field(description="Ratings of pictures that earlier weights made; kept, not used.")
    learnt_of: int | None = Field(
        description="Ratings a preference was learnt of: gansmith rate RUN --fit; null where there is none."
    )
    known: bool | None = Field(description="Whether that is well enough to train on.")
    least: int = Field(description="Answers without which nothing can be learnt.")
    auc: float | None = Field(description="How well that tells liked from not liked; 0.5 is a guess.")


class Questions(BaseModel):
    """What to ask next.

    Example:
        >>> client.get("/api/rate/questions", params={"model": "faces", "rater": "Ada"}).json()
    """

    weights: str = Field(description="Fingerprint of the weights that make these pictures.")
    questions: list[Question]


class Undone(BaseModel):
    """The answer that was taken back.

    Example:
        >>> client.post("/api/rate/undo", json=answer).json()["question"]["seed"]
        12
    """

    kind: Kind | None = Field(description="null: there was none.")
    question: Question | None
    progress: Progress


def routes(services: Services) -> APIRouter:
    """What the tab Rate asks for."""
    router, rating = APIRouter(prefix="/api/rate", tags=["rate"]), _Rating(services)
    _asking(router, services.desk, rating)
    _answering(router, rating)
    return router


def _asking(router: APIRouter, desk: Desk, rating: "_Rating") -> None:
    @router.get("/questions")
    async def questions(
        model: Model,
        rater: Rater = "me",
        kind: Kind = "thumb",
        count: Annotated[int, Query(ge=1, le=400)] = 8,
        x_tab: Tab = "?",
    ) -> Questions:
        """Pictures or pairs to show next: those a preference is least sure of, after a start at random."""
        return await desk.work(f"{x_tab} rate", lambda: rating.questions(model, rater, kind, count))

    @router.get("/sheet", response_class=Response, responses=dict(PNG))
    async def sheet(
        model: Model,
        weights: Weights,
        seeds: Annotated[list[Seed], Query(min_length=1, max_length=_MOST)],
        x_tab: Tab = "?",
    ) -> Response:
        """The pictures of up to 16 seeds in a row, in one PNG."""
        content = await desk.work(f"{x_tab} rate sheet", lambda: rating.sheet(model, weights, seeds))
        return Response(content, media_type="image/png")

    @router.post("/learn")
    async def learn(rated: Rated) -> Progress:
        """Learn what is liked of all answers, as gansmith rate RUN --fit; what is asked next follows it."""
        await desk.work(f"learn {rated.model}", lambda: rating.learn(rated.model, rated.weights))
        return await run_in_threadpool(_progress, await rating.store(rated.model, rated.weights))


def _answering(router: APIRouter, rating: "_Rating") -> None:
    @router.get("/progress")
    async def progress(model: Model) -> Progress:
        """What was rated so far."""
        return await run_in_threadpool(_progress, await rating.store(model))

    @router.post("/thumb")
    async def thumb(answer: Thumb) -> Progress:
        """Add whether a picture is liked."""
        store = await rating.store(answer.model, answer.weights)
        await run_in_threadpool(store.thumb, answer.seed, answer.liked, answer.rater)
        return await run_in_threadpool(_progress, store)

    @router.post("/pair")
    async def pair(answer: Pair) -> Progress:
        """Add which of two pictures is liked more."""
        store = await rating.store(answer.model, answer.weights)
        await run_in_threadpool(store.pair, answer.seed, answer.other, answer.winner, answer.rater)
        return await run_in_threadpool(_progress, store)

    @router.post("/undo")
    async def undo(answer: Answer) -> Undone:
        """Take back the rater's last answer."""
        store = await rating.store(answer.model, answer.weights)
        found: Rating | None = await run_in_threadpool(store.undo, answer.rater)
        question = None if found is None else Question(seed=found.seed, other=found.other)
        kind = None if found is None else found.kind
        return Undone(kind=kind, question=question, progress=await run_in_threadpool(_progress, store))


class _Rating:
    """Stores and askers, of each model for each of its weights that was shown."""

    def __init__(self, services: Services) -> None:
        self._shelf, self._desk = services.shelf, services.desk
        self._stores: dict[tuple[str, str], Store] = {}
        self._newest: dict[str, str] = {}
        self._askers: dict[str, tuple[tuple[str, str], Asker]] = {}
        self._lock = threading.Lock()

    async def store(self, model: str, weights: str | None = None) -> Store:
        """The store of weights that were shown; of the newest where none are named."""
        await run_in_threadpool(
            self._shelf.get, model
        )  # Where the run was moved away it is said, and no folder is made.
        with self._lock:
            found = self._stores.get((model, self._newest.get(model, "") if weights is None else weights))
        if found is None:  # A place of its own at the desk: the next answer does not displace this one.
            return (await self._desk.work(f"rate {uuid4()}", lambda: self.open(model, weights)))[1]
        return found

    def open(self, model: str, weights: str | None = None) -> tuple[Generator, Store]:
        """The generator and its store, in the desk's thread."""
        listed, generator = self._shelf.get(model), self._shelf.generator(model)
        if weights is not None and weights != generator.fingerprint:
            raise StaleWeightsError(
                f"{model} was trained further since this picture was made, so another one is shown for its "
                "seed now. The answer is left out. Go on with new pictures."
            )
        store = Store.of(listed.path, generator, _PATIENCE)
        with self._lock:
            self._stores[model, store.fingerprint] = store
            self._newest[model] = store.fingerprint
        return generator, store

    def questions(self, model: str, rater: str, kind: Kind, count: int) -> Questions:
        generator, store = self.open(model)
        asker = self._asker(model, generator, store)
        if kind == "thumb":
            found = [Question(seed=seed, other=None) for seed in asker.thumbs(count, rater)]
        else:
            found = [Question(seed=seed, other=other) for seed, other in asker.pairs(count, rater)]
        return Questions(weights=store.fingerprint, questions=found)

    def learn(self, model: str, weights: str) -> None:
        generator, store = self.open(model, weights)
        fit = fit_preference(generator, store)
        save_preference(fit.preference, fit.facts, store.path.parent)

    def _asker(self, model: str, generator: Generator, store: Store) -> Asker:
        """Asks by what was learnt of these weights' ratings; made anew where that was learnt anew."""
        facts = _learnt(store)
        key = store.fingerprint, "" if facts is None else facts.digest
        held = self._askers.get(model)
        if held is None or held[0] != key:
            preference = None
            if facts is not None:
                with suppress(GansmithError):  # Damaged: it is asked at random, and rating goes on.
                    preference = open_preference(store.path.parent, generator)
            held = self._askers[model] = key, Asker(generator, store, preference)
        return held[1]

    def sheet(self, model: str, weights: str, seeds: list[int]) -> bytes:
        generator, _ = self.open(model, weights)
        pictures = to_bytes(generator.make(Noise.of(*seeds), generator.prompts(seeds)))
        shape = (pictures.shape[1], pictures.shape[2], pictures.shape[3])
        canvas = Canvas(len(pictures), shape, len(pictures), gap=0)
        for number, one in enumerate(pictures):
            canvas.put(number, one)
        note = f"seeds {', '.join(map(str, seeds))}"
        return png_bytes(canvas.picture, generator.provenance(note=note))


def _progress(store: Store) -> Progress:
    found, facts = store.summary(), _learnt(store)
    return Progress(
        thumbs=found.thumbs,
        liked=found.liked,
        pairs=found.pairs,
        raters=[Named(name=name, count=count) for name, count in found.raters.items()],
        disputed=found.disputed,
        repeated=found.repeated,
        agreement_thumbs=found.alpha_thumbs,
        agreement_pairs=found.alpha_pairs,
        older=found.older,
        known=None if facts is None else facts.known,
        least=LEAST_RATINGS,
        learnt_of=None if facts is None else facts.ratings,
        auc=None if facts is None else facts.auc,
    )


def _learnt(store: Store) -> PreferenceFacts | None:
    """What was learnt of these weights' ratings; None where nothing was, or it cannot be read."""
    with suppress(GansmithError):
        facts = read_facts(store.path.parent)
        if facts is not None and facts.generator == store.fingerprint:
            return facts
    return None
