"""The smallest turn of a latent: the distance to a plane where the model is linear."""

import pytest
import torch
from torch import Tensor

from gansmith.attacks.latent import SmallestTurn
from gansmith.errors import SettingError


def test_the_distance_to_a_plane_is_found() -> None:
    """The margin w.z + b is turned at the distance (w.z + b) / |w|, and nowhere nearer."""
    draws = torch.Generator().manual_seed(0)
    z = torch.randn(12, 20, generator=draws).double()
    w = torch.randn(20, generator=draws).double()
    margin_now = z @ w + 3.0
    z = z[margin_now > 0]
    wanted = margin_now[margin_now > 0] / w.norm()
    found = SmallestTurn(steps=100)(lambda latents: latents @ w + 3.0, z)
    length = (found.latents - z).norm(dim=1)
    assert bool(found.turned.all())
    torch.testing.assert_close(length, wanted, rtol=0.02, atol=0)
    assert bool((length >= wanted * (1 - 1e-6)).all()), "nothing nearer can have turned"
    assert bool((found.latents @ w + 3.0 <= 1e-9).all())


def test_what_never_turns_stays_and_what_has_turned_counts_at_once() -> None:
    z = torch.randn(4, 2, 3)

    def margin(latents: Tensor) -> Tensor:
        flat = latents.flatten(1).square().sum(dim=1)
        return torch.cat([flat[:2] + 1.0, flat[2:] * 0.0 - 1.0])

    found = SmallestTurn(steps=5)(margin, z)
    assert found.turned.tolist() == [False, False, True, True]
    assert torch.equal(found.latents, z)


def test_mistakes_are_told() -> None:
    with pytest.raises(SettingError, match="steps must be at least 1"):
        SmallestTurn(steps=0)
    with pytest.raises(SettingError, match="share above 0"):
        SmallestTurn(grow=1.0)
    with pytest.raises(SettingError, match="without one"):
        SmallestTurn()(lambda latents: torch.ones(len(latents)), torch.ones(2, 3))
