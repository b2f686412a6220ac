"""The bundle of all networks of a method, and the pair that most games are played by."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class _Instruments(dict[str, nn.Module]):
    """Frozen networks by name; a copy of a bundle looks through the same ones."""

    def __deepcopy__(self, memo: dict[int, object]) -> "_Instruments":
        return self


class Networks(nn.Module):
    """All networks of a method, each an attribute with a name.

    What must survive a restart (a pool of past fakes, a running mean) is a buffer in here, written by
    ``Method.after_step``. Frozen networks that are only looked through are ``instruments``, and ``lenses``
    where images are made through them, too: they are in no checkpoint, no copy and no average.

    Example:
        >>> class Translators(Networks):
        ...     def __init__(self) -> None:
        ...         super().__init__()
        ...         self.a_to_b, self.b_to_a = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)
        ...         self.register_buffer("pool", torch.zeros(50, 3, 64, 64))
    """

    def __init__(self) -> None:
        super().__init__()
        self._instruments, self._lenses = _Instruments(), _Instruments()

    @property
    def instruments(self) -> Mapping[str, nn.Module]:
        """The frozen networks of the method by name; empty outside training."""
        return self._instruments

    def attach(self, instruments: Mapping[str, nn.Module]) -> None:
        """Look through these from now on: frozen, in eval mode, and no part of ``state_dict``."""
        self._instruments = _frozen(instruments)

    @property
    def lenses(self) -> Mapping[str, nn.Module]:
        """The frozen networks that images are made through, by name; wherever a run is opened, too."""
        return self._lenses

    def attach_lenses(self, lenses: Mapping[str, nn.Module]) -> None:
        """Make images through these from now on: as ``attach``, and they move with the bundle."""
        self._lenses = _frozen(lenses)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        for lens in self._lenses.values():
            lens._apply(fn)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


def _frozen(networks: Mapping[str, nn.Module]) -> _Instruments:
    return _Instruments({name: network.eval().requires_grad_(False) for name, network in networks.items()})


def project(network: nn.Module) -> None:
    """Let layers that keep their weights somewhere, such as at one length, bring them back after a step.

    A layer says so with a method ``project``.

    Example:
        >>> project(networks.generator)
    """
    for module in network.modules():
        back = getattr(module, "project", None)
        if callable(back):
            back()


class Pair(Networks):
    """One generator against one discriminator.

    Example:
        >>> networks = Pair(DCGANGenerator(spec, latent=64, width=32), DCGANDiscriminator(spec, width=32))
        >>> scores = networks.discriminator(networks.generator(torch.randn(4, 64)))
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """A network with its running statistics meanwhile."""
    before = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(before)
