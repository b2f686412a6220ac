"""The only training loop: players take turns, and where the run stands is one integer."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.averages import WeightAverage, bundle_for_pictures
from gansmith.data.loader import Loader
from gansmith.devices import pick_precision
from gansmith.errors import CheckpointError, SettingError, nearest
from gansmith.method import Batch, ImageSpec, Method, Networks, Noise, Progress, Turn
from gansmith.noise import mix_seeds
from gansmith.optimisers import set_rate
from gansmith.recipe import Recipe
from gansmith.tensors import Images

N = TypeVar("N", bound=Networks)
B = TypeVar("B", bound=Batch)
P = TypeVar("P")

_BUILD, _NOISE, _GLOBAL, _MEASURE = 11, 12, 13, 14  # Keeps the random streams of one seed apart.


@dataclass(frozen=True)
class _Move(Generic[N, B]):
    """One move of a turn, and which of the step's batches it sees."""

    turn: Turn[N, B]
    draw: int
    index: int  # Position in the plan; gives each move noise of its own.


class Trainer(Generic[N, B, P]):
    """Networks, optimisers and averages of a recipe, and the one step that moves them.

    Data, noise, learning rate and average are functions of images seen, so a trainer that loads
    ``state`` continues bit for bit as if it had never stopped (in float32, on the same machine).

    Args:
        recipe: what to do; ``recipe.data.channels`` must be known.
        loader: where batches come from.
        device: where networks live.
        borrowed: weights of networks taken from other runs, keyed ``name.parameter``.
    """

    def __init__(
        self,
        recipe: Recipe,
        loader: Loader[B],
        device: torch.device,
        borrowed: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.recipe, self.device, self._loader = recipe, device, loader
        self.method: Method[N, B, P] = recipe.method
        self.spec: ImageSpec = recipe.spec()
        self.images = 0
        torch.manual_seed(mix_seeds(recipe.train.seed, _BUILD))
        self.networks: N = self.method.build(self.spec)
        _borrow(self.networks, borrowed or {})
        self.networks.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.precision = pick_precision(recipe.train.precision, device)
        self._plan = _plan(self.method)
        self._draws = 1 + max(move.draw for move in self._plan)
        self._owned = _owned(self.method, self.networks)
        self._frozen = _frozen(self.method, self.networks)
        self.optimisers = {
            player: recipe.optimisers[player].build(parameters) for player, parameters in self._owned.items()
        }
        self.average = _average(recipe, self.networks)
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    @property
    def progress(self) -> Progress:
        """Where the run stands."""
        return self.recipe.progress(self.images, len(self._loader.training))

    def step(self) -> None:
        """One step: every turn that is due, in order."""
        progress = self.progress
        torch.manual_seed(
            mix_seeds(self.recipe.train.seed, _GLOBAL, self.images)
        )  # For dropout and the like.
        self._into_training_mode()
        due = [move for move in self._plan if progress.step % move.turn.every == 0]
        batches = self._batches(progress, [move.draw for move in due])
        for move, batch in zip(due, batches, strict=True):
            self._play(move, batch, self._noise(move, progress), progress)
        self.images += self.recipe.train.batch
        if self.average is not None and self.recipe.train.average is not None:
            self.average.follow(self.networks, self.recipe.train.average.decay(self.progress))

    @property
    def has_news(self) -> bool:
        """Whether there are numbers since the last flush."""
        return bool(self._sums)

    def flush(self) -> dict[str, float]:
        """Averages of all reported numbers since the last flush; this waits for the device."""
        row = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return row

    def networks_for_pictures(self) -> N:
        """A copy of the bundle in eval mode, with averaged networks where there are any."""
        return bundle_for_pictures(self.networks, self.average)  # type: ignore[return-value]

    @torch.no_grad()
    def measure(self, batch: B) -> dict[str, float]:
        """The method's own numbers about a batch no player moves on, taken on a copy of the networks."""
        networks = copy.deepcopy(self.networks)
        count = len(batch[0])
        seeds = torch.arange(count, device=self.device) + mix_seeds(self.recipe.train.seed, _MEASURE) // 2
        numbers = self.method.measure(networks, self._resize(batch, self.progress), Noise(seeds))
        return {name: float(value) for name, value in numbers.items()}

    # ---- state ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Every tensor a restart needs, by name."""
        tensors = {f"networks.{name}": value for name, value in self.networks.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for player, optimiser in self.optimisers.items():
            for index, state in optimiser.state_dict()["state"].items():
                tensors |= {
                    f"optimisers.{player}.{index}.{key}": value
                    for key, value in state.items()
                    if isinstance(value, Tensor)
                }
        return tensors

    def load(self, tensors: Mapping[str, Tensor], images: int) -> None:
        """Continue from ``state()`` taken after ``images`` images.

        Raises:
            CheckpointError: the tensors are of other networks.
        """
        _load_module(self.networks, _under(tensors, "networks."))
        if self.average is not None:
            _load_module(self.average, _under(tensors, "average."))
        for player, optimiser in self.optimisers.items():
            _load_optimiser(optimiser, _under(tensors, f"optimisers.{player}."))
        self.images = images

    # ---- inside a step --------------------------------------------------------------------------

    def _into_training_mode(self) -> None:
        self.networks.train()
        for network in self._frozen:
            network.eval()

    def _batches(self, progress: Progress, draws: list[int]) -> Iterator[B]:
        """The batch of each move; the following one is fetched in the background."""
        size = self.recipe.train.batch
        start = progress.images * self._draws
        positions = [start + draw * size for draw in draws]
        after = start + self._draws * size  # Where the next step begins.
        previous: int | None = None
        for i, position in enumerate(positions):
            if position != previous:
                later = next((p for p in positions[i + 1 :] if p != position), after)
                batch = self._resize(self._loader.batch(position, size, later), progress)
                previous = position
            yield batch

    def _resize(self, batch: B, progress: Progress) -> B:
        """Smaller pictures while a method grows; area averaging, as ProGAN does (Karras 2017)."""
        height, width = self.method.size_at(self.spec, progress)
        if (height, width) == (self.spec.height, self.spec.width):
            return batch
        smaller = (
            F.adaptive_avg_pool2d(value, (height, width)) if value.dim() == 4 else value for value in batch
        )
        return type(batch)(*smaller)

    def _noise(self, move: _Move[N, B], progress: Progress) -> Noise:
        base = mix_seeds(self.recipe.train.seed, _NOISE, move.index) // 2
        positions = torch.arange(progress.images, progress.images + progress.batch, device=self.device)
        return Noise(positions + base)

    def _play(self, move: _Move[N, B], batch: B, noise: Noise, progress: Progress) -> None:
        turn = move.turn
        owned, optimiser = self._owned[turn.player], self.optimisers[turn.player]
        self.networks.requires_grad_(False)  # Only the mover's weights take gradients: no graph is built
        for parameter in owned:  # through the others where it is not needed, and none can leak.
            parameter.requires_grad_(True)
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            loss = turn.loss(self.networks, batch, noise, progress)
        (loss.total * turn.every if turn.every > 1 else loss.total).backward()  # type: ignore[no-untyped-call]
        set_rate(optimiser, self.recipe.optimisers[turn.player], progress)
        optimiser.step()
        with torch.no_grad():
            turn.constrain(self.networks)
        self._note(turn.name, {"loss": loss.total, **loss.parts})

    def _note(self, turn: str, parts: Mapping[str, Tensor]) -> None:
        """Add up on the device; nothing is waited for until ``flush``."""
        for part, value in parts.items():
            name, value = f"{turn}/{part}", value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1


def pictures_of(
    method: Method[Any, Any, Any], networks: Networks, prompt: Any, noise: Noise, spec: ImageSpec
) -> Images:
    """Pictures in [-1, 1] from a bundle made by ``networks_for_pictures``."""
    with torch.inference_mode():
        images: Images = method.generate(networks, prompt, noise)
        return spec.to_pictures(images)


def _plan(method: Method[N, B, P]) -> list[_Move[N, B]]:
    """All moves of a step in order; a repeated move, or a turn that asks for it, draws a fresh batch."""
    moves: list[_Move[N, B]] = []
    draw = 0
    for turn in method.turns():
        for repeat in range(turn.repeats):
            if moves and (repeat > 0 or turn.fresh):
                draw += 1
            moves.append(_Move(turn, draw, len(moves)))
    return moves


def _owned(method: Method[N, B, P], networks: N) -> dict[str, list[nn.Parameter]]:
    """The parameters of each player, each once even where networks share them."""
    owned = {}
    known = [name for name, _ in networks.named_children()]
    for player, names in method.players().items():
        for name in names:
            if name.partition(".")[0] not in known:
                raise SettingError(f"The player '{player}' owns no network '{name}'.{nearest(name, known)}")
        parameters = [p for name in names for p in networks.get_submodule(name).parameters()]
        owned[player] = list(dict.fromkeys(parameters))
    return owned


def _frozen(method: Method[N, B, P], networks: N) -> list[nn.Module]:
    played = {name for names in method.players().values() for name in names}
    return [network for name, network in networks.named_children() if name not in played]


def _average(recipe: Recipe, networks: Networks) -> WeightAverage | None:
    if recipe.train.average is None or not recipe.train.averaged:
        return None
    known = [name for name, _ in networks.named_children()]
    for name in recipe.train.averaged:
        if name not in known:
            raise SettingError(f"train.averaged names networks: {', '.join(known)}. Received: {name!r}.")
    return WeightAverage(networks, recipe.train.averaged)


def _borrow(networks: Networks, borrowed: Mapping[str, Tensor]) -> None:
    """Copy the borrowed networks' weights in; a name or a shape that does not fit is the user's mistake."""
    known = [name for name, _ in networks.named_children()]
    for name in {key.partition(".")[0] for key in borrowed}:
        if name not in known:
            raise SettingError(f"There is no network '{name}' to borrow for.{nearest(name, known)}")
        _load_module(networks.get_submodule(name), _under(borrowed, f"{name}."))


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _load_module(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(
            f"The checkpoint is of other networks than the recipe builds: {reason}"
        ) from error


def _load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    for parameter, values in optimiser.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # The order in memory must be the parameter's: fused optimisers walk both at once.
                values[key] = torch.empty_like(parameter).copy_(value)
