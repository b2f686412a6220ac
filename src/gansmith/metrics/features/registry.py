"""Feature networks by name: what an evaluation looks at images with."""

from collections.abc import Callable
from pathlib import Path

import torch

from gansmith.errors import SettingError, nearest
from gansmith.metrics.features.base import FeatureNetwork, Found, SmoothExtractor, versions
from gansmith.metrics.features.face import open_face
from gansmith.metrics.features.inception import open_inception
from gansmith.metrics.features.resize import RESIZERS, Levels, clean
from gansmith.metrics.features.user import is_own, open_own
from gansmith.metrics.features.vision import NETWORKS, open_vision

_SIDE = 16

NAMES = ("inception", "face", "dino", "clip", "vgg", "pixels")
"""The feature networks with a name."""

WITH_WEIGHTS = ("inception", "dino", "clip", "vgg")
"""Those that need a file of weights, which is fetched where it is missing."""


def open_features(
    name: str,
    *,
    weights: Path | str | None = None,
    resize: str = "clean",
    device: torch.device | str = "cpu",
) -> FeatureNetwork:
    """A feature network, ready to be shown images.

    - ``inception``: what FID, KID and the Inception score are made with; 2048 features, 1008 logits.
    - ``face``: dlib's face recogniser, 128 numbers; for faces in line; needs no download.
    - ``dino``, ``clip``, ``vgg``: see `features.vision`. Never run with their real weights so far.
    - ``pixels``: the image at 16 x 16, 768 numbers; needs nothing.
    - ``FILE.py`` or ``FILE.py:function``: your own, see gansmith.metrics.features.user.

    All but ``face`` run on ``device``; results are on the CPU. A network gives an image the same numbers
    whatever images are beside it.

    Args:
        name: one of the above.
        weights: the file of weights; None: torch's cache, fetched to there where it is missing;
            ``random:SEED`` for tests. Only for networks that have weights.
        resize: ``clean`` or ``legacy``, see `features.resize`. Only for networks that have weights.
        device: where it runs.

    Raises:
        SettingError: an unknown name, or a setting the network does not have.
        MissingPackageError: it needs a package that is not installed.
        DataError: its weights are not there, damaged or others, or the user's function fails.
    """
    if resize not in RESIZERS:
        raise SettingError(f"resize is clean or legacy. Received: {resize!r}.")
    if name not in WITH_WEIGHTS and not (weights is None and resize == "clean"):
        given = "weights" if weights is not None else f"resize={resize}"
        raise SettingError(
            f"Only {', '.join(WITH_WEIGHTS)} have weights and a choice of resizing. "
            f"Received: {given} for {name}."
        )
    where = torch.device(device)
    if is_own(name):
        return open_own(name, where)
    if name not in NAMES:
        raise SettingError(
            f"A feature network is one of {', '.join(NAMES)}, or a FILE.py of your own. "
            f"Received: {name!r}.{nearest(name, NAMES)}"
        )
    if name == "inception":
        return open_inception(weights, resize, where)
    if name in NETWORKS:
        return open_vision(name, weights, resize, where)
    simple: dict[str, Callable[[], FeatureNetwork]] = {
        "face": open_face,
        "pixels": lambda: open_pixels(where),
    }
    return simple[name]()


def open_pixels(device: torch.device) -> SmoothExtractor:
    """The image itself, small: 16 x 16 levels of red, green and blue from 0 to 1, row by row."""

    def forward(levels: Levels) -> Found:
        return clean(levels, _SIDE).flatten(1) / 255.0, None

    facts = {"resize": "clean", **versions("torch")}
    return SmoothExtractor("pixels", 3 * _SIDE * _SIDE, facts, forward, device)
