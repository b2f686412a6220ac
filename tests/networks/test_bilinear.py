"""The generator without transposed convolutions: sizes, and that odd and even pixels are alike."""

import pytest
import torch
from torch import nn

from gansmith.core.spec import DataSpec
from gansmith.networks.bilinear import BilinearGenerator, double
from gansmith.networks.dcgan import DCGANGenerator


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(8, 8, 1), (28, 28, 1), (32, 32, 3), (24, 40, 3), (64, 64, 3)]
)
def test_images_at_several_sizes(height: int, width: int, channels: int) -> None:
    spec = DataSpec(height=height, width=width, channels=channels)
    images = BilinearGenerator(spec, latent=6, width=4)(torch.randn(3, 6))
    assert images.shape == (3, channels, height, width)
    assert images.abs().max().item() <= 1.0


def test_doubling_is_bilinear() -> None:
    row = torch.tensor([0.0, 4.0]).view(1, 1, 1, 2)
    assert double(row)[0, 0, 0].tolist() == [0.0, 1.0, 3.0, 4.0]


def _flat(generator: nn.Module) -> torch.Tensor:
    """What a generator draws far from every border, where all cells of its grid are alike."""
    with torch.no_grad():
        for module in generator.modules():
            if isinstance(module, nn.ConvTranspose2d) and module.stride == (1, 1):
                module.weight.copy_(module.weight[:, :, :1, :1].expand_as(module.weight).contiguous())
        return generator.eval()(torch.ones(1, 6))[0, :, 24:36, 24:36]


def test_of_a_flat_grid_it_draws_no_grain() -> None:
    """A transposed convolution of stride 2 does: its odd and even pixels have weights of their own."""
    torch.manual_seed(0)
    spec = DataSpec(height=60, width=60)  # A grid of 15 cells, doubled twice.
    grids = [_flat(kind(spec, 6, 16)) for kind in (BilinearGenerator, DCGANGenerator)]
    ours, theirs = (float((grid - grid.mean(dim=(1, 2), keepdim=True)).abs().mean()) for grid in grids)
    assert ours < 1e-3 * max(float(grids[0].abs().mean()), 1e-3)
    assert theirs > 0.05 * float(grids[1].abs().mean())


def test_every_size_is_read_out() -> None:
    """Each read-out moves the image by itself."""
    torch.manual_seed(0)
    generator = BilinearGenerator(DataSpec(height=32, width=32), 6, 4).eval()
    latents = torch.randn(2, 6)
    before = generator(latents)
    for read_out in generator.read_outs:
        with torch.no_grad():
            read_out.bias += 0.1
        after = generator(latents)
        assert torch.allclose(after.atanh() - before.atanh(), torch.tensor(0.1), atol=1e-4)
        before = after


def test_its_parameters_are_counted() -> None:
    """0.28 M at 32 px and 0.85 M at 64 px with a width of 32."""
    for side, wanted in ((32, 279_000), (64, 853_000)):
        generator = BilinearGenerator(DataSpec(height=side, width=side), 64, 32)
        assert sum(p.numel() for p in generator.parameters()) == pytest.approx(wanted, rel=0.02)
