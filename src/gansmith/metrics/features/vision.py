"""Feature networks that are not Inception: DINOv2, CLIP and VGG.

Inception knows the thousand classes of ImageNet and misjudges what they lack; distances in DINOv2 agree
better with people (Stein 2023). DINOv2 (Oquab 2024, ViT-S/14) gives its class token, CLIP (Radford 2021,
ViT-B/32) its embedding of the image, VGG-16 (Simonyan 2015) its second hidden layer, with which
precision and recall were first measured (Kynkaanniemi 2019).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gansmith.errors import DataError
from gansmith.metrics.features.base import Found, SmoothExtractor, start, versions
from gansmith.metrics.features.inception import WITHOUT
from gansmith.metrics.features.resize import RESIZERS, Levels
from gansmith.metrics.features.weights import Weights, WeightsFile, open_weights

_SIDE = 224
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

VGG16 = WeightsFile(
    "vgg16-397923af.pth",
    "https://download.pytorch.org/models/vgg16-397923af.pth",
    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    553,
    "The network vgg",
    WITHOUT,
)


@dataclass(frozen=True)
class Vision:
    """A published network: its weights, how levels are scaled for it, and how it is built.

    Example:
        >>> NETWORKS["vgg"].module
        'torchvision.models'
    """

    file: WeightsFile
    scaling: tuple[tuple[float, float, float], tuple[float, float, float]]  # Mean and spread, of 0..1.
    module: str  # It is built with.
    packages: tuple[str, ...]  # The one of that module first.
    build: Callable[[Any, Weights, Mapping[str, Any]], nn.Module]  # From scaled images to features.
    options: Mapping[str, Any]  # For ``build``; tests make small networks of the same kind.


def open_vision(name: str, given: Path | str | None, resize: str, device: torch.device) -> SmoothExtractor:
    """One of ``NETWORKS``, its weights loaded.

    Args:
        name: dino, clip or vgg.
        given: where its file is, or ``random:SEED``; None: in torch's cache, or fetched.
        resize: how images come to 224 x 224 pixels.
        device: where it runs.

    Raises:
        MissingPackageError: the package it is built with is not installed.
        DataError: the weights are not there, damaged or others.
    """
    kind = NETWORKS[name]
    package = start(kind.module, kind.packages[0], kind.file.purpose)
    weights = open_weights(kind.file, given)
    module = kind.build(package, weights, kind.options).to(device).eval().requires_grad_(False)
    mean, spread = (torch.tensor(part, device=device)[:, None, None] * 255.0 for part in kind.scaling)
    resized = RESIZERS[resize]

    def forward(levels: Levels) -> Found:
        return module((resized(levels, _SIDE) - mean) / spread), None

    with torch.inference_mode():
        size = forward(torch.zeros(1, 3, 8, 8, device=device))[0].shape[1]
    facts = {"weights": weights.identity, "resize": resize, **versions("torch", *kind.packages)}
    return SmoothExtractor(name, size, facts, forward, device)


def _timm(timm: Any, weights: Weights, options: Mapping[str, Any]) -> nn.Module:
    """A network of timm, which brings the tensors of the published files into its own order."""
    if weights.tensors is None:
        module: nn.Module = timm.create_model(**options, img_size=_SIDE)
        weights.into(module)
        return module
    given = {"state_dict": dict(weights.tensors)}
    try:
        module = timm.create_model(**options, img_size=_SIDE, pretrained=True, pretrained_cfg_overlay=given)
    except (RuntimeError, KeyError, AssertionError) as error:
        raise DataError(f"These weights belong to another network: {error}") from error
    return module


def _vgg(models: Any, weights: Weights, options: Mapping[str, Any]) -> nn.Module:
    """To the second hidden layer, its negative numbers cut off."""
    network = models.vgg16(weights=None, **options)
    weights.into(network)
    return nn.Sequential(network.features, network.avgpool, nn.Flatten(), *network.classifier[:5])


NETWORKS: dict[str, Vision] = {
    "dino": Vision(
        WeightsFile(
            "dinov2_vits14_pretrain.pth",
            "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",
            "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
            88,
            "The feature network dino",
            WITHOUT,
        ),
        _IMAGENET,
        "timm",
        ("timm",),
        _timm,
        {"model_name": "vit_small_patch14_dinov2.lvd142m"},
    ),
    "clip": Vision(
        WeightsFile(
            "open_clip_model.safetensors",
            "https://huggingface.co/timm/vit_base_patch32_clip_224.openai/resolve/"
            "a6f597a30f7b82c51704746581f9a4e41421e878/open_clip_model.safetensors",
            "e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
            605,
            "The feature network clip",
            WITHOUT,
        ),
        _CLIP,
        "timm",
        ("timm",),
        _timm,
        {"model_name": "vit_base_patch32_clip_quickgelu_224.openai"},
    ),
    "vgg": Vision(VGG16, _IMAGENET, "torchvision.models", ("torchvision",), _vgg, {"init_weights": False}),
}
