"""The only training loop: players take turns, and where the run stands is one integer."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.config.optimizers import set_rate
from gansmith.config.recipe import Recipe
from gansmith.core.distributed import ALONE, World
from gansmith.core.noise import Kept, Noise, mix_seeds
from gansmith.core.progress import Progress
from gansmith.core.tensors import Images, Scores
from gansmith.data.loading.loader import Loader
from gansmith.engine.device import Choices, not_compiled, out_of_memory
from gansmith.engine.ema import bundle_for_pictures
from gansmith.engine.gradients import GradientAverage
from gansmith.engine.parameters import average, frozen, owned
from gansmith.engine.state import borrow, load_module, load_optimiser, under
from gansmith.engine.sync_batch_norm import among, share_batch_norms
from gansmith.engine.turns import Move, in_parts, micro_batch, moves_of
from gansmith.errors import SettingError
from gansmith.methods.base import Batch, ImageSpec, Method, Networks, Turn

N = TypeVar("N", bound=Networks)
B = TypeVar("B", bound=Batch)
P = TypeVar("P")

_BUILD, _NOISE, _GLOBAL, _MEASURE = 11, 12, 13, 14  # Keeps the random streams of one seed apart.
_NORMS_EVERY = 8  # Steps between two looks at the gradients' norms, so that they cost next to nothing.


class Trainer(Generic[N, B, P]):
    """Networks, optimisers and averages of a recipe, and the one step that moves them.

    Data, noise, learning rate and average are functions of images seen, so a trainer that loads
    ``state`` continues bit for bit as if it had never stopped (in float32, on the same machine).

    Args:
        recipe: what to do; ``recipe.data.channels`` must be known.
        loader: where batches come from; it gives this process's part of them.
        device: where networks live.
        borrowed: weights of networks taken from other runs, keyed ``name.parameter``.
        world: the processes that train together.

    Attributes:
        micro_batch: pictures worked on at a time; gradients add up until the batch is complete.
        rate: all learning rates are multiplied by it.

    Raises:
        SettingError: the recipe does not fit together, or the batch cannot be shared out evenly.
    """

    def __init__(
        self,
        recipe: Recipe,
        loader: Loader[B],
        device: torch.device,
        borrowed: Mapping[str, Tensor] | None = None,
        world: World = ALONE,
    ) -> None:
        self.recipe, self.device, self._loader, self._world = recipe, device, loader, world
        self.method: Method[N, B, P] = recipe.method
        self.spec: ImageSpec = recipe.spec()
        self.images, self.rate = 0, 1.0
        self.choices = Choices.of(recipe.train, device)
        self.choices.apply()
        self.micro_batch = micro_batch(recipe.train.batch, world.size, recipe.train.engine.micro_batch)
        torch.manual_seed(mix_seeds(recipe.train.seed, _BUILD))
        self.networks: N = self.method.build(self.spec)
        borrow(self.networks, borrowed or {})
        self.networks.to(device, memory_format=self.choices.memory_format)  # type: ignore[call-overload]
        if world.size > 1 and recipe.train.engine.shared_batch_norm:
            share_batch_norms(self.networks, world)
        world.equal(list(self.networks.state_dict().values()))
        for network in self.networks.children():
            self.choices.prepare(network)
        self._plan = moves_of(self.method)
        self._draws = 1 + max(move.draw for move in self._plan)
        self._owned = owned(self.method, self.networks)
        self._frozen = frozen(self.method, self.networks)
        self.optimisers = {
            player: recipe.optimisers[player].build(parameters) for player, parameters in self._owned.items()
        }
        self._means = {player: GradientAverage(weights, world) for player, weights in self._owned.items()}
        self.average = average(recipe, self.networks)
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    @property
    def progress(self) -> Progress:
        """Where the run stands."""
        return self.recipe.progress(self.images, len(self._loader.training))

    def step(self) -> None:
        """One step: every turn that is due, in order."""
        progress = self.progress
        self._begin(progress)
        due = [move for move in self._plan if progress.step % move.turn.every == 0]
        batches = self._batches(progress, [move.draw for move in due])
        kept: dict[int, Kept] = {}
        for move, batch in zip(due, batches, strict=True):
            kept = {move.noise: kept.get(move.noise, {})}  # Others are let go: their graphs are large.
            self._play(move, batch, self._noise(move, progress, kept[move.noise]), progress)
        self.images += self.recipe.train.batch
        self._world.average(self._separate_statistics())
        if self.average is not None and self.recipe.train.average is not None:
            self.average.follow(self.networks, self.recipe.train.average.decay(self.progress))

    @property
    def has_news(self) -> bool:
        """Whether there are numbers since the last flush."""
        return bool(self._sums)

    def flush(self) -> dict[str, float]:
        """Averages of all reported numbers since the last flush; this waits for the device."""
        if not self._sums:
            return {}
        means = torch.stack([total / self._counts[name] for name, total in self._sums.items()])
        self._world.average([means])
        row = dict(zip(self._sums, means.tolist(), strict=True))
        self._sums, self._counts = {}, {}
        return row

    def rehearse(self) -> bool:
        """Play every turn on one micro-batch and move nothing: whether memory is enough for a step.

        Networks that cannot be compiled in the way this method differentiates them go back to plain ones.
        """
        progress = self._largest()
        self._begin(progress)
        among(self.networks, ALONE)  # One process may run out of memory while the others wait for it.
        buffers = [(buffer, buffer.clone()) for buffer in self.networks.buffers()]
        ballast = [  # What the optimisers will need and have not asked for yet.
            torch.empty_like(parameter)
            for player, weights in self._owned.items()
            for parameter in weights * 2
            if not self.optimisers[player].state
        ]
        try:
            for move in {move.turn.name: move for move in self._plan}.values():
                self._rehearse(move, progress)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            if not out_of_memory(error):
                raise
            return False
        finally:
            del ballast
            self._only_moves([])
            for buffer, before in buffers:
                buffer.copy_(before)
            for optimiser in self.optimisers.values():
                optimiser.zero_grad(set_to_none=True)
            among(self.networks, self._world)
            self._sums, self._counts = {}, {}
        return True

    def halve(self) -> None:
        """Work on half as many pictures at a time, or a little fewer, so that they fill the batch evenly.

        Raises:
            SettingError: it is one picture already.
        """
        if self.micro_batch == 1:
            raise SettingError(
                "Memory must be enough for one picture at a time, and it is not. Use smaller pictures "
                "(data.size), narrower networks (see: gansmith recipes NAME), or another --device."
            )
        self.micro_batch = micro_batch(self.recipe.train.batch, self._world.size, self.micro_batch // 2)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

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

    @torch.no_grad()
    def judge(self, images: Images) -> Scores | None:
        """What the method's critic, as it stands, says of pictures in the networks' range; in eval mode."""
        self.networks.eval()
        with self._autocast():
            return self.method.scores(self.networks, images)

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
        load_module(self.networks, under(tensors, "networks."))
        if self.average is not None:
            load_module(self.average, under(tensors, "average."))
        for player, optimiser in self.optimisers.items():
            load_optimiser(optimiser, under(tensors, f"optimisers.{player}."))
        self.images = images

    # ---- inside a step --------------------------------------------------------------------------

    def _begin(self, progress: Progress) -> None:
        own = () if self._world.size == 1 else (self._world.rank,)
        seed = mix_seeds(self.recipe.train.seed, _GLOBAL, progress.images, *own)
        torch.manual_seed(seed)  # For dropout and the like.
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
        if (height, width) != (self.spec.height, self.spec.width):
            smaller = (
                F.adaptive_avg_pool2d(value, (height, width)) if value.dim() == 4 else value
                for value in batch
            )
            batch = type(batch)(*smaller)
        if self.choices.channels_last:
            return batch
        return type(batch)(*(value.contiguous() for value in batch))

    def _noise(self, move: Move[N, B], progress: Progress, kept: Kept) -> Noise:
        base = mix_seeds(self.recipe.train.seed, _NOISE, move.noise) // 2
        start, stop = self._world.span(progress.batch)
        positions = torch.arange(progress.images + start, progress.images + stop, device=self.device)
        return Noise(positions + base, kept if self._shares else None)

    @property
    def _shares(self) -> bool:
        """Whether moves go on with what others made: for parts of a batch all graphs would be held at once,
        and a CUDA graph writes its results to the same place again.
        """
        whole = self.micro_batch * self._world.size == self.recipe.train.batch
        return whole and not self.choices.graphs

    def _play(self, move: Move[N, B], batch: B, noise: Noise, progress: Progress) -> None:
        turn, takers = move.turn, self._takers(move)
        weights, optimiser = self._owned[turn.player], self.optimisers[turn.player]
        self._only_moves(takers)
        for player in move.takers:
            self.optimisers[player].zero_grad(set_to_none=True)
        parts = in_parts(batch, noise, self.micro_batch)
        for part, its_noise in parts[:-1]:
            self._differentiate(turn, part, its_noise, progress, len(parts))
        with self._means[turn.player].last_backward():
            self._differentiate(turn, *parts[-1], progress, len(parts))
        mine = set(map(id, weights))
        if any(weight.grad is not None for weight in takers if id(weight) not in mine):
            raise SettingError(
                "A loss must reach the networks of its own player alone. Received: turn "
                f"'{turn.name}', whose gradients reached those of {', '.join(move.takers[1:])}. Detach what "
                "noise.once made: it is kept with its graph for the player who made it."
            )
        if progress.step % _NORMS_EVERY == 0:
            self._note(turn.name, {"gradient": _norm(weights)})
        set_rate(optimiser, self.recipe.optimisers[turn.player], progress, self.rate)
        optimiser.step()
        with torch.no_grad():
            turn.constrain(self.networks)

    def _takers(self, move: Move[N, B]) -> list[nn.Parameter]:
        """Whose weights take gradients in a move."""
        players = move.takers if self._shares else move.takers[:1]
        return [weight for player in players for weight in self._owned[player]]

    def _only_moves(self, weights: Sequence[nn.Parameter]) -> None:
        """Only the mover's weights take gradients: no graph is built through the others where it is not
        needed, and none can leak.
        """
        self.networks.requires_grad_(False)
        for parameter in weights:
            parameter.requires_grad_(True)

    def _differentiate(
        self, turn: Turn[N, B], batch: B, noise: Noise, progress: Progress, parts: int = 1
    ) -> None:
        """Add the gradients of one of ``parts`` equal parts of the batch."""
        with self._autocast():
            loss = turn.loss(self.networks, batch, noise, progress)
        share = turn.every / parts
        (loss.total if share == 1 else loss.total * share).backward()  # type: ignore[no-untyped-call]
        self._note(turn.name, {"loss": loss.total, **loss.parts})

    def _largest(self) -> Progress:
        """The end of the run, where pictures that grow are as large as they become."""
        end = max(self.images, self.recipe.train.images - self.recipe.train.batch)
        return self.recipe.progress(end, len(self._loader.training))

    def _rehearse(self, move: Move[N, B], progress: Progress) -> None:
        size = self.recipe.train.batch
        position = progress.images * self._draws + move.draw * size
        batch = self._resize(self._loader.batch(position, size), progress)
        part = in_parts(batch, self._noise(move, progress, {}), self.micro_batch)[0]
        self._only_moves(self._takers(move))
        try:
            self._differentiate(move.turn, *part, progress)
        except Exception:
            if not self._compiled_back(move.turn.player):
                raise
            # Some ways of differentiating, twice for example, no compiler follows.
            self._rehearse(move, progress)

    def _compiled_back(self, player: str) -> bool:
        """Take compilation back: of the mover's networks, or of all where those were plain."""
        own = [self.networks.get_submodule(name) for name in self.method.players()[player]]
        return any([not_compiled(m) for m in own]) or any([not_compiled(m) for m in self.networks.children()])

    def _separate_statistics(self) -> list[Tensor]:
        """Running statistics that each process takes of its own part of the batch."""
        if self._world.size == 1 or self.recipe.train.engine.shared_batch_norm:
            return []
        norms = [m for m in self.networks.modules() if isinstance(m, nn.BatchNorm2d)]
        held = [statistic for m in norms for statistic in (m.running_mean, m.running_var)]
        return [statistic for statistic in held if statistic is not None]

    @property
    def precision(self) -> torch.dtype:
        """Of the networks' arithmetic; weights and losses are float32."""
        return self.choices.precision

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)

    def _note(self, turn: str, parts: Mapping[str, Tensor]) -> None:
        """Add up on the device; nothing is waited for until ``flush``."""
        for part, value in parts.items():
            name, value = f"{turn}/{part}", value.detach().to(self.device, torch.float32).reshape(())
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1


def pictures_of(
    method: Method[Any, Any, Any], networks: Networks, prompt: Any, noise: Noise, spec: ImageSpec
) -> Images:
    """Pictures in [-1, 1] from a bundle made by ``networks_for_pictures``."""
    with torch.inference_mode():
        images: Images = method.generate(networks, prompt, noise)
        return spec.to_pictures(images)


def _norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """The length of all gradients together."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.stack(torch._foreach_norm(gradients)).norm() if gradients else torch.zeros(())
