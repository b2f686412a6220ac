"""What a person asks by name: spellings that mean one attribute, and what cannot be meant."""

import pytest
import torch

from gansmith.core.spec import DataSpec
from gansmith.errors import SettingError
from gansmith.methods.batches import AttributePrompt
from gansmith.models.prompts import Prompts, Wish, attribute_numbers, parse_attributes

NAMES = ("smiling", "fair hair", "Big_Nose", "hair=brown", "kind=1", "kind=2")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("smiling=1, Big_Nose=0", {0: 1, 2: 0}),
        ("Smiling", {0: 1}),
        ("big nose", {2: 1}),
        ("FAIR_HAIR=0", {1: 0}),
        ("hair=fair", {1: 1}),
        ("hair=fair=0", {1: 0}),
        ("hair=brown", {3: 1}),
        ("hair=brown=0", {3: 0}),
        ("kind=1,kind=2=0", {4: 1, 5: 0}),
        ("smiling,smiling=1", {0: 1}),
        (" , ", {}),
    ],
)
def test_spellings_of_attributes(text: str, found: dict[int, int]) -> None:
    assert attribute_numbers(parse_attributes(text), NAMES) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smiling=", r"0 or 1, as in smiling=1.* Received: 'smiling=', with nothing behind the ="),
        ("=1", "with no name before the ="),
        ("smiling=yes", "0 or 1, .* Received: 'smiling=yes'"),
        ("smiling,smiling=0", "Received: smiling=1 and smiling=0"),
        ("Smiling,smiling=0", "Received: smiling=1 and smiling=0"),
        ("smilin", "no attribute 'smilin' in this model. Did you mean 'smiling'"),
        ("hair=fairr", "no attribute 'fairr hair' in this model. Did you mean 'fair hair'"),
    ],
)
def test_attributes_that_cannot_be_meant(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        attribute_numbers(parse_attributes(text), NAMES)


def test_a_wish_takes_the_same_spellings() -> None:
    spec = DataSpec(height=8, width=8, attribute_names=NAMES)
    prompts = Prompts(AttributePrompt, spec, {"attributes": torch.zeros(3, 6, dtype=torch.uint8)})
    asked = prompts.choose([0, 1], Wish(attributes=parse_attributes("hair=fair,big_nose")))
    assert asked.attributes.tolist() == [[0, 1, 1, 0, 0, 0]] * 2
    with pytest.raises(SettingError, match="Did you mean 'smiling'"):
        prompts.check(Wish(attributes={"smilng": 1}))
