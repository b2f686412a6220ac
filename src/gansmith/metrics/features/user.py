"""A feature network of the user's own: a Python file with a function from images to numbers."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gansmith.errors import DataError, GansmithError, SettingError
from gansmith.metrics.features.base import Extractor, Found, versions
from gansmith.metrics.features.resize import Levels
from gansmith.metrics.features.weights import digest

_FUNCTION = "features"
_TRIAL = 64  # Pixels of the side of the black images it is tried with.
_RULE = "A feature function takes uint8 pictures [n, 3, h, w] and gives numbers [n, d]"


def is_own(name: str) -> bool:
    """Whether a name of a feature network is a file's."""
    return name.endswith(".py") or ".py:" in name


def open_own(name: str, device: torch.device) -> Extractor:
    """The function of a file, tried on two black images.

    Args:
        name: ``FILE.py:function``, or ``FILE.py`` for its function ``features``. It is given uint8 images
            [n, 3, h, w] on ``device``, always the same number of them, and returns numbers [n, d], d the same
            each time. It runs without gradients.
        device: where the images are.

    Raises:
        SettingError: no such file or function, or it fails on import.
        DataError: it fails on images or returns something else.
    """
    start, mark, function = name.rpartition(".py")
    path = Path(start + mark)
    function = function.removeprefix(":") or _FUNCTION
    if not path.is_file():
        raise SettingError(
            f"A feature network of your own is written FILE.py or FILE.py:function. "
            f"Received: {name}, and there is no file {path}."
        )
    code = digest(path)
    compute = _function(path, function, code)

    def forward(levels: Levels) -> Found:
        return _checked(compute, name, levels.round().to(torch.uint8)), None

    with torch.inference_mode():
        size = forward(torch.zeros(2, 3, _TRIAL, _TRIAL, device=device))[0].shape[1]
    facts = {"code": code, "function": function, **versions("torch")}
    return Extractor(f"{path.stem}:{function}", size, facts, forward, device)


def _function(path: Path, function: str, code: str) -> Callable[[Tensor], Any]:
    name = f"_gansmith_features_{code[:16]}"  # Of the content: a changed file is another module.
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except GansmithError:
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise SettingError(f"{path} could not be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, function, None)
    if not callable(found):
        raise SettingError(
            f"{_RULE}. Received: {path}, which has no function {function}. Write def {function}(pictures), "
            f"or name another with {path.name}:function."
        )
    compute: Callable[[Tensor], Any] = found
    return compute


def _checked(compute: Callable[[Tensor], Any], name: str, pictures: Tensor) -> Tensor:
    given = f"pictures of shape {list(pictures.shape)}"
    try:
        features = compute(pictures)
    except GansmithError:
        raise
    except Exception as error:
        raise DataError(f"{name} failed on {given}: {type(error).__name__}: {error}") from error
    if not isinstance(features, Tensor):
        raise DataError(f"{_RULE} as a tensor. Received: {type(features).__name__} from {name}.")
    if features.dim() != 2 or len(features) != len(pictures) or features.shape[1] == 0:
        raise DataError(f"{_RULE}. Received: shape {list(features.shape)} from {name} for {given}.")
    return features
