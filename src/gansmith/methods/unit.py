"""UNIT: two domains without pairs that share one latent space (Liu, Breuel and Kautz 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Scalar, Scores, full
from gansmith.errors import SettingError, at_least
from gansmith.losses.adversarial import AdversarialLoss, Logistic, accuracy
from gansmith.methods.base import Loss, Method, Turn
from gansmith.methods.batches import DomainBatch, DomainPrompt
from gansmith.methods.cyclegan import Direction
from gansmith.networks.bundle import Networks
from gansmith.networks.dcgan import initialize
from gansmith.networks.norm import InstanceNorm
from gansmith.networks.patchgan import PatchDiscriminator
from gansmith.networks.resnet_translator import ResidualBlock
from gansmith.networks.upsampling import Up, up_layer


class Encoder(nn.Module):
    """Images of a domain -> features of a quarter of both sides.

    Args:
        spec: the images.
        width: channels at full size; doubled at each of two halvings.
        blocks: residual blocks at the end.

    Raises:
        SettingError: the sides are not multiples of 4 from 8 on.

    Example:
        >>> Encoder(DataSpec(height=64, width=64), 64, 3)(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 256, 16, 16])
    """

    def __init__(self, spec: DataSpec, width: int, blocks: int) -> None:
        super().__init__()
        if spec.height % 4 or spec.width % 4 or min(spec.height, spec.width) < 8:
            high, wide = (max(8, round(side / 4) * 4) for side in (spec.height, spec.width))
            raise SettingError(
                "UNIT's encoders halve a picture twice, so its sides are multiples of 4 from 8 on. "
                f"Received: {spec.width}x{spec.height}. Try data.size={wide}x{high}."
            )
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(spec.channels, width, 7), *_after(width)]
        for wide in (width, 2 * width):
            layers += [nn.Conv2d(wide, 2 * wide, 3, 2, 1), *_after(2 * wide)]
        self.main = nn.Sequential(*layers, *(ResidualBlock(4 * width) for _ in range(blocks)))
        initialize(self)

    def forward(self, images: Images) -> Tensor:
        features: Tensor = self.main(images)
        return features


class Decoder(nn.Module):
    """Features of a quarter of both sides -> images of a domain; the encoder mirrored.

    Args:
        spec: the images.
        width: channels at full size.
        blocks: residual blocks at the beginning.
        up: how sizes are doubled.

    Example:
        >>> Decoder(DataSpec(height=64, width=64), 64, 3)(torch.zeros(1, 256, 16, 16)).shape
        torch.Size([1, 3, 64, 64])
    """

    def __init__(self, spec: DataSpec, width: int, blocks: int, up: Up = "transposed") -> None:
        super().__init__()
        self._spec = spec
        layers: list[nn.Module] = [ResidualBlock(4 * width) for _ in range(blocks)]
        for wide in (4 * width, 2 * width):
            layers += [up_layer(up, wide, wide // 2), *_after(wide // 2)]
        self.main = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, spec.channels, 7))
        initialize(self)

    def forward(self, features: Tensor) -> Images:
        made: Tensor = self.main(features)
        return self._spec.to_network(full(made).tanh())


def _after(channels: int) -> list[nn.Module]:
    return [InstanceNorm(channels, affine=False), nn.ReLU(inplace=True)]


def _shared(channels: int, blocks: int) -> nn.Module:
    network = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
    initialize(network)
    return network


class UnitNetworks(Networks):
    """An encoder, a decoder and a critic for each domain, and what both domains share in their middle.

    Args:
        encoders: (of a, of b).
        decoders: (of a, of b).
        shared: (the end of both encoders, the beginning of both decoders).
        critics: (of a, of b).

    Example:
        >>> networks = UNIT(generator_width=8).build(DataSpec(height=32, width=32))
        >>> networks.mean_of_a(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 32, 8, 8])
    """

    def __init__(
        self,
        encoders: tuple[nn.Module, nn.Module],
        decoders: tuple[nn.Module, nn.Module],
        shared: tuple[nn.Module, nn.Module],
        critics: tuple[nn.Module, nn.Module],
    ) -> None:
        super().__init__()
        self.encoder_a, self.encoder_b = encoders
        self.decoder_a, self.decoder_b = decoders
        self.shared_encoder, self.shared_decoder = shared
        self.critic_a, self.critic_b = critics

    def mean_of_a(self, images: Images) -> Tensor:
        """E_a: the mean of q(z|a), float32."""
        return full(self.shared_encoder(self.encoder_a(images)))

    def mean_of_b(self, images: Images) -> Tensor:
        """E_b."""
        return full(self.shared_encoder(self.encoder_b(images)))

    def to_a(self, z: Tensor) -> Images:
        """G_a: an image of a out of the shared latent space."""
        images: Images = self.decoder_a(self.shared_decoder(z))
        return images

    def to_b(self, z: Tensor) -> Images:
        """G_b."""
        images: Images = self.decoder_b(self.shared_decoder(z))
        return images


@dataclass(frozen=True, kw_only=True)
class UNIT(Method[UnitNetworks, DomainBatch, DomainPrompt]):
    """Two VAEs and two GANs over one z ~ q(z|x) = N(E(x), I), prior N(0, I) (equations 3 to 6).

    Generators minimize, for a and likewise for b: gan E[-log D_b(G_b(z_a))]
    + kl KL(q(z_a|a) || p) + likelihood E|a - G_a(z_a)|, and on the cycle, with z_ab ~ q(z|G_b(z_a)):
    kl KL(q(z_ab|G_b(z_a)) || p) + likelihood E|a - G_a(z_ab)|. KL is a mean over the numbers of z.

    Example:
        >>> UNIT(share=0)
    """

    batch_type: ClassVar[type[DomainBatch]] = DomainBatch
    prompt_type: ClassVar[type[Any] | None] = DomainPrompt

    generator_width: int = 64
    discriminator_width: int = 64
    blocks: int = 4  # Residual blocks of each encoder and each decoder.
    share: int = 1  # Those at the end of encoders and the beginning of decoders that both domains share.
    layers: int = 3  # Halvings of each critic: patches of 70 px.
    up: Up = "transposed"  # nearest and bilinear leave no checkerboard.
    gan: float = 10.0  # lambda_0.
    kl: float = 0.1  # lambda_1 and lambda_3.
    likelihood: float = 100.0  # lambda_2 and lambda_4.
    adversarial: AdversarialLoss = Logistic()
    direction: Direction = "a_to_b"  # What a trained model is used for; both are trained and kept.

    def __post_init__(self) -> None:
        at_least(self, 1, "generator_width", "discriminator_width")
        at_least(self, 0, "blocks", "share", "layers", "gan", "kl", "likelihood")
        if self.share > self.blocks:
            raise SettingError(
                "UNIT shares some of its residual blocks, up to all of them. Received: "
                f"method.share={self.share} of method.blocks={self.blocks}. Try method.share=1."
            )

    def build(self, spec: DataSpec) -> UnitNetworks:
        own, width = self.blocks - self.share, self.generator_width

        def critic() -> nn.Module:
            size = (spec.height, spec.width)
            return PatchDiscriminator(
                spec.channels, size, self.discriminator_width, layers=self.layers, affine=False
            )

        return UnitNetworks(
            (Encoder(spec, width, own), Encoder(spec, width, own)),
            (Decoder(spec, width, own, self.up), Decoder(spec, width, own, self.up)),
            (_shared(4 * width, self.share), _shared(4 * width, self.share)),
            (critic(), critic()),
        )

    def tiny(self) -> "UNIT":
        return replace(self, generator_width=2, discriminator_width=2, blocks=max(1, self.share))

    def players(self) -> Mapping[str, tuple[str, ...]]:
        shared = ("shared_encoder", "shared_decoder") if self.share else ()
        own = "encoder_a", "encoder_b", "decoder_a", "decoder_b"
        return {"critics": ("critic_a", "critic_b"), "generators": (*own, *shared)}

    def turns(self) -> Sequence[Turn[UnitNetworks, DomainBatch]]:
        return (
            Turn(name="critics", player="critics", loss=self.critics_loss),
            Turn(name="generators", player="generators", loss=self.generators_loss),
        )

    def critics_loss(
        self, networks: UnitNetworks, batch: DomainBatch, noise: Noise, progress: Progress
    ) -> Loss:
        z_a = _sample(networks.mean_of_a(batch.a), noise.fork("a"))
        z_b = _sample(networks.mean_of_b(batch.b), noise.fork("b"))
        real_a, fake_a = networks.critic_a(batch.a), networks.critic_a(networks.to_a(z_b))
        real_b, fake_b = networks.critic_b(batch.b), networks.critic_b(networks.to_b(z_a))
        total = self.adversarial.discriminator(real_a, fake_a)
        total = total + self.adversarial.discriminator(real_b, fake_b)
        parts = {
            "accuracy on real": accuracy(real_b, True, self.adversarial),
            "accuracy on fake": accuracy(fake_b, False, self.adversarial),
        }
        return Loss(total, parts)

    def generators_loss(
        self, networks: UnitNetworks, batch: DomainBatch, noise: Noise, progress: Progress
    ) -> Loss:
        mean_a, mean_b = networks.mean_of_a(batch.a), networks.mean_of_b(batch.b)
        z_a, z_b = _sample(mean_a, noise.fork("a")), _sample(mean_b, noise.fork("b"))
        to_b, to_a = networks.to_b(z_a), networks.to_a(z_b)
        game = self.adversarial.generator(networks.critic_b(to_b))
        game = game + self.adversarial.generator(networks.critic_a(to_a))
        direct = F.l1_loss(networks.to_a(z_a), batch.a) + F.l1_loss(networks.to_b(z_b), batch.b)
        mean_ab, mean_ba = networks.mean_of_b(to_b), networks.mean_of_a(to_a)
        back_a = networks.to_a(_sample(mean_ab, noise.fork("a to b")))
        back_b = networks.to_b(_sample(mean_ba, noise.fork("b to a")))
        cycle = F.l1_loss(back_a, batch.a) + F.l1_loss(back_b, batch.b)
        divergence = divergence_of(mean_a) + divergence_of(mean_b)
        on_cycle = divergence_of(mean_ab) + divergence_of(mean_ba)
        total = self.gan * game + self.likelihood * (direct + cycle) + self.kl * (divergence + on_cycle)
        parts = {"game": game, "direct": direct, "cycle": cycle, "kl": divergence, "kl on cycle": on_cycle}
        return Loss(total, parts)

    def generate(self, networks: UnitNetworks, prompt: DomainPrompt, noise: Noise) -> Images:
        """With the mean of z: a result has no chance in it."""
        if self.direction == "a_to_b":
            return networks.to_b(networks.mean_of_a(prompt.a))
        return networks.to_a(networks.mean_of_b(prompt.a))

    def panels(
        self, networks: UnitNetworks, batch: DomainBatch, made: Images, noise: Noise
    ) -> Mapping[str, Tensor]:
        other: Direction = "b_to_a" if self.direction == "a_to_b" else "a_to_b"
        back = replace(self, direction=other).generate(networks, DomainPrompt(made), noise)
        return {**super().panels(networks, batch, made, noise), "there and back": back}

    def critic_scores(self, networks: UnitNetworks, images: Images, prompt: DomainPrompt) -> Scores:
        critic = networks.critic_b if self.direction == "a_to_b" else networks.critic_a
        scores: Scores = critic(images)
        return scores

    def validation_metrics(
        self, networks: UnitNetworks, batch: DomainBatch, noise: Noise
    ) -> Mapping[str, Tensor]:
        """The VAE's and the cycle's distance; how far results are from their sources, and alike to them."""
        mean = networks.mean_of_a(batch.a)
        to_b = networks.to_b(mean)
        both = torch.stack([to_b.flatten(), batch.a.flatten()]).float()
        return {
            "direct": F.l1_loss(networks.to_a(mean), batch.a),
            "cycle": F.l1_loss(networks.to_a(networks.mean_of_b(to_b)), batch.a),
            "change": F.l1_loss(to_b, batch.a),
            "correlation": torch.corrcoef(both)[0, 1],
        }


def divergence_of(mean: Tensor) -> Scalar:
    """KL(N(mean, I) || N(0, I)) for each number of z: E[mean^2] / 2."""
    return 0.5 * mean.square().mean()


def _sample(mean: Tensor, noise: Noise) -> Tensor:
    """A draw from N(mean, I)."""
    return mean + noise.bulk_normal(*mean.shape[1:])
