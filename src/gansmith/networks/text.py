"""A small encoder of sentences: words, two convolutions over neighbours, mean and maximum."""

import torch
from torch import Tensor, nn

from gansmith.core.tensors import Captions, Latents, full


class TextEncoder(nn.Module):
    """Captions as bytes -> unit vectors.

    Each word is a vector; two convolutions over three neighbours tell "red hair, a blue cap" from
    "blue hair, a red cap"; what they find is averaged, and its maximum taken, over the sentence.

    Args:
        table: captions -> vectors of words, and which of them are words (`networks.words`).
        width: numbers of a word.
        size: numbers of a sentence.

    Example:
        >>> encoder = TextEncoder(Learnt().table(("a", "red", "cap"), 64), width=64, size=128)
        >>> encoder(to_column(["A red cap."])).shape
        torch.Size([1, 128])
    """

    def __init__(self, table: nn.Module, width: int, size: int) -> None:
        super().__init__()
        self.table = table
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width, 3, 1, 1) for _ in range(2))
        self.last = nn.Linear(2 * width, size)

    def forward(self, captions: Captions) -> Latents:
        vectors, there = self.table(captions)
        features: Tensor = vectors.transpose(1, 2)  # [batch, width, words]
        there = there[:, None]
        for convolution in self.convolutions:
            features = torch.where(there, features + convolution(features).relu(), 0.0)
        mean = features.sum(dim=2) / there.sum(dim=2).clamp(min=1)
        most = features.masked_fill(~there, -1e4).amax(dim=2)
        most = torch.where(there.any(dim=2), most, 0.0)
        found: Tensor = full(self.last(torch.cat([mean, most.to(mean.dtype)], dim=1)))
        unit: Tensor = found / found.norm(dim=1, keepdim=True).clamp(min=1e-6)
        return unit
