"""Packages that the metrics need and gansmith itself does not: started when a metric first asks for one."""

import importlib
import importlib.util
from types import ModuleType

import torch

from gansmith.data.builtin.sets import import_torchvision
from gansmith.errors import DataError, MissingPackageError

EXTRA = "metrics"


def start(module: str, package: str, purpose: str) -> ModuleType:
    """A module of an optional package that stands on torchvision.

    torchvision is started first, for then it works even if its compiled part was built for another torch.

    Args:
        module: such as ``torchmetrics.functional.image``.
        package: its name for pip.
        purpose: what needs it, to begin a sentence with.

    Raises:
        MissingPackageError: it, or a package it needs, is not installed.
        DataError: it is installed and does not start.
    """
    if importlib.util.find_spec("torchvision") is None:
        raise MissingPackageError("torchvision", purpose, EXTRA)
    try:
        import_torchvision(purpose)
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or package).partition(".")[0]
        own = missing == module.partition(".")[0]
        raise MissingPackageError(package if own else missing, purpose, EXTRA) from error
    except (DataError, ImportError, OSError, RuntimeError) as error:
        raise DataError(
            f"{purpose} needs the package {package}, which is installed but does not start ({error}). "
            f"Install one that fits torch {torch.__version__}: pip install --force-reinstall {package}"
        ) from error
