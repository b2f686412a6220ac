"""What our own ways through convolutions bring on a processor: single layers, and whole steps.

    python benchmarks/convolutions.py [--batch 64 128] [--rounds 6] [--parts layers steps styles]

Layers, in bfloat16: torch's own weight gradient of a 4x4 convolution of stride 2 beside the matrix product
of ``networks/conv.py``; its transposed convolution to three channels beside the woven one; and layers
over a whole grid, forwards and backwards, beside the products. Steps: the same trainer with and without
weight gradients as products, in turn. Styles: the synthesis of StyleGAN2, forwards and backwards, with scaled
activations beside scaled weights.
"""

import argparse

import torch
from measuring import Row, noise_pictures, our_trainer, print_table, ratios, stretch, with_settings
from torch import Tensor, nn

from gansmith.core.spec import DataSpec
from gansmith.networks import conv
from gansmith.networks.norm import InstanceNorm
from gansmith.networks.stylegan2 import StyleSynthesis
from gansmith.recipes import named

CPU = torch.device("cpu")
PARTS = ("layers", "steps", "styles")
STEPS = (("faces64", 64, 16), ("faces32", 32, 32), ("bilinear32", 32, 32))  # As their recipes are.
LAYERS = (
    (128, 256, 16),
    (128, 256, 8),
    (256, 512, 8),
    (512, 1024, 4),
)  # Channels in and out, pixels of a side.


def layer(batch: int, channels: int, wanted: int, side: int, rounds: int) -> Row:
    """One layer."""
    kind = {"dtype": torch.bfloat16}
    large = torch.randn(batch, channels, side, side).to(**kind, memory_format=torch.channels_last)
    small = torch.randn(batch, wanted, side // 2, side // 2).to(**kind, memory_format=torch.channels_last)
    weight = torch.randn(wanted, channels, 4, 4).to(**kind, memory_format=torch.channels_last)
    sizes = ([2, 2], [1, 1], [1, 1], False, [0, 0], 1, [False, True, False])
    theirs, ours = [], []
    for turn in range(rounds + 1):
        pair = (
            stretch(lambda: torch.ops.aten.convolution_backward(small, large, weight, None, *sizes), 0, CPU),
            stretch(lambda: conv._weight_gradient(large, small), 0, CPU),
        )
        if turn:
            theirs.append(pair[0])
            ours.append(pair[1])
    work = 2e-9 * batch * (side // 2) ** 2 * channels * wanted * 16
    figures = [f"{work / min(times):.0f} GFLOP/s" for times in (ours, theirs)]
    what = f"weight gradient, {channels} to {wanted} channels at {side} px, batch {batch}"
    return Row(what, figures[0], f"torch: {figures[1]}", ratios(theirs, ours))


def beside(
    what: str,
    layers: tuple[nn.Module, nn.Module],
    images: Tensor,
    learns: bool,
    rounds: int,
    narrow: bool = True,
) -> Row:
    """A layer of ours beside torch's, with its gradients where it ``learns``; ``narrow``: in bfloat16."""
    for one, other in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        one.data.copy_(other.data)
    layers = tuple(layer.to(memory_format=torch.channels_last) for layer in layers)

    def work(layer: nn.Module) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow), torch.set_grad_enabled(learns):
            made = layer(images)
        if learns:
            made.float().sum().backward()

    times: list[list[float]] = [[], []]
    for turn in range(rounds + 1):
        for layer, found in zip(layers, times, strict=True):
            took = stretch(lambda one=layer: work(one), 0.05, CPU)
            found += [took] if turn else []
    figures = [f"{1e3 * min(found):.2f} ms" for found in times]
    return Row(what, figures[0], f"torch: {figures[1]}", ratios(times[1], times[0]))


def others(batch: int, rounds: int) -> list[Row]:
    """The layers that are not about weight gradients."""

    def pictures(channels: int, side: int) -> Tensor:
        made = torch.randn(batch, channels, side, side).contiguous(memory_format=torch.channels_last)
        return made.requires_grad_(True)

    plain, whole = {"bias": False}, (4, 4)
    cases = (  # What, ours and torch's, its input, and whether gradients are taken.
        (
            "64 channels at 32 px to 3 at 64 px",
            (conv.UpConv(64, 3, **plain), nn.ConvTranspose2d(64, 3, 4, 2, 1, **plain)),
            pictures(64, 32),
            False,
        ),
        (
            "100 numbers to 512 channels at 4 px, with gradients",
            (conv.ProjectLatent(100, 512, whole, **plain), nn.ConvTranspose2d(100, 512, 4, 1, 0, **plain)),
            pictures(100, 1),
            True,
        ),
        (
            "512 channels at 4 px to a score, with gradients",
            (conv.ScoreHead(512, 1, whole, **plain), nn.Conv2d(512, 1, 4, 1, 0, **plain)),
            pictures(512, 4),
            True,
        ),
    )
    rows = [beside(f"{what}, batch {batch}", *case, rounds) for what, *case in cases]
    doubled = nn.Upsample(scale_factor=2, mode="nearest")
    cases = (
        (
            "64 channels at 16 px doubled, to 32, float32, with gradients",
            (conv.DoubledConv(64, 32), nn.Sequential(doubled, nn.Conv2d(64, 32, 3, 1, 1))),
            pictures(64, 16),
        ),
        (
            "instance norm of 64 channels at 16 px, float32, with gradients",
            (InstanceNorm(64), nn.GroupNorm(64, 64)),
            pictures(64, 16),
        ),
    )
    return rows + [beside(f"{what}, batch {batch}", *case, True, rounds, False) for what, *case in cases]


def step(name: str, size: int, batch: int, rounds: int) -> Row:
    """A step of a recipe."""
    recipe = with_settings(named(name), batch=batch, precision="bfloat16")
    trainer, products = our_trainer(recipe, noise_pictures(256, size), CPU), conv._MATMUL
    theirs, ours = [], []
    for turn in range(rounds + 1):
        for where, times in (({}, theirs), (products, ours)):
            conv._MATMUL = where
            took = stretch(trainer.step, 0, CPU)
            times += [took] if turn else []
    return Row(
        f"step of {name}, bfloat16, batch {batch}",
        f"{1e3 * min(ours):.0f} ms",
        f"without: {1e3 * min(theirs):.0f} ms",
        ratios(theirs, ours),
    )


def styles(batch: int, kind: torch.dtype, rounds: int) -> Row:
    """The synthesis of stylegan2-64-small."""
    method, spec = named("stylegan2-64-small").method, DataSpec(height=64, width=64)
    ours, other = (
        StyleSynthesis(spec, method.style, method.width, method.max_channels, scaled)
        for scaled in ("activations", "weights")
    )
    w, noise = torch.randn(batch, ours.layers, method.style), torch.randn(batch, ours.cells)

    def work(synthesis: nn.Module) -> None:
        with torch.autocast("cpu", kind, enabled=kind != torch.float32):
            images = synthesis(w, noise)
        images.square().mean().backward()

    times: list[list[float]] = [[], []]
    for turn in range(rounds + 1):
        for synthesis, found in zip((ours, other), times, strict=True):
            took = stretch(lambda one=synthesis: work(one), 0, CPU)
            found += [took] if turn else []
    return Row(
        f"synthesis of stylegan2-64-small, {str(kind).removeprefix('torch.')}, batch {batch}",
        f"{min(times[0]):.2f} s",
        f"scaled weights: {min(times[1]):.2f} s",
        ratios(times[1], times[0]),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    asked, rows = parser.parse_args(), []
    if "layers" in asked.parts:
        rows += [layer(128, *shape, asked.rounds) for shape in LAYERS]
        rows += others(64, asked.rounds)
    if "steps" in asked.parts:
        rows += [step("dcgan64", 64, batch, asked.rounds) for batch in asked.batch]
        rows += [step(*each, asked.rounds) for each in STEPS]
    if "styles" in asked.parts:
        kinds = (torch.float32, torch.bfloat16)
        rows += [styles(batch, kind, asked.rounds) for kind in kinds for batch in asked.batch]
    print_table(rows)


if __name__ == "__main__":
    main()
