"""Feature networks: the same numbers in every batch, torch-fidelity's numbers, and teaching errors."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gansmith.errors import DataError, MissingPackageError, SettingError
from gansmith.faces import models
from gansmith.metrics.features import base, face, registry, vision
from gansmith.metrics.features.base import FeatureNetwork, start
from gansmith.metrics.features.inception import random_inception
from gansmith.metrics.features.registry import open_features
from gansmith.metrics.features.resize import clean, legacy
from gansmith.metrics.features.weights import Weights
from gansmith.metrics.scores.lpips import SmoothNetwork

needs_fidelity = pytest.mark.skipif(
    importlib.util.find_spec("torch_fidelity") is None or importlib.util.find_spec("torchvision") is None,
    reason="torch-fidelity is not installed",
)
needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")
needs_dlib = pytest.mark.skipif(
    importlib.util.find_spec("dlib") is None or importlib.util.find_spec(models.PACKAGE) is None,
    reason="dlib or its models are not installed",
)


def random_pictures(count, channels=3, height=24, width=24, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, height, width), generator=draws, dtype=torch.uint8)


@pytest.fixture(autouse=True)
def small_runs(monkeypatch):
    """Inception costs a tenth of a second a picture, padding or not."""
    monkeypatch.setattr(base, "_RUN", 3)


# --- pixels, and what all networks share ------------------------------------------------------------------


def test_pixels_are_the_picture_at_sixteen_from_nought_to_one():
    pictures = random_pictures(2, height=16, width=16)
    outputs = open_features("pixels")(pictures)
    assert torch.equal(outputs.features, pictures.flatten(1).float() / 255.0)
    assert outputs.logits is None


def test_a_constant_picture_of_any_size_is_constant_pixels():
    features = open_features("pixels")(torch.full((1, 3, 37, 21), 100, dtype=torch.uint8)).features
    assert torch.allclose(features, torch.full((1, 768), 100 / 255), atol=1e-5)


def test_a_picture_has_the_same_features_whatever_is_beside_it():
    network, pictures = open_features("pixels"), random_pictures(8)
    together = network(pictures).features
    alone = torch.cat([network(picture[None]).features for picture in pictures])
    assert torch.equal(together, alone)
    assert torch.equal(network(pictures.flip(0)).features.flip(0), together)


def test_a_grey_picture_counts_as_its_own_colours():
    network, grey = open_features("pixels"), random_pictures(2, channels=1)
    assert torch.equal(network(grey).features, network(grey.expand(-1, 3, -1, -1)).features)


def test_pixels_can_be_shown_what_bytes_cannot_hold():
    network = open_features("pixels")
    assert isinstance(network, SmoothNetwork)
    pictures = random_pictures(2, height=16, width=16)
    images = pictures.float() / 127.5 - 1.0
    assert torch.allclose(network.unrounded(images).features, network(pictures).features, atol=1e-6)
    moved = network.unrounded(images * 0.5 + 1e-3).features - network.unrounded(images * 0.5).features
    assert torch.allclose(moved, torch.full((2, 768), 0.5e-3), atol=1e-6)


def test_features_can_be_changed_in_place_afterwards():
    features = open_features("pixels")(random_pictures(2)).features
    features += 1.0
    assert float(features.min()) >= 1.0


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (1, 3, 0, 8), (2, 2, 8, 8), (1, 4, 8, 8)])
def test_no_pictures_or_other_channels_are_refused(shape):
    with pytest.raises(DataError, match="Received"):
        open_features("pixels")(torch.zeros(shape, dtype=torch.uint8))


def test_features_that_are_not_numbers_are_refused():
    bad = base.SmoothExtractor(
        "odd", 1, {}, lambda levels: (levels.flatten(1)[:, :1] / 0.0, None), torch.device("cpu")
    )
    with pytest.raises(DataError, match="nan or inf from the network odd"):
        bad(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))


def test_the_fingerprint_changes_with_every_fact():
    facts = {"weights": "a", "resize": "clean"}
    prints = {base.fingerprint(facts | change) for change in ({}, {"weights": "b"}, {"resize": "legacy"})}
    assert len(prints) == 3
    assert base.fingerprint(dict(reversed(facts.items()))) in prints


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("incepton", {}, "Did you mean 'inception'"),
        ("resnet", {}, "one of inception, face"),
        ("pixels", {"weights": "random:0"}, "weights for pixels"),
        ("face", {"resize": "legacy"}, "resize=legacy for face"),
        ("inception", {"weights": "random:x"}, "random:SEED"),
        ("inception", {"resize": "lanczos"}, "resize is clean or legacy. Received: 'lanczos'"),
    ],
)
def test_names_and_settings_that_do_not_exist_are_told(name, options, words):
    if name == "inception" and importlib.util.find_spec("torch_fidelity") is None:
        pytest.skip("torch-fidelity is not installed")
    with pytest.raises(SettingError, match=words):
        open_features(name, **options)


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("inception", "torch_fidelity.feature_extractor_inceptionv3", "torch-fidelity"),
        ("dino", "timm", "timm"),
        ("clip", "timm", "timm"),
        ("vgg", "torchvision", "torchvision"),
        ("face", "dlib", "dlib-bin"),
    ],
)
def test_a_missing_package_is_named_before_anything_is_fetched(name, module, package, monkeypatch):
    if name in ("inception", "dino", "clip") and importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    with pytest.raises(MissingPackageError, match=f"{package}.*gansmith"):
        open_features(name)


def test_a_package_that_does_not_start_is_told(monkeypatch, tmp_path):
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    (tmp_path / "half_installed.py").write_text("raise RuntimeError('built for another torch')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match=r"Thinking needs the package half, .*another torch"):
        start("half_installed", "half", "Thinking")
    (tmp_path / "half_installed_too.py").write_text("import nowhere_to_be_found")
    with pytest.raises(MissingPackageError, match="nowhere_to_be_found"):
        start("half_installed_too", "half", "Thinking")


# --- resizing ---------------------------------------------------------------------------------------------


@needs_fidelity
@pytest.mark.parametrize("size", [(32, 32), (64, 48), (299, 299), (301, 17), (1, 1)])
def test_legacy_is_to_the_bit_what_torch_fidelity_does(size):
    theirs = start("torch_fidelity.interpolate_compat_tensorflow", "torch-fidelity", "A test")
    levels = random_pictures(2, 3, *size).float()
    wanted = theirs.interpolate_bilinear_2d_like_tensorflow1x(levels, (299, 299), align_corners=False)
    assert torch.equal(legacy(levels, 299), wanted)


@pytest.mark.parametrize("size", [(32, 32), (64, 48), (299, 299), (400, 310)])
def test_clean_is_what_pillow_does_unrounded(size):
    pictures = random_pictures(1, 3, *size)
    wanted = [
        np.asarray(
            Image.fromarray(channel.numpy().astype(np.float32)).resize((299, 299), Image.Resampling.BICUBIC)
        )
        for channel in pictures[0]
    ]
    made = clean(pictures.float(), 299)[0]
    assert np.abs(made.numpy() - np.stack(wanted).clip(0, 255)).max() < 0.01


def test_clean_smooths_before_it_shrinks_and_legacy_does_not():
    stripes = torch.zeros(1, 1, 64, 64)
    stripes[..., ::2] = 255.0
    assert float((clean(stripes, 16)[..., 2:-2] - 127.5).abs().max()) < 5
    assert float(legacy(stripes, 16).min()) == 255.0


# --- inception --------------------------------------------------------------------------------------------


@needs_fidelity
def test_inception_gives_torch_fidelitys_numbers_with_the_same_weights(tmp_path):
    theirs = start("torch_fidelity.feature_extractor_inceptionv3", "torch-fidelity", "A test")
    file = tmp_path / "random.pth"
    torch.save(random_inception(3), file)
    network = theirs.FeatureExtractorInceptionV3(
        "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=file
    )
    pictures = random_pictures(3, height=40, width=32)
    with torch.inference_mode():
        features, logits = network(pictures)
    ours = open_features("inception", weights="random:3", resize="legacy")
    outputs = ours(pictures)
    assert outputs.features.shape == (3, ours.size) and outputs.logits.shape == (3, 1008)
    for made, wanted in ((outputs.features, features), (outputs.logits, logits)):
        assert float((made - wanted).norm() / wanted.norm()) < 1e-5
        # What tells pictures apart agrees too, and not only what they have in common.
        apart = (wanted - wanted.mean(0)).norm()
        assert float((made - made.mean(0) - wanted + wanted.mean(0)).norm() / apart) < 1e-4


@needs_fidelity
def test_inception_sees_a_picture_alike_in_every_batch_and_knows_its_resizing():
    network = open_features("inception", weights="random:0")
    other = open_features("inception", weights="random:0", resize="legacy")
    assert isinstance(network, FeatureNetwork) and isinstance(network, SmoothNetwork)
    assert network.fingerprint != other.fingerprint
    pictures = random_pictures(3)
    outputs = network(pictures)
    turned = network(pictures[[2, 0]])
    assert torch.equal(outputs.features[[2, 0]], turned.features)
    assert torch.equal(outputs.logits[[2, 0]], turned.logits)
    assert float((other(pictures).features - outputs.features).abs().max()) > 1e-3


# --- dino, clip, vgg: small random networks of the same classes -------------------------------------------

TINY = {"depth": 1, "embed_dim": 24, "num_heads": 2}


def shrink(monkeypatch, name, options):
    kind = vision.NETWORKS[name]
    changed = type(kind)(
        kind.file, kind.scaling, kind.module, kind.packages, kind.build, dict(kind.options) | options
    )
    monkeypatch.setitem(vision.NETWORKS, name, changed)


@needs_timm
@pytest.mark.parametrize(("name", "size"), [("dino", 24), ("clip", 512)])
def test_vision_transformers_of_timm(name, size, monkeypatch):
    shrink(monkeypatch, name, TINY)
    network = open_features(name, weights="random:0")
    pictures = random_pictures(4)
    features = network(pictures).features
    assert network.size == size and features.shape == (4, size)
    assert torch.equal(network(pictures[1:2]).features, features[1:2])
    assert float(features.std(0).max()) > 1e-3
    assert network.fingerprint != open_features(name, weights="random:1").fingerprint


@needs_timm
def test_dinov2_weights_come_in_the_order_they_are_published_in(monkeypatch):
    shrink(monkeypatch, "dino", TINY)
    timm = start("timm", "timm", "A test")
    source = timm.create_model(**vision.NETWORKS["dino"].options, img_size=224).eval()
    published = source.state_dict() | {"mask_token": torch.zeros(1, 24)}
    weights = Weights("0" * 64, published)
    made = vision._timm(timm, weights, vision.NETWORKS["dino"].options).eval()
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(made(images), source(images), atol=1e-6)


@needs_timm
def test_clip_weights_come_in_the_order_they_are_published_in(monkeypatch):
    shrink(monkeypatch, "clip", TINY)
    timm = start("timm", "timm", "A test")
    source = timm.create_model(**vision.NETWORKS["clip"].options, img_size=224).eval()
    with torch.no_grad():
        source.head.bias.zero_()  # The published projection has none.
    swaps = [
        ("patch_embed.proj", "conv1"),
        ("pos_embed", "positional_embedding"),
        ("blocks.", "transformer.resblocks."),
        ("norm_pre", "ln_pre"),
        (".norm1.", ".ln_1."),
        (".norm2.", ".ln_2."),
        ("norm.", "ln_post."),
        ("attn.qkv.", "attn.in_proj_"),
        ("attn.proj.", "attn.out_proj."),
        ("mlp.fc1", "mlp.c_fc"),
        ("mlp.fc2", "mlp.c_proj"),
    ]
    published = {"logit_scale": torch.zeros(()), "transformer.resblocks.0.ln_1.weight": torch.zeros(4)}
    for name, value in source.state_dict().items():
        if name == "head.bias":
            continue
        if name == "head.weight":
            name, value = "proj", value.T
        if name == "cls_token":
            name, value = "class_embedding", value[0, 0]
        value = value[0] if name == "pos_embed" else value
        for theirs, ours in swaps:
            name = name.replace(theirs, ours)
        published[f"visual.{name}"] = value
    made = vision._timm(timm, Weights("0" * 64, published), vision.NETWORKS["clip"].options).eval()
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(made(images), source(images), atol=1e-5)


@needs_timm
def test_weights_of_another_network_are_refused(monkeypatch):
    shrink(monkeypatch, "dino", TINY)
    timm = start("timm", "timm", "A test")
    with pytest.raises(DataError, match="belong to another network"):
        vision._timm(timm, Weights("0" * 64, {"a": torch.zeros(1)}), vision.NETWORKS["dino"].options)


def tiny_vgg(weights, init_weights):
    assert weights is None and not init_weights
    network = nn.Module()
    network.features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=8), nn.ReLU())
    network.avgpool = nn.AdaptiveAvgPool2d(2)
    network.classifier = nn.Sequential(
        nn.Linear(16, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 5)
    )
    return network


def test_vgg_gives_its_second_hidden_layer(monkeypatch):
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    models = start("torchvision.models", "torchvision", "A test")
    monkeypatch.setattr(models, "vgg16", tiny_vgg)
    network = open_features("vgg", weights="random:0")
    features = network(random_pictures(4)).features
    assert network.size == 8 and features.shape == (4, 8)
    assert float(features.min()) == 0.0 and float(features.max()) > 0.0


# --- face -------------------------------------------------------------------------------------------------


@needs_dlib
def test_face_gives_dlibs_descriptor_of_the_whole_picture():
    import dlib

    network = open_features("face")
    pictures = random_pictures(2, height=150, width=150)
    model = dlib.face_recognition_model_v1(str(models.model_file(face._FILE, "This test")))
    wanted = np.array(
        [model.compute_face_descriptor(p.permute(1, 2, 0).contiguous().numpy()) for p in pictures]
    )
    outputs = network(pictures)
    assert isinstance(network, FeatureNetwork) and not isinstance(network, SmoothNetwork)
    assert np.array_equal(outputs.features.numpy(), wanted.astype(np.float32))
    assert network.size == 128 and len(network.fingerprint) == 32


@needs_dlib
def test_face_enlarges_grey_and_small_pictures():
    network, grey = open_features("face"), random_pictures(1, channels=1, height=20, width=30)
    assert torch.equal(network(grey).features, network(grey.expand(-1, 3, -1, -1)).features)
    with pytest.raises(DataError, match="nothing to measure"):
        network(grey[:0])


def test_face_says_what_is_missing_of_its_models(monkeypatch, tmp_path):
    pytest.importorskip("dlib")
    package = tmp_path / "no_such_models"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(models, "PACKAGE", "no_such_models")
    with pytest.raises(DataError, match="must contain models/dlib_face"):
        open_features("face")
    file = package / face._FILE
    file.parent.mkdir()
    file.write_bytes(b"damaged")
    with pytest.raises(DataError, match="dlib cannot read"):
        open_features("face")
    monkeypatch.setattr(models, "PACKAGE", "no_such_package_at_all")
    with pytest.raises(MissingPackageError, match=r"gansmith\[faces\]"):
        open_features("face")


# --- a file of the user's own -----------------------------------------------------------------------------

OWN = """
import torch

def features(pictures):
    assert pictures.dtype == torch.uint8 and pictures.shape[1] == 3
    return pictures.float().mean((2, 3))

def brightest(pictures):
    return pictures.float().amax((1, 2, 3))[:, None]

def flat(pictures):
    return pictures.float().mean((1, 2, 3))

def listed(pictures):
    return [1.0]

def fewer(pictures):
    return pictures.float().mean((2, 3))[1:]

def failing(pictures):
    raise KeyError("eyes")

number = 3
"""


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    return file


def test_a_file_of_ones_own_gives_the_features(own):
    network, pictures = open_features(str(own)), random_pictures(5, channels=1)
    assert isinstance(network, FeatureNetwork) and not isinstance(network, SmoothNetwork)
    assert (network.name, network.size) == ("mine:features", 3)
    mean = pictures.float().mean((2, 3))
    assert torch.allclose(network(pictures).features, mean.expand(-1, 3))
    other = open_features(f"{own}:brightest")
    assert other.size == 1 and other.fingerprint != network.fingerprint
    assert torch.equal(other(pictures).features, pictures.amax((1, 2, 3)).float()[:, None])


def test_a_changed_file_is_another_network(own):
    before = open_features(str(own))
    own.write_text("def features(pictures):\n    return pictures.float().mean((1, 2, 3))[:, None]\n")
    after = open_features(str(own))
    assert before.fingerprint != after.fingerprint and (before.size, after.size) == (3, 1)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("flat", r"shape \[2\]"),
        ("listed", "list from"),
        ("fewer", r"shape \[1, 3\]"),
        ("failing", "KeyError: 'eyes'"),
    ],
)
def test_a_function_that_gives_something_else_is_told(own, function, words):
    with pytest.raises(DataError, match=words):
        open_features(f"{own}:{function}")


@pytest.mark.parametrize("function", ["number", "absent"])
def test_a_function_that_is_not_there_is_told(own, function):
    with pytest.raises(SettingError, match=f"no function {function}"):
        open_features(f"{own}:{function}")


def test_a_file_that_is_not_there_or_fails_is_told(tmp_path):
    with pytest.raises(SettingError, match="there is no file"):
        open_features(str(tmp_path / "absent.py"))
    broken = tmp_path / "broken.py"
    broken.write_text("import sys\nsys.exit(3)")
    with pytest.raises(SettingError, match="could not be imported: SystemExit"):
        open_features(str(broken))
    broken.write_text("from gansmith.errors import DataError\nraise DataError('no eyes here')")
    with pytest.raises(DataError, match="no eyes here"):
        open_features(str(broken))
    broken.write_text(
        "from gansmith.errors import DataError\ndef features(pictures):\n    raise DataError('too dark')"
    )
    with pytest.raises(DataError, match=r"^too dark$"):
        open_features(str(broken))


def test_every_name_is_opened_by_something():
    assert set(registry.WITH_WEIGHTS) | {"face", "pixels"} == set(registry.NAMES)
    assert set(vision.NETWORKS) < set(registry.NAMES)
