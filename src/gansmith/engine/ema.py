"""The moving average of weights that images are made with."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gansmith.networks.bundle import Networks


class EMA(nn.Module):
    """Averaged copies of some networks of a bundle.

    Floating-point buffers (the running statistics of batch norm) are averaged as the weights are, so
    that both speak of the same network; whole-number buffers are copied.

    Args:
        networks: the bundle.
        names: which of its networks to average; networks that share weights are copied together.

    Example:
        >>> average = EMA(networks, ["generator"])
        >>> average.update(networks, decay=0.999)
    """

    def __init__(self, networks: Networks, names: Sequence[str]) -> None:
        super().__init__()
        # Copied at once, so that sharing survives.
        for name, network in copy.deepcopy({name: networks.get_submodule(name) for name in names}).items():
            self.add_module(name, network)
        self.requires_grad_(False)

    @torch.no_grad()
    def update(self, networks: Networks, decay: float) -> None:
        """Average <- decay * average + (1 - decay) * weights; ``decay`` in [0, 1]."""
        pairs: dict[Tensor, Tensor] = {}  # Weights that two networks share move once.
        for name, average in self.named_children():
            live = networks.get_submodule(name)
            pairs |= zip(_tensors(average), _tensors(live), strict=True)
        floats = [average for average in pairs if average.is_floating_point()]
        torch._foreach_lerp_(floats, [pairs[average] for average in floats], 1.0 - decay)
        for held, current in pairs.items():
            if not held.is_floating_point():
                held.copy_(current)


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def bundle_for_pictures(networks: Networks, average: EMA | None) -> Networks:
    """A copy of the bundle in eval mode, averaged networks in place of the live ones."""
    bundle = copy.deepcopy(networks)
    if average is not None:
        for name, averaged in copy.deepcopy(average).named_children():
            setattr(bundle, name, averaged)
    return bundle.eval().requires_grad_(False)
