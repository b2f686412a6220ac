"""Which device and number format a run uses on this machine."""

import torch

from gansmith.errors import SettingError
from gansmith.recipe import Precision


def pick_device(name: str = "auto") -> torch.device:
    """``auto`` takes a GPU where there is one, then Apple's, then the processor.

    Raises:
        SettingError: the named device is not on this machine.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, found in there.items() if found))
    kind = name.partition(":")[0]
    if not there.get(kind, False):
        found = ", ".join(kind for kind, yes in there.items() if yes)
        raise SettingError(f"The device must be one this machine has: {found}. Received: {name!r}.")
    return torch.device(name)


def pick_precision(wanted: Precision, device: torch.device) -> torch.dtype:
    """The format of the networks' arithmetic; weights and losses are float32 in any case."""
    if wanted == "float32":
        return torch.float32
    if wanted == "bfloat16":
        return torch.bfloat16
    return torch.bfloat16 if _fast_bfloat16(device) else torch.float32


def _fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is done in hardware; emulated, it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False
