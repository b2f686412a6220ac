"""Which digits a stacked image shows: read by a small network that is trained on MNIST once, and kept.

The network lies in ``$GANSMITH_CACHE/digits`` (``~/.cache/gansmith/digits`` where that is not set). Nothing
is fetched but MNIST itself, as the data set ``mnist`` is.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save as as_bytes
from torch import Tensor, nn
from torch.nn import functional

from gansmith.core.console import console
from gansmith.core.files import whole_file
from gansmith.core.json_files import parse_json
from gansmith.core.tensor_file import read_tensors, write_tensors
from gansmith.core.tensors import BytePictures
from gansmith.data.builtin.sets import data_root, mnist
from gansmith.data.builtin.stacked_mnist import Digits
from gansmith.errors import DataError, StorageError
from gansmith.metrics.features.base import Extractor, Found, versions
from gansmith.metrics.features.resize import Levels
from gansmith.metrics.features.weights import randomize
from gansmith.metrics.image_sets import PictureSet
from gansmith.metrics.math.intervals import full_precision
from gansmith.metrics.scores.fitting import fit, one_thread
from gansmith.metrics.scores.mode_count import stacked
from gansmith.metrics.statistics import Statistics, cache_folder

VERSION = 1
"""Of the network and its training; another version is trained anew."""

LEAST = 0.985
"""Share of MNIST's test digits that must be read right."""

_FORMAT = f"gansmith digits {VERSION}"
_SIDE = 28  # In pixels.
_STEPS = 1400  # Three passes over MNIST.
_LOOKED_AT = 2000  # Images of B that tell whether it is stacked.
_SURE = 0.9  # Of a digit's probability.
_SHARE_SURE = 0.8  # Of the channels of a stacked set.
_SHARE_EQUAL = 0.5  # Of images with three equal digits; 1 in 100 is usual.


@dataclass(frozen=True, eq=False)
class Reader:
    """A trained classifier of digits, and the share of test digits that it reads right, 0 to 1.

    Example:
        >>> reader = open_reader()  # Trained on MNIST the first time.
        >>> reader.extractor().size
        30
    """

    network: nn.Module
    accuracy: float

    @property
    def digest(self) -> str:
        """The SHA-256 of the weights."""
        return _digest(self.network.state_dict())

    def extractor(self) -> Extractor:
        """The same as a feature network: log probabilities of ten digits in three channels, 30 numbers.

        It runs on the processor, and gives an image the same numbers whatever images are beside it.
        """

        def forward(levels: Levels) -> Found:
            logits = self.network(levels.reshape(-1, 1, _SIDE, _SIDE) / 255.0)
            return functional.log_softmax(logits, 1).view(len(levels), 30), None

        facts = {"weights": self.digest, "accuracy": f"{self.accuracy:.4f}", **versions("torch")}
        return Extractor("digits", 30, facts, forward, torch.device("cpu"))


class ModeCounter:
    """Reads the digits of all images it is shown; a watcher of the pass over A.

    Args:
        network: `Reader.extractor`.

    Example:
        >>> counter = ModeCounter(open_reader().extractor())
        >>> counter.add(torch.zeros(2, 3, 28, 28, dtype=torch.uint8))
        >>> counter.classes().shape
        torch.Size([2])
    """

    def __init__(self, network: Extractor) -> None:
        self._network = network
        self._found: list[Tensor] = []

    @property
    def facts(self) -> Mapping[str, str]:
        """What its reading depends on."""
        return self._network.facts

    def add(self, part: BytePictures) -> None:
        """Read more images, [n, 3, 28, 28]."""
        digits, _ = read(self._network, part)
        self._found.append(stacked(digits))

    def classes(self) -> Tensor:
        """The class of each image so far, [n], 0 to 999."""
        return torch.cat(self._found)


def mode_counter(made: PictureSet | Statistics, real: PictureSet | Statistics) -> ModeCounter:
    """A counter for the images of ``made``, once it is sure that modes can be counted.

    Args:
        made: images of 28 x 28 in colour.
        real: likewise, of stacked digits, which shows in its first 2,000; saved statistics are believed.

    Raises:
        DataError: they are something else, or MNIST is not to be had for training the reader.
        MissingPackageError: the same for torchvision.
    """
    if isinstance(made, Statistics):
        raise DataError(
            f"modes looks at pictures. Received: {made.name}, saved statistics. Give the pictures themselves."
        )
    for side in (made, real):
        if not isinstance(side, Statistics):
            _check_form(side)
    network = open_reader().extractor()
    if not isinstance(real, Statistics):
        _check_stacked(real, network)
    return ModeCounter(network)


def read(network: Extractor, part: BytePictures) -> tuple[Tensor, Tensor]:
    """(digits, probabilities from 0 to 1) of images [n, 3, 28, 28], both [n, 3]."""
    found = network(part).features.view(len(part), 3, 10).max(2)
    return found.indices, found.values.exp()


def open_reader(folder: Path | None = None) -> Reader:
    """The reader of digits: from the cache, else trained, which takes about half a minute.

    Args:
        folder: the cache; None: the user's.

    Raises:
        DataError: MNIST is not to be had, or what is in its place are other images.
        MissingPackageError: torchvision, which reads MNIST, is not installed.
    """
    path = (folder or cache_folder().parent / "digits") / f"mnist-{VERSION}.safetensors"
    known = _kept(path)
    if known is not None:
        return known
    training, test = mnist(), mnist(training=False)
    console().say("The network that reads digits is trained on MNIST, once; about half a minute.")
    made = train_reader(training, test)
    if made.accuracy < LEAST:
        raise DataError(
            f"Of MNIST's test digits {LEAST:.1%} or more must be read right. Received: {made.accuracy:.1%} "
            f"in {data_root()}, whose digits are others, or damaged. Put MNIST's own files there."
        )
    with suppress(OSError, StorageError):  # Without a cache it is trained again.
        _keep(made, path)
    return made


def train_reader(training: Digits, test: Digits, *, steps: int = _STEPS, seed: int = 0) -> Reader:
    """A reader of digits of 28 x 28, the same each time: on one thread, with randomness of its own.

    Args:
        training: learnt from; one digit at least.
        test: its accuracy is measured on these.
        steps: of 128 digits each.
        seed: of the first weights and of the order.
    """
    with one_thread(), full_precision(), torch.inference_mode(False), torch.enable_grad():
        network = _network()
        randomize(network, seed)
        _train(network, training, steps, seed)
    network.requires_grad_(False).eval()
    with torch.inference_mode():
        right = [
            (network(_levels(pictures)).argmax(1) == labels).sum()
            for pictures, labels in zip(
                torch.split(test.images, 500), torch.split(test.labels, 500), strict=True
            )
        ]
    return Reader(network, float(sum(right)) / max(len(test.labels), 1))


def _train(network: nn.Module, digits: Digits, steps: int, seed: int) -> None:
    def loss(rows: Tensor) -> Tensor:
        return functional.cross_entropy(network(_levels(digits.images[rows])), digits.labels[rows])

    fit(network, loss, len(digits.labels), steps, seed, "Training the reader of digits")


def _levels(pictures: Tensor) -> Tensor:
    return pictures[:, None].float() / 255.0


def _network() -> nn.Sequential:
    """Two convolutions and two full layers (LeCun 1998, smaller): 112,000 weights."""
    with torch.random.fork_rng(devices=[]):  # Layers draw their first weights from torch's own generator.
        return nn.Sequential(
            nn.Conv2d(1, 16, 5, 2, 2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, 1, 1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )


def _keep(reader: Reader, path: Path) -> None:
    facts = {"accuracy": reader.accuracy, "digest": reader.digest, **versions("torch")}
    with whole_file(path) as part:
        write_tensors(part, reader.network.state_dict(), {"format": _FORMAT, "facts": json.dumps(facts)})


def _kept(path: Path) -> Reader | None:
    """What lies there; None where there is nothing, or it is damaged or of another version."""
    if not path.is_file():
        return None
    network = _network()
    try:
        tensors, metadata = read_tensors(path)
        facts = parse_json(metadata["facts"])
        if metadata["format"] != _FORMAT or facts["digest"] != _digest(tensors):
            return None
        network.load_state_dict(tensors)
        return Reader(network.requires_grad_(False).eval(), float(facts["accuracy"]))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None


def _digest(tensors: Mapping[str, Tensor]) -> str:
    return hashlib.sha256(as_bytes(dict(tensors))).hexdigest()


def _check_form(side: PictureSet) -> None:
    channels, height, width = next(iter(side.batches(1))).shape[1:]
    if (channels, height, width) != (3, _SIDE, _SIDE):
        kind = "grey" if channels == 1 else "colour"
        raise DataError(
            f"modes reads three digits in pictures of {_SIDE}x{_SIDE} in colour. Received: {width}x{height} "
            f"in {kind} in {side.name}. Train on stacked-mnist with --recipe dcgan28, or give such pictures."
        )


def _check_stacked(real: PictureSet, network: Extractor) -> None:
    sure, equal, count = 0.0, 0.0, 0
    for part in real.batches(64):
        digits, chances = read(network, part)
        sure += float((chances > _SURE).float().mean(1).sum())
        equal += float((digits == digits[:, :1]).all(1).sum())
        count += len(part)
        if count >= _LOOKED_AT:
            break
    if sure < _SHARE_SURE * count or (count >= 10 and equal > _SHARE_EQUAL * count):
        raise DataError(
            "modes are counted against pictures with a digit in each of red, green and blue. Received: "
            f"{real.name}, where {sure / count:.0%} of the channels look like digits and {equal / count:.0%} "
            "of the pictures show one digit three times. Give stacked-mnist as B."
        )
