"""What people like, as a network: a critic's features, and an ensemble of small heads that agree or not."""

import hashlib

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, full

_GRID = 4  # Features are averaged to so many cells a side: where something is in a face matters.


class Preference(nn.Module):
    """Images -> how much they are liked, in logits: above 0 is more liked than not.

    A frozen critic is looked through at its deepest grid of 8 cells a side or more (before anything it
    computes across a batch). Its features are centred, projected to ``components`` numbers of variance 1, and
    read by ``members`` heads of one hidden layer, whose disagreement says how sure they are.

    Args:
        critic: images -> scores; its convolutions are what is looked through.
        spec: the images it judges.
        members: heads.
        components: numbers that are left of the features.
        hidden: numbers in each head's hidden layer.

    Example:
        >>> look = Preference(DCGANDiscriminator(spec, 32, norm="none"), spec)
        >>> mean, std = look(images)
        >>> mean.shape, look.lower_bound(images).requires_grad
    """

    def __init__(
        self, critic: nn.Module, spec: DataSpec, members: int = 5, components: int = 48, hidden: int = 16
    ) -> None:
        super().__init__()
        self.critic = critic
        self._layer = _layer_of(critic, spec)
        count = self.pooled(_blank(critic, spec))
        self.center: Tensor
        self.basis: Tensor
        self.register_buffer("center", torch.zeros(count.shape[1]))
        self.register_buffer("basis", torch.empty(count.shape[1], components))
        if not self.basis.is_meta:
            nn.init.orthogonal_(self.basis)
        self.first = nn.Parameter(torch.empty(members, components, hidden))
        self.first_bias = nn.Parameter(torch.zeros(members, 1, hidden))
        self.second = nn.Parameter(torch.empty(members, hidden))
        self.second_bias = nn.Parameter(torch.zeros(members))
        for weights in (self.first, self.second):
            nn.init.normal_(weights, 0.0, weights.shape[1] ** -0.5)

    def features(self, images: Images) -> Float[Tensor, "batch components"]:
        """What the heads are given; the same for an image whatever is beside it."""
        found: Tensor = (self.pooled(images) - self.center) @ self.basis
        return found

    def heads(self, features: Tensor) -> Float[Tensor, "members batch"]:
        """Each head's logits."""
        inside = torch.tanh(features @ self.first + self.first_bias)
        logits: Tensor = (inside * self.second[:, None]).sum(dim=2) + self.second_bias[:, None]
        return logits

    def forward(self, images: Images) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the heads' logits, [batch] each."""
        logits = self.heads(self.features(images))
        return logits.mean(dim=0), logits.std(dim=0, correction=0)

    def lower_bound(self, images: Images) -> Float[Tensor, " batch"]:
        """Mean - standard deviation, differentiable: what is liked as far as the heads agree."""
        mean, std = self(images)
        bound: Tensor = mean - std
        return bound

    def fingerprint(self) -> str:
        """Of all weights: 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def pooled(self, images: Images) -> Tensor:
        """The activations that all is learnt from, as one row an image."""
        kept: list[Tensor] = []
        handle = self._layer.register_forward_hook(lambda layer, given, made: kept.append(made))
        try:
            self.critic(images)
        finally:
            handle.remove()
        features = full(kept[-1])
        cells = min(_GRID, features.shape[2]), min(_GRID, features.shape[3])
        return nn.functional.adaptive_avg_pool2d(torch.relu(features), cells).flatten(1)


def _blank(critic: nn.Module, spec: DataSpec) -> Tensor:
    """Two grey images, of the type and at the place of the critic's weights."""
    like = next(critic.parameters())
    return like.new_zeros(2, spec.channels, spec.height, spec.width)


def _layer_of(critic: nn.Module, spec: DataSpec) -> nn.Module:
    """The last convolution whose result has 8 cells or more a side, or an eighth of a small image's."""
    found: list[tuple[nn.Module, int]] = []
    handles = [
        layer.register_forward_hook(lambda layer, given, made: found.append((layer, min(made.shape[2:]))))
        for layer in critic.modules()
        if isinstance(layer, nn.Conv2d) or type(layer).__name__.endswith(("Conv2d", "Conv"))
    ]
    was = critic.training
    critic.eval()
    try:
        with torch.no_grad():
            critic(_blank(critic, spec))
    finally:
        for handle in handles:
            handle.remove()
        critic.train(was)
    least = min(8, max(2, spec.height // 4, spec.width // 4))
    return [layer for layer, cells in found if cells >= least][-1]
