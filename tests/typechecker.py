"""The run-time type checker of the tests: an int may stand where a float is wanted, as PEP 484 has it.

``jaxtyping.jaxtyped`` binds the arguments of each call and checks them twice, which takes longer than most of
the functions that it is put around. ``checked`` stands in for it (see conftest.py): one check by beartype, in
a scope of its own for the names of dimensions where there is an array in the hints.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, ForwardRef, Literal, TypeVar, get_args, get_origin

import jaxtyping
from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))
_jaxtyped = jaxtyping.jaxtyped
_scope = _jaxtyped("context")
_MARK = "__is_checked__"


def checked(what: Any = None, *, typechecker: Any = None) -> Any:
    """The function, or the dataclass, that refuses what does not fit its hints (or a decorator)."""
    if what is None:
        return checked
    if not inspect.isclass(what):
        return _checked(what)
    if dataclasses.is_dataclass(what) and not hasattr(what.__init__, _MARK):
        what.__init__ = _checked(what.__init__)
    return what


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    hints = [part for hint in function.__annotations__.values() for part in _parts(hint)]
    if not hints:
        return function
    if inspect.isgeneratorfunction(function) or any(isinstance(hint, str | ForwardRef) for hint in hints):
        done = _jaxtyped(function, typechecker=check)
    elif any(inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray) for hint in hints):
        done = _scoped(check(function))
    else:
        done = check(function)
    setattr(done, _MARK, True)
    return done


def _scoped(function: Callable[..., Any]) -> Callable[..., Any]:
    """One size for one name of a dimension, in all arguments and in what is returned."""

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        with _scope:
            return function(*args, **named)

    return call


def _parts(hint: Any) -> list[Any]:
    """The hint and all hints in it."""
    if get_origin(hint) is Literal:
        return []
    inner = hint if isinstance(hint, list) else get_args(hint)
    if isinstance(hint, TypeVar):
        inner = [hint.__bound__, *hint.__constraints__]
    return [hint, *(part for each in inner for part in _parts(each))]
