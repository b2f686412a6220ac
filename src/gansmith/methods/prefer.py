"""Prefer: a generator is fine-tuned towards what people liked; its own game is the guard (Lampinen 2017)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.core.tensors import Images, Latents, Scores
from gansmith.errors import SettingError, at_least
from gansmith.methods.base import Lender, Loss, Method, Turn
from gansmith.methods.batches import ImageBatch
from gansmith.methods.latent import LatentMethod, Way
from gansmith.methods.rpgan import RpGAN
from gansmith.networks.bundle import Networks
from gansmith.networks.preference import Preference
from gansmith.networks.preference_file import load_preference, read_facts

LossOf = Callable[[Any, ImageBatch, Noise, Progress], Loss]
_RATINGS = "ratings.sqlite"
_GENERATOR, _CRITIC = "generator", "discriminator"


@dataclass(frozen=True, kw_only=True)
class Prefer(LatentMethod[Any, ImageBatch, None]):
    """G: the lender's own loss - weight E[r(G(z))]; D: the lender's own loss.

    r = mean - std of the logits that an ensemble of heads gives an image, so that one they disagree about
    earns little. It is fitted by ``gansmith rate RUN --fit`` and frozen. The lender is any run that makes
    images of noise alone; all networks and memories start as its are, and its
    schedules stay where they ended.

    Example:
        >>> Prefer(weight=0.5).with_lenders(spec, lenders({"generator": "runs/faces"})).lender
    """

    batch_type: ClassVar[type[Any]] = ImageBatch

    weight: float = 0.3  # lambda; 0: the lender's game alone.
    lender: Method[Any, Any, Any] = RpGAN()  # Whose networks are borrowed; found by the run.
    ratings: str = ""  # The run whose ratings the preference was fitted to; likewise.

    def __post_init__(self) -> None:
        at_least(self, 0, "weight")

    def build(self, spec: DataSpec) -> Networks:
        networks: Networks = self.lender.build(spec)
        return networks

    def tiny(self) -> "Prefer":
        return replace(self, lender=self.lender.tiny())

    # ---- the lender -------------------------------------------------------------------------------

    def with_lenders(self, spec: DataSpec, lenders: Mapping[str, Lender]) -> "Prefer":
        """With the method of the run whose networks are borrowed, and its preference.

        Raises:
            SettingError: none is borrowed, it is conditional or of another size, it has no ratings or no
                preference, or one that says too little or is of another generator.
            DataError: its preference is damaged.
        """
        if not lenders:
            raise SettingError(
                "Prefer fine-tunes the generator of a finished run. Received: none. Train one (such as "
                "faces32), rate it (gansmith rate RUN), then add --set borrow.generator=RUN."
            )
        lender = next(iter(lenders.values()))
        method = lender.method.lender if isinstance(lender.method, Prefer) else lender.method
        if (
            not isinstance(method, LatentMethod)
            or method.prompt_type is not None
            or method.batch_type is not ImageBatch
            or _GENERATOR not in method.players()
        ):
            raise SettingError(
                "Prefer fine-tunes what makes images of a latent alone. Received: "
                f"{lender.name}, by {type(method).__name__}. Borrow a run by faces, rpgan, dcgan, wgan, "
                "sngan, r3gan, progan or stylegan2."
            )
        ours, theirs = _form(spec), _form(lender.spec)
        if ours != theirs:
            size = f"{lender.spec.width}x{lender.spec.height}"
            raise SettingError(
                f"A generator is fine-tuned at its own size. Received: {ours}; {lender.name} has {theirs}. "
                f"Add --set data.size={size} --set data.channels={lender.spec.channels}."
            )
        if lender.spec.scale is not None:
            raise SettingError(
                f"Prefer compares images in [-1, 1]. Received: {lender.name}, which was trained on "
                "standardized ones. Train it without data.standardize."
            )
        self._check_preference(Path(lender.name), lender)
        return replace(self, lender=method, ratings=lender.name)

    def _check_preference(self, run: Path, lender: Lender) -> None:
        facts = read_facts(run) if run.is_dir() else None
        if facts is None and not (run / _RATINGS).is_file():
            raise SettingError(
                f"What people like is learnt of their ratings. Received: {run}, which has none. Rate it: "
                f"gansmith rate {run}, then fit: gansmith rate {run} --fit."
            )
        if facts is None:
            raise SettingError(
                f"Ratings become a preference first. Received: {run}, which has ratings and no preference. "
                f"Run: gansmith rate {run} --fit."
            )
        if facts.generator != lender.fingerprint:
            raise SettingError(
                f"A preference is of the generator whose pictures were rated. Received: {run}, whose "
                f"preference is of {facts.generator} and whose generator is {lender.fingerprint}: it was "
                "trained since, or the file is another run's. Rate its pictures as they are now: "
                f"gansmith rate {run}, then gansmith rate {run} --fit."
            )
        facts.check_known(run)

    def borrowed(self, spec: DataSpec, borrow: Mapping[str, str]) -> Mapping[str, str]:
        """Every network and memory of the lender, from the one run that was named."""
        if not self.ratings:
            return borrow
        bundle = self.build(spec)
        memories = [name for name, _ in bundle.named_buffers(recurse=False)]
        return {name: self.ratings for name in (*(n for n, _ in bundle.named_children()), *memories)}

    def instruments(self, spec: DataSpec) -> Mapping[str, nn.Module]:
        critic = self.build(spec).get_submodule(_CRITIC)
        if not self.ratings:
            return {"preference": Preference(critic, spec)}
        return {"preference": load_preference(Path(self.ratings), critic, spec)}

    # ---- the game ---------------------------------------------------------------------------------

    def players(self) -> Mapping[str, tuple[str, ...]]:
        """The generator, and one player for all that is against it, whatever the lender calls it."""
        found: dict[str, tuple[str, ...]] = {}
        for player, names in self.lender.players().items():
            ours = _player(player)
            found[ours] = (*found.get(ours, ()), *names)
        return found

    def turns(self) -> Sequence[Turn[Any, ImageBatch]]:
        theirs = self.lender.turns()
        first = next(place for place, turn in enumerate(theirs) if turn.player == _GENERATOR)
        return tuple(
            replace(
                turn,
                player=_player(turn.player),
                loss=partial(self.preferring if place == first else self.as_before, turn.loss),
            )
            for place, turn in enumerate(theirs)
        )

    def as_before(
        self, loss: LossOf, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress
    ) -> Loss:
        """A loss of the lender's, its schedules where they ended."""
        return loss(networks, batch, noise, _ended(progress))

    def preferring(
        self, loss: LossOf, networks: Any, batch: ImageBatch, noise: Noise, progress: Progress
    ) -> Loss:
        """The lender's loss of the generator - weight x E[r] of images of latents of their own."""
        game = self.as_before(loss, networks, batch, noise, progress)
        images: Images = self.lender.generate(networks, None, noise.fork("preferred"))
        mean, std = networks.instruments["preference"](images)
        liked = (mean - std).mean()
        parts = {**game.parts, "liking": mean.mean(), "doubt": std.mean()}
        return Loss(game.total - self.weight * liked, parts, game.signals, game.rows)

    def after_step(self, networks: Any, signals: Mapping[str, Tensor], progress: Progress) -> None:
        self.lender.after_step(networks, signals, _ended(progress))

    def validation_metrics(self, networks: Any, batch: ImageBatch, noise: Noise) -> Mapping[str, Tensor]:
        """The lender's numbers, and the share of generated images that are more liked than not."""
        found = dict(self.lender.validation_metrics(networks, batch, noise))
        if "preference" in networks.instruments:
            mean, _ = networks.instruments["preference"](self.generate(networks, None, noise))
            found["liked"] = (mean > 0).float().mean()
        return found

    # ---- images -----------------------------------------------------------------------------------

    @property
    def spaces(self) -> tuple[str, ...]:  # type: ignore[override]
        """The lender's."""
        return self._latent.spaces

    @property
    def _latent(self) -> LatentMethod[Any, Any, Any]:
        assert isinstance(self.lender, LatentMethod)
        return self.lender

    def to_latent(self, networks: Any, noise: Noise, prompt: None, space: str = "z") -> Latents:
        return self._latent.to_latent(networks, noise, prompt, space)

    def synthesize(
        self, networks: Any, latents: Latents, noise: Noise, prompt: None, space: str = "z"
    ) -> Images:
        return self._latent.synthesize(networks, latents, noise, prompt, space)

    def generate(self, networks: Any, prompt: None, noise: Noise) -> Images:
        images: Images = self.lender.generate(networks, prompt, noise)
        return images

    def truncate(
        self, networks: Any, latents: Latents, psi: float, space: str = "z", prompt: None = None
    ) -> Latents:
        return self._latent.truncate(networks, latents, psi, space)

    def settle(self, networks: Any, psi: float, prompt: None, noise: Noise) -> None:
        self._latent.settle(networks, psi, prompt, noise)

    def way(self, space: str) -> Way:
        return self._latent.way(space)

    def critic_scores(self, networks: Any, images: Images, prompt: None) -> Scores | None:
        return self.lender.critic_scores(networks, images, prompt)


def _player(name: str) -> str:
    return _GENERATOR if name == _GENERATOR else _CRITIC


def _ended(progress: Progress) -> Progress:
    """The end of a run as long as this one, where the lender's schedules stayed."""
    return replace(progress, images=max(progress.images, progress.total_images))


def _form(spec: DataSpec) -> str:
    return f"{spec.width}x{spec.height} with {spec.channels} channels"
