"""torch-fidelity's own functions to compare with; where it is not installed, tests that ask are skipped."""

import importlib.util
import warnings
from types import ModuleType

import pytest

from gansmith.metrics.features.base import start


def theirs(module: str) -> ModuleType:
    """A module of torch-fidelity, such as ``metric_fid``."""
    for package in ("torch_fidelity", "torchvision"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: nothing to compare with")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return start(f"torch_fidelity.{module}", "torch-fidelity", "A comparison")
