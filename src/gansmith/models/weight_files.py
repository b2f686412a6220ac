"""Files of weights from elsewhere, looked through before torch reads them.

``torch.load`` runs no code of a file, but it believes it: it unpacks whatever is packed, and takes the hash
of whatever is a key. So the pickle is first followed by an interpreter that makes nothing of it.
"""

import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from gansmith.core.pickles import KeyOfManyError, PlainUnpickler, check_keys

_MOST_PICKLE = 2**26  # Bytes: names and shapes, not weights.
_MOST_PACKED = 2**30  # Bytes in all that may be packed tighter than torch does, which packs nothing.
_LEGACY_PICKLES = 5  # Magic number, protocol, system, the object, names of its storages.


class _BombError(ValueError):
    """A file far larger inside than outside."""


def check_weights(file: BinaryIO) -> None:
    """Raise where a file of ``torch.save`` asks for endless work or memory; where it begins is restored.

    Raises:
        ValueError, KeyOfManyError: it does. What else may be wrong with it is torch's to say.
    """
    try:
        if zipfile.is_zipfile(file):
            _check_zip(file)
        else:
            file.seek(0)
            for _ in range(_LEGACY_PICKLES):
                _Follower(file, encoding="utf-8").load()
    except (KeyOfManyError, _BombError):
        raise
    except Exception:  # Damaged, or code: torch says which.
        return
    finally:
        file.seek(0)


def _check_zip(file: BinaryIO) -> None:
    size = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > max(_MOST_PACKED, 2 * size):
            raise _BombError("it holds far more than its own size once it is unpacked")
        for entry in entries:
            if Path(entry.filename).name == "data.pkl":
                if entry.file_size > _MOST_PICKLE:
                    raise _BombError(f"its names take more than {_MOST_PICKLE:,} bytes")
                with archive.open(entry) as packed:
                    _Follower(packed, encoding="utf-8").load()


class _Anything:
    """Stands for every class and function that a pickle asks for; nothing is made."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __call__(self, *_: object) -> "_Anything":
        return self

    def __setitem__(self, key: object, value: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...

    def append(self, value: object) -> None:
        """Nothing."""

    def extend(self, values: object) -> None:
        """Nothing."""


class _Table(_Anything):
    """Stands for a table made of pairs: of the first of each the hash is taken."""

    def __init__(self, content: object = (), *_: object, **__: object) -> None:
        pairs = content if isinstance(content, list | tuple) else ()
        check_keys(key for pair in pairs if isinstance(pair, list | tuple) for key in pair[:1])


class _Keys(_Anything):
    """Stands for a set."""

    def __init__(self, content: object = (), *_: object) -> None:
        check_keys(content if isinstance(content, list | tuple) else ())


class _Follower(PlainUnpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in ("set", "frozenset", "Counter"):
            return _Keys
        return _Table if name in ("OrderedDict", "dict", "defaultdict") else _Anything

    def persistent_load(self, pid: Any) -> Any:
        parts = pid if isinstance(pid, tuple) else (pid,)
        check_keys(part for part in parts if not isinstance(part, _Anything) and part is not _Anything)
        return _Anything()
