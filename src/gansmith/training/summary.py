"""What a recipe would do, without doing it: parameters, layer shapes and memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gansmith.config.recipe import Recipe
from gansmith.config.serialization import to_json
from gansmith.core.noise import Noise
from gansmith.engine.parameters import averaged_names
from gansmith.methods.base import Turn
from gansmith.methods.batches import example_batch
from gansmith.networks.bundle import Networks


@dataclass(frozen=True)
class Layer:
    """One layer of a network, as ``train --dry-run`` lists it.

    Example:
        >>> describe(recipe).layers["generator"][0].parameters
    """

    name: str
    kind: str
    output: tuple[int, ...]  # Without the batch.
    parameters: int


@dataclass(frozen=True)
class Description:
    """Parameters, layers and memory of a recipe, as ``train --dry-run`` prints them.

    Example:
        >>> describe(recipe).parameters["generator"]
    """

    recipe: Recipe
    parameters: Mapping[str, int]  # Network -> number of parameters.
    layers: Mapping[str, list[Layer]]  # Network -> its layers, in order of use.
    weights_bytes: int  # Weights, gradients, optimizer and averages.
    activation_bytes: int  # Kept for the backward pass of the hungriest turn, at the recipe's batch.

    def as_json(self) -> dict[str, Any]:
        """The description as plain values."""
        return {
            "recipe": to_json(self.recipe),
            "parameters": dict(self.parameters),
            "layers": {
                name: [[layer.name, layer.kind, list(layer.output), layer.parameters] for layer in layers]
                for name, layers in self.layers.items()
            },
            "memory": {"weights": self.weights_bytes, "activations": self.activation_bytes},
        }


def describe(recipe: Recipe) -> Description:
    """Build the networks on the CPU and play each turn once on two made-up images.

    The recipe's ``data.channels`` must be known. Activations are measured in float32 on a batch of two
    and scaled to the recipe's batch.
    """
    torch.manual_seed(0)
    networks = recipe.method.build(recipe.spec())
    networks.attach(recipe.method.instruments(recipe.spec()))
    networks.attach_lenses(recipe.method.lenses(recipe.spec()))
    layers, handles = _watch(networks)
    hungriest = max(_saved_bytes(recipe, networks, turn) for turn in recipe.method.turns())
    for handle in handles:
        handle.remove()
    counts = {name: _count(network) for name, network in networks.named_children()}
    return Description(
        recipe=recipe,
        parameters=counts,
        layers=layers,
        weights_bytes=_weight_bytes(recipe, networks),
        activation_bytes=hungriest * recipe.train.batch // 2,
    )


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _watch(networks: Networks) -> tuple[dict[str, list[Layer]], list[Any]]:
    """Hooks that note each leaf's output shape the first time it is used."""
    layers: dict[str, list[Layer]] = {name: [] for name, _ in networks.named_children()}
    seen: set[str] = set()
    handles = []
    for path, module in networks.named_modules():
        network, _, name = path.partition(".")
        if network not in layers or any(True for _ in module.children()):
            continue

        def note(
            module: nn.Module,
            inputs: Any,
            output: Any,
            network: str = network,
            name: str = name,
            path: str = path,
        ) -> None:
            if path not in seen and isinstance(output, Tensor):
                seen.add(path)
                shape = tuple(output.shape[1:])
                layers[network].append(Layer(name, type(module).__name__, shape, _count(module)))

        handles.append(module.register_forward_hook(note))
    return layers, handles


def _saved_bytes(recipe: Recipe, networks: Networks, turn: Turn[Any, Any]) -> int:
    """Bytes autograd keeps for a turn's backward pass on two images, weights left out."""
    spec, weights = recipe.spec(), {p.data_ptr() for p in networks.parameters()}
    batch = example_batch(recipe.method.batch_type, spec, 2)
    owned = recipe.method.players()[turn.player]
    for name, network in networks.named_children():
        network.requires_grad_(name in owned)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        turn.loss(networks, batch, Noise.of(0, 1), recipe.progress(0, 1))
    return sum(kept.values())


def _weight_bytes(recipe: Recipe, networks: Networks) -> int:
    """Weights, their gradients, two moments of each, and the averaged copies."""
    played = {name for names in recipe.method.players().values() for name in names}
    own = sum(_count(networks.get_submodule(name)) for name in played)
    averaged = sum(_count(networks.get_submodule(name)) for name in averaged_names(recipe, networks))
    return 4 * (_count(networks) + 3 * own + (averaged if recipe.train.average else 0))
