"""The type checker of the tests refuses what jaxtyping's own refuses, and stands around the package."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jaxtyping
import pytest
import torch
from jaxtyping import Float, TypeCheckError
from torch import Tensor
from typechecker import check

from gansmith.config.optimizers import Adam
from gansmith.core.noise import Noise
from gansmith.core.tensors import per_image

ROWS = torch.ones(3, 2)


def hooked(what: Any) -> Any:
    """As the import hook does it."""
    return jaxtyping.jaxtyped(typechecker=check)(what)


@hooked
def both(a: Float[Tensor, "batch a"], b: Float[Tensor, "batch b"] | None = None) -> Float[Tensor, " batch"]:
    return a.sum(dim=1) if b is None else (a.sum(dim=1) + b.sum(dim=1))[: len(a)]


@hooked
def wrong(a: Float[Tensor, "batch a"]) -> Float[Tensor, " a"]:
    both(torch.ones(a.shape[1], a.shape[0]))  # Its names of dimensions are its own.
    return a[:, 0]


@hooked
def listed(rows: list[Float[Tensor, "batch a"]], kind: Literal["x"], wide: float = 1) -> str | None:
    return {"x": None}.get(kind, kind)


@hooked
def numbered(count: int) -> Iterator[int]:
    yield from range(count)


@hooked
def later(other: "Point", work: Callable[[int], str] = str) -> "int":
    return other.x


@hooked
@dataclass(frozen=True)
class Point:
    x: int
    rows: Float[Tensor, "a a"] | None = None


@hooked
class Named(Point):
    pass


def test_what_fits_goes_through() -> None:
    assert both(ROWS).tolist() == [2, 2, 2] and both(ROWS, torch.ones(3, 5)).tolist() == [7, 7, 7]
    assert wrong(torch.ones(2, 2)).tolist() == [1, 1]
    assert listed([ROWS, ROWS], "x", 2) is None and list(numbered(2)) == [0, 1]
    assert later(Named(4, torch.ones(2, 2))) == 4


@pytest.mark.parametrize(
    ("call", "given"),
    [
        (both, (torch.ones(3, 2), torch.ones(4, 2))),
        (both, (torch.ones(3),)),
        (both, (torch.ones(3, 2).long(),)),
        (wrong, (ROWS,)),
        (listed, ([torch.ones(3)], "x")),
        (listed, ([ROWS], "y")),
        (listed, ([ROWS], "x", "wide")),
        (numbered, ("2",)),
        (Point, ("4",)),
        (Named, ("4",)),
        (Point, (4, torch.ones(2, 3))),
        (per_image, (torch.ones(3).long(),)),
        (Noise.of, ("seven",)),
        (lambda lr: Adam(lr=lr), ("fast",)),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[..., Any], given: Sequence[Any]) -> None:
    with pytest.raises(TypeCheckError):
        call(*given)
