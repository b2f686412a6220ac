"""Several inputs in one pass give what they give one after the other, and batch norm sees each alone."""

import pytest
import torch
from torch import Tensor, nn

from gansmith.networks.norm import ImageNorm
from gansmith.networks.one_pass import in_one_pass
from gansmith.networks.patchgan import PatchDiscriminator


def passes(network: nn.Module) -> list[int]:
    """How many images each pass through the network had, from now on."""
    sizes: list[int] = []
    network.register_forward_hook(lambda module, given, made: sizes.append(len(given[0])))
    return sizes


@pytest.mark.parametrize(("norm", "expected"), [("instance", [7]), ("batch", [3, 4])])
def test_as_one_after_the_other(norm: ImageNorm, expected: list[int]) -> None:
    torch.manual_seed(0)
    critic = PatchDiscriminator(3, (16, 16), 4, norm=norm)
    images = torch.randn(3, 3, 16, 16), 2 * torch.randn(4, 3, 16, 16)
    apart: list[Tensor] = [critic(each) for each in images]
    sizes = passes(critic)
    together = in_one_pass(critic, *images)
    assert sizes == expected
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other)


def test_batch_norm_in_use_mixes_nothing() -> None:
    critic = PatchDiscriminator(3, (16, 16), 4, norm="batch").eval()
    sizes = passes(critic)
    in_one_pass(critic, torch.zeros(2, 3, 16, 16), torch.ones(2, 3, 16, 16))
    assert sizes == [4]
