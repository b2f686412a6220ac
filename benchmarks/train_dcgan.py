"""Images per second of gansmith's loop against the plain loop of the tutorials: same networks, same batch.

    python benchmarks/train_dcgan.py [--batch 128] [--rounds 7] [--steps 3]

Both train DCGAN-64 (ngf 64) in float32 on the same pictures in memory. They take turns, a few steps
each, so that a busy machine disturbs both alike; what counts is the ratio, as a median with its spread.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from gansmith.data.builtin import open_builtin
from gansmith.data.loader import Loader
from gansmith.method import ImageSpec
from gansmith.nets.dcgan import DCGANDiscriminator, DCGANGenerator
from gansmith.recipes import named
from gansmith.trainer import Trainer


def plain_loop(images: Tensor, batch: int) -> Callable[[], None]:
    """One step of the usual tutorial: eager float32, labels of ones and zeros, numbers read every step."""
    spec = ImageSpec(64, 64, 3)
    generator, discriminator = DCGANGenerator(spec, 100, 64), DCGANDiscriminator(spec, 64)
    criterion = nn.BCEWithLogitsLoss()
    optimiser_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimiser_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step() -> None:
        real = images[torch.randint(0, len(images), (batch,))].float() / 127.5 - 1.0
        discriminator.zero_grad()
        output = discriminator(real)
        loss_real = criterion(output, torch.ones(batch))
        loss_real.backward()
        seen = output.mean().item()
        fake = generator(torch.randn(batch, 100))
        output = discriminator(fake.detach())
        loss_fake = criterion(output, torch.zeros(batch))
        loss_fake.backward()
        before = output.mean().item()
        optimiser_d.step()
        generator.zero_grad()
        output = discriminator(fake)
        loss = criterion(output, torch.ones(batch))
        loss.backward()
        after = output.mean().item()
        optimiser_g.step()
        _ = (seen, before, after, (loss_real + loss_fake).item(), loss.item())

    return step


def our_loop(batch: int, precision: str) -> Callable[[], None]:
    """A gansmith trainer on the textbook recipe, averaged weights and reported numbers included."""
    recipe = named("dcgan64")
    recipe = replace(
        recipe,
        data=replace(recipe.data, channels=3),
        train=replace(recipe.train, batch=batch, precision=precision),
    )
    data = open_builtin("demo-faces:1024", recipe.data)
    data.fetch(torch.arange(1024))  # Drawn now, so that both loops read from memory.
    loader = Loader(data, recipe.method.batch_type, recipe.data, 0, torch.device("cpu"))
    return Trainer(recipe, loader, torch.device("cpu")).step


def seconds(step: Callable[[], None], steps: int) -> float:
    """Seconds for one step, averaged over a few."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    torch.manual_seed(0)
    config = replace(named("dcgan64").data, channels=3)
    images = open_builtin("demo-faces:1024", config).fetch(torch.arange(1024))["images"]
    loops = {
        "plain float32": plain_loop(images, options.batch),
        "gansmith float32": our_loop(options.batch, "float32"),
        "gansmith auto": our_loop(options.batch, "auto"),
    }
    for step in loops.values():
        seconds(step, 1)
    times: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(options.rounds):
        for name, step in loops.items():
            times[name].append(seconds(step, options.steps))
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name, values in times.items():
        ratios = [plain / own for plain, own in zip(times["plain float32"], values, strict=True)]
        rate = options.batch / statistics.median(values)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{name:18} {rate:7.1f} images/s   {statistics.median(ratios):.2f} x plain ({spread})")


if __name__ == "__main__":
    main()
