"""Pickles read as data: keys are names and numbers, so that no small program asks for endless work.

A tuple that holds another one twice, sixty times over, has a few hundred bytes; its hash takes 2^60 steps.
It is taken of keys of a table and elements of a set, so there only plain values are let through.
"""

import pickle
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

_PLAIN = (str, bytes, int, float, bool, type(None))


class KeyOfManyError(pickle.UnpicklingError):
    """Something that is no name or number stands where its hash is taken."""


def check_keys(keys: Iterable[object]) -> None:
    """Raise unless all are names, numbers or None.

    Raises:
        KeyOfManyError: one is something else.
    """
    for key in keys:
        if type(key) not in _PLAIN:
            raise KeyOfManyError(f"a {type(key).__name__} stands where a name or a number belongs")


class PlainUnpickler(pickle._Unpickler):
    """Python's own interpreter of pickles, which makes no room for what a file merely claims.

    A subclass says in ``find_class`` what a pickle may ask for.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)


def _checked(opcode: bytes, keys: Callable[[Any], Iterable[object]]) -> None:
    plain = pickle._Unpickler.dispatch[opcode[0]]

    def load(reader: Any) -> None:
        check_keys(keys(reader))
        plain(reader)

    PlainUnpickler.dispatch[opcode[0]] = load


_checked(pickle.SETITEM, lambda reader: reader.stack[-2:-1])
_checked(pickle.SETITEMS, lambda reader: reader.stack[::2])
_checked(pickle.DICT, lambda reader: reader.stack[::2])
_checked(pickle.ADDITEMS, lambda reader: reader.stack)
_checked(pickle.FROZENSET, lambda reader: reader.stack)
