"""What every route of the app is given, and the shape of its errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel, Field

from gansmith.app.desk import Desk
from gansmith.app.limits import Limits
from gansmith.app.shelf import Shelf
from gansmith.app.ways import AllWays
from gansmith.core.noise import Noise
from gansmith.errors import GansmithError


@dataclass(frozen=True, eq=False)
class Services:
    """What routes need: models, the place at which they are used one at a time, limits, data.

    Example:
        >>> routes(Services(Shelf(Path("runs")), Desk(12), Limits()))
    """

    shelf: Shelf
    desk: Desk
    limits: Limits
    data: Path | None = None  # The set that the tab Data shows.
    ways: AllWays = field(default_factory=AllWays)  # Directions of the models.

    def warm(self) -> None:
        """Open the model that the page shows first, so that its first picture comes at once."""
        for one in self.shelf.listed():
            if one.kind == "noise" and not one.problem:
                try:
                    generator = self.shelf.generator(one.id)
                    generator.make(Noise.of(0))
                    self.ways.of(generator, one.path)
                except GansmithError:
                    return  # Who asks for it is told.
                return


class Problem(BaseModel):
    """What went wrong, in words for a person.

    Example:
        >>> Problem(kind="SettingError", message="There is no attribute 'smile'.").kind
        'SettingError'
    """

    kind: str = Field(description="The class of the error, such as SettingError.")
    message: str = Field(description="What the rule is, what was received, what to do.")


PROBLEMS: Mapping[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request breaks a rule that the message names."},
    404: {"model": Problem, "description": "There is no such model or thing."},
    409: {"model": Problem, "description": "A newer request of the same tab took the place of this one."},
    413: {"model": Problem, "description": "More bytes than a request may carry."},
    422: {"model": Problem, "description": "A parameter has another form than it should."},
    429: {"model": Problem, "description": "Too many requests at once."},
    503: {"model": Problem, "description": "Too many requests wait for the model, or a package is missing."},
}
"""Answers that any route may give."""

Tab = Annotated[
    str,
    Header(
        alias="X-Tab",
        max_length=40,
        description="Which tab of a browser asks. A newer request of a tab displaces one that waits.",
    ),
]
"""The header by which routes know who asks."""

PNG: Mapping[int | str, dict[str, Any]] = {
    200: {
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        "description": "A PNG.",
    }
}
"""The answer of a route that gives a picture."""
