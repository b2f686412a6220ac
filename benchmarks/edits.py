"""How well an IcGAN run reads photos and changes them, beside trivial baselines.

    python benchmarks/edits.py RUN DATA [--count 500] [--refine 100]

Of held-out images: L1 and PSNR of what is read and drawn again, beside the mean training image. Then each
attribute (or the class) is turned over in turn, and the classifier of `gansmith evaluate`, trained on the
same data, says whether it sees the new value (changed) and the old values of all others (kept), beside what
it says of the photo as it is.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from gansmith.data.loading.loader import Loader
from gansmith.data.open import open_data
from gansmith.images.grid import to_bytes
from gansmith.metrics.image_sets import DataPictures
from gansmith.metrics.scores.obedience import judge
from gansmith.metrics.scores.paired import each_psnr
from gansmith.models.edit import Change, Editor
from gansmith.models.load import open_generator
from gansmith.runs.run import Run


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    words.add_argument("run")
    words.add_argument("data")
    words.add_argument("--count", type=int, default=500)
    words.add_argument("--refine", type=int, default=100)
    asked = words.parse_args()
    recipe = Run.open(Path(asked.run)).recipe
    data = open_data(asked.data, recipe.data, fields=recipe.method.batch_type._fields)
    loader = Loader(data, recipe.method.batch_type, recipe.data, recipe.train.seed, torch.device("cpu"))
    generator = open_generator(asked.run, "cpu")
    editor = Editor(generator)
    column = editor.method.column
    there = loader.held_out[: asked.count]
    held = data.fetch(there, ("images", column))
    photos, truth = held["images"], held[column]
    training = loader.training[:5000]
    mean = data.fetch(training, ("images",))["images"].float().mean(dim=0).round().to(torch.uint8)
    sees = judge(DataPictures(data, "training", data.fingerprint, loader.training), column)
    print(f"{len(photos)} held-out images; the classifier is right on {_share(sees(photos) == truth):.3f}")
    _row("mean training image", mean.expand_as(photos), photos)
    for steps in dict.fromkeys((0, asked.refine)):
        editor.refine = steps
        latents, read = editor.read(photos)
        again = to_bytes(editor.draw(latents, read)).cpu()
        _row(f"read and drawn, {steps} steps", again, photos)
        print(f"  y read rightly {_share(read.cpu() == truth):.3f}; seen in the drawing: "
              f"{_share(sees(again) == truth):.3f}")  # fmt: skip
        _turned_over(editor, latents, read, truth, sees, photos)
    loader.close()


def _row(name: str, made: Tensor, photos: Tensor) -> None:
    l1 = (made.float() - photos.float()).abs().mean() / 127.5
    print(f"{name}: L1 {l1:.3f}, PSNR {each_psnr(made.contiguous(), photos).mean():.2f} dB")


def _turned_over(
    editor: Editor,
    latents: Tensor,
    read: Tensor,
    truth: Tensor,
    sees: Callable[[Tensor], Tensor],
    photos: Tensor,
) -> None:
    changed, kept, still = [], [], []
    if truth.dim() == 1:
        for label in range(len(editor.spec.class_names)):
            rows = truth != label
            made = to_bytes(editor.draw(latents[rows], torch.full_like(read[rows], label))).cpu()
            changed.append(sees(made) == label)
            still.append(sees(photos[rows]) == label)
        print(
            f"  changed {_share(torch.cat(changed)):.3f}; the photo as it is {_share(torch.cat(still)):.3f}"
        )
        return
    before = sees(photos)
    for number in range(truth.shape[1]):
        for value in (0, 1):
            rows = truth[:, number] != value
            if not bool(rows.any()):
                continue
            change = Change("", attributes={number: value})
            wanted = change.apply(read[rows], editor.excluded)
            seen = sees(to_bytes(editor.draw(latents[rows], wanted)).cpu())
            changed.append(seen[:, number] == value)
            still.append(before[rows][:, number] == value)
            same = (wanted == truth[rows].to(wanted.device)).cpu()
            kept.append((seen == truth[rows])[same])
    print(
        f"  changed {_share(torch.cat(changed)):.3f} (the photo as it is {_share(torch.cat(still)):.3f}); "
        f"others kept {_share(torch.cat(kept)):.3f} (the photo as it is {_share(before == truth):.3f})"
    )


def _share(right: Tensor) -> float:
    return float(right.double().mean())


if __name__ == "__main__":
    main()
