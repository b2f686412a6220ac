"""Methods whose images come from a latent, so that one can walk, mix, truncate and invert."""

from abc import abstractmethod
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.tensors import Images, Latents
from gansmith.errors import SettingError
from gansmith.methods.base import B, Method, N, P

Way = Literal["spherical", "linear"]
Shares = Float[Tensor, " batch"]


class LatentMethod(Method[N, B, P]):
    """A method with one latent space or several, each a way from noise to an image.

    ``spaces`` goes from the noise to the image: ("z",) for DCGAN, ("z", "w", "w+") for StyleGAN2. What the
    synthesis draws besides the latent comes from ``noise.fork("synthesis")``, so that a film can hold it.

    Example:
        >>> noise = Noise.of(0, 1)
        >>> w = method.truncate(networks, method.to_latent(networks, noise, None, "w"), 0.7, "w")
        >>> images = method.synthesize(networks, w, noise, None, "w")
    """

    spaces: ClassVar[tuple[str, ...]] = ("z",)

    @abstractmethod
    def to_latent(self, networks: N, noise: Noise, prompt: P, space: str = "z") -> Latents:
        """The latent of each seed in a space, [batch, *latent]."""

    @abstractmethod
    def synthesize(self, networks: N, latents: Latents, noise: Noise, prompt: P, space: str = "z") -> Images:
        """The images of latents of a space, in [-1, 1]; differentiable with respect to the latents."""

    def blend(self, networks: N, latents: Latents, noise: Noise, ends: tuple[P, P], share: Shares) -> Images:
        """The images on the straight line from one prompt's condition to another's, in [-1, 1].

        Args:
            networks: in eval mode.
            latents: of the first space, [batch, *latent]; they stay as they are.
            noise: a seed for each.
            ends: where the line begins and where it ends, a row for each.
            share: how far along it, [batch], from 0 to 1.

        Raises:
            SettingError: between its prompts the method has nothing.
        """
        raise SettingError(
            "A walk from wish to wish is for models whose wishes become numbers with others between them. "
            f"{type(self).__name__} has none. Ask for one wish, and walk from seed to seed."
        )

    def truncate(
        self, networks: N, latents: Latents, psi: float, space: str = "z", prompt: P | None = None
    ) -> Latents:
        """Latents drawn towards the average by 1 - psi, for fewer odd images and less variety.

        A method may cut them another way: for BigGAN psi is the threshold that no number of z exceeds.

        Args:
            networks: in eval mode.
            latents: of ``space``.
            psi: 1 leaves them as they are, 0 is the average.
            space: where they lie.
            prompt: what each is the latent for, where the average is one of a class; None where that is open.

        Raises:
            SettingError: the method has no truncation.
        """
        raise SettingError(
            f"Truncation is for methods that define it. Received: {psi} for {type(self).__name__}, which "
            "does not. Leave --truncation out."
        )

    def settle(self, networks: N, psi: float, prompt: P, noise: Noise) -> None:
        """Fit ``networks``, a copy of the caller's, to truncated latents; by default there is nothing to fit.

        Args:
            networks: in eval mode; written to.
            psi: as in ``truncate``.
            prompt: a row for each seed, drawn as the training data are.
            noise: seeds to look at.
        """

    def way(self, space: str) -> Way:
        """How to go from one latent to another: z lies near a sphere, later spaces are flat."""
        return "spherical" if space == "z" else "linear"

    def generate(self, networks: N, prompt: P, noise: Noise) -> Images:
        """``synthesize`` of ``to_latent``, by way of the last space."""
        space = self.spaces[-1]
        return self.synthesize(networks, self.to_latent(networks, noise, prompt, space), noise, prompt, space)


class NoiseToImage(LatentMethod[N, B, None]):
    """A method with one latent space and no prompt: it defines ``latents`` and ``decode`` and gets the rest.

    Example:
        >>> class Mine(NoiseToImage[Pair, ImageBatch]):
        ...     def latents(self, noise): return noise.normal(64)
        ...     def decode(self, networks, latents): return networks.generator(latents)
    """

    @abstractmethod
    def latents(self, noise: Noise) -> Latents:
        """The latent of each seed, [batch, latent]."""

    @abstractmethod
    def decode(self, networks: N, latents: Latents) -> Images:
        """The images of these latents, in [-1, 1]."""

    def to_latent(self, networks: N, noise: Noise, prompt: None, space: str = "z") -> Latents:
        return self.latents(noise)

    def synthesize(
        self, networks: N, latents: Latents, noise: Noise, prompt: None, space: str = "z"
    ) -> Images:
        return self.decode(networks, latents)
