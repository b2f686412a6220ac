"""What torchrun says of this process, for those who must not wait for torch to know it."""

import os

_claims: list[bool] = []


def launched() -> bool:
    """Whether torchrun, or a launcher like it, started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def speaks() -> bool:
    """Whether this process is the one that talks to the user: the first, until another one has to."""
    if _claims:
        return _claims[-1]
    return not launched() or os.environ.get("RANK", "0") == "0"


def claim(mine: bool) -> None:
    """Let this process print messages from now on, or not."""
    _claims.append(mine)
