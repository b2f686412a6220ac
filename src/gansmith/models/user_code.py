"""Methods and recipes from a Python file of the user."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from gansmith.config.recipe import Recipe
from gansmith.config.serialization import know
from gansmith.errors import GansmithError, SettingError


def import_code(file: str) -> None:
    """Import the user's own method from a file, under the file's name, so that its classes are known.

    Raises:
        SettingError: not there, or it fails.
    """
    path = Path(file)
    if not path.is_file():
        raise SettingError(f"A method of your own is a Python file. Received: {file}, which is not there.")
    there = sys.modules.get(path.stem)
    if there is not None:
        if Path(getattr(there, "__file__", None) or "").resolve() == path.resolve():
            return
        raise SettingError(
            f"A method of your own needs a file name that no module has. Received: {file}, "
            f"and there is a module {path.stem} already. Rename the file."
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SettingError(f"A method of your own is a file ending in .py. Received: {file}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except GansmithError:
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[path.stem]
        raise SettingError(f"{file} could not be imported: {type(error).__name__}: {error}") from error
    know(module)


def recipe_of_code(file: str) -> Recipe:
    """What the function ``recipe()`` of the user's file returns."""
    import_code(file)
    make: Any = getattr(sys.modules[Path(file).stem], "recipe", None)
    try:
        made = make() if callable(make) else None
    except GansmithError:
        raise
    except Exception as error:
        raise SettingError(f"recipe() of {file} failed: {type(error).__name__}: {error}") from error
    if not isinstance(made, Recipe):
        raise SettingError(f"{file} must define recipe() that returns a gansmith.Recipe. Received: {made!r}.")
    return made
