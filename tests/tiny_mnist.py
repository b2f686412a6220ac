"""A stand-in for MNIST: digit d lights the d-th of ten places; as tensors, or as the four files of MNIST."""

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gansmith.data.builtin.stacked_mnist import Digits


def tiny_digits(count: int = 100, seed: int = 0) -> Digits:
    """``count`` digits in turn 0, 1, ..., 9, 0, ..., each with noise of its own."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 10
    return Digits(drawn(labels, generator), labels)


def drawn(labels: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 [n, 28, 28]: a bright square of 5 pixels at one of ten places."""
    pictures = torch.randint(0, 30, (len(labels), 28, 28), generator=generator, dtype=torch.uint8)
    for picture, label in zip(pictures, labels.tolist(), strict=True):
        row, column = 2 + 14 * (label // 5), 1 + 5 * (label % 5)
        picture[row : row + 5, column : column + 5] = 250
    return pictures


def write_mnist(root: Path, training: Digits, test: Digits) -> None:
    """The files that torchvision looks for under ``root``."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part, digits in (("train", training), ("t10k", test)):
        images, labels = digits.images.numpy(), digits.labels.numpy().astype(np.uint8)
        head = struct.pack(">4I", 0x803, *images.shape)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            struct.pack(">2I", 0x801, len(labels)) + labels.tobytes()
        )
