"""What critic and generator play for: each adversarial loss is a small value with two equations.

Scores are raw critic outputs, before any sigmoid, and higher means more real.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch.nn.functional as F

from gansmith.core.tensors import Scalar, Scores
from gansmith.errors import SettingError


@runtime_checkable
class AdversarialLoss(Protocol):
    """The loss of a discriminator and of its generator; ``--set method.adversarial=Hinge`` picks one by name.

    One of your own is a frozen dataclass with these two methods, named with ``--code my_loss.py``. Where the
    score between real and generated is not 0, a ``boundary`` of the class says so.

    Example:
        >>> Hinge().discriminator(real=torch.tensor([2.0]), fake=torch.tensor([-2.0]))
        tensor(0.)
    """

    def discriminator(self, real: Scores, fake: Scores) -> Scalar:
        """What the discriminator minimizes."""
        ...

    def generator(self, fake: Scores) -> Scalar:
        """What the generator minimizes."""
        ...


@dataclass(frozen=True)
class Logistic:
    """Binary cross-entropy, non-saturating for the generator (Goodfellow 2014, section 3).

    Label smoothing: ``real=0.9`` is one-sided (Salimans 2016), ``real=0.9, fake=0.1`` two-sided.
    The generator always aims at the label 1.

    Args:
        real: r, the label of real images, a probability above ``fake``.
        fake: f, the label of generated ones.

    Raises:
        SettingError: a label is outside [0, 1], where the loss has no minimum, or real is not above fake.

    Example:
        >>> Logistic(real=0.9).discriminator(real=torch.tensor([0.0]), fake=torch.tensor([0.0]))
        tensor(1.3863)
    """

    real: float = 1.0
    fake: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.fake < self.real <= 1.0:
            raise SettingError(
                "Labels are probabilities of being real: in [0, 1], and real above fake. "
                f"Received: method.adversarial=Logistic(real={self.real},fake={self.fake}). "
                "Try Logistic(real=0.9), or Logistic(real=0.9,fake=0.1)."
            )

    def discriminator(self, real: Scores, fake: Scores) -> Scalar:
        """-E[r log D(x) + (1-r) log(1-D(x))] - E[f log D(G(z)) + (1-f) log(1-D(G(z)))]."""
        # softplus(-s) is -log sigmoid(s), and softplus(s) = softplus(-s) + s.
        on_real = F.softplus(-real) + (1.0 - self.real) * real
        on_fake = F.softplus(fake) - self.fake * fake
        return on_real.mean() + on_fake.mean()

    def generator(self, fake: Scores) -> Scalar:
        """-E[log D(G(z))]."""
        return F.softplus(-fake).mean()


@dataclass(frozen=True)
class Minimax:
    """The saturating game of the original paper (Goodfellow 2014, equation 1).

    Example:
        >>> Minimax().generator(fake=torch.tensor([0.0]))
        tensor(-0.6931)
    """

    def discriminator(self, real: Scores, fake: Scores) -> Scalar:
        """-E[log D(x)] - E[log(1 - D(G(z)))]."""
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def generator(self, fake: Scores) -> Scalar:
        """E[log(1 - D(G(z)))]."""
        return -F.softplus(fake).mean()


@dataclass(frozen=True)
class LeastSquares:
    """LSGAN with targets 0 and 1 (Mao 2016, equation 9).

    Example:
        >>> LeastSquares().discriminator(real=torch.tensor([1.0]), fake=torch.tensor([2.0]))
        tensor(2.)
    """

    boundary: ClassVar[float] = 0.5

    def discriminator(self, real: Scores, fake: Scores) -> Scalar:
        """E[(D(x) - 1)^2] / 2 + E[D(G(z))^2] / 2."""
        return 0.5 * (real - 1.0).square().mean() + 0.5 * fake.square().mean()

    def generator(self, fake: Scores) -> Scalar:
        """E[(D(G(z)) - 1)^2] / 2."""
        return 0.5 * (fake - 1.0).square().mean()


@dataclass(frozen=True)
class Hinge:
    """The hinge loss (Lim and Ye 2017; Miyato 2018, equations 16 and 17).

    Example:
        >>> Hinge().discriminator(real=torch.tensor([0.5]), fake=torch.tensor([-2.0]))
        tensor(0.5000)
    """

    def discriminator(self, real: Scores, fake: Scores) -> Scalar:
        """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]."""
        return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()

    def generator(self, fake: Scores) -> Scalar:
        """-E[D(G(z))]."""
        return -fake.mean()


@dataclass(frozen=True)
class Wasserstein:
    """The critic's estimate of the earth mover's distance (Arjovsky 2017, equation 2).

    Example:
        >>> Wasserstein().discriminator(real=torch.tensor([3.0]), fake=torch.tensor([1.0]))
        tensor(-2.)
    """

    def discriminator(self, real: Scores, fake: Scores) -> Scalar:
        """E[D(G(z))] - E[D(x)]."""
        return fake.mean() - real.mean()

    def generator(self, fake: Scores) -> Scalar:
        """-E[D(G(z))]."""
        return -fake.mean()


@runtime_checkable
class PairedLoss(Protocol):
    """A loss whose generator, too, looks at real images: each fake is compared with a real one.

    Example:
        >>> Relativistic().generator_against(fake=torch.tensor([0.0]), real=torch.tensor([0.0]))
        tensor(0.6931)
    """

    def discriminator(self, real: Scores, fake: Scores) -> Scalar:
        """What the discriminator minimizes."""
        ...

    def generator_against(self, fake: Scores, real: Scores) -> Scalar:
        """What the generator minimizes."""
        ...


@dataclass(frozen=True)
class Relativistic:
    """A fake should score above the real image it is paired with, and the reverse (Huang 2024, equation 2).

    Example:
        >>> Relativistic().discriminator(real=torch.tensor([9.0]), fake=torch.tensor([-9.0]))
        tensor(1.5230e-08)
    """

    def discriminator(self, real: Scores, fake: Scores) -> Scalar:
        """E[softplus(D(G(z)) - D(x))]."""
        return relativistic(real, fake)

    def generator_against(self, fake: Scores, real: Scores) -> Scalar:
        """E[softplus(D(x) - D(G(z)))]."""
        return relativistic(fake, real)


def relativistic(ahead: Scores, behind: Scores) -> Scalar:
    """E[softplus(-(ahead - behind))], paired by index: ``ahead`` should score above ``behind``.

    The relativistic pairing loss (Jolicoeur-Martineau 2018; Huang 2024, equation 2) of the
    discriminator is relativistic(real, fake), of the generator relativistic(fake, real).
    """
    return F.softplus(behind - ahead).mean()


def judged(loss: "AdversarialLoss | PairedLoss", real: Scores, fake: Scores) -> tuple[Scores, Scores]:
    """Both kinds of scores as far as they lie above what parts real from generated under this loss.

    That is 0, the loss's ``boundary`` where it has one, or the mean of the other kind where only
    differences count.

    Example:
        >>> judged(LeastSquares(), torch.tensor([0.75]), torch.tensor([0.25]))
        (tensor([0.2500]), tensor([-0.2500]))
    """
    if isinstance(loss, PairedLoss):
        return real - fake.mean(), fake - real.mean()
    return real - _boundary(loss), fake - _boundary(loss)


def accuracy(scores: Scores, real: bool, loss: object = None) -> Scalar:
    """Share of the images on the right side of 0, or of the ``boundary`` of the loss they are scored for."""
    boundary = _boundary(loss)
    return ((scores > boundary) if real else (scores <= boundary)).float().mean()


def _boundary(loss: object) -> float:
    """The score between real and generated."""
    return getattr(loss, "boundary", 0.0)
