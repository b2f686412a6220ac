"""CycleGAN: two domains without pairs, there and back again (Zhu et al. 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Scores
from gansmith.errors import at_least
from gansmith.losses.adversarial import AdversarialLoss, LeastSquares, accuracy
from gansmith.methods.base import Loss, Method, Turn
from gansmith.methods.batches import DomainBatch, DomainPrompt
from gansmith.networks.bundle import Networks
from gansmith.networks.patchgan import PatchDiscriminator
from gansmith.networks.resnet_translator import ResNetTranslator
from gansmith.networks.upsampling import Up

Direction = Literal["a_to_b", "b_to_a"]


class CycleNetworks(Networks):
    """Two translators, a critic for each domain, and a pool of past fakes for each critic.

    Args:
        translators: (a to b, b to a).
        critics: (of a, of b).
        pool: fakes each critic's memory holds.
        spec: their form.

    Example:
        >>> method = CycleGAN(generator_width=8, discriminator_width=8, blocks=1)
        >>> networks = method.build(DataSpec(height=32, width=32))
        >>> networks.a_to_b(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 3, 32, 32])
    """

    def __init__(
        self,
        translators: tuple[nn.Module, nn.Module],
        critics: tuple[nn.Module, nn.Module],
        pool: int,
        spec: DataSpec,
    ) -> None:
        super().__init__()
        self.a_to_b, self.b_to_a = translators
        self.critic_a, self.critic_b = critics
        shape = (pool, spec.channels, spec.height, spec.width)
        self.pool_a: Tensor
        self.pool_b: Tensor
        self.pooled: Tensor
        self.register_buffer("pool_a", torch.zeros(shape))
        self.register_buffer("pool_b", torch.zeros(shape))
        self.register_buffer("pooled", torch.zeros((), dtype=torch.int64))  # How many are in each pool.


@dataclass(frozen=True, kw_only=True)
class CycleGAN(Method[CycleNetworks, DomainBatch, DomainPrompt]):
    """Least squares in both domains, plus cycle E|F(G(a)) - a| + E|G(F(b)) - b|, plus identity E|G(b) - b|.

    Example:
        >>> CycleGAN(blocks=6, identity=0.0)
    """

    batch_type: ClassVar[type[DomainBatch]] = DomainBatch
    prompt_type: ClassVar[type[Any] | None] = DomainPrompt

    generator_width: int = 64  # ngf.
    discriminator_width: int = 64  # ndf.
    blocks: int = 9  # Residual blocks of each translator: 9 from 256 px on, 6 below.
    layers: int = 3  # Halvings of each critic: patches of 70 px.
    up: Up = "transposed"  # nearest and bilinear leave no checkerboard.
    cycle: float = 10.0  # lambda: weight of there and back again, each way.
    identity: float = 5.0  # Weight of |G(b) - b| and |F(a) - a|: keeps colours. 0: left out.
    pool: int = 50  # Past fakes the critics are shown; 0: the newest ones alone.
    adversarial: AdversarialLoss = LeastSquares()
    game: float = 2.0  # Weight of the game for the translators: LeastSquares is half of the paper's.
    direction: Direction = "a_to_b"  # What a trained model is used for; both are trained and kept.

    def __post_init__(self) -> None:
        at_least(self, 1, "generator_width", "discriminator_width")
        at_least(self, 0, "blocks", "layers", "cycle", "identity", "pool", "game")

    def build(self, spec: DataSpec) -> CycleNetworks:
        def translator() -> nn.Module:
            return ResNetTranslator(spec, self.generator_width, self.blocks, self.up)

        def critic() -> nn.Module:
            return PatchDiscriminator(
                spec.channels,
                (spec.height, spec.width),
                self.discriminator_width,
                layers=self.layers,
                affine=False,
            )

        return CycleNetworks((translator(), translator()), (critic(), critic()), self.pool, spec)

    def tiny(self) -> "CycleGAN":
        return replace(self, generator_width=2, discriminator_width=2, blocks=1, pool=min(self.pool, 6))

    def players(self) -> Mapping[str, tuple[str, ...]]:
        return {"critics": ("critic_a", "critic_b"), "translators": ("a_to_b", "b_to_a")}

    def turns(self) -> Sequence[Turn[CycleNetworks, DomainBatch]]:
        return (
            Turn(name="critics", player="critics", loss=self.critics_loss),
            Turn(name="translators", player="translators", loss=self.translators_loss, reuse_fakes=True),
        )

    def critics_loss(
        self, networks: CycleNetworks, batch: DomainBatch, noise: Noise, progress: Progress
    ) -> Loss:
        """Each critic judges real images of its domain, and fakes, half of them from its pool."""
        to_b, to_a = (fakes.detach() for fakes in self.fakes(networks, batch, noise))
        draws = noise.uniform(4)
        shown_a = self._from_pool(networks.pool_a, networks.pooled, to_a, draws[:, 0:2])
        shown_b = self._from_pool(networks.pool_b, networks.pooled, to_b, draws[:, 2:4])
        real_a, fake_a = networks.critic_a(batch.a), networks.critic_a(shown_a)
        real_b, fake_b = networks.critic_b(batch.b), networks.critic_b(shown_b)
        total = self.adversarial.discriminator(real_a, fake_a)
        total = total + self.adversarial.discriminator(real_b, fake_b)
        return Loss(
            total,
            {
                "accuracy on real": accuracy(real_b, True, self.adversarial),
                "accuracy on fake": accuracy(fake_b, False, self.adversarial),
            },
            rows={"to_a": to_a, "to_b": to_b, "draws": draws},
        )

    def translators_loss(
        self, networks: CycleNetworks, batch: DomainBatch, noise: Noise, progress: Progress
    ) -> Loss:
        to_b, to_a = self.fakes(networks, batch, noise)
        game = self.adversarial.generator(networks.critic_b(to_b))
        game = game + self.adversarial.generator(networks.critic_a(to_a))
        cycle = F.l1_loss(networks.b_to_a(to_b), batch.a) + F.l1_loss(networks.a_to_b(to_a), batch.b)
        total, parts = self.game * game + self.cycle * cycle, {"game": game, "cycle": cycle}
        if self.identity > 0:
            same = F.l1_loss(networks.a_to_b(batch.b), batch.b) + F.l1_loss(networks.b_to_a(batch.a), batch.a)
            total, parts = total + self.identity * same, {**parts, "identity": same}
        return Loss(total, parts)

    def fakes(self, networks: CycleNetworks, batch: DomainBatch, noise: Noise) -> tuple[Images, Images]:
        """(b out of a, a out of b), the same for both players."""
        to_b = noise.cached("to_b", lambda: networks.a_to_b(batch.a))
        return to_b, noise.cached("to_a", lambda: networks.b_to_a(batch.b))

    def _from_pool(self, pool: Tensor, pooled: Tensor, fakes: Tensor, draws: Tensor) -> Tensor:
        """Fakes as they are until the pool is full; then each second one is exchanged for a past one."""
        if not self.pool:
            return fakes
        past = (draws[:, 0] < 0.5) & (pooled >= self.pool)
        return torch.where(past[:, None, None, None], pool[self._places(draws)], fakes)

    def _places(self, draws: Tensor) -> Tensor:
        return (draws[:, 1] * self.pool).long()

    def after_step(self, networks: CycleNetworks, signals: Mapping[str, Tensor], progress: Progress) -> None:
        """New fakes fill the pools; later they take the places of those that were shown."""
        if not self.pool:
            return
        before = networks.pooled.clone()
        count = len(signals["to_a"])
        free = before + torch.arange(count, device=before.device)
        pools = (networks.pool_a, "to_a", 0), (networks.pool_b, "to_b", 2)
        for pool, name, at in pools:
            draws = signals["draws"][:, at : at + 2]
            full = before >= self.pool
            stored = torch.where(full, draws[:, 0] < 0.5, free < self.pool)
            places = torch.where(full, self._places(draws), free.clamp(max=self.pool - 1))
            pool[places[stored]] = signals[name][stored].to(pool.dtype)
        networks.pooled.copy_((before + count).clamp(max=self.pool))

    def generate(self, networks: CycleNetworks, prompt: DomainPrompt, noise: Noise) -> Images:
        translator = networks.a_to_b if self.direction == "a_to_b" else networks.b_to_a
        images: Images = translator(prompt.a)
        return images

    def panels(
        self, networks: CycleNetworks, batch: DomainBatch, made: Images, noise: Noise
    ) -> Mapping[str, Tensor]:
        other: Direction = "b_to_a" if self.direction == "a_to_b" else "a_to_b"
        back = replace(self, direction=other).generate(networks, DomainPrompt(made), noise)
        return {**super().panels(networks, batch, made, noise), "there and back": back}

    def critic_scores(self, networks: CycleNetworks, images: Images, prompt: DomainPrompt) -> Scores:
        critic = networks.critic_b if self.direction == "a_to_b" else networks.critic_a
        scores: Scores = critic(images)
        return scores

    def validation_metrics(
        self, networks: CycleNetworks, batch: DomainBatch, noise: Noise
    ) -> Mapping[str, Tensor]:
        """There and back again, and how far results are from their sources and alike to them.

        A change near 0 means that it does nothing; a correlation below 0, that colours are inverted.
        """
        to_b = networks.a_to_b(batch.a)
        both = torch.stack([to_b.flatten(), batch.a.flatten()]).float()
        return {
            "cycle": F.l1_loss(networks.b_to_a(to_b), batch.a),
            "change": F.l1_loss(to_b, batch.a),
            "correlation": torch.corrcoef(both)[0, 1],
        }
