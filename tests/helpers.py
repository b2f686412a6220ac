"""Tiny recipes, data and networks that more than one test file uses."""

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gansmith.config.recipe import Recipe
from gansmith.config.serialization import to_json
from gansmith.core.image_size import Size
from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.data.config import DataConfig
from gansmith.data.dataset import MemoryDataSet
from gansmith.data.loading.loader import Loader
from gansmith.engine.trainer import Trainer
from gansmith.methods.batches import ImageBatch
from gansmith.methods.latent import NoiseToImage
from gansmith.models.generator import Generator, from_method
from gansmith.networks.bundle import Networks
from gansmith.recipes import named

CPU = torch.device("cpu")
SPEC16 = DataSpec(height=16, width=16, channels=3)


def random_images(count: int, size: int = 16, channels: int = 3, seed: int = 0) -> Tensor:
    """Pictures of noise in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, size, size, generator=generator) * 2.0 - 1.0


def random_bytes(count: int, size: int = 16, channels: int = 3, seed: int = 0) -> Tensor:
    """Pictures of noise in 0..255."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, size, size), generator=generator, dtype=torch.uint8)


def numbered_bytes(count: int, size: int = 4) -> Tensor:
    """Pictures of one level each: the level is the row."""
    levels = torch.arange(count, dtype=torch.uint8)[:, None, None, None]
    return levels.expand(count, 1, size, size).contiguous()


def numbers_of(images: Tensor) -> list[int]:
    """The rows that ``numbered_bytes`` wrote into these pictures, from [-1, 1]."""
    return ((images[:, 0, 0, 0] + 1.0) * 127.5).round().long().tolist()


def small(recipe: Recipe, size: int = 16, batch: int = 4, **train: object) -> Recipe:
    """A catalogue's recipe with thin networks and small pictures, in float32."""
    return dataclasses.replace(
        recipe,
        method=recipe.method.tiny(),
        data=DataConfig(size=Size(size, size), channels=3, validation=0.0, pairs=recipe.data.pairs),
        train=dataclasses.replace(recipe.train, batch=batch, precision="float32", **train),
    )


def small_named(name: str, **train: object) -> Recipe:
    """``small`` of the recipe with this name."""
    return small(named(name), **train)


def trainer_of(recipe: Recipe, pictures: Tensor | None = None) -> Trainer:
    """A trainer on the processor over these pictures, or noise."""
    if pictures is None:
        pictures = random_bytes(24, recipe.data.size.width)
    data = MemoryDataSet("toy", {"images": pictures})
    loader = Loader(data, recipe.method.batch_type, recipe.data, recipe.train.seed, CPU)
    return Trainer(recipe, loader, CPU)


def facts_of(trainer: Trainer) -> dict[str, object]:
    """What a run writes into a checkpoint besides its tensors."""
    return {"images": trainer.images, "recipe": to_json(trainer.recipe), "idle": trainer.idle}


def image_loader(pictures: Tensor, config: DataConfig | None = None, seed: int = 0) -> Loader:
    """A loader of pictures alone; nothing is held out."""
    config = config or DataConfig(validation=0.0)
    return Loader(MemoryDataSet("toy", {"images": pictures}), ImageBatch, config, seed, CPU)


class Linear(nn.Module):
    """The critic x -> w.x + b."""

    def __init__(self, weight: Tensor, bias: float = 0.0) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), bias

    def forward(self, images: Tensor) -> Tensor:
        return (images * self.weight).flatten(1).sum(dim=1) + self.bias


def one_hot(value: float, size: int = 16, channels: int = 3) -> Tensor:
    """Weights of which a single one is not 0."""
    weight = torch.zeros(channels, size, size)
    weight[channels - 1, 1, 2] = value
    return weight


def silence_head(network: nn.Module) -> nn.Module:
    """Zero the last layer that has weights, so that all scores are 0."""
    last = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)][-1]
    nn.init.zeros_(last.weight)
    if last.bias is not None:
        nn.init.zeros_(last.bias)
    return network


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class FunctionMethod(NoiseToImage[Networks, ImageBatch]):
    """A method whose generator is two functions; nobody trains it."""

    batch_type = ImageBatch
    latent_of: Callable[[Noise], Tensor]
    image_of: Callable[[Tensor], Tensor]

    def build(self, spec: DataSpec) -> Networks:
        return Networks()

    def players(self) -> dict[str, tuple[str, ...]]:
        return {}

    def turns(self) -> list:
        return []

    def latents(self, noise: Noise) -> Tensor:
        return self.latent_of(noise)

    def decode(self, networks: Networks, latents: Tensor) -> Tensor:
        return self.image_of(latents)


def generator_of(
    latent_of: Callable[[Noise], Tensor], image_of: Callable[[Tensor], Tensor], spec: DataSpec
) -> Generator:
    """A generator called toy out of two functions."""
    method = FunctionMethod(latent_of=latent_of, image_of=image_of)
    return from_method(method, Networks(), spec, name="toy", recipe_name="toys", images_seen=0)
