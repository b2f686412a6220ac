"""What RpGAN's finite-difference penalty measures, beside the exact squared slope of the critic.

    python benchmarks/penalty.py RUN DATA [--pictures 256]

For freshly built networks and for the newest checkpoint of the run, on real and on generated pictures:
E|grad D|^2 / 2 by double backward, and the finite difference at two step lengths, all in float32.
"""

import argparse
from pathlib import Path

import torch

from gansmith.core.noise import Noise
from gansmith.core.tensors import Images
from gansmith.data.loading.loader import to_float
from gansmith.data.open import open_data
from gansmith.losses.penalties import directional, zero_centred
from gansmith.models.load import build_networks
from gansmith.networks.bundle import Networks
from gansmith.runs.run import Run


def row(name: str, networks: Networks, kind: str, images: Images) -> None:
    """Print one line of the table."""
    critic = networks.get_submodule("discriminator")
    exact = float(zero_centred(critic, images).detach())
    directions = Noise(torch.arange(len(images))).signs(*images.shape[1:])
    steps = []
    with torch.no_grad():
        still = critic(images)
        for distance in (0.05, 0.01):
            steps.append(float(directional(critic(images + distance * directions), still, distance)))
    print(f"| {name} | {kind} | {exact:.2f} | {steps[0]:.2f} | {steps[1]:.2f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data")
    parser.add_argument("--pictures", type=int, default=256)
    options = parser.parse_args()
    run = Run.open(options.run)
    recipe, found = run.recipe, run.newest()
    if found is None:
        raise SystemExit("The run has no checkpoint.")
    columns = open_data(options.data, recipe.data).fetch(torch.arange(options.pictures))
    real = to_float(columns["images"])
    torch.manual_seed(0)
    fresh = recipe.method.build(recipe.spec())
    for name, networks in (
        ("at the start", fresh.eval()),
        ("at the end", build_networks(recipe, found[0].tensors)),
    ):
        with torch.no_grad():
            made = recipe.method.generate(networks, None, Noise(torch.arange(options.pictures)))
        row(name, networks, "real", real)
        row(name, networks, "made", made)


if __name__ == "__main__":
    main()
