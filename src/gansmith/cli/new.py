"""The verb ``new``: the files of a method of your own, with a game that trains."""

import keyword
from pathlib import Path

import click

from gansmith.cli.options import Verb, given
from gansmith.errors import SettingError


@click.command("new", cls=Verb)
@click.argument("kind", type=click.Choice(["method"]), metavar="method")
@click.argument("name", callback=given)
def new(kind: str, name: str) -> None:
    r"""Write the files of a method of your own, with a game that trains: change its networks and losses.

    In a checkout of gansmith these are four: the method, its recipe, its test and its page. Elsewhere it is
    one file, NAME.py.

    \b
    gansmith new method hinge_pair
    gansmith train demo-faces --recipe hinge_pair.py --run runs/own
    """
    files = files_of(name, Path.cwd())
    for path in files:
        if path.exists():
            raise SettingError(f"Nothing is overwritten. {path} is there already. Choose another name.")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(path)


def files_of(name: str, folder: Path) -> dict[Path, str]:
    """The files of a method of this name in a folder, and what is in them.

    Raises:
        SettingError: no Python module can have that name.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise SettingError(
            "A method's name is that of a Python module: small letters, digits and _. "
            f"Received: {name!r}. Try {_usable(name)!r}."
        )
    kind = "".join(part.capitalize() for part in name.removesuffix("gan").split("_")) + "GAN"
    words = {"NAME": name, "KIND": kind, "SHOWN": name.replace("_", "-")}
    if not (folder / "src" / "gansmith" / "methods").is_dir():
        return {folder / f"{name}.py": _filled(_IMPORTS + _METHOD + _OWN_RECIPE, words)}
    package = folder / "src" / "gansmith"
    return {
        package / "methods" / f"{name}.py": _filled(_INNER_IMPORTS + _METHOD, words),
        package / "recipes" / f"{name}.py": _filled(_RECIPE, words),
        folder / "tests" / "methods" / f"test_{name}.py": _filled(_TEST, words),
        folder / "docs" / "methods" / f"{name}.md": _filled(_PAGE, words),
    }


def _usable(name: str) -> str:
    letters = "".join(c if c.isalnum() else "_" for c in name.lower()).strip("_")
    return letters if letters.isidentifier() and not keyword.iskeyword(letters) else f"my_{letters}"


def _filled(template: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        template = template.replace(word, value)
    return template


_IMPORTS = '''"""KIND: what the paper says in a sentence (authors, year)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from gansmith import (
    Adam,
    DataConfig,
    DataSpec,
    ImageBatch,
    Loss,
    Noise,
    Pair,
    PairMethod,
    Progress,
    Recipe,
    Size,
    TrainConfig,
    Turn,
)
from gansmith.losses.adversarial import AdversarialLoss, Hinge
from gansmith.networks.dcgan import DCGANDiscriminator, DCGANGenerator
'''

_INNER_IMPORTS = '''"""KIND: what the paper says in a sentence (authors, year)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.losses.adversarial import AdversarialLoss, Hinge
from gansmith.methods.base import Loss, Turn
from gansmith.methods.batches import ImageBatch
from gansmith.methods.pair import PairMethod
from gansmith.networks.bundle import Pair
from gansmith.networks.dcgan import DCGANDiscriminator, DCGANGenerator
'''

_METHOD = '''

@dataclass(frozen=True, kw_only=True)
class KIND(PairMethod[ImageBatch, None]):
    """D: min E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]; G: min -E[D(G(z))]."""

    batch_type: ClassVar[type[ImageBatch]] = ImageBatch

    latent: int = 64
    width: int = 32
    adversarial: AdversarialLoss = Hinge()

    def build(self, spec: DataSpec) -> Pair:
        return Pair(DCGANGenerator(spec, self.latent, self.width), DCGANDiscriminator(spec, self.width))

    def tiny(self) -> "KIND":
        return replace(self, latent=6, width=4)

    def turns(self) -> Sequence[Turn[Pair, ImageBatch]]:
        return (
            Turn(name="discriminator", player="discriminator", loss=self.discriminator_loss),
            Turn(name="generator", player="generator", loss=self.generator_loss),
        )

    def discriminator_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]."""
        real = networks.discriminator(batch.images)
        fake = networks.discriminator(self.generate(networks, None, noise))
        return Loss(self.adversarial.discriminator(real, fake), {"margin": real.mean() - fake.mean()})

    def generator_loss(self, networks: Pair, batch: ImageBatch, noise: Noise, progress: Progress) -> Loss:
        """-E[D(G(z))]."""
        fake = networks.discriminator(self.generate(networks, None, noise))
        return Loss(self.adversarial.generator(fake))
'''

_OWN_RECIPE = '''

def recipe() -> Recipe:
    """What ``--recipe NAME.py`` trains."""
    adam = Adam(lr=2e-4, betas=(0.0, 0.9))
    return Recipe(
        name="SHOWN32",
        about="KIND at 32 px.",
        method=KIND(),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(32, 32)),
        train=TrainConfig(images=40_000, batch=32),
    )
'''

_RECIPE = '''"""KIND: the paper's numbers."""

from collections.abc import Callable

from gansmith.config.optimizers import Adam
from gansmith.config.recipe import Recipe
from gansmith.config.training import TrainConfig
from gansmith.core.image_size import Size
from gansmith.data.config import DataConfig
from gansmith.methods.NAME import KIND


def make(size: int) -> Recipe:
    """The recipe at one size."""
    adam = Adam(lr=2e-4, betas=(0.0, 0.9))
    return Recipe(
        name=f"SHOWN{size}",
        about=f"KIND at {size} px.",
        method=KIND(),
        optimizers={"discriminator": adam, "generator": adam},
        data=DataConfig(size=Size(size, size)),
        train=TrainConfig(images=40_000, batch=32),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {"SHOWN32": lambda: make(32)}
'''

_TEST = '''"""KIND: its losses against closed forms; the promises of all methods are in test_contract.py."""

import torch
from helpers import SPEC16, random_images, silence_head

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.methods.batches import ImageBatch
from gansmith.methods.NAME import KIND


def test_an_undecided_discriminator_costs_two() -> None:
    torch.manual_seed(0)
    method = KIND().tiny()
    networks = method.build(SPEC16)
    silence_head(networks.discriminator)
    loss = method.discriminator_loss(networks, ImageBatch(random_images(4)), Noise.of(0, 1, 2, 3), Progress())
    assert loss.total.item() == 2.0
'''

_PAGE = """# KIND

What the paper does, in two sentences, and its equation:

$$ \\min_D \\mathbb{E}\\max(0, 1 - D(x)) + \\mathbb{E}\\max(0, 1 + D(G(z))) $$

Recipes: `SHOWN32`. What differs from the paper: say it here.

## Measured

The command, the data, the seed, the kind of machine, the figure; and a picture that the command made.
"""
