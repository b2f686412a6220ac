"""How often a size can be halved: base grid and number of upsamplings of a network."""

from gansmith.errors import SettingError

MAX_BASE = 32  # The smallest grid of a network is 3 to 32 cells a side.


def resolution_steps(height: int, width: int) -> tuple[int, int, int]:
    """(base height, base width, num_upsamplings): 64 x 64 is 4 x 4 doubled 4 times, 28 x 28 is 7 x 7 twice.

    Raises:
        SettingError: the size cannot be reached by doubling a small grid; the nearest that can is named.
    """
    reached = _resolution_steps(height, width)
    if reached is None:
        near_height, near_width = _nearest(height, width)
        near = f"{near_width}x{near_height}" if near_width != near_height else str(near_width)
        raise SettingError(
            "A picture's sides must be k*2^n with the same n for both and k from 3 to 32 "
            f"(28, 32, 48, 64, 96x64, 128). Received: {width}x{height}. Try data.size={near}."
        )
    return reached


def _resolution_steps(height: int, width: int) -> tuple[int, int, int] | None:
    num_upsamplings = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) // 2 >= 3:
        height, width, num_upsamplings = height // 2, width // 2, num_upsamplings + 1
    return (height, width, num_upsamplings) if num_upsamplings and max(height, width) <= MAX_BASE else None


def _nearest(height: int, width: int) -> tuple[int, int]:
    """The reachable size that is least far from this one, both sides counted."""
    bases = range(3, MAX_BASE + 1)
    # Of two equally near, the one with more doublings: its networks are deeper and cheaper.
    reachable = ((high << n, wide << n) for n in range(11, 0, -1) for high in bases for wide in bases)
    return min(reachable, key=lambda size: abs(size[0] - height) + abs(size[1] - width))
