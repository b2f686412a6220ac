"""Critics that see augmented images, and the memory of an augmentation that adapts itself."""

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from gansmith.augment.policies import ADA, Augmentation
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.tensors import Scores
from gansmith.losses.penalties import Critic
from gansmith.networks.bundle import Networks

_MEMORY, _SIGN = "augmentation", "sign of real"
N = TypeVar("N", bound=Networks)


def remembering(networks: N, augment: Augmentation) -> N:
    """The bundle, with a buffer where the augmentation adapts itself."""
    if isinstance(augment, ADA):
        networks.register_buffer(_MEMORY, torch.zeros(3))
    return networks


def augmented(
    critic: Critic, augment: Augmentation, networks: Networks, noise: Noise, progress: Progress
) -> Critic:
    """The critic of augmented images.

    What is done to an image depends on its place in the batch alone, so the two of a pair are treated alike,
    and a penalty sees what the game saw. Its slope is with respect to the image as it was before.
    """
    strength = augment.strength(progress, getattr(networks, _MEMORY, None))
    return lambda images: critic(augment(images, noise.fork("augment"), strength))


def sign_of(real: Scores, augment: Augmentation) -> Mapping[str, Tensor]:
    """The signal that ``adapt`` asks for: the mean sign of scores of real images."""
    return {_SIGN: real.sign().mean()} if isinstance(augment, ADA) else {}


def adapt(
    networks: Networks, augment: Augmentation, signals: Mapping[str, Tensor], progress: Progress
) -> None:
    """Write the memory of an adaptive augmentation; for ``Method.after_step``."""
    if isinstance(augment, ADA):
        memory = networks.get_buffer(_MEMORY)
        memory.copy_(augment.adapted(memory, signals[_SIGN], progress.batch))
