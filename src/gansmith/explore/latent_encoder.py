"""An encoder of a finished generator: images -> latents, learnt from what it makes (Perarnau 2016)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from gansmith.core.files import whole_file
from gansmith.core.noise import Noise, mix_seeds
from gansmith.core.spec import DataSpec
from gansmith.core.tensor_file import read_tensors, write_tensors
from gansmith.core.tensors import BytePictures, Images, Latents
from gansmith.data.loading.loader import to_float
from gansmith.errors import CheckpointError, SettingError
from gansmith.explore.likeness import pixel_distance
from gansmith.explore.shell import Shell
from gansmith.images.grid import to_bytes
from gansmith.models.generator import Generator, steadily
from gansmith.networks.reader import Reader

FOLDER = "explore"
"""In a run: what was found out about its generator."""

IMAGES = 48_000
"""That an encoder learns from: about two minutes at 32 px on one core."""

_FORMAT = "gansmith-encoder-1"
_HIDDEN, _WIDTH = 256, 32
_BATCH, _RATE = 64, 1e-3
_LATENT = 0.02  # Weight of the latent's own error.
_WARM, _SMALLEST = 0.05, 0.02  # Share of the steps in which the rate rises; what is left of it at the end.


def encoder_space(space: str) -> str:
    """The space an encoder reads for a space: w for w+, whose layers begin equal."""
    return space.removesuffix("+")


@dataclass(frozen=True, eq=False)
class LatentEncoder:
    """A network that guesses the latent of a photo.

    Args:
        network: images as the generator's networks see them -> numbers of deviation 1, in eval mode.
        shell: of the space.
        spec: the form of the images.
        space: of the latents that it learnt, z or w.
        fingerprint: of the generator's weights.

    Example:
        >>> encoder = train_encoder(open_generator("runs/one"))
        >>> encoder(photos, "z").shape
        torch.Size([8, 64])
    """

    network: Reader
    shell: Shell
    spec: DataSpec
    space: str
    fingerprint: str | None

    def __call__(self, photos: BytePictures) -> Latents:
        """Guesses for photos in the model's size, of a usual length: [n, *latent], on the device.

        Args:
            photos: uint8 [n, channels, height, width].
        """
        where = next(self.network.parameters()).device
        raw = steadily(self.network)(self.spec.to_network(to_float(photos.to(where)))).clone()
        middle = self.shell.middle
        return self.shell.hold(middle + self.shell.spread * raw.view(-1, *middle.shape))

    def check(self, generator: Generator, space: str) -> None:
        """Raise where it belongs to another generator, or reads another space.

        Raises:
            SettingError: it does.
        """
        if self.fingerprint != generator.fingerprint:
            raise SettingError(
                "An encoder reads the images of the generator it was trained for. Received: one for weights "
                f"{self.fingerprint}, and {generator.name} has {generator.fingerprint}. Train it anew: "
                "--encoder train."
            )
        if encoder_space(space) != self.space:
            raise SettingError(
                f"This encoder reads the space {self.space}. Received: {space}. Train one for it: "
                "--encoder train."
            )

    def save(self, run: Path) -> Path:
        """Write it into a run, ``explore/encoder-SPACE.safetensors``.

        Returns: the file.

        Raises:
            StorageError: the disk refuses.
        """
        path = encoder_path(run, self.space)
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        shell = [self.shell.spread, self.shell.length, self.shell.shortest, self.shell.longest]
        tensors |= {"middle": self.shell.middle, "shell": torch.tensor(shell, dtype=torch.float64)}
        facts = {"format": _FORMAT, "space": self.space, "fingerprint": self.fingerprint or ""}
        with whole_file(path) as part:
            write_tensors(part, {name: value.cpu().contiguous() for name, value in tensors.items()}, facts)
        return path


def encoder_path(run: Path, space: str) -> Path:
    """Where the encoder of a space is in a run."""
    return run / FOLDER / f"encoder-{encoder_space(space)}.safetensors"


def train_encoder(
    generator: Generator,
    space: str | None = None,
    *,
    images: int = IMAGES,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> LatentEncoder:
    """An encoder E that learns min d(G(E(x)), x) + 0.02 |z - E(x)|^2 on images x = G(z) made meanwhile.

    The second part alone is IcGAN's (equation 4). d, the distance of pixels, lets go of numbers of z that no
    pixel shows.

    Args:
        generator: which one; it stays as it is.
        space: of the latents; None for the last one, and w in place of w+.
        images: how many it learns from; about two minutes for 48,000 at 32 px on one core.
        seed: of its first weights and of the images.
        progress: told (images done, images in all).

    Raises:
        SettingError: the generator has no latent, or no such space, or no images were asked for.

    Example:
        >>> encoder = train_encoder(open_generator("runs/one"))
        >>> encoder.save(Path("runs/one"))
    """
    if not generator.spaces:
        raise SettingError(
            f"An encoder reads latents. Received: {generator.name} ({generator.recipe_name}), which makes "
            "images from something else."
        )
    if images < 1:
        raise SettingError(f"An encoder learns from one image or more. Received: images={images}.")
    known = encoder_space(space or generator.spaces[-1])
    shell, spec = Shell.of(generator, known), generator.spec
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix_seeds(seed, 19))
        network = Reader(spec, shell.middle.numel(), _HIDDEN, _WIDTH).to(generator.device)
        optimizer = torch.optim.Adam(network.parameters(), _RATE)
        steps = -(-images // _BATCH)
        first = mix_seeds(seed, 20) // 2
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = _RATE * _share((step + 1) / steps)
            seeds = range(first + step * _BATCH, first + (step + 1) * _BATCH)
            shown, wanted = _pairs(generator, known, seeds)
            raw = network(spec.to_network(shown))
            error = (raw - ((wanted - shell.middle) / shell.spread).flatten(1)).square().mean()
            guess = shell.hold(shell.middle + shell.spread * raw.view_as(wanted))
            again = generator.differentiable(Noise.of(*seeds), generator.prompts(seeds), known)(guess)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(pixel_distance(again, shown).mean() + _LATENT * error)
            optimizer.step()
            if progress is not None:
                progress(min(images, (step + 1) * _BATCH), images)
    return LatentEncoder(network.eval().requires_grad_(False), shell, spec, known, generator.fingerprint)


def _share(done: float) -> float:
    """Of the rate: up, and down as a cosine."""
    cosine = _SMALLEST + (1 - _SMALLEST) * (0.5 + 0.5 * math.cos(math.pi * done))
    return min(1.0, done / _WARM) * cosine


@torch.no_grad()
def _pairs(generator: Generator, space: str, seeds: range) -> tuple[Images, Latents]:
    """Images as a file would hold them, and their latents."""
    noise, prompt = Noise.of(*seeds), generator.prompts(seeds)
    latents = generator.latents(noise, prompt, space).clone()
    images = generator.differentiable(Noise.of(*seeds), prompt, space)(latents)
    return to_float(to_bytes(images).to(generator.device)), latents


def stored_encoder(generator: Generator, run: Path, space: str) -> LatentEncoder | None:
    """The encoder that a run holds for a space; None where there is none.

    Raises:
        CheckpointError: the file is damaged, or is something else.
        SettingError: it belongs to another generator.
    """
    path, spec = encoder_path(run, space), generator.spec
    if not path.exists():
        return None
    try:
        tensors, facts = read_tensors(path)
        if facts.get("format") != _FORMAT:
            raise ValueError("it is no encoder")
        shell = Shell(tensors["middle"].to(generator.device), *tensors["shell"].tolist())
        network = Reader(spec, shell.middle.numel(), _HIDDEN, _WIDTH)
        found = LatentEncoder(network, shell, spec, facts["space"], facts["fingerprint"] or None)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise _damaged(path, error) from error
    found.check(generator, space)
    weights = {name.removeprefix("network."): value for name, value in tensors.items() if "." in name}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise _damaged(path, str(error).strip().splitlines()[-1].strip()) from error
    network.to(generator.device).eval().requires_grad_(False)
    return found


def _damaged(path: Path, why: object) -> CheckpointError:
    return CheckpointError(f"An encoder cannot be read: {path}: {why}. Train it anew: --encoder train.")
