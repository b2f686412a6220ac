"""What was asked of a model beside what came: a row for each wish, a column for each seed."""

from collections.abc import Callable, Sequence
from pathlib import Path

from gansmith.core.noise import Noise
from gansmith.errors import SettingError
from gansmith.images.grid import enlarged, grid, to_bytes, with_texts
from gansmith.images.provenance import KINDS, check_kind, write_picture
from gansmith.models.generator import Generator
from gansmith.models.prompts import Wish, check_no_wish
from gansmith.models.write import GRID_PICTURES, GRID_PIXELS, Choice, Written


def wish_sheet(
    generator: Generator,
    seeds: Sequence[int],
    wishes: Sequence[Wish],
    out: Path,
    choice: Choice | None = None,
    progress: Callable[[int], object] | None = None,
) -> Written:
    """Write one sheet: a row for each wish, which stands to the left of it, and a column for each seed.

    A column has the same noise all the way down, and so the same of what wishes leave open; each image is to
    the last bit the one that ``write`` makes of its seed and wish. Images below 64 px are enlarged.

    Args:
        generator: a conditional one.
        seeds: one column each.
        wishes: one row each.
        out: a ``.png``, ``.jpg`` or ``.webp``.
        choice: truncation and directions; its own wish is not looked at.
        progress: told how many further images are done.

    Raises:
        SettingError: the model does not know what is wished for, or OUT is no image or could not hold it all.
        StorageError: the disk refused.

    Example:
        >>> wishes = [Wish(label="cat"), Wish(label="dog")]
        >>> wish_sheet(open_generator("runs/pets"), range(8), wishes, Path("pets.png")).count
        16
    """
    asks, chosen, tell = generator.asks, choice or Choice(), progress or (lambda count: None)
    if asks is None:
        check_no_wish(next(filter(None, wishes), None), generator.name)
    if out.suffix.lower() not in KINDS or out.is_dir():
        raise SettingError(
            "Several wishes make one sheet, a row for each: a .png, .jpg or .webp. Received: "
            f"{len(wishes)} wishes and {str(out)!r}. Try -o {out.name or 'sheet'}.png, or give each wish a "
            "folder of its own. Attributes of one wish are parted by commas: smiling=1,glasses=0."
        )
    _check_room(generator, len(seeds), len(wishes))
    rows, texts = [], []
    for wish in wishes:
        prompts = generator.prompts(list(seeds), wish)
        made = to_bytes(generator.make(Noise.of(*seeds), prompts, chosen.truncation, chosen.move))
        rows.append(grid(enlarged(made), columns=len(seeds)))
        texts.append("" if asks is None else asks.in_words(wish))
        tell(len(seeds))
    page = with_texts(rows, texts)
    check_kind(out.suffix, page.shape[2], page.shape[1])
    moved = None if chosen.move is None else chosen.move.note
    note = "; ".join(filter(None, (f"a row each: {' | '.join(texts)}", moved)))
    write_picture(page, out, generator.provenance(seeds[0] if len(seeds) == 1 else None, note))
    return Written(len(seeds) * len(wishes), out)


def _check_room(generator: Generator, columns: int, rows: int) -> None:
    if not columns:
        raise SettingError("There is nothing to make: no seeds were given. Write, for example, 0-7.")
    side = max(64, generator.spec.height, generator.spec.width) + 2
    if columns * rows > GRID_PICTURES or columns * rows * side * side > GRID_PIXELS:
        raise SettingError(
            f"One sheet holds at most {GRID_PICTURES} pictures and {GRID_PIXELS // 10**6} million pixels. "
            f"Received: {rows} wishes of {columns} seeds. Ask for fewer seeds, such as --seeds 0-7."
        )
