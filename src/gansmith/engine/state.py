"""Tensors by name, as a checkpoint has them, back into networks and optimizers."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gansmith.errors import CheckpointError, SettingError, nearest
from gansmith.networks.bundle import Networks


def borrow(networks: Networks, borrowed: Mapping[str, Tensor]) -> None:
    """Copy borrowed weights into networks and attached instruments, and borrowed memories into the bundle's.

    Raises:
        SettingError: a name that is not there.
        CheckpointError: weights of another shape.
    """
    known = {**dict(networks.named_children()), **networks.instruments}
    memories = dict(networks.named_buffers(recurse=False))
    for name in {key.partition(".")[0] for key in borrowed}:
        if name in memories:
            _remember(memories[name], borrowed[name], name)
            continue
        if name not in known:
            raise SettingError(f"There is no network '{name}' to borrow for.{nearest(name, known)}")
        try:
            load_module(known[name], under(borrowed, f"{name}."))
        except CheckpointError as error:
            raise CheckpointError(
                f"A borrowed network is built as this recipe builds it: of the same size. {error} Give "
                "this run the settings of its lender (data.size, and widths such as method.width), or train "
                f"{name} again with these."
            ) from error


def _remember(memory: Tensor, borrowed: Tensor, name: str) -> None:
    if memory.shape != borrowed.shape:
        raise CheckpointError(
            f"A borrowed memory is of the same size. Received: {name} of {list(borrowed.shape)} for one of "
            f"{list(memory.shape)}. Make this run at its lender's size."
        )
    memory.copy_(borrowed)


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def load_module(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a module its tensors.

    Raises:
        CheckpointError: they are another module's.
    """
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = _difference(module, tensors) or str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(
            f"The checkpoint is of other networks than the recipe builds: {reason}"
        ) from error


def _difference(module: nn.Module, tensors: Mapping[str, Tensor]) -> str | None:
    """The first weight in which a module and tensors differ, in words; None where shapes are all the same."""
    for name, wanted in module.state_dict().items():
        if name not in tensors:
            return f"it has no {name}."
        if tensors[name].shape != wanted.shape:
            theirs, ours = (_shape(value) for value in (tensors[name], wanted))
            return f"{name} is {theirs} there and {ours} here."
    return None


def _shape(value: Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "one number"


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer its memory, named ``index.key``, laid out as its weights are."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # The order in memory must be the parameter's: fused optimizers walk both at once.
                values[key] = torch.empty_like(parameter).copy_(value)
