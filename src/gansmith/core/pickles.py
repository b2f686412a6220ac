"""Pickles read as data: keys are names and numbers, so that no small program asks for endless work.

A tuple that holds another one twice, sixty times over, has a few hundred bytes; its hash takes 2^60 steps.
It is taken of keys of a table and elements of a set, so there only plain values are let through.
"""

import pickle
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

_PLAIN = (str, bytes, int, float, bool, type(None))


class KeyOfManyError(pickle.UnpicklingError):
    """A key in a pickle is neither a name nor a number, so hashing it could take forever.

    Example:
        >>> check_keys([("a", "b")])
        Traceback (most recent call last):
        gansmith.core.pickles.KeyOfManyError: a tuple stands where a name or a number belongs
    """


def check_keys(keys: Iterable[object]) -> None:
    """Raise unless all are names, numbers or None.

    Raises:
        KeyOfManyError: one is something else.
    """
    for key in keys:
        if type(key) not in _PLAIN:
            raise KeyOfManyError(f"a {type(key).__name__} stands where a name or a number belongs")


class PlainUnpickler(pickle._Unpickler):
    """Python's own pickle reader in pure Python, which does not reserve memory for sizes a file only claims.

    A subclass says in ``find_class`` what a pickle may ask for.

    Example:
        >>> PlainUnpickler(io.BytesIO(pickle.dumps({"lr": 0.1}))).load()
        {'lr': 0.1}
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
