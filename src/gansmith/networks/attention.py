"""Self-attention over the positions of a convolutional network (Zhang 2018)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention2d(nn.Module):
    """x + gamma o(softmax(theta(x)' phi(x)) g(x)), with gamma 0 at the start (Zhang 2018, equations 1 to 3).

    All four are 1x1 convolutions without bias. theta and phi have an eighth of the channels and g a half; phi
    and g are pooled to half the size, as in the authors' code. There is no scaling of the products.

    Args:
        channels: in and out.

    Example:
        >>> SelfAttention2d(64)(torch.zeros(2, 64, 16, 16)).shape
        torch.Size([2, 64, 16, 16])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        few, half = max(channels // 8, 1), max(channels // 2, 1)
        self.theta, self.phi = (
            nn.Conv2d(channels, few, 1, bias=False),
            nn.Conv2d(channels, few, 1, bias=False),
        )
        self.g, self.o = nn.Conv2d(channels, half, 1, bias=False), nn.Conv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        queries = self.theta(features).flatten(2).transpose(1, 2)
        keys = F.max_pool2d(self.phi(features), 2).flatten(2)
        values = F.max_pool2d(self.g(features), 2).flatten(2)
        shares = torch.bmm(queries, keys).softmax(dim=2)  # [batch, positions, positions / 4]
        seen = torch.bmm(values, shares.to(values.dtype).transpose(1, 2))
        seen = seen.view(len(seen), -1, *features.shape[2:])
        return torch.addcmul(features, self.gamma.to(features.dtype), self.o(seen).to(features.dtype))
