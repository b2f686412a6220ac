"""Pictures per second from a model to PNG files: gansmith generate against a plain loop, with one network.

    python benchmarks/generate.py [MODEL ...] [--count 512] [--rounds 7] [--threads 2] [--device cpu]

MODEL is a run; without one, DCGANs of 32, 64 and 128 px are trained on a few pictures in a folder that is
removed again. The plain loop makes batches of 64 under no_grad in eval mode and saves one picture after the
other with Pillow's defaults; gansmith's pictures besides carry their marks, appear whole or not at all, and
are the same in every batch. Both take turns, so that a busy machine disturbs both alike; what counts is the
ratio, as a median with its spread. "network" is the share of gansmith's time that making the pictures takes
alone, without writing them: 100 % is all that can be reached without another network.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from measuring import Row, print_table
from PIL import Image

from gansmith.config.overrides import override
from gansmith.data.open import open_data
from gansmith.models.load import build_networks, open_generator
from gansmith.models.write import pictures, write
from gansmith.recipes import named
from gansmith.runs.run import Run
from gansmith.training.session import train

BATCH = 64


def plain_loop(model: str, device: torch.device) -> Callable[[int, Path], None]:
    """Make and save ``count`` pictures into a folder, as the tutorials do."""
    run = Run.open(Path(model))
    found = run.newest()
    assert found is not None
    networks = build_networks(run.recipe, found[0].tensors).to(device).eval()
    method = run.recipe.method

    def work(count: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for first in range(0, count, BATCH):
            with torch.no_grad():
                images = method.decode(networks, torch.randn(BATCH, method.latent, device=device))
            levels = (
                images.add(1).mul(127.5).add(0.5).clamp(0, 255).permute(0, 2, 3, 1).to("cpu", torch.uint8)
            )
            for place, pixels in enumerate(levels[: count - first].numpy()):
                flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
                Image.fromarray(flat).save(folder / f"{first + place:06d}.png")

    return work


def seconds(work: Callable[[], object]) -> float:
    """How long it takes once."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def small_run(side: int, folder: Path) -> str:
    """A DCGAN in colour that has seen a few pictures."""
    recipe = named("dcgan64")
    for setting in (f"data.size={side}", "data.channels=3", "train.images=512", "train.batch=64"):
        recipe = override(recipe, setting)
    recipe = replace(recipe, train=replace(recipe.train, checkpoint_every=512, picture_every=512))
    train(recipe, open_data("demo-faces:512", recipe.data), folder, device="cpu")
    return str(folder)


def compare(model: str, options: argparse.Namespace, place: Path) -> Row:
    """Measure one model; print a line for each way."""
    device, count = torch.device(options.device), options.count
    generator, plain = open_generator(model, options.device), plain_loop(model, device)
    ways: dict[str, Callable[[], object]] = {
        "plain loop": lambda: plain(count, place / "out"),
        "gansmith generate": lambda: write(generator, range(count), place / "out", batch=BATCH),
        "network alone": lambda: [len(made) for _, made in pictures(generator, range(count), BATCH)],
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.rounds + 1):
        for name, work in ways.items():
            shutil.rmtree(place / "out", ignore_errors=True)  # Files are new, as they are for a user.
            took = seconds(work)
            times[name] += [took] if turn else []  # The first round warms up.
    spec, ours = generator.spec, times["gansmith generate"]
    print(f"{spec.width}x{spec.height}, {count} pictures, {options.rounds} rounds")
    for name, values in times.items():
        ratios = [first / own for first, own in zip(times["plain loop"], values, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        rate = count / statistics.median(values)
        print(f"  {name:18} {rate:8.1f} pictures/s   {statistics.median(ratios):.2f} x plain ({spread})")
    shares = [net / own for net, own in zip(times["network alone"], ours, strict=True)]
    print(f"  network            {100 * statistics.median(shares):.0f} % of the time")
    return Row(
        f"generate to PNG files, {spec.width}x{spec.height}",
        f"{count / statistics.median(ours):.0f} images/s",
        f"plain loop; the network alone takes {100 * statistics.median(shares):.0f} %",
        [plain / own for plain, own in zip(times["plain loop"], ours, strict=True)],
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as place:
        models = options.models or [small_run(side, Path(place) / f"run{side}") for side in (32, 64, 128)]
        print_table([compare(model, options, Path(place)) for model in models])


if __name__ == "__main__":
    main()
