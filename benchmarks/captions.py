"""Whether a model drew what its captions ask for: `python benchmarks/captions.py RUN [DATA] [--count 500]`.

The captions of held-out images are asked for, and the classifier of `gansmith evaluate`, trained on the same
data, says whether it sees the attributes of those images. Only attributes that captions of demo-faces name
are counted. Beside it: the real images themselves, real images of other captions, which is what a model that
ignores its captions reaches, and always the more frequent value. With --text RUN: how often the true caption
is found among 100, by that run's encoders.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from gansmith.core.noise import Noise
from gansmith.data.loading.loader import Loader, to_float
from gansmith.data.open import open_data
from gansmith.images.grid import to_bytes
from gansmith.methods.batches import CaptionPrompt
from gansmith.methods.text import found, same_captions
from gansmith.metrics.image_sets import DataPictures
from gansmith.metrics.scores.obedience import judge
from gansmith.models.load import open_generator
from gansmith.runs.run import Run

NAMED = (
    "smiling", "sad", "glasses", "sunglasses", "beard", "moustache", "hat", "bald", "long hair", "curly hair",
    "dark hair", "fair hair", "grey hair", "age lines",
)  # fmt: skip


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    words.add_argument("run")
    words.add_argument("data", nargs="?", default="demo-faces")
    words.add_argument("--count", type=int, default=500)
    words.add_argument("--text")
    asked = words.parse_args()
    recipe = Run.open(Path(asked.run)).recipe
    data = open_data(asked.data, recipe.data, fields=("images", "captions", "attributes"))
    loader = Loader(data, recipe.method.batch_type, recipe.data, recipe.train.seed, torch.device("cpu"))
    held = data.fetch(loader.held_out[: asked.count], ("images", "captions", "attributes"))
    counted = [data.info.attribute_names.index(name) for name in NAMED]
    truth = held["attributes"][:, counted]
    sees = judge(DataPictures(data, "training", data.fingerprint, loader.training[:5000]), "attributes")
    generator = open_generator(asked.run, "cpu")
    made = to_bytes(generator.make(Noise.of(*range(len(truth))), CaptionPrompt(held["captions"]))).cpu()
    usual = (truth.float().mean(dim=0) > 0.5).to(torch.uint8)
    rows = {
        "asked for": (sees(made)[:, counted], made),
        "the real image": (sees(held["images"])[:, counted], held["images"]),
        "another real image": (sees(held["images"].roll(1, 0))[:, counted], held["images"].roll(1, 0)),
        "the more frequent value": (usual.expand_as(truth), None),
    }
    for name, (seen, images) in rows.items():
        right = (seen == truth).double()
        there = (right * truth).sum(dim=0) / truth.sum(dim=0).clamp(min=1)
        line = f"{name:24} right {right.mean():.3f}, of those there {(right * truth).sum() / truth.sum():.3f}"
        if asked.text and images is not None:
            line += f", caption found {_found(asked.text, images, held['captions']):.3f}"
        print(line)
        if name == "asked for":
            each = zip(NAMED, there.tolist(), strict=True)
            print("  " + ", ".join(f"{each_name} {share:.2f}" for each_name, share in each))
    loader.close()


def _found(run: str, images: Tensor, captions: Tensor) -> float:
    """The share of images whose caption is the most similar of 100."""
    model = open_generator(run, "cpu")
    networks, side = model.networks, (model.spec.height, model.spec.width)
    shares = []
    with torch.inference_mode():
        for rows, texts in zip(images.split(100), captions.split(100), strict=True):
            small = torch.nn.functional.adaptive_avg_pool2d(to_float(rows), side)
            similarity = networks.get_submodule("image_encoder")(small)
            similarity = similarity @ networks.get_submodule("text_encoder")(texts).t()
            shares.append(found(similarity, same_captions(texts)) * len(rows))
    return float(sum(shares)) / len(images)


if __name__ == "__main__":
    main()
