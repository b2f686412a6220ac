"""Where dlib's models lie: in a package that brings them, so that nothing has to be downloaded."""

import importlib.util
from pathlib import Path

from gansmith.errors import DataError, MissingPackageError

PACKAGE = "face_recognition_models"


def model_file(name: str, purpose: str) -> Path:
    """A file of the package; it is looked up and not imported, for its import needs setuptools of old.

    Args:
        name: relative to the package.
        purpose: what needs it, to begin a sentence with.

    Raises:
        MissingPackageError: the package is not installed.
        DataError: the package lacks the file.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingPackageError(PACKAGE, purpose, "faces")
    path = Path(spec.origin).parent / name
    if not path.is_file():
        raise broken(name, f"no such file in {path.parent}")
    return path


def broken(name: str, received: str) -> DataError:
    """What to say of a model that is not there or cannot be read."""
    return DataError(
        f"The package {PACKAGE} must contain {name}. Received: {received}. "
        f"Install it anew: pip install --force-reinstall {PACKAGE}"
    )
