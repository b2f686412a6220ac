"""The text encoder: words, losses in closed form, and captions that cannot be understood."""

import math
from typing import Any

import pytest
import torch
from helpers import random_images

from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.spec import DataSpec
from gansmith.data.builtin.sets import DemoFaces
from gansmith.data.metadata.captions import to_column, to_texts, vocabulary, words_of
from gansmith.errors import SettingError
from gansmith.losses.joint import Contrastive, JointLoss, Structured
from gansmith.methods.batches import CaptionBatch, CaptionPrompt
from gansmith.methods.text import JointEmbedding, found, same_captions
from gansmith.models.prompts import Prompts, Wish
from gansmith.networks.text import TextEncoder
from gansmith.networks.words import Learnt

WORDS = ("a", "red", "cap", "blue", "hair", "smiling", "with", "glasses")
SPEC = DataSpec(height=16, width=16, caption_length=60, words=WORDS)
EYE = torch.eye(4, dtype=torch.bool)


def test_words_and_the_vocabulary() -> None:
    assert words_of("An older person's V-neck, été!") == ["an", "older", "person's", "v-neck", "été"]
    assert words_of(" .,!") == []
    assert vocabulary(["a red cap", "A RED hat", "a " + "x" * 50, "x" * 50]) == ("a", "red")


def test_demo_faces_say_what_they_show() -> None:
    data = DemoFaces(3)
    shown = to_texts(data.fetch(torch.arange(3), ("captions",))["captions"])
    assert shown == [data.caption(index) for index in range(3)]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(Learnt().table(WORDS, 16), width=16, size=8)


def encoded(encoder: TextEncoder, *texts: str) -> torch.Tensor:
    return encoder(to_column(texts)).detach()


def test_sentences_are_unit_vectors_that_know_their_order(encoder: TextEncoder) -> None:
    first, second = encoded(encoder, "a red cap, blue hair", "a blue cap, red hair")
    assert first.norm().item() == pytest.approx(1.0, abs=1e-5)
    assert float((first - second).abs().max()) > 1e-3, "the same words in another order"
    alone = encoded(encoder, "red cap")[0]
    beside = encoded(encoder, "red cap", "a smiling cap with glasses")[0]
    torch.testing.assert_close(alone, beside, rtol=0, atol=1e-6)
    strange = encoded(encoder, "RED zebra cap!")[0]
    torch.testing.assert_close(strange, alone, rtol=0, atol=1e-6)
    assert torch.isfinite(encoded(encoder, "zebra", "")).all()


def test_losses_that_know_nothing_cost_the_closed_form() -> None:
    same, zeros = EYE.clone(), torch.zeros(4, 4)
    assert Contrastive()(zeros, same).item() == pytest.approx(math.log(4))
    assert Structured(margin=0.5)(zeros, same).item() == pytest.approx(1.0)
    right = 50.0 * torch.eye(4)
    assert Contrastive()(right, same).item() == pytest.approx(0.0, abs=1e-6)
    assert Structured()(right, same).item() == 0.0
    same[0, 1] = same[1, 0] = True  # Two images with one caption are not told apart.
    assert Contrastive()(zeros, same).item() == pytest.approx((2 * math.log(3) + 2 * math.log(4)) / 4)
    confused = torch.zeros(4, 4)
    confused[0, 1] = confused[1, 0] = 100.0
    assert Structured()(confused, same).item() == pytest.approx(2.0), "a true caption is no wrong one"
    assert isinstance(Contrastive(), JointLoss) and isinstance(Structured(), JointLoss)


def test_it_learns_which_caption_belongs_to_which_image() -> None:
    method = JointEmbedding(size=8, width=4, word=8, gallery=4)
    torch.manual_seed(0)
    networks = method.build(SPEC)
    texts = ("red cap", "blue cap", "red hair", "smiling with glasses")
    batch = CaptionBatch(random_images(4), to_column(texts, 60))
    optimizer = torch.optim.Adam(networks.parameters(), 1e-2)
    noise, losses = Noise.of(0, 1, 2, 3), []
    for _ in range(25):
        loss = method.joint_loss(networks, batch, noise, Progress())
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss.total.item())
    assert losses[-1] < 0.2 < losses[0]
    method.after_step(networks, loss.rows, Progress(images=4, batch=4))
    assert torch.equal(networks.gallery, batch.images)
    networks.eval().requires_grad_(False)
    metrics = method.validation_metrics(networks, batch, noise)
    assert metrics["chance"].item() == 0.25
    shown = method.generate(networks, CaptionPrompt(batch.captions), noise)
    errors = [[float((one - other).abs().mean()) for other in batch.images] for one in shown]
    assert all(row.index(min(row)) == at for at, row in enumerate(errors))


def test_found_counts_equal_captions_as_right() -> None:
    captions = to_column(["a", "a", "b"])
    similarity = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    assert found(similarity, same_captions(captions)).item() == pytest.approx(2 / 3)


def asked(caption: str) -> tuple[Any, str | None]:
    prompts = Prompts(CaptionPrompt, SPEC, {"captions": to_column(["a red cap"], 60)}, WORDS)
    wish = Wish(caption=caption)
    return prompts.choose([0], wish), prompts.remark(wish)


def test_unknown_words_are_said_and_the_rest_is_drawn() -> None:
    prompt, remark = asked("an old smiling zebra with glases")
    assert to_texts(prompt.captions) == ["an old smiling zebra with glases"]
    assert remark is not None and "'an'" in remark and "'zebra'" in remark
    assert "'glases' (near: 'glasses')" in remark and "smiling" not in remark
    assert asked("a red cap")[1] is None
    prompts = Prompts(CaptionPrompt, SPEC, {}, WORDS)
    assert prompts.arrange(prompt) == ([0], "of: an old smiling zebra with glases")
    assert prompts.arrange(CaptionPrompt(to_column(["a", "b"], 60))) == ([0, 1], None)


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("", "one without words"),
        ("  ... ", "one without words"),
        ("x" * 10_000, "at most 60 bytes. Received: 10000"),
        ("zebras ride", "'zebras', 'ride', and no word that it knows. It knows, for example: a, red"),
    ],
)
def test_captions_that_say_nothing_are_refused(caption: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        asked(caption)
