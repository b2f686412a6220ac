"""What a network makes of a label or of attributes: an embedding, and batch norm that it steers."""

import torch
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError


class Condition(nn.Module):
    """Labels or attributes -> numbers, [batch, size], and on a straight line what lies between them.

    Between two classes are shares of all of them, [batch, classes], and between 0 and 1 of an attribute all
    numbers.

    Example:
        >>> isinstance(Embedding(spec, "labels", 5), Condition)
        True
    """

    count: int  # Classes or attributes.


class Embedding(Condition):
    """Labels [batch] or attributes [batch, a] -> [batch, size].

    Labels choose a row each, shares of classes, [batch, classes], mix them; attributes, 0 to 1, are moved to
    -1 to 1 and mixed by a linear layer.

    Args:
        spec: how many classes and attributes there are.
        column: ``labels`` or ``attributes``.
        size: numbers of an embedding.

    Example:
        >>> spec = DataSpec(height=8, width=8, class_names=("a", "b"))
        >>> Embedding(spec, "labels", 5)(torch.tensor([0, 1])).shape
        torch.Size([2, 5])
    """

    def __init__(self, spec: DataSpec, column: str, size: int) -> None:
        super().__init__()
        self.of_labels = column == "labels"
        count = spec.classes if self.of_labels else spec.attributes
        if count < 1:
            raise SettingError(
                f"A conditional network must know what its data hold. Received: a spec with no {column}. "
                f"Train on data with {column} (gansmith inspect DATA says what there is)."
            )
        self.count = count
        self.table = nn.Embedding(count, size) if self.of_labels else nn.Linear(count, size, bias=False)

    def forward(self, column: Tensor) -> Tensor:
        if self.of_labels and column.is_floating_point():
            weight: Tensor = self.table.weight
            return column.to(weight.dtype) @ weight
        rows = column if self.of_labels else 2.0 * column.to(next(self.parameters()).dtype) - 1.0
        found: Tensor = self.table(rows)
        return found


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm with gain and shift linear in a condition e: (1 + A e) x + B e (Dumoulin 2017; Brock 2019).

    Both begin at a gain of 1 and a shift of 0. The norm itself is an ``nn.BatchNorm2d``, so that its
    statistics are shared among processes as any other's are.

    Args:
        channels: of the features.
        size: numbers of the condition, [batch, size].

    Example:
        >>> ConditionalBatchNorm2d(channels=64, size=16)(torch.randn(4, 64, 8, 8), torch.randn(4, 16)).shape
        torch.Size([4, 64, 8, 8])
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain, self.shift = nn.Linear(size, channels, bias=False), nn.Linear(size, channels, bias=False)
        nn.init.zeros_(self.gain.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        gain, shift = self.gain(condition)[:, :, None, None], self.shift(condition)[:, :, None, None]
        return torch.addcmul(shift, 1.0 + gain, self.norm(features))


def beside(features: Tensor, condition: Tensor) -> Tensor:
    """The features, and each number of the condition as a further channel that is the same everywhere.

    Args:
        features: [batch, channels, height, width].
        condition: [batch, size].

    Returns: [batch, channels + size, height, width].
    """
    planes = condition[:, :, None, None].expand(-1, -1, *features.shape[2:]).to(features.dtype)
    return torch.cat([features, planes], dim=1)
