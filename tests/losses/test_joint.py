"""Losses of a joint embedding: what is refused; their values are in tests/methods/test_text.py."""

import pytest

from gansmith.errors import SettingError
from gansmith.losses.joint import Structured


def test_a_right_pair_is_not_to_be_worse_than_a_wrong_one() -> None:
    with pytest.raises(SettingError, match=r"objective\.margin must be at least 0\. Received: margin=-1"):
        Structured(margin=-1.0)
