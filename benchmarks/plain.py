"""The loops that tutorials teach, written plainly: what the benchmarks compare gansmith with.

Eager, in float32, labels of ones and zeros, numbers read after every step, and every gradient that
``backward`` happens to compute. The networks are those of gansmith's recipes ``dcgan64``, ``dcgan128`` and
``wgan-gp64``; only they are written as one writes them at first. ``turns`` is such a loop for any other
method: its own networks and losses.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from gansmith.config.recipe import Recipe
from gansmith.core.noise import Noise
from gansmith.networks.conv import DoubledConv

NextBatch = Callable[[], Tensor]
"""Gives a batch of pictures, float [n, 3, size, size] in [-1, 1], on the device."""


def image_folder(folder: Path, size: int, batch: int, workers: int = 2) -> Iterator[Tensor]:
    """Endless batches of torchvision's ImageFolder: pictures are decoded anew in every epoch."""
    from torch.utils.data import DataLoader

    from gansmith.data.builtin.sets import import_torchvision

    import_torchvision("ImageFolder")  # Also where its operators were built for another torch.
    from torchvision import datasets, transforms

    steps = [transforms.Resize(size), transforms.CenterCrop(size), transforms.ToTensor()]
    change = transforms.Compose([*steps, transforms.Normalize((0.5,) * 3, (0.5,) * 3)])
    data = datasets.ImageFolder(str(folder), change)
    loader = DataLoader(
        data, batch, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0
    )
    while True:
        for images, _ in loader:
            yield images


# ---- any method ---------------------------------------------------------------------------------------


def turns(recipe: Recipe, images: Tensor, device: torch.device) -> Callable[[], float | None]:
    """A step of the method's own turns: eager, in float32, every weight accepts gradients, one batch for all.

    What ours adds is left out: averages of weights, memories, checks, the way of ``DoubledConv``.

    Args:
        recipe: with all that the data decide.
        images: float [n, 3, size, size] in [-1, 1], on the device.
        device: where it runs.
    """
    method, spec, count = recipe.method, recipe.spec(), len(images)
    networks = method.build(spec).to(device)
    networks.attach({name: each.to(device) for name, each in method.instruments(spec).items()})
    columns = {"images": images, "labels": torch.arange(count, device=device) % 10}
    batch = method.batch_type(*(columns[name] for name in method.batch_type._fields))
    optimizers = {
        player: recipe.optimizers[player].build(
            [weight for name in names for weight in networks.get_submodule(name).parameters()]
        )
        for player, names in method.players().items()
    }
    done = recipe.train.images * 9 // 10 // count  # Where growth has ended.

    def step() -> float:
        nonlocal done
        done += 1
        progress = recipe.progress(done * count, count)
        total = torch.zeros((), device=device)
        for turn in method.turns():
            for move in range(turn.repeats if done % turn.every == 0 else 0):
                seeds = torch.arange(count, device=device) + (done * turn.repeats + move) * count
                networks.zero_grad(set_to_none=True)
                total = turn.loss(networks, batch, Noise(seeds), progress).total
                total.backward()
                optimizers[turn.player].step()
                with torch.no_grad():
                    turn.post_step(networks)
        return float(total.detach())

    return as_written(step)


def as_written(step: Callable[[], float | None]) -> Callable[[], float | None]:
    """The step with what nearest neighbours double made in full before it is convolved, as one writes it."""

    def plain() -> float | None:
        DoubledConv.composed = False
        try:
            return step()
        finally:
            DoubledConv.composed = True

    return plain


# ---- DCGAN ------------------------------------------------------------------------------------------


def initialize(module: nn.Module) -> None:
    """The paper's initialization."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """Noise [n, 100, 1, 1] -> pictures."""

    def __init__(self, size: int, ngf: int = 64, latent: int = 100) -> None:
        super().__init__()
        channels = [min(ngf * 2**i, 1024) for i in range(size.bit_length() - 3)][::-1]
        layers = [nn.ConvTranspose2d(latent, channels[0], 4, 1, 0, bias=False)]
        for wide, narrow in pairwise(channels):
            layers += [
                nn.BatchNorm2d(wide),
                nn.ReLU(True),
                nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False),
            ]
        layers += [nn.BatchNorm2d(channels[-1]), nn.ReLU(True)]
        self.main = nn.Sequential(
            *layers, nn.ConvTranspose2d(channels[-1], 3, 4, 2, 1, bias=False), nn.Tanh()
        )
        self.apply(initialize)

    def forward(self, noise: Tensor) -> Tensor:
        """Pictures."""
        return self.main(noise)


class Discriminator(nn.Module):
    """Pictures -> probabilities [n]."""

    def __init__(self, size: int, ndf: int = 64) -> None:
        super().__init__()
        channels = [min(ndf * 2**i, 1024) for i in range(size.bit_length() - 3)]
        layers = [nn.Conv2d(3, channels[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
        for narrow, wide in pairwise(channels):
            layers += [
                nn.Conv2d(narrow, wide, 4, 2, 1, bias=False),
                nn.BatchNorm2d(wide),
                nn.LeakyReLU(0.2, True),
            ]
        self.main = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 4, 1, 0, bias=False), nn.Sigmoid())
        self.apply(initialize)

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities."""
        return self.main(images).view(-1)


def dcgan(next_batch: NextBatch, size: int, device: torch.device, width: int = 64) -> Callable[[], None]:
    """One step of the usual loop: the discriminator on real and on generated pictures, then the generator."""
    generator, discriminator = Generator(size, width).to(device), Discriminator(size, width).to(device)
    criterion = nn.BCELoss()
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step() -> None:
        real = next_batch()
        ones, zeros = torch.ones(len(real), device=device), torch.zeros(len(real), device=device)
        discriminator.zero_grad()
        output = discriminator(real)
        loss_real = criterion(output, ones)
        loss_real.backward()
        on_real = output.mean().item()
        fake = generator(torch.randn(len(real), 100, 1, 1, device=device))
        output = discriminator(fake.detach())
        loss_fake = criterion(output, zeros)
        loss_fake.backward()
        before = output.mean().item()
        optimizer_d.step()
        generator.zero_grad()
        output = discriminator(fake)
        loss = criterion(output, ones)
        loss.backward()
        after = output.mean().item()
        optimizer_g.step()
        _ = (on_real, before, after, (loss_real + loss_fake).item(), loss.item())

    return step


# ---- WGAN-GP ----------------------------------------------------------------------------------------


class Up(nn.Module):
    """A residual block that doubles the size."""

    def __init__(self, wide: int, narrow: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(wide, narrow, 3, 1, 1),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.Conv2d(narrow, narrow, 3, 1, 1),
        )
        self.skip = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(wide, narrow, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Twice as large."""
        return self.main(features) + self.skip(features)


class Down(nn.Module):
    """A residual block that halves the size."""

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.GroupNorm(1, narrow),
            nn.ReLU(),
            nn.Conv2d(narrow, narrow, 3, 1, 1),
            nn.GroupNorm(1, narrow),
            nn.ReLU(),
            nn.Conv2d(narrow, wide, 3, 1, 1),
            nn.AvgPool2d(2),
        )
        self.skip = nn.Sequential(nn.Conv2d(narrow, wide, 1), nn.AvgPool2d(2))

    def forward(self, features: Tensor) -> Tensor:
        """Half as large."""
        return self.main(features) + self.skip(features)


class ResidualGenerator(nn.Module):
    """Noise [n, 128] -> pictures."""

    def __init__(self, size: int, width: int = 64, latent: int = 128) -> None:
        super().__init__()
        channels = [min(width * 2**i, 512) for i in range(size.bit_length() - 2)][::-1]
        self.stem, self.channels = nn.Linear(latent, channels[0] * 16), channels
        blocks = [Up(wide, narrow) for wide, narrow in pairwise(channels)]
        self.main = nn.Sequential(
            *blocks, nn.BatchNorm2d(channels[-1]), nn.ReLU(), nn.Conv2d(channels[-1], 3, 3, 1, 1), nn.Tanh()
        )

    def forward(self, noise: Tensor) -> Tensor:
        """Pictures."""
        return self.main(self.stem(noise).view(-1, self.channels[0], 4, 4))


class Critic(nn.Module):
    """Pictures -> scores [n]."""

    def __init__(self, size: int, width: int = 64) -> None:
        super().__init__()
        channels = [min(width * 2**i, 512) for i in range(size.bit_length() - 2)]
        blocks = [Down(narrow, wide) for narrow, wide in pairwise(channels)]
        self.main = nn.Sequential(nn.Conv2d(3, channels[0], 3, 1, 1), *blocks)
        self.head = nn.Linear(channels[-1] * 16, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Scores."""
        return self.head(self.main(images).flatten(1)).view(-1)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """The squared distance of the slope from 1, between real and generated pictures."""
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = (share * real + (1 - share) * fake).requires_grad_(True)
    scores = critic(between)
    (slope,) = torch.autograd.grad(
        scores, between, torch.ones_like(scores), create_graph=True, retain_graph=True
    )
    return ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()


def wgan_gp(next_batch: NextBatch, size: int, device: torch.device, width: int = 64) -> Callable[[], None]:
    """One step of the usual loop: five moves of the critic, then one of the generator."""
    generator, critic = ResidualGenerator(size, width).to(device), Critic(size, width).to(device)
    optimizer_c = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.0, 0.9))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.0, 0.9))

    def step() -> None:
        for _ in range(5):
            real = next_batch()
            critic.zero_grad()
            fake = generator(torch.randn(len(real), 128, device=device)).detach()
            distance = critic(real).mean() - critic(fake).mean()
            loss = -distance + 10 * gradient_penalty(critic, real, fake)
            loss.backward()
            optimizer_c.step()
            _ = (distance.item(), loss.item())
        generator.zero_grad()
        loss = -critic(generator(torch.randn(len(real), 128, device=device))).mean()
        loss.backward()
        optimizer_g.step()
        _ = loss.item()

    return step


PLAIN = {"dcgan": dcgan, "wgan-gp": wgan_gp}
