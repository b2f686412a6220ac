"""What words of captions begin as: vectors learnt with the encoder, or those of an installed package."""

import functools
import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from gansmith.core.tensors import Captions, full
from gansmith.data.metadata.captions import to_texts, words_of
from gansmith.errors import DataError, MissingPackageError, OtherPackageError

_PACKAGE = "wordllama"
_PURPOSE = "Reading captions by its word vectors (method.vectors=WordLlama)"
_TABLE, _PIECES = "weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"


@runtime_checkable
class WordVectors(Protocol):
    """Where a text encoder has the vectors of words from; ``--set method.vectors=WordLlama`` picks by name.

    Example:
        >>> vectors, there = Learnt().table(("red", "cap"), width=64)(to_column(["A red cap."]))
        >>> vectors.shape, there.tolist()
        (torch.Size([1, 2, 64]), [[True, True]])
    """

    def words(self, vocabulary: tuple[str, ...]) -> tuple[str, ...]:
        """The words it knows, of the vocabulary of the data; none: any word."""
        ...

    def table(self, vocabulary: tuple[str, ...], width: int) -> nn.Module:
        """A module, captions -> (vectors [batch, words, width], which of them are words [batch, words])."""
        ...


@dataclass(frozen=True)
class Learnt:
    """A vector for each word of the vocabulary, learnt with the encoder; other words are passed over.

    Example:
        >>> Learnt().words(("red", "cap"))
        ('red', 'cap')
    """

    def words(self, vocabulary: tuple[str, ...]) -> tuple[str, ...]:
        """All of the vocabulary."""
        return vocabulary

    def table(self, vocabulary: tuple[str, ...], width: int) -> nn.Module:
        """A row for each word, from N(0, 1)."""
        return LearntTable(vocabulary, width)


@dataclass(frozen=True)
class WordLlama:
    """The vectors of the package wordllama, frozen, and a linear layer that is learnt: any word is known.

    The package's wheel holds 32,000 pieces of words and 256 numbers of each, so nothing is downloaded. A word
    is the mean of its pieces. The vectors are in no checkpoint: whoever opens a run needs the package, too.

    Args:
        digest: of the vectors and pieces a run was made with, 16 hexadecimal digits.
        release: of the package that has them.

    Example:
        >>> WordLlama().words(("red", "cap"))
        ()
    """

    digest: str = "71476473d7a0c497"
    release: str = "0.4.0.post1"

    def words(self, vocabulary: tuple[str, ...]) -> tuple[str, ...]:
        """None: no word is passed over."""
        return ()

    def table(self, vocabulary: tuple[str, ...], width: int) -> nn.Module:
        """The package's vectors, and a layer from these to ``width`` numbers.

        Raises:
            MissingPackageError: it is not installed.
            DataError: its files are not there, or damaged.
            OtherPackageError: it has other vectors than the run was made with.
        """
        held = package_vectors()
        if held.digest != self.digest:
            raise OtherPackageError(
                "A text encoder must read with the word vectors it was trained with: those of wordllama "
                f"{self.release}, digest {self.digest}. Received: wordllama {held.release}, digest "
                f"{held.digest}. Install that release: pip install 'wordllama=={self.release}'. A new run "
                f"may use these: --set \"method.vectors=WordLlama(digest='{held.digest}', "
                f"release='{held.release}')\"."
            )
        return PackageTable(held, width)


class LearntTable(nn.Module):
    """Captions as bytes -> the learnt vectors of their known words.

    Args:
        words: the vocabulary.
        width: numbers of a word.

    Example:
        >>> LearntTable(("red", "cap"), 64)(to_column(["A red cap."]))[0].shape
        torch.Size([1, 2, 64])
    """

    def __init__(self, words: Sequence[str], width: int) -> None:
        super().__init__()
        self._places = {word: place for place, word in enumerate(words, 1)}
        # Python is not compiled. Said here, as it loads the compiler, and few networks read text.
        self._rows = torch.compiler.disable(_rows)  # type: ignore[no-untyped-call]
        self.weight = nn.Parameter(torch.randn(len(words) + 1, width))
        with torch.no_grad():
            self.weight[0] = 0.0

    def forward(self, captions: Captions) -> tuple[Tensor, Tensor]:
        places: Tensor = self._rows(self._places, captions)
        return F.embedding(places, self.weight, padding_idx=0), places > 0


def _rows(places: Mapping[str, int], captions: Captions) -> Tensor:
    """The numbers of the known words of each caption, int64 [batch, words], zeros behind the end."""
    known = [[places.get(word, 0) for word in words_of(text)] for text in to_texts(captions)]
    rows = [[place for place in row if place] for row in known]
    found = torch.zeros(len(rows), max(1, *map(len, rows)), dtype=torch.int64)
    for at, row in enumerate(rows):
        found[at, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return found.to(captions.device)


class PackageVectors:
    """The vectors of pieces of words; equal ones are held once, whatever is copied.

    Args:
        table: [pieces, numbers].
        pieces: a word -> the numbers of its pieces.
        digest: of the table and the pieces.
        release: of the package.

    Example:
        >>> vectors, there = package_vectors().read(to_column(["A red cap."]))
        >>> vectors.shape
        torch.Size([1, 3, 256])
    """

    def __init__(
        self, table: Tensor, pieces: Callable[[str], Sequence[int]], digest: str, release: str
    ) -> None:
        self.table, self.digest, self.release = table, digest, release
        self._pieces = functools.lru_cache(maxsize=65_536)(pieces)

    def __deepcopy__(self, memo: dict[int, object]) -> "PackageVectors":
        return self

    @torch.no_grad()
    def read(self, captions: Captions) -> tuple[Tensor, Tensor]:
        """(The mean of each word's pieces [batch, words, numbers], which are words [batch, words])."""
        rows = [
            [ids for word in words_of(text) if (ids := self._pieces(word))] for text in to_texts(captions)
        ]
        there = torch.zeros(len(rows), max(1, *map(len, rows)), dtype=torch.bool, device="cpu")
        for at, row in enumerate(rows):
            there[at, : len(row)] = True
        found = self.table.new_zeros(*there.shape, self.table.shape[1])
        words = [ids for row in rows for ids in row]
        if words:
            each = torch.tensor([number for ids in words for number in ids], device="cpu")
            starts = torch.tensor([0, *map(len, words[:-1])], device="cpu").cumsum(0)
            found[there] = F.embedding_bag(each, self.table, starts, mode="mean")
        return found.to(captions.device), there.to(captions.device)


class PackageTable(nn.Module):
    """Captions as bytes -> frozen vectors of their words, brought to ``width`` numbers by a learnt layer.

    Args:
        held: the vectors, which are no part of its ``state_dict``.
        width: numbers of a word.

    Example:
        >>> PackageTable(package_vectors(), 64)(to_column(["A red cap."]))[0].shape
        torch.Size([1, 3, 64])
    """

    def __init__(self, held: PackageVectors, width: int) -> None:
        super().__init__()
        self._held = held
        self._read = torch.compiler.disable(_read)  # type: ignore[no-untyped-call]
        self.narrow = nn.Linear(held.table.shape[1], width)

    def forward(self, captions: Captions) -> tuple[Tensor, Tensor]:
        vectors, there = self._read(self._held, captions)
        narrow: Tensor = full(self.narrow(vectors.to(self.narrow.weight.dtype)))
        return torch.where(there[..., None], narrow, 0.0), there


def _read(held: PackageVectors, captions: Captions) -> tuple[Tensor, Tensor]:
    return held.read(captions)


def package_vectors() -> PackageVectors:
    """The vectors of the installed wordllama, out of the files in its own folder.

    Its code is not run: it would look for the files elsewhere, and then on the network.

    Raises:
        MissingPackageError: it is not installed.
        DataError: its files are not there, or damaged.

    Example:
        >>> package_vectors().table.shape
        torch.Size([32000, 256])
    """
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingPackageError(_PACKAGE, _PURPOSE, "text")
    return _load(Path(next(iter(found.submodule_search_locations))))


@functools.lru_cache(maxsize=1)
def _load(folder: Path) -> PackageVectors:
    try:
        tokenizers: Any = importlib.import_module("tokenizers")
    except ImportError as error:
        raise MissingPackageError("tokenizers", _PURPOSE, "text") from error
    try:
        release = version(_PACKAGE)
    except PackageNotFoundError:
        release = "of no known release"
    try:
        with torch.device("cpu"):  # Networks may be built where there is no memory, to try their sizes.
            (stored,) = load_file(folder / _TABLE).values()
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / _PIECES))
        pieces = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
        if stored.dim() != 2 or not pieces or pieces[-1][1] >= len(stored):
            raise ValueError(f"a table {list(stored.shape)} for {len(pieces)} pieces")
    except Exception as error:  # What tokenizers raises has no class of its own.
        raise DataError(
            f"{_PURPOSE} needs the files {_TABLE} and {_PIECES} of the package {_PACKAGE}. Received: release "
            f"{release}, without them or with others ({error}). Install it anew: pip install "
            "--force-reinstall 'gansmith[text]'"
        ) from error
    digest = hashlib.sha256("\n".join(piece for piece, _ in pieces).encode())
    digest.update(stored.contiguous().view(torch.uint8).numpy().data)

    def pieces_of(word: str) -> tuple[int, ...]:
        return tuple(tokenizer.encode(word, add_special_tokens=False).ids)

    return PackageVectors(stored.float(), pieces_of, digest.hexdigest()[:16], release)
