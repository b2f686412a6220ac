"""A generator with an encoder, a bottleneck and an unpooling decoder that sees the label."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.methods.encoder_decoder import AttributeEncoderDecoderGAN, EncoderDecoderGAN


def encoder_decoder(size: int, method: EncoderDecoderGAN, name: str = "encoder-decoder") -> Recipe:
    """DCGAN's Adam, at 2e-4 with beta1 0.5, and small batches for many steps."""
    adam = Adam(lr=2e-4, betas=(0.5, 0.999))
    what = "attributes" if isinstance(method, AttributeEncoderDecoderGAN) else "labels"
    return Recipe(
        name=f"{name}{size}",
        about=f"Encoder, bottleneck, decoder at {size} px, by {what}.",
        method=method,
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=120_000, batch=32),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "encoder-decoder28": lambda: encoder_decoder(28, EncoderDecoderGAN(width=16, mode_seeking=0.05)),
    "encoder-decoder32": lambda: encoder_decoder(32, EncoderDecoderGAN(width=16, mode_seeking=0.05)),
    "encoder-decoder64": lambda: encoder_decoder(64, EncoderDecoderGAN(width=16, mode_seeking=0.05)),
    "encoder-decoder-attributes32": lambda: encoder_decoder(
        32, AttributeEncoderDecoderGAN(width=16, mode_seeking=0.05), "encoder-decoder-attributes"
    ),
    "encoder-decoder-attributes64": lambda: encoder_decoder(
        64, AttributeEncoderDecoderGAN(width=16, mode_seeking=0.05), "encoder-decoder-attributes"
    ),
}
