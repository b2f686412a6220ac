"""A generator of plain colours with a critic, for tests of ratings."""

import torch
from helpers import SPEC16, FunctionMethod
from torch import Tensor, nn

from gansmith.models.generator import Generator, from_method
from gansmith.networks.bundle import Networks


class Judged(Networks):
    """A critic of random weights; the images are a function of the latent alone."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.discriminator = nn.Sequential(
                nn.Conv2d(3, 8, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(8, 8, 4, 2, 1), nn.Flatten(),
                nn.Linear(8 * 64, 1), nn.Flatten(0),
            )  # fmt: skip


def colours(latents: Tensor) -> Tensor:
    """Each image is one colour, with a little of the rest of the latent below."""
    flat = torch.tanh(latents[:, :3, None, None]).repeat(1, 1, 16, 16)
    flat[:, :, 12:] = torch.tanh(latents[:, 3:6, None, None])
    return flat


def rated_generator(seed: int = 0) -> Generator:
    method = FunctionMethod(latent_of=lambda noise: noise.normal(6), image_of=colours)
    return from_method(method, Judged(seed), SPEC16, name="toy", recipe_name="toys", images_seen=0)
