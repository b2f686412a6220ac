"""Whether a generator rebuilt from weights alone is the one that was trained, by what it remembers itself.

A batch normalization keeps the mean and the variance of what came in during training. Other strides
bring other sums: a kernel of 3 or 5 with stride 1 in place of 2 adds up four times as many terms, and
uniform latents have a third of the variance of normal ones. So the rebuilt network is run, and its
statistics are held against those that are kept.
"""

import math

import torch
from torch import Tensor, nn

from gansmith.errors import CheckpointError

_RUNS = 32  # Images looked at.
_MOST_PIXELS = 2**22  # In all; larger images are fewer.
_FACTOR = 1.8  # Between variances, in the middle of all channels; the nearest thing to be told apart is 3.
_BATCHES = 200  # At the usual momentum a billionth of the first value is left.
_AMBIGUOUS = {3, 5}  # Kernels that are as common with another stride.


def check_evidence(network: nn.Sequential, name: str) -> tuple[str, ...]:
    """Hold a rebuilt DCGAN generator against its own batch statistics.

    Args:
        network: in eval mode, from [batch, latent, 1, 1]; on the CPU.
        name: of the file, for messages.

    Returns: sentences about what could be otherwise and cannot be checked.

    Raises:
        CheckpointError: its statistics are not those of this network.

    Example:
        >>> doubts = check_evidence(found.network, "netG.pth")
    """
    layers = list(network)
    ratios = _ratios(layers)
    for place, ratio in ratios.items():
        if not 1 / _FACTOR < ratio < _FACTOR:
            raise CheckpointError(
                f"{name} was refused: it is a chain of transposed convolutions, but not as they are put "
                f"together here. Its layer {place} remembers values of {ratio:.3g} times the variance that "
                "strides of DCGAN and latents from N(0, 1) give. Make its images with the code that made it."
            )
    convolutions = [layer for layer in layers if isinstance(layer, nn.ConvTranspose2d)]
    known = set(ratios)
    unknown = [
        (place, layer.kernel_size[0])
        for place, layer in enumerate(convolutions, 1)
        if place > 1 and place not in known and layer.kernel_size[0] in _AMBIGUOUS
    ]
    return tuple(
        f"{name} does not say the stride of layer {place}, of kernel {kernel}: it is taken to "
        f"{'keep' if kernel == 3 else 'double'} the size. If the images look wrong, it was another."
        for place, kernel in unknown
    )


@torch.no_grad()
def _ratios(layers: list[nn.Module]) -> dict[int, float]:
    """Convolution, from 1 -> its remembered variance over that of this network; where it remembers any."""
    drawn = torch.Generator().manual_seed(0)
    first, found, place = next(layer for layer in layers if isinstance(layer, nn.ConvTranspose2d)), {}, 0
    images = torch.randn(_count(layers), first.in_channels, 1, 1, generator=drawn)
    for layer in layers[: _last_memory(layers) + 1]:
        place += isinstance(layer, nn.ConvTranspose2d)
        if isinstance(layer, nn.BatchNorm2d):
            if _remembers(layer):
                assert layer.running_var is not None
                found[place] = _middle_ratio(layer.running_var, images.var((0, 2, 3)))
            images = nn.functional.batch_norm(
                images, None, None, layer.weight, layer.bias, True, 0.0, layer.eps
            )
        else:
            images = layer(images)
    return found


def _middle_ratio(kept: Tensor, seen: Tensor) -> float:
    """The median over channels; those that never vary say nothing."""
    alive = (kept > 1e-6) & (seen > 1e-6)
    if not bool(alive.any()):
        return 1.0
    return math.exp(float((kept[alive].log() - seen[alive].log()).median()))


def _remembers(layer: nn.Module) -> bool:
    """Whether it is a batch normalization that saw enough to have forgotten what it began with."""
    counted = getattr(layer, "num_batches_tracked", None)
    return isinstance(layer, nn.BatchNorm2d) and counted is not None and int(counted) >= _BATCHES


def _last_memory(layers: list[nn.Module]) -> int:
    return max((place for place, layer in enumerate(layers) if _remembers(layer)), default=-1)


def _count(layers: list[nn.Module]) -> int:
    """Images that fit: the widest layer decides."""
    side, most = 1, 1
    for layer in layers:
        if isinstance(layer, nn.ConvTranspose2d):
            side = side * layer.stride[0] if side > 1 else layer.kernel_size[0]
            most = max(most, side**2 * layer.out_channels)
    return max(2, min(_RUNS, _MOST_PIXELS * 4 // most))
