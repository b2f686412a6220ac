"""Methods that read from a photo what it shows, so that it can be changed and drawn again."""

from abc import abstractmethod

import torch
from torch import Tensor

from gansmith.core.tensors import Images, Latents
from gansmith.errors import SettingError
from gansmith.methods.base import B, Method, N, P


class EditMethod(Method[N, B, P]):
    """A method with a way back: image -> (latent, condition) -> image.

    Example:
        >>> z, y = method.read(networks, photos)
        >>> others = method.draw(networks, z, 1 - y)
    """

    @property
    @abstractmethod
    def column(self) -> str:
        """``labels`` or ``attributes``: what a condition is."""

    @abstractmethod
    def read(self, networks: N, images: Images) -> tuple[Latents, Tensor]:
        """What images show: latents [batch, *latent], and labels [batch] or attributes [batch, a], 0 or 1."""

    @abstractmethod
    def draw(self, networks: N, latents: Latents, condition: Tensor) -> Images:
        """The images of latents under conditions; differentiable with respect to the latents."""

    def edit(self, networks: N, images: Images, condition: Tensor) -> Images:
        """What images show under other conditions: each is read, its condition replaced, and drawn again.

        Args:
            networks: trained.
            images: [batch, channels, height, width] in the networks' range.
            condition: labels [batch] or attributes [batch, a].

        Example:
            >>> women = method.edit(networks, photos, torch.ones(len(photos), dtype=torch.int64))
        """
        latents, _ = self.read(networks, images)
        return self.draw(networks, latents, condition)

    def mixed(self, networks: N, one: Tensor, other: Tensor, share: float) -> Tensor:
        """The condition on the way from one to another, as ``draw`` takes it.

        Args:
            networks: trained.
            one: where it begins: labels [batch] or attributes [batch, a].
            other: where it ends.
            share: how far along, from 0 to 1.

        Raises:
            SettingError: between its conditions the method has nothing.
        """
        raise SettingError(
            "Steps are for models whose conditions become numbers with others between them. "
            f"{type(self).__name__} has none. Leave --steps out."
        )

    def excluded(self, networks: N) -> Tensor:
        """Which values of two attributes exclude each other, bool [2a, 2a]; none where nobody counted.

        Value i is "attribute i is there", value a + i "it is not".
        """
        return torch.zeros(0, 0, dtype=torch.bool)
