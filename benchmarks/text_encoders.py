"""How well text encoders find captions: `python benchmarks/text_encoders.py RUN [RUN ...] [--data DATA]`.

Of runs by text32 or text64: the share of held-out images whose own caption is the most similar one of 128,
all held-out images in parts of 128 in a fixed order, and the share of words of their captions that a run does
not know. With --swap "glasses=spectacles,smiling=grinning" also for the same captions with other words in
place of those that training had. Runs should share data, sizes and seeds: then they hold out the same images.
"""

import argparse
import re
from pathlib import Path

import torch

from gansmith.data.loading.loader import Loader, to_float
from gansmith.data.metadata.captions import to_column, to_texts, words_of
from gansmith.data.open import open_data
from gansmith.methods.text import found, same_captions
from gansmith.models.load import open_generator
from gansmith.runs.run import Run

_AMONG = 128


def main() -> None:
    """Measure and print a line a run."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    words.add_argument("runs", nargs="+")
    words.add_argument("--data", default="demo-faces")
    words.add_argument("--swap", default="")
    asked = words.parse_args()
    swaps = dict(pair.split("=", 1) for pair in asked.swap.split(",") if pair)
    for run in asked.runs:
        recipe = Run.open(Path(run)).recipe
        data = open_data(asked.data, recipe.data, fields=("images", "captions"))
        loader = Loader(data, recipe.method.batch_type, recipe.data, recipe.train.seed, torch.device("cpu"))
        rows = loader.held_out[
            torch.randperm(len(loader.held_out), generator=torch.Generator().manual_seed(0))
        ]
        held = data.fetch(rows, ("images", "captions"))
        loader.close()
        texts = to_texts(held["captions"])
        spoken = [word for text in texts for word in words_of(text)]
        known = set(recipe.method.words(recipe.spec()))
        strange = sum(word not in known for word in spoken) / len(spoken) if known else 0.0
        images = to_float(held["images"])
        line = f"{run}: of {len(texts)} captions found {_found(run, images, texts):.3f}, "
        line += f"unknown words {strange:.4f}"
        if swaps:
            swapped = [_swapped(text, swaps) for text in texts]
            line += f"; other words {_found(run, images, swapped):.3f}"
        print(line, flush=True)


def _swapped(text: str, swaps: dict[str, str]) -> str:
    pattern = "|".join(rf"\b{re.escape(word)}\b" for word in swaps)
    return re.sub(pattern, lambda match: swaps[match.group().lower()], text, flags=re.IGNORECASE)


def _found(run: str, images: torch.Tensor, texts: list[str]) -> float:
    """The share of images whose caption is the most similar one among those of their part."""
    networks = open_generator(run, "cpu").networks
    captions, shares = to_column(texts), []
    with torch.inference_mode():
        for some, said in zip(images.split(_AMONG), captions.split(_AMONG), strict=True):
            if len(some) == _AMONG:
                vectors = networks.get_submodule("text_encoder")(said)
                similarity = networks.get_submodule("image_encoder")(some) @ vectors.t()
                shares.append(float(found(similarity, same_captions(said))))
    return sum(shares) / len(shares)


if __name__ == "__main__":
    main()
