"""What weight gradients as matrix products bring on a processor: single layers, and whole steps of DCGAN-64.

    python benchmarks/weight_gradient.py [--batch 64 128] [--rounds 6]

Layers: torch's own weight gradient of a 4x4 convolution of stride 2 beside ``nets/convolution.py``'s, in
bfloat16. Steps: the same trainer with and without it, in turn.
"""

import argparse

import torch
from measuring import Row, noise_pictures, our_trainer, print_table, ratios, stretch, with_settings

from gansmith.nets import convolution
from gansmith.recipes import named

CPU = torch.device("cpu")
LAYERS = ((128, 256, 16), (256, 512, 8), (512, 1024, 4))  # Channels in and out, pixels of a side.


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
            stretch(lambda: convolution._weight_gradient(large, small), 0, CPU),
        )
        if turn:
            theirs.append(pair[0])
            ours.append(pair[1])
    work = 2e-9 * batch * (side // 2) ** 2 * channels * wanted * 16
    figures = [f"{work / min(times):.0f} GFLOP/s" for times in (ours, theirs)]
    what = f"weight gradient, {channels} to {wanted} channels at {side} px, batch {batch}"
    return Row(what, figures[0], f"torch: {figures[1]}", ratios(theirs, ours))


def step(batch: int, rounds: int) -> Row:
    """A step of DCGAN-64."""
    recipe = with_settings(named("dcgan64"), batch=batch, precision="bfloat16")
    trainer, wide = our_trainer(recipe, noise_pictures(256, 64), CPU), convolution._WIDE
    theirs, ours = [], []
    for turn in range(rounds + 1):
        for limit, times in ((2**40, theirs), (wide, ours)):
            convolution._WIDE = limit
            took = stretch(trainer.step, 0, CPU)
            times += [took] if turn else []
    return Row(
        f"step of DCGAN-64, bfloat16, batch {batch}",
        f"{min(ours):.2f} s",
        f"without: {min(theirs):.2f} s",
        ratios(theirs, ours),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--rounds", type=int, default=6)
    asked = parser.parse_args()
    rows = [layer(128, *shape, asked.rounds) for shape in LAYERS]
    print_table([*rows, *(step(batch, asked.rounds) for batch in asked.batch)])


if __name__ == "__main__":
    main()
