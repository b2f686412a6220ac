"""GAT: a transformer whose stages are judged together, the earlier the noisier (arXiv 2509.24935)."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from gansmith.core.noise import Noise
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Scores
from gansmith.methods.batches import LabelledBatch, LabelPrompt
from gansmith.methods.multilevel import MultiLevel, StagedPair
from gansmith.methods.pair import condition
from gansmith.networks.bundle import Pair
from gansmith.networks.transformer import TransformerDiscriminator, TransformerGenerator


@dataclass(frozen=True, kw_only=True)
class GAT(MultiLevel):
    """Relativistic pairs of stacks under noise, with R1 and R2 by finite differences.

    Example:
        >>> GAT(networks=Transformer(patch=4, width=384, depth=12, heads=6))  # GAT-S at 64 px.
    """

    def build(self, spec: DataSpec) -> Pair:
        column, levels = "".join(self.columns), self.networks.levels
        form, bounded = self.played_on(spec), self.autoencoder is None
        pair = StagedPair(
            TransformerGenerator(form, self.latent, column, self.networks, bounded=bounded),
            TransformerDiscriminator(form, column, self.networks, stacked=levels),
            spec.classes,
            self.networks.width,
        )
        return self.ready(pair)

    def judge(self, networks: Pair, stack: Images, prompt: Any, noise: Noise) -> Scores:
        noised = noisy(stack, self.networks.levels, noise.fork("levels"))
        scores: Scores = networks.discriminator(noised, *condition(prompt))
        return scores


@dataclass(frozen=True, kw_only=True)
class ConditionalGAT(GAT):
    """The same with a class for each image.

    Example:
        >>> ConditionalGAT().columns
        ('labels',)
    """

    batch_type: ClassVar[type[Any]] = LabelledBatch
    prompt_type: ClassVar[type[Any] | None] = LabelPrompt


def noise_levels(levels: int) -> list[float]:
    """Share of noise at each level, from the first stage to the image: 0.885, 0.76, 0.51, 0.01 for four."""
    last = max(levels - 1, 1)
    return [1.01 - 0.125 ** (1.0 - level / last) for level in range(levels)]


def noisy(stack: Images, levels: int, noise: Noise) -> Images:
    """(1 - t) x + noise of deviation t at each level; noisier levels show nothing that cleaner ones hide.

    Args:
        stack: [batch, levels x channels, height, width], from the first stage to the image.
        levels: in the stack.
        noise: a stream for each image; drawn from once.
    """
    shares = noise_levels(levels)
    draws = noise.bulk_normal(*stack.shape[1:]).to(stack.dtype).chunk(levels, dim=1)
    images = stack.chunk(levels, dim=1)
    made, held = [], draws[-1] * shares[-1]
    for level in range(levels - 1, -1, -1):
        if level < levels - 1:
            # Scaled as the image is, and as much fresh noise as its deviation still lacks.
            kept = (1.0 - shares[level]) / (1.0 - shares[level + 1])
            fresh = shares[level] ** 2 - (kept * shares[level + 1]) ** 2
            held = kept * held + fresh**0.5 * draws[level]
        made.append((1.0 - shares[level]) * images[level] + held)
    return torch.cat(made[::-1], dim=1)
