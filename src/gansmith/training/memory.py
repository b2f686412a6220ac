"""How many pictures a machine can work on at a time: a rehearsal tells before training begins."""

from collections.abc import Callable
from typing import Any

from gansmith.core.distributed import ALONE, World
from gansmith.engine.sync_batch_norm import has_batch_norm
from gansmith.engine.trainer import Trainer


def fit_memory(trainer: Trainer[Any, Any, Any], say: Callable[[str], None], world: World = ALONE) -> None:
    """Let a trainer work on fewer pictures at a time until a step fits; all processes on equally many.

    Args:
        trainer: whose ``micro_batch`` is halved where need be.
        say: is told what was changed.
        world: the processes that train together.

    Raises:
        SettingError: not even one picture fits.
    """
    while world.most(0 if trainer.rehearse() else 1):
        before = trainer.micro_batch
        trainer.halve()
        now = trainer.micro_batch
        norms = f"; batch norm takes its statistics over {now}" if has_batch_norm(trainer.networks) else ""
        say(
            f"Memory is too small for {before} pictures at a time. From here on {now} are worked on at a "
            f"time, and their gradients add up to the batch's{norms}."
        )
