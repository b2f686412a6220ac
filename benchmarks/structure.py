"""How the code is laid out: lines by folder, modules at the top, and what one training step passes through.

python benchmarks/structure.py
"""

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import gansmith

HOME = Path(gansmith.__file__).parent


def lines_by_folder() -> Counter[str]:
    """Lines of Python in each folder of the package."""
    found: Counter[str] = Counter()
    for path in HOME.rglob("*.py"):
        parts = path.relative_to(HOME).parts
        found[parts[0] if len(parts) > 1 else "(top)"] += len(path.read_text(encoding="utf-8").splitlines())
    return found


def one_step() -> tuple[int, int, int]:
    """(files, functions, calls) of the package that one step of DCGAN at 16 px passes through."""
    from gansmith.config.overrides import override
    from gansmith.data.dataset import MemoryDataSet
    from gansmith.data.loading.loader import Loader
    from gansmith.engine.trainer import Trainer
    from gansmith.recipes import named

    recipe = named("dcgan64")
    for setting in ("data.size=16", "data.channels=3", "train.batch=4", "method.generator_width=4"):
        recipe = override(recipe, setting)
    data = MemoryDataSet("noise", {"images": torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8)})
    cpu = torch.device("cpu")
    trainer: Any = Trainer(recipe, Loader(data, recipe.method.batch_type, recipe.data, 0, cpu), cpu)
    trainer.step()
    calls: Counter[tuple[str, str]] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(HOME)):
            calls[frame.f_code.co_filename, frame.f_code.co_qualname] += 1

    sys.setprofile(count)
    trainer.step()
    sys.setprofile(None)
    return len({file for file, _ in calls}), len(calls), sum(calls.values())


def main() -> None:
    """Print them."""
    lines = lines_by_folder()
    total = sum(lines.values())
    for name, count in lines.most_common():
        print(f"{name:12} {count:7,} {count / total:6.1%}")
    print(f"{'all':12} {total:7,} in {len(list(HOME.rglob('*.py')))} files")
    print(f"modules at the top: {len(list(HOME.glob('*.py')))}")
    print("one step: {} files, {} functions, {} calls".format(*one_step()))


if __name__ == "__main__":
    main()
