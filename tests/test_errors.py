"""What messages offer for a name that is not known."""

import pytest

from gansmith.errors import nearest


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("smilling", ("smiling", "hat"), " Did you mean 'smiling'?"),
        ("batch_size", ("batch", "images"), " Did you mean 'batch'?"),
        ("man", ("gender=man", "gender=woman", "many"), " Did you mean 'gender=man'?"),
        ("owl", ("smiling", "hat"), " Known names: hat, smiling."),
        ("owl", (), ""),
    ],
)
def test_the_nearest_name_is_offered_else_all(name: str, known: tuple[str, ...], said: str) -> None:
    assert nearest(name, known) == said
