"""Obedience to sentences, with images whose colour says it all."""

import pytest
import torch

from gansmith.data.dataset import MemoryDataSet
from gansmith.data.metadata.captions import to_column
from gansmith.errors import DataError
from gansmith.metrics.image_sets import DataPictures
from gansmith.metrics.scores.obedience import _Areas, obedience, said

TEXTS = ["a red square", "a blue square"]


def pictures(red: torch.Tensor, captions: list[str] | None = None) -> DataPictures:
    """Noise with a cast of red where that is asked for, else of blue."""
    draw = torch.Generator().manual_seed(len(red))
    images = torch.randint(0, 120, (len(red), 3, 8, 8), generator=draw, dtype=torch.uint8)
    images[red, 0] += 100
    images[~red, 2] += 100
    texts = captions or [TEXTS[0] if one else TEXTS[1] for one in red.tolist()]
    data = MemoryDataSet("toy", {"images": images, "captions": to_column(texts)}, "toy")
    return DataPictures(data, "toy", "toy", torch.arange(len(red)))


RED = torch.arange(80) % 2 == 0


def test_images_that_are_what_was_asked_for_are_told_from_those_that_are_not() -> None:
    asked = {"captions": to_column([TEXTS[0] if one else TEXTS[1] for one in RED.tolist()])}
    parts = pictures(RED), pictures(RED[:40])
    found = {
        name: obedience(pictures(colours), asked, parts)["obedience"]
        for name, colours in {"obeys": RED, "deaf": torch.arange(80) % 4 < 2, "contrary": ~RED}.items()
    }
    assert found["obeys"].value == 1.0 and found["contrary"].value == 0.0
    deaf = found["deaf"]
    assert deaf.low is not None and deaf.high is not None and deaf.low < 0.5 < deaf.high
    assert "each of 2 words" in deaf.note and "reach 1.000" in deaf.note, (
        "'a' and 'square' tell nothing apart"
    )


def test_areas_and_their_error_are_those_of_pairs_counted_one_by_one() -> None:
    draw = torch.Generator().manual_seed(0)
    truth = torch.rand(30, 2, generator=draw) < 0.5
    scores = truth + torch.randn(30, 2, generator=draw).round(decimals=1)  # With ties.
    found = _Areas(scores, truth.to(torch.uint8))
    for word in range(2):
        high, low = scores[truth[:, word], word], scores[~truth[:, word], word]
        wins = (high[:, None] > low).double() + 0.5 * (high[:, None] == low)
        assert found.areas[word] == pytest.approx(float(wins.mean()))
        # DeLong's variance of one area: both sides' components, each with its own count.
        one = wins.mean(dim=1).var(correction=0) / len(high) + wins.mean(dim=0).var(correction=0) / len(low)
        only = torch.arange(2) == word
        assert found.error(only) == pytest.approx(float(one.sqrt()), rel=0.03)


def test_words_of_sentences() -> None:
    assert said(["A red cap.", "a hat"], ["cap", "a"]).tolist() == [[1, 1], [0, 1]]


def test_captions_that_are_all_alike_ask_for_nothing() -> None:
    same = pictures(RED, ["a square"] * 80)
    with pytest.raises(DataError, match="Give captions that differ"):
        obedience(same, {"captions": to_column(["a square"] * 80)}, (same, same))
