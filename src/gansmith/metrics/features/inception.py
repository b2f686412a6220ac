"""Inception as the first Inception scores and FIDs used it: 2048 features and 1008 logits an image.

The network is torch-fidelity's port of the TensorFlow graph of 2015 with its weights. Two things are done
for speed and change only the last digits: each batch norm is folded into the convolution before it, and
channels lie last in memory.
"""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gansmith.metrics.features.base import Found, SmoothExtractor, start, versions
from gansmith.metrics.features.resize import RESIZERS, Levels
from gansmith.metrics.features.weights import WeightsFile, open_weights, randomize

_PURPOSE = "The feature network inception"
_SIDE = 299
_FEATURES = 2048

WITHOUT = (
    "Without it there are the feature networks face (pip install 'gansmith[faces]'), pixels, and a FILE.py "
    "of your own, and all that needs no network: swd, ms_ssim, psnr, ssim."
)
"""What to tell those who have no weights."""

FILE = WeightsFile(
    "weights-inception-2015-12-05-6726825d.pth",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    96,
    _PURPOSE,
    WITHOUT,
)


def open_inception(given: Path | str | None, resize: str, device: torch.device) -> SmoothExtractor:
    """The network, its weights loaded.

    Args:
        given: where ``FILE`` is, or ``random:SEED``; None: in torch's cache, or fetched.
        resize: how images come to 299 x 299 pixels.
        device: where it runs.

    Raises:
        MissingPackageError: torch-fidelity is not installed.
        DataError: the weights are not there, damaged or others.
    """
    extractor = _empty()
    weights = open_weights(FILE, given)
    weights.into(extractor)
    classes = extractor.fc.weight.to(device)
    body = nn.Sequential(*(part for name, part in extractor.named_children() if name != "fc"))
    _fold(body)
    body.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    resized = RESIZERS[resize]

    def forward(levels: Levels) -> Found:
        scaled = (resized(levels, _SIDE) - 128) / 128
        features = body(scaled.contiguous(memory_format=torch.channels_last)).flatten(1)
        return features, features.mm(classes.T)

    facts = {"weights": weights.identity, "resize": resize, **versions("torch", "torch-fidelity")}
    return SmoothExtractor("inception", _FEATURES, facts, forward, device)


def random_inception(seed: int) -> dict[str, Tensor]:
    """The tensors behind ``weights="random:SEED"``, to compare with another program or to measure speed."""
    extractor = _empty()
    randomize(extractor, seed)
    tensors: dict[str, Tensor] = extractor.state_dict()
    return tensors


def _empty() -> Any:
    """torch-fidelity's network without its weights.

    Its constructor unpickles the file of weights whatever it holds. Here it is given an empty one.
    """
    module = start("torch_fidelity.feature_extractor_inceptionv3", "torch-fidelity", _PURPOSE)
    base = module.FeatureExtractorInceptionV3
    bare: Any = type("Bare", (base,), {"load_state_dict": lambda self, state: None})
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    network = bare("inception", ["2048"], feature_extractor_weights_path=nothing)
    network.__class__ = base
    return network


def _fold(body: nn.Module) -> None:
    """Each batch norm into the convolution before it."""
    for block in list(body.modules()):
        norm = getattr(block, "bn", None)
        if isinstance(norm, nn.BatchNorm2d):
            convolution: Any = block.conv
            block.conv = fuse_conv_bn_eval(convolution, norm)
            block.bn = nn.Identity()
