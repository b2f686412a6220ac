"""How many pictures a machine can work on at a time: a rehearsal tells before training begins."""

from collections.abc import Callable
from typing import Any

from gansmith.core.distributed import SINGLE_PROCESS, World
from gansmith.engine.sync_batch_norm import has_batch_norm
from gansmith.engine.trainer import Trainer


def fit_memory(
    trainer: Trainer[Any, Any, Any], say: Callable[[str], None], world: World = SINGLE_PROCESS
) -> None:
    """Let a trainer work on fewer pictures at a time until a step fits; all processes on equally many.

    Args:
        trainer: whose ``micro_batch`` is halved where need be.
        say: is told what was changed.
        world: the processes that train together.

    Raises:
        SettingError: not even one picture fits.
    """
    while world.max(0 if trainer.dry_run() else 1):
        before = trainer.micro_batch
        trainer.shrink_micro_batch()
        now = trainer.micro_batch
        norms = f"; batch norm takes its statistics over {now}" if has_batch_norm(trainer.networks) else ""
        say(
            f"Memory is too small for {before} pictures at a time. From here on {now} are worked on at a "
            f"time, and their gradients add up to the batch's{norms}."
        )
