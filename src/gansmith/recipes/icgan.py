"""IcGAN: readers of z and y for the generator of a finished conditional run."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.core.schedules import Linear
from gansmith.data.config import DataConfig
from gansmith.methods.icgan import AttributeIcGAN, IcGAN


def icgan(size: int, method: IcGAN, name: str = "icgan") -> Recipe:
    """Batches of 64 as in the authors' code; their Adam has 1e-4 and beta1 0.1 for fifteen passes."""
    what = "attributes" if isinstance(method, AttributeIcGAN) else "the label"
    read_z = Adam(lr=1e-3, betas=(0.5, 0.999), schedule=Linear(start=0.3))
    read_y = Adam(lr=3e-4, betas=(0.5, 0.999), schedule=Linear(start=0.3))
    return Recipe(
        name=f"{name}{size}",
        about=f"IcGAN at {size} px: reads photos for a borrowed generator, to change {what}.",
        method=method,
        optimizers={"read_z": read_z, "read_y": read_y},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=80_000, batch=64, average=None, picture_every=20_000),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "icgan32": lambda: icgan(32, IcGAN(hidden_z=1024)),
    "icgan64": lambda: icgan(64, IcGAN()),
    "icgan-attributes32": lambda: icgan(32, AttributeIcGAN(hidden_z=1024), "icgan-attributes"),
    "icgan-attributes64": lambda: icgan(64, AttributeIcGAN(), "icgan-attributes"),
}
