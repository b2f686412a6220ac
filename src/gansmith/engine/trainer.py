"""The only training loop: players take turns, and where the run stands is one integer."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gansmith.config.optimizers import set_rate
from gansmith.config.recipe import Recipe
from gansmith.core.distributed import SINGLE_PROCESS, World
from gansmith.core.noise import Cache, Noise, mix_seeds
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Scores, full, per_image
from gansmith.data.loading.loader import Loader
from gansmith.engine.device import Choices, not_compiled, out_of_memory
from gansmith.engine.ema import bundle_for_pictures
from gansmith.engine.gradients import GradientAverage
from gansmith.engine.layout import OLD_OPTIMIZERS, idle_of
from gansmith.engine.memory_order import in_memory_order
from gansmith.engine.micro_batch import in_parts, micro_batch
from gansmith.engine.parameters import average, owned, set_modes
from gansmith.engine.state import borrow, load_module, load_optimizer, under
from gansmith.engine.step_signals import StepSignals
from gansmith.engine.sync_batch_norm import set_world, share_batch_norms
from gansmith.engine.turns import Update, schedule_updates
from gansmith.errors import SettingError
from gansmith.methods.base import Batch, Loss, Method, Turn
from gansmith.methods.batches import IMAGE_COLUMNS
from gansmith.networks.bundle import Networks

N = TypeVar("N", bound=Networks)
B = TypeVar("B", bound=Batch)
P = TypeVar("P")

_BUILD, _NOISE, _GLOBAL, _MEASURE, _INSTRUMENTS = (
    11,
    12,
    13,
    14,
    15,
)  # Keeps the random streams of one seed apart.
_PROMPTS = 1024  # Training rows whose prompts are kept.
_NORMS_EVERY = 8  # Steps between two looks at the gradients' norms, so that they cost next to nothing.


class Trainer(Generic[N, B, P]):
    """Holds the networks, optimizers and averages of a recipe, and performs one training step at a time.

    Data, noise, learning rate and average are functions of images seen, so a trainer that loads
    ``state`` continues bit for bit as if it had never stopped (in float32, on the same machine).

    Args:
        recipe: what to do; ``recipe.data.channels`` must be known.
        loader: where batches come from; it gives this process's part of them.
        device: where networks live.
        borrowed: weights of networks taken from other runs, keyed ``name.parameter``.
        world: the processes that train together.

    Attributes:
        micro_batch: images worked on at a time; gradients add up until the batch is complete.
        rate: all learning rates are multiplied by it.

    Raises:
        SettingError: the recipe does not fit together, or the batch cannot be shared out evenly.

    Example:
        >>> device = torch.device("cpu")
        >>> trainer = Trainer(recipe, Loader(data, ImageBatch, recipe.data, 0, device), device)
        >>> trainer.step(); trainer.flush()
    """

    def __init__(
        self,
        recipe: Recipe,
        loader: Loader[B],
        device: torch.device,
        borrowed: Mapping[str, Tensor] | None = None,
        world: World = SINGLE_PROCESS,
    ) -> None:
        self.recipe, self.device, self._loader, self._world = recipe, device, loader, world
        self.method: Method[N, B, P] = recipe.method
        self.spec: DataSpec = recipe.spec()
        self.images, self.rate = 0, 1.0
        self.choices = Choices.of(recipe.train, device)
        self.choices.apply()
        self.micro_batch = micro_batch(recipe.train.batch, world.size, recipe.train.engine.micro_batch)
        torch.manual_seed(mix_seeds(recipe.train.seed, _BUILD))
        self.networks: N = self.method.build(self.spec)
        self.networks.to(device, memory_format=self.choices.memory_format)  # type: ignore[call-overload]
        if world.size > 1 and recipe.train.engine.shared_batch_norm:
            share_batch_norms(self.networks, world)
        torch.manual_seed(mix_seeds(recipe.train.seed, _INSTRUMENTS))
        instruments = self.method.instruments(self.spec)
        self.networks.attach({name: network.to(device) for name, network in instruments.items()})
        lenses = self.method.lenses(self.spec)
        self.networks.attach_lenses({name: network.to(device) for name, network in lenses.items()})
        borrow(self.networks, borrowed or {})
        world.broadcast_(list(self.networks.state_dict().values()))
        for network in self.networks.children():
            self.choices.prepare(network)
        self._plan = schedule_updates(self.method)
        self._batches_per_step = 1 + max(update.batch_index for update in self._plan)
        self._owned = owned(self.method, self.networks)
        self.optimizers = {
            player: recipe.optimizers[player].build(parameters) for player, parameters in self._owned.items()
        }
        self._means = {player: GradientAverage(weights, world) for player, weights in self._owned.items()}
        self.average = average(recipe, self.networks)
        self._signals = StepSignals(world)
        self.prompts = self._prompt_table()
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
        self._signals = StepSignals(self._world)
        due = [update for update in self._plan if progress.step % update.turn.every == 0]
        batches = self._batches(progress, [update.batch_index for update in due])
        caches: dict[int, Cache] = {}
        for update, batch in zip(due, batches, strict=True):
            caches = {
                update.noise: caches.get(update.noise, {})
            }  # Others are let go: their graphs are large.
            self._play(update, batch, self._noise(update, progress, caches[update.noise]), progress)
        self._remember(progress)
        self.images += self.recipe.train.batch
        self._world.average(self._separate_statistics())
        if self.average is not None and self.recipe.train.average is not None:
            self.average.update(self.networks, self.recipe.train.average.decay(self.progress))

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

    def dry_run(self) -> bool:
        """Play every turn on one micro-batch and move nothing: whether memory is enough for a step.

        Networks that cannot be compiled in the way this method differentiates them go back to plain ones.
        """
        progress = self._largest()
        self._begin(progress)
        set_world(
            self.networks, SINGLE_PROCESS
        )  # One process may run out of memory while the others wait for it.
        buffers = [(buffer, buffer.clone()) for buffer in self.networks.buffers()]
        ballast = [  # What the optimizers will need and have not asked for yet.
            torch.empty_like(parameter)
            for player, weights in self._owned.items()
            for parameter in weights * 2
            if not self.optimizers[player].state
        ]
        try:
            for update in {update.turn.name: update for update in self._plan}.values():
                self._dry_run(update, progress)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            if not out_of_memory(error):
                raise
            return False
        finally:
            del ballast
            self._only_moves([])
            for buffer, before in buffers:
                buffer.copy_(before)
            for optimizer in self.optimizers.values():
                optimizer.zero_grad(set_to_none=True)
            set_world(self.networks, self._world)
            self._sums, self._counts = {}, {}
        return True

    def shrink_micro_batch(self) -> None:
        """Work on half as many images at a time, or a little fewer, so that they fill the batch evenly.

        Raises:
            SettingError: it is one image already.
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
    def validation_metrics(self, batch: B) -> dict[str, float]:
        """The method's own numbers about a batch no player moves on, taken on a copy of the networks."""
        networks = copy.deepcopy(self.networks)
        count = len(batch[0])
        seeds = torch.arange(count, device=self.device) + mix_seeds(self.recipe.train.seed, _MEASURE) // 2
        numbers = self.method.validation_metrics(networks, self._resize(batch, self.progress), Noise(seeds))
        return {name: float(value) for name, value in numbers.items()}

    @torch.no_grad()
    def critic_scores(self, images: Images, prompt: P) -> Scores | None:
        """What the method's critic, as it stands, says of images in the networks' range: [batch].

        In eval mode; a critic of patches is averaged over them.
        """
        self.networks.eval()
        with self._autocast():
            scores = self.method.critic_scores(self.networks, images, prompt)
        return None if scores is None else per_image(scores)

    # ---- state ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Every tensor a restart needs, by name."""
        tensors = {f"networks.{name}": value for name, value in self.networks.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        tensors |= {f"prompts.{name}": column for name, column in self.prompts.items()}
        for player, optimizer in self.optimizers.items():
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {
                    f"optimizers.{player}.{index}.{key}": value
                    for key, value in state.items()
                    if isinstance(value, Tensor)
                }
        return tensors

    @property
    def idle(self) -> dict[str, list[int]]:
        """Of each player the weights, by number, that no loss has reached: ``state`` lacks their memory."""
        return idle_of(self.optimizers)

    def load(self, tensors: Mapping[str, Tensor], images: int) -> None:
        """Continue from ``state()`` taken after ``images`` images.

        Raises:
            CheckpointError: the tensors are of other networks.
        """
        load_module(self.networks, under(tensors, "networks."))
        if self.average is not None:
            load_module(self.average, under(tensors, "average."))
        for player, optimizer in self.optimizers.items():
            state = under(tensors, f"optimizers.{player}.") or under(tensors, f"{OLD_OPTIMIZERS}{player}.")
            load_optimizer(optimizer, state)
        self.images = images

    # ---- inside a step --------------------------------------------------------------------------

    def _begin(self, progress: Progress) -> None:
        own = () if self._world.size == 1 else (self._world.rank,)
        seed = mix_seeds(self.recipe.train.seed, _GLOBAL, progress.images, *own)
        torch.manual_seed(seed)  # For dropout and the like.
        set_modes(self.method, self.networks)

    def _batches(self, progress: Progress, indices: list[int]) -> Iterator[B]:
        """The batch of each move; the following one is fetched in the background."""
        size = self.recipe.train.batch
        start = progress.images * self._batches_per_step
        positions = [start + index * size for index in indices]
        after = start + self._batches_per_step * size  # Where the next step begins.
        previous: int | None = None
        for i, position in enumerate(positions):
            if position != previous:
                later = next((p for p in positions[i + 1 :] if p != position), after)
                batch = self._resize(self._loader.batch(position, size, later), progress)
                previous = position
            yield batch

    def _resize(self, batch: B, progress: Progress) -> B:
        """Smaller images while a method grows; area averaging, as ProGAN does (Karras 2017)."""
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

    def _noise(self, update: Update[N, B], progress: Progress, cache: Cache) -> Noise:
        base = mix_seeds(self.recipe.train.seed, _NOISE, update.noise) // 2
        start, stop = self._world.span(progress.batch)
        positions = torch.arange(progress.images + start, progress.images + stop, device=self.device)
        return Noise(positions + base, cache if self._reuses_fakes else None)

    @property
    def _reuses_fakes(self) -> bool:
        """Whether moves go on with what others made: for parts of a batch all graphs would be held at once,
        and a CUDA graph writes its results to the same place again.
        """
        whole = self.micro_batch * self._world.size == self.recipe.train.batch
        return whole and not self.choices.graphs

    def _play(self, update: Update[N, B], batch: B, noise: Noise, progress: Progress) -> None:
        turn, grad_weights = update.turn, self._grad_weights(update)
        weights, optimizer = self._owned[turn.player], self.optimizers[turn.player]
        self._only_moves(grad_weights)
        for player in update.grad_players:
            self.optimizers[player].zero_grad(set_to_none=True)
        parts = in_parts(batch, noise, self.micro_batch)
        self._signals.begin_move()
        for part, its_noise in parts[:-1]:
            self._signals.add(self._differentiate(turn, part, its_noise, progress, len(parts)))
        with self._means[turn.player].last_backward():
            self._signals.add(self._differentiate(turn, *parts[-1], progress, len(parts)))
        mine = set(map(id, weights))
        if any(weight.grad is not None for weight in grad_weights if id(weight) not in mine):
            raise SettingError(
                "A loss must reach the networks of its own player alone. Received: turn "
                f"'{turn.name}', whose gradients reached those of {', '.join(update.grad_players[1:])}. "
                "Detach what noise.cached gave: it is kept with its graph for the player who made it."
            )
        if progress.step % _NORMS_EVERY == 0:
            self._note(turn.name, {"gradient": _norm(weights)})
        config = self.recipe.optimizers[turn.player]
        if config.clip is not None:
            nn.utils.clip_grad_norm_(weights, config.clip)
        set_rate(optimizer, config, progress, self.rate)
        with in_memory_order(optimizer):
            optimizer.step()
        with torch.no_grad():
            turn.post_step(self.networks)

    def _grad_weights(self, update: Update[N, B]) -> list[nn.Parameter]:
        """Whose weights take gradients in a move."""
        players = update.grad_players if self._reuses_fakes else update.grad_players[:1]
        return [weight for player in players for weight in self._owned[player]]

    @torch.no_grad()
    def _remember(self, progress: Progress) -> None:
        """Let the method write its memory, from numbers that are the same on every process."""
        self.method.after_step(self.networks, self._signals.result(), progress)

    def _prompt_table(self) -> dict[str, Tensor]:
        """Prompts of some training rows, by column: what a checkpoint knows of the data's frequencies."""
        kind = self.method.prompt_type
        fields = () if kind is None else tuple(f for f in kind._fields if f not in IMAGE_COLUMNS)
        return self._loader.columns(fields, _PROMPTS) if fields else {}

    def _only_moves(self, weights: Sequence[nn.Parameter]) -> None:
        """Only the mover's weights take gradients: no graph is built through the others where it is not
        needed, and none can leak.
        """
        self.networks.requires_grad_(False)
        for parameter in weights:
            parameter.requires_grad_(True)

    def _differentiate(
        self, turn: Turn[N, B], batch: B, noise: Noise, progress: Progress, parts: int = 1
    ) -> Loss:
        """Add the gradients of one of ``parts`` equal parts of the batch."""
        with self._autocast():
            loss = turn.loss(self.networks, batch, noise, progress)
        share = turn.every / parts
        (loss.total if share == 1 else loss.total * share).backward()  # type: ignore[no-untyped-call]
        self._note(turn.name, {"loss": loss.total, **loss.parts})
        return loss

    def _largest(self) -> Progress:
        """The end of the run, where images that grow are as large as they become."""
        end = max(self.images, self.recipe.train.images - self.recipe.train.batch)
        return self.recipe.progress(end, len(self._loader.training))

    def _dry_run(self, update: Update[N, B], progress: Progress) -> None:
        size = self.recipe.train.batch
        position = progress.images * self._batches_per_step + update.batch_index * size
        batch = self._resize(self._loader.batch(position, size), progress)
        part = in_parts(batch, self._noise(update, progress, {}), self.micro_batch)[0]
        self._only_moves(self._grad_weights(update))
        try:
            self._differentiate(update.turn, *part, progress)
        except Exception:
            if not self._compiled_back(update.turn.player):
                raise
            # Some ways of differentiating, twice for example, no compiler follows.
            self._dry_run(update, progress)

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
            name, value = f"{turn}/{part}", value.detach().reshape(())
            value = full(value) if value.device == self.device else value.to(self.device, torch.float32)
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1


def pictures_of(
    method: Method[Any, Any, Any], networks: Networks, prompt: Any, noise: Noise, spec: DataSpec
) -> Images:
    """Images in [-1, 1] from a bundle made by ``networks_for_pictures``."""
    with torch.inference_mode():
        images: Images = method.generate(networks, prompt, noise)
        return spec.to_pictures(images)


def _norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """The length of all gradients together."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.stack(torch._foreach_norm(gradients)).norm() if gradients else torch.zeros(())
