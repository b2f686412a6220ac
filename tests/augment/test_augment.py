"""Augmentation: known results of each operation, second derivatives, and how p adapts."""

import pytest
import torch
from helpers import random_images
from torch.autograd import gradcheck, gradgradcheck

from gansmith.augment.operations import (
    add_noise,
    amplify,
    brighten,
    contrast,
    cut_out,
    recolor,
    saturate,
    shift,
    warp,
)
from gansmith.augment.policies import ADA, DiffAugment, NoAugmentation, Pipeline
from gansmith.core.noise import Noise
from gansmith.core.progress import Progress
from gansmith.core.schedules import Cosine
from gansmith.errors import SettingError

IMAGES = random_images(4, size=8)
EVERYTHING = Pipeline(p=0.8, filter=1.0, noise=1.0, cutout=1.0)
"""All that the paper has tried."""


def matrices(*rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows)


def test_warps_with_known_results() -> None:
    same, mirror = [[1.0, 0, 0], [0, 1, 0]], [[-1.0, 0, 0], [0, 1, 0]]
    quarter, aside = [[0.0, -1, 0], [1, 0, 0]], [[1.0, 0, -2], [0, 1, 0]]
    made = warp(IMAGES, matrices(same, mirror, quarter, aside))
    torch.testing.assert_close(made[0], IMAGES[0])
    torch.testing.assert_close(made[1], IMAGES[1].flip(2))
    torch.testing.assert_close(made[2], IMAGES[2].rot90(1, (1, 2)))
    torch.testing.assert_close(made[3][:, :, 2:], IMAGES[3][:, :, :-2])
    torch.testing.assert_close(made[3][:, :, :2], IMAGES[3][:, :, 1:3].flip(2))  # Mirrored.


def test_a_warp_between_pixels_is_the_mean_of_its_neighbours() -> None:
    made = warp(IMAGES[:1], matrices([[1.0, 0, 0.5], [0, 1, 0]]))
    expected = (IMAGES[:1, :, :, :-1] + IMAGES[:1, :, :, 1:]) / 2
    torch.testing.assert_close(made[..., :-1], expected)


def test_shifts_bring_in_zeros() -> None:
    made = shift(IMAGES, torch.tensor([2, 0, -1, 0]), torch.tensor([0, -3, 0, 0]))
    torch.testing.assert_close(made[0, :, :, 2:], IMAGES[0, :, :, :-2])
    assert not made[0, :, :, :2].any()
    torch.testing.assert_close(made[1, :, :-3], IMAGES[1, :, 3:])
    assert not made[1, :, -3:].any() and not made[2, :, :, -1:].any()
    assert torch.equal(made[3], IMAGES[3])


def test_colour_against_the_equations() -> None:
    factor = torch.tensor([0.0, 1.0, 2.0, 0.5])
    torch.testing.assert_close(brighten(IMAGES, factor)[2], IMAGES[2] + 2.0)
    grey = saturate(IMAGES, factor)
    torch.testing.assert_close(grey[0], IMAGES[0].mean(dim=0, keepdim=True).expand(3, -1, -1))
    torch.testing.assert_close(grey[1], IMAGES[1])
    flat = contrast(IMAGES, factor)
    torch.testing.assert_close(flat[3].std(), IMAGES[3].std() / 2)
    torch.testing.assert_close(flat[3].mean(), IMAGES[3].mean())
    mix = torch.tensor([[[0.0, 1, 0, 0.25], [1, 0, 0, 0], [0, 0, 2, 0]]]).expand(4, -1, -1)
    expected = torch.stack([IMAGES[:, 1] + 0.25, IMAGES[:, 0], 2 * IMAGES[:, 2]], dim=1)
    torch.testing.assert_close(recolor(IMAGES, mix), expected)


def test_cutout_hides_a_share() -> None:
    half = torch.full((4,), 0.5)
    made = cut_out(torch.ones(4, 1, 8, 8), half, half, torch.tensor([0.5, 0.0, 1.0, 0.25]))
    assert made.sum(dim=(1, 2, 3)).tolist() == [64 - 16, 64, 0, 64 - 4]
    assert not made[0, 0, 2:6, 2:6].any()


@pytest.mark.parametrize("size", [3, 9, 64])
def test_each_band_passes_the_frequencies_it_should(size: int) -> None:
    """A cosine that mirrors fit comes back times the filter's response, here L(w) L(2w) L(4w) and so on."""
    omega = torch.pi * torch.arange(size, dtype=torch.float64) / (size - 1)
    waves = torch.cos(omega[:, None] * torch.arange(size))

    def low(w: torch.Tensor) -> torch.Tensor:
        return 0.5 + 9 / 16 * w.cos() - 1 / 16 * (3 * w).cos()

    one, two, four = low(omega), low(2 * omega), low(4 * omega)
    responses = [one * two * four, one * two * (1 - four), one * (1 - two), 1 - one]
    for band, response in enumerate(responses):
        gains = torch.zeros(size, 4, dtype=torch.float64)
        gains[:, band] = 1.0
        gains[:, 0] += 1.0  # Down the columns the images are flat, so this is what they meet there.
        images = waves[:, None, None].expand(-1, -1, size, -1)
        of_flat = 2.0 if band == 0 else 1.0
        expected = images * (of_flat * (response + responses[0]))[:, None, None, None]
        torch.testing.assert_close(amplify(images, gains), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 2), (5, 8), (64, 32)])
def test_bands_add_up_to_the_image(shape: tuple[int, int]) -> None:
    images = torch.randn(3, 2, *shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(amplify(images, torch.ones(3, 4)), images, rtol=0, atol=1e-5)


def test_noise_has_the_deviation_of_each_image() -> None:
    noise = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    made = add_noise(IMAGES, noise, torch.tensor([0.0, 1.0, 0.5, 0.1]))
    assert torch.equal(made[0], IMAGES[0])
    torch.testing.assert_close(made[2] - IMAGES[2], 0.5 * noise[2])


OPERATIONS = {
    "warp": lambda x: warp(x, torch.tensor([[[0.8, 0.3, 0.2], [-0.3, 0.9, 1.1]]] * 2)),
    "shift": lambda x: shift(x, torch.tensor([1, -1]), torch.tensor([0, 2])),
    "recolor": lambda x: recolor(x, torch.arange(24.0).view(2, 3, 4) / 24),
    "brighten": lambda x: brighten(x, torch.tensor([0.3, -0.2])),
    "saturate": lambda x: saturate(x, torch.tensor([0.3, 1.2])),
    "contrast": lambda x: contrast(x, torch.tensor([0.3, 1.2])),
    "cut out": lambda x: cut_out(
        x, torch.tensor([0.3, 0.8]), torch.tensor([0.5, 0.1]), torch.full((2,), 0.5)
    ),
    "amplify": lambda x: amplify(x, torch.tensor([[1.0, 0.5, 2.0, 0.1], [0.3, 1.0, 1.0, 3.0]])),
    "add noise": lambda x: add_noise(x, random_images(2, size=4, seed=1), torch.tensor([0.1, 0.5])),
    "DiffAugment": lambda x: DiffAugment()(x, Noise.of(0, 1), torch.ones(())),
    "Pipeline": lambda x: EVERYTHING(x, Noise.of(0, 1), torch.ones(())),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_can_be_differentiated_twice(name: str) -> None:
    images, operation = random_images(2, size=4).double().requires_grad_(True), OPERATIONS[name]
    cubed = lambda x: operation(x) ** 3  # noqa: E731
    fast = name == "Pipeline"  # Along random directions: its parts are checked one by one.
    assert gradcheck(cubed, (images,), fast_mode=fast) and gradgradcheck(cubed, (images,), fast_mode=fast)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", [EVERYTHING, ADA(filter=1.0, noise=1.0, cutout=1.0)])
def test_nothing_happens_at_p_0_and_almost_everything_changes_at_1(policy, channels: int) -> None:
    images, noise = random_images(32, size=8, channels=channels), Noise(torch.arange(32))
    torch.testing.assert_close(policy(images, noise, torch.zeros(())), images, rtol=0, atol=1e-5)
    made = policy(images, noise, torch.ones(()))
    assert bool(((made - images).abs().amax(dim=(1, 2, 3)) > 0.01).all())


@pytest.mark.parametrize("policy", [DiffAugment(), EVERYTHING])
def test_what_is_done_belongs_to_the_seed_and_can_be_replayed(policy) -> None:
    images, p = random_images(3, size=8), torch.tensor(0.8)
    made = policy(images, Noise.of(5, 6, 7), p)
    assert torch.equal(policy(images, Noise.of(5, 6, 7), p), made)
    torch.testing.assert_close(policy(images[1:2], Noise.of(6), p), made[1:2])


def test_the_colours_of_the_pipeline_keep_what_they_should() -> None:
    """Hue and saturation leave the brightness, the mean over channels, as it is; p x weight is how often."""
    from gansmith.augment.policies import _colors

    matrix = _colors(Noise(torch.arange(4000)), 3, torch.tensor(0.3))
    untouched = (matrix - torch.eye(3, 4)).abs().amax(dim=(1, 2)) < 1e-5
    assert untouched.double().mean().item() == pytest.approx(0.7**4 * 0.85, abs=0.03)
    # A grey pixel stays grey: rows act alike on (1, 1, 1) and in what they add.
    grey = matrix[:, :, :3].sum(dim=2)
    torch.testing.assert_close(grey, grey[:, :1].expand(-1, 3), rtol=0, atol=1e-4)


def test_gains_of_bands_keep_the_power_of_a_natural_image() -> None:
    from gansmith.augment.policies import _gains

    gains = _gains(Noise(torch.arange(4000)), torch.tensor(0.3))
    changed = (gains / gains[:, :1] - 1.0).abs() > 1e-5
    untouched = ((gains - 1.0).abs() < 1e-6).all(dim=1)
    assert untouched.double().mean().item() == pytest.approx(0.7**4, abs=0.03)
    single = changed.sum(dim=1) == 1  # One of the upper three was drawn; the lowest was not.
    power = gains[single].square() @ torch.tensor([10.0, 1.0, 1.0, 1.0]) / 13.0
    torch.testing.assert_close(power, torch.ones_like(power), rtol=1e-5, atol=0)
    octaves = (gains / gains[:, :1]).log2()[single][changed[single]]
    assert octaves.mean().item() == pytest.approx(0.0, abs=0.1)
    assert octaves.std().item() == pytest.approx(1.0, abs=0.1)


def test_added_noise_is_half_normal_and_as_rare_as_asked() -> None:
    images, noise = torch.zeros(2000, 1, 8, 8), Noise(torch.arange(2000))
    only = Pipeline(pixels=0.0, geometry=0.0, color=0.0, noise=1.0)
    deviations = only(images, noise, torch.tensor(0.4)).flatten(1).std(dim=1)
    touched = deviations > 0
    assert touched.double().mean().item() == pytest.approx(0.4, abs=0.04)
    assert deviations[touched].mean().item() == pytest.approx(0.1 * (2 / torch.pi) ** 0.5, rel=0.1)


def test_the_papers_default_filters_nothing_and_adds_no_noise() -> None:
    for policy in (ADA(), Pipeline()):
        assert (policy.pixels, policy.geometry, policy.color) == (1.0, 1.0, 1.0)
        assert (policy.filter, policy.noise, policy.cutout) == (0.0, 0.0, 0.0)


def test_a_run_through_the_filter_under_inference_leaves_gradients_for_later() -> None:
    with torch.inference_mode():
        amplify(torch.ones(1, 1, 11, 11, dtype=torch.float64), torch.ones(1, 4, dtype=torch.float64))
    images = torch.ones(1, 1, 11, 11, dtype=torch.float64, requires_grad=True)
    amplify(images, torch.ones(1, 4, dtype=torch.float64)).sum().backward()
    torch.testing.assert_close(images.grad, torch.ones_like(images), rtol=0, atol=1e-12)


def test_p_rises_by_1_in_exactly_as_many_images_as_asked() -> None:
    ada, memory, ps = ADA(images=4000), torch.zeros(3), []
    for _ in range(4000 // 20):
        memory = ada.adapted(memory, torch.tensor(1.0), 20)
        ps.append(memory[0].item())
    assert ps[2] == 0.0 and ps[3] == pytest.approx(0.02), "it moves every fourth batch"
    assert ps[-1] == pytest.approx(1.0, abs=1e-5) and ps[-5] < 1.0
    for _ in range(400):
        memory = ada.adapted(memory, torch.tensor(-1.0), 20)
    assert memory[0].item() == 0.0, "and never below 0"


def test_p_follows_the_mean_over_its_four_batches() -> None:
    memory = torch.zeros(3)
    for sign in (0.9, 0.9, 0.9, -0.2):  # 0.625 on average.
        memory = ADA().adapted(memory, torch.tensor(sign), 8)
    assert memory[0].item() == pytest.approx(8 * 4 / 500_000) and not memory[1:].any()


def test_the_strength_is_the_schedules_or_the_memorys() -> None:
    half = Progress(images=500, total_images=1000)
    rising = Pipeline(p=0.3, schedule=Cosine(start=0.0, end=1.0))
    assert rising.strength(half, None).item() == pytest.approx(0.15)
    assert ADA().strength(half, torch.tensor([0.4, 0.0, 0.0])).item() == pytest.approx(0.4)
    assert NoAugmentation()(IMAGES, Noise.of(0, 1, 2, 3), torch.ones(())) is IMAGES


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Pipeline(p=2.0), "probability"),
        (lambda: Pipeline(filter=-1.0), "at least 0"),
        (lambda: ADA(every=0), "at least 1"),
        (lambda: ADA(target=3.0), "between -1 and 1"),
        (lambda: ADA(target=1.0), "between -1 and 1"),
        (lambda: ADA(noise=-0.5), "at least 0"),
        (lambda: DiffAugment(translation=2.0), r"from 0 to 1; the paper's is 1/8"),
        (lambda: DiffAugment(cutout=5.0), r"from 0 to 1; the paper's is 1/2"),
        (lambda: DiffAugment(cutout=-0.1), r"from 0 to 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, rule: str) -> None:
    with pytest.raises(SettingError, match=rf"method\.augment.*{rule}.*Received"):
        make()


def test_places_keep_their_digits_under_autocast() -> None:
    images, noise = random_images(8, size=32), Noise(torch.arange(8))
    plain = Pipeline()(images, noise, torch.ones(()))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(Pipeline()(images, noise, torch.ones(())), plain)
