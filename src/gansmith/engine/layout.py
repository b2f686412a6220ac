"""What tensors a checkpoint must hold, by name, type and shape, found out without allocating any of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from gansmith.config.optimizers import Optimizer
from gansmith.config.recipe import Recipe
from gansmith.core.spec import DataSpec
from gansmith.core.tensor_file import Layout
from gansmith.engine.parameters import average, owned
from gansmith.errors import CheckpointError, GansmithError, MissingPackageError, nearest
from gansmith.methods.batches import IMAGE_COLUMNS

Layouts = Mapping[str, Layout]
Idle = Mapping[str, list[int]]
"""Player -> its parameters, by number, for which the optimizer remembers nothing."""

OLD_OPTIMIZERS = "optimisers."
"""What version 0.1 calls them in a checkpoint."""

_ROOM = 1000  # Modules and parameters that any networks may have, however few tensors a file holds.
_MOST_EACH = 20  # And for each tensor: layers without weights, weights that several networks share.


def check_layout(recipe: Recipe, images: int, found: Layouts, idle: Idle | None = None) -> None:
    """Raise unless a file holds the tensors that its recipe makes, no other and none of another form.

    Nothing is allocated before the networks are known to have the sizes of the file, so a recipe cannot ask
    for more memory than the file has bytes.

    Args:
        recipe: of the checkpoint.
        images: seen so far; at 0 no optimizer remembers anything.
        found: the file's tensors.
        idle: parameters that nothing was remembered for when it was written; None: it was not noted.

    Raises:
        CheckpointError: a tensor is missing, misnamed, or of another type or shape.
    """
    found = {
        "optimizers." + name.removeprefix(OLD_OPTIMIZERS) if name.startswith(OLD_OPTIMIZERS) else name: layout
        for name, layout in found.items()
    }
    with _built(), torch.device("meta"), _bounded(_ROOM + _MOST_EACH * len(found)):
        networks = recipe.method.build(recipe.spec())
        averaged = average(recipe, networks)
        parameters = owned(recipe.method, networks)
    wanted = {f"networks.{name}": Layout.of(value) for name, value in networks.state_dict().items()}
    if averaged is not None:
        wanted |= {f"average.{name}": Layout.of(value) for name, value in averaged.state_dict().items()}
    _compare(wanted, _those(found, "networks.", "average."))
    _check_prompts(recipe, _those(found, "prompts."))
    for player, weights in parameters.items():
        with _built():
            shapes = _order(recipe.optimizers[player], weights)
            kinds = {shape: _remembered(recipe.optimizers[player], shape) for shape in dict.fromkeys(shapes)}
        prefix = f"optimizers.{player}."
        memory = {
            index: {f"{prefix}{index}.{key}": layout for key, layout in kinds[shape].items()}
            for index, shape in enumerate(shapes)
        }
        here = _those(found, prefix)
        if here or images > 0:
            _check_optimizer(memory, here, None if idle is None else idle.get(player, []))
    known = ("networks.", "average.", "prompts.", *(f"optimizers.{player}." for player in parameters))
    for name in found:
        if not name.startswith(known):
            raise CheckpointError(f"it holds a tensor {_short(name)} that its recipe does not know.")


def _those(found: Layouts, *prefixes: str) -> dict[str, Layout]:
    return {name: layout for name, layout in found.items() if name.startswith(prefixes)}


def _compare(wanted: Layouts, found: Layouts) -> None:
    for name, layout in wanted.items():
        if name not in found:
            others = [other for other in found if other not in wanted][:100]
            hint = nearest(name, others) if others else ""
            raise CheckpointError(f"the tensor {_short(name)} is missing.{hint if 'Did' in hint else ''}")
        if found[name] != layout:
            raise CheckpointError(
                f"its recipe makes {_short(name)} {layout}. Received: {found[name]}, from another recipe or "
                "altered."
            )
    for name in found:
        if name not in wanted:
            raise CheckpointError(f"it holds a tensor {_short(name)} that its recipe does not make.")


# ---- networks that only look like the ones to be ----------------------------------------------------------


@contextmanager
def _built() -> Iterator[None]:
    """A recipe of sizes and names that nobody has chosen fails in any way there is."""
    try:
        yield
    except MissingPackageError:  # No fault of the checkpoint.
        raise
    except GansmithError as error:
        raise CheckpointError(f"its recipe cannot be built: {error}") from error
    except Exception as error:
        raise CheckpointError(f"its recipe cannot be built: {_in_words(error)}") from error


@contextmanager
def _bounded(most: int) -> Iterator[None]:
    """Let no more than so many modules, parameters and buffers be made within the block."""
    made = 0

    def count(*_: Any) -> None:
        nonlocal made
        made += 1
        if made > most:
            raise CheckpointError(
                f"it asks for more than {most:,} layers and weights, and its file has fewer."
            )

    hooks = [
        torch_module.register_module_module_registration_hook(count),
        torch_module.register_module_parameter_registration_hook(count),
        torch_module.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


# ---- optimizers ------------------------------------------------------------------------------------


def _order(config: Optimizer, weights: list[nn.Parameter]) -> list[torch.Size]:
    """The shapes of a player's parameters in the order in which its optimizer counts them.

    It is built of parameters that have those shapes and the memory of one number.
    """
    stand_ins = [nn.Parameter(torch.zeros((), device="cpu").expand(weight.shape)) for weight in weights]
    groups = config.build(stand_ins).param_groups
    return [parameter.shape for group in groups for parameter in group["params"]]


def _remembered(config: Optimizer, shape: torch.Size) -> dict[str, Layout]:
    """What an optimizer remembers of one parameter of a shape once it has moved it."""
    parameter = nn.Parameter(torch.zeros(shape))
    parameter.grad = torch.zeros(shape)
    optimizer = config.build([parameter])
    optimizer.step()
    state = optimizer.state_dict()["state"].get(0, {})
    return {key: Layout.of(value) for key, value in state.items() if isinstance(value, Tensor)}


def _check_optimizer(memory: Mapping[int, Layouts], found: Layouts, idle: list[int] | None) -> None:
    """Args: memory: of each parameter by number, what is remembered once it was moved."""
    wanted: dict[str, Layout] = {}
    for index, layouts in memory.items():
        # In an older file it is not noted which weights no loss has reached.
        forgotten = not any(name in found for name in layouts) if idle is None else index in idle
        wanted |= {} if forgotten else layouts
    _compare(wanted, found)


def idle_of(optimizers: Mapping[str, torch.optim.Optimizer]) -> dict[str, list[int]]:
    """The parameters, by number, that each player's optimizer remembers nothing of: no loss reached them."""
    idle = {}
    for player, optimizer in optimizers.items():
        told = optimizer.state_dict()
        everything = [index for group in told["param_groups"] for index in group["params"]]
        idle[player] = [index for index in everything if index not in told["state"]]
    return idle


# ---- prompts ---------------------------------------------------------------------------------------

_COLUMNS: Mapping[str, Callable[[DataSpec], tuple[torch.dtype, tuple[int, ...]]]] = {
    "labels": lambda spec: (torch.int64, ()),
    "attributes": lambda spec: (torch.uint8, (spec.attributes,)),
    "captions": lambda spec: (torch.uint8, (spec.caption_length,)),
    "landmarks": lambda spec: (torch.float32, (spec.landmarks, 2)),
}


def _check_prompts(recipe: Recipe, found: Layouts) -> None:
    kind = recipe.method.prompt_type
    names = [] if kind is None else [name for name in kind._fields if name not in IMAGE_COLUMNS]
    rows = next((layout.shape[0] for layout in found.values() if layout.shape), 0)
    if names and not rows:
        raise CheckpointError("the prompts of its training pictures are missing.")
    wanted = {}
    for name in names:
        told = found.get(f"prompts.{name}")
        form = _COLUMNS.get(name)
        if form is not None:
            dtype, shape = form(recipe.spec())
            wanted[f"prompts.{name}"] = Layout(dtype, (rows, *shape))
        elif told is not None:  # A column of the user's own.
            wanted[f"prompts.{name}"] = Layout(told.dtype, (rows, *told.shape[1:]))
    _compare(wanted, found)


def check_prompt_values(recipe: Recipe, tensors: Mapping[str, Tensor]) -> None:
    """Raise unless the prompts in a checkpoint are of classes and attributes that there are.

    Raises:
        CheckpointError: a label without a name, or an attribute that is neither 0 nor 1.
    """
    spec = recipe.spec()
    for name, most in (("labels", spec.classes), ("attributes", 2)):
        column = tensors.get(f"prompts.{name}")
        if column is None or not column.numel():
            continue
        low, high = int(column.min()), int(column.max())
        if low < 0 or high >= most:
            raise CheckpointError(
                f"the {name} of its prompts are 0 to {most - 1}. Received: {low if low < 0 else high}."
            )


def _short(name: str) -> str:
    return repr(name) if len(name) <= 100 else f"{name[:100]!r}..."


def _in_words(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{lines[0][:200] if lines else type(error).__name__}."
