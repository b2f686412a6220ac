"""CAT: each stage is judged at its own scale and drawn to the finished image (arXiv 2605.26449)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Scores
from gansmith.errors import SettingError, at_least
from gansmith.losses.penalties import Critic
from gansmith.methods.base import Loss
from gansmith.methods.batches import LabelledBatch, LabelPrompt
from gansmith.methods.multilevel import MultiLevel, StagedPair
from gansmith.methods.pair import condition
from gansmith.networks.bundle import Pair
from gansmith.networks.transformer import Transformer, TransformerDiscriminator, TransformerGenerator


@dataclass(frozen=True, kw_only=True)
class CAT(MultiLevel):
    """Relativistic pairs at each of four scales, and lambda times the distance of the stages to the image.

    Example:
        >>> CAT(networks=Transformer(patch=4, width=768, depth=24, heads=12, shift=True))  # CAT-M at 64 px.
    """

    networks: Transformer = Transformer(shift=True)
    consistency: float = 0.1  # lambda.

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 0, "consistency")

    def build(self, spec: DataSpec) -> Pair:
        column, look, form = "".join(self.columns), self.networks, self.played_on(spec)
        smallest = 2 ** (look.levels - 1)
        if form.height % (look.patch * smallest) or form.width % (look.patch * smallest):
            raise SettingError(
                f"Patches must fill the image of the first scale, {smallest} times smaller. Received: "
                f"patch={look.patch} at {form.width}x{form.height}. Try a smaller method.networks.patch."
            )
        pair = StagedPair(
            TransformerGenerator(form, self.latent, column, look, bounded=self.autoencoder is None),
            TransformerDiscriminator(form, column, look, scales=look.levels),
            spec.classes,
            look.width,
        )
        return self.ready(pair)

    def judge(self, networks: Pair, stack: Images, prompt: Any, noise: Noise) -> Scores:
        """[batch, levels]: scales never see each other, which they would use as a short cut."""
        stages = stack.chunk(self.networks.levels, dim=1)
        small = [_shrunk(stage, len(stages) - 1 - level) for level, stage in enumerate(stages)]
        columns = condition(prompt)
        return torch.stack(
            [networks.discriminator(images, *columns, scale=level) for level, images in enumerate(small)],
            dim=1,
        )

    def _against(self, critic: Critic, batch: Any, fakes: Images) -> Loss:
        """The game, and lambda / 3 x sum_k w_k |stage_k - image|^2, w = 1/3, 1/2, 1; means of squares."""
        loss = super()._against(critic, batch, fakes)
        *early, image = fakes.chunk(self.networks.levels, dim=1)
        distances = [(stage - image).square().mean() for stage in early]
        weighted = [distance / (len(early) - k) for k, distance in enumerate(distances)]
        consistency = torch.stack(weighted).mean() if weighted else fakes.new_zeros(())
        parts = {f"stage {k}": distance.detach() for k, distance in enumerate(distances, 1)}
        return Loss(loss.total + self.consistency * consistency, {**loss.parts, **parts})


@dataclass(frozen=True, kw_only=True)
class ConditionalCAT(CAT):
    """The same with a class for each image.

    Example:
        >>> ConditionalCAT().columns
        ('labels',)
    """

    batch_type: ClassVar[type[Any]] = LabelledBatch
    prompt_type: ClassVar[type[Any] | None] = LabelPrompt


def _shrunk(images: Tensor, halvings: int) -> Tensor:
    return F.avg_pool2d(images, 2**halvings) if halvings else images
