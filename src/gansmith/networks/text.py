"""A small encoder of sentences: words, two convolutions over neighbours, mean and maximum."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gansmith.core.tensors import Captions, Latents, full
from gansmith.data.metadata.captions import to_texts, words_of


class TextEncoder(nn.Module):
    """Captions as bytes -> unit vectors. Words that are not in the vocabulary are passed over.

    Each word is a learned vector; two convolutions over three neighbours tell "red hair, a blue cap" from
    "blue hair, a red cap"; what they find is averaged, and its maximum taken, over the sentence.

    Args:
        words: the vocabulary.
        width: numbers of a word.
        size: numbers of a sentence.

    Example:
        >>> encoder = TextEncoder(("a", "red", "cap"), width=64, size=128)
        >>> encoder(to_column(["A red cap."])).shape
        torch.Size([1, 128])
    """

    def __init__(self, words: tuple[str, ...], width: int, size: int) -> None:
        super().__init__()
        self._places = {word: place for place, word in enumerate(words, 1)}
        # Python is not compiled. Said here, as it loads the compiler, and few networks read text.
        self._rows = torch.compiler.disable(_rows)  # type: ignore[no-untyped-call]
        self.table = nn.Embedding(len(words) + 1, width, padding_idx=0)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width, 3, 1, 1) for _ in range(2))
        self.last = nn.Linear(2 * width, size)

    def forward(self, captions: Captions) -> Latents:
        places: Tensor = self._rows(self._places, captions)
        there = (places > 0)[:, None]
        features = self.table(places).transpose(1, 2)  # [batch, width, words]
        for convolution in self.convolutions:
            features = torch.where(there, features + convolution(features).relu(), 0.0)
        mean = features.sum(dim=2) / there.sum(dim=2).clamp(min=1)
        most = features.masked_fill(~there, -1e4).amax(dim=2)
        most = torch.where(there.any(dim=2), most, 0.0)
        found: Tensor = full(self.last(torch.cat([mean, most.to(mean.dtype)], dim=1)))
        unit: Tensor = found / found.norm(dim=1, keepdim=True).clamp(min=1e-6)
        return unit


def _rows(places: Mapping[str, int], captions: Captions) -> Tensor:
    """The numbers of the known words of each caption, int64 [batch, words], zeros behind the end."""
    known = [[places.get(word, 0) for word in words_of(text)] for text in to_texts(captions)]
    rows = [[place for place in row if place] for row in known]
    found = torch.zeros(len(rows), max(1, *map(len, rows)), dtype=torch.int64)
    for at, row in enumerate(rows):
        found[at, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return found.to(captions.device)
