"""Every message a user can meet: what the rule is, what was received, and what to do about it.

GansmithError
├── SettingError         a value in a recipe or behind --set
├── DataError            images, labels, data sets
├── RunError             a run directory: in use, different, not there
├── CheckpointError      a checkpoint file: damaged, foreign, unsafe
├── TrainingError        training itself went wrong (a loss became NaN)
├── StorageError         the disk refused: full, read-only, no permission
└── MissingPackageError  an optional package is not installed
    └── OtherPackageError    it is, in another release than a run was made with
"""

import difflib
from collections.abc import Iterable


class GansmithError(Exception):
    """A problem the user can act on. The command line prints it as one message and exits with 2.

    Example:
        >>> try: open_generator("runs/none")
        ... except GansmithError as error: print(error)
    """

    exit_code = 2


class SettingError(GansmithError):
    """A recipe or a ``--set`` value breaks a rule.

    Example:
        >>> raise SettingError(f"The batch must be at least 2. Received: batch={batch}.")
    """


class DataError(GansmithError):
    """The images, or their labels and other columns, cannot be used as they are.

    Example:
        >>> raise DataError(f"There are no images in {folder}. Name a folder with PNG or JPEG files.")
    """


class RunError(GansmithError):
    """A run directory is in use, differs from what was asked, or is not a run.

    Example:
        >>> raise RunError(f"{path} is not a run: it has no recipe.json.")
    """


class CheckpointError(GansmithError):
    """A checkpoint is damaged, of another kind, or unsafe to read.

    Example:
        >>> raise CheckpointError(f"{path} is damaged: its digest does not match. Use an older checkpoint.")
    """


class TrainingError(GansmithError):
    """Training cannot go on: a loss is NaN or infinite, or another process has gone.

    Example:
        >>> raise TrainingError("The loss of the generator is NaN. Lower its learning rate.")
    """


class StorageError(GansmithError):
    """A file cannot be written or read: a full disk, or no permission.

    Example:
        >>> raise StorageError(f"The disk is full: {path} was not written. Free some space and resume.")
    """


class MissingPackageError(GansmithError):
    """An optional package is not installed.

    Example:
        >>> raise MissingPackageError("dlib", "Finding faces", "faces")
    """

    def __init__(self, package: str, purpose: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed. "
            f"Install it with: pip install 'gansmith[{extra}]'"
        )


class OtherPackageError(MissingPackageError):
    """An optional package is installed in a release that is not the one a run was made with.

    Example:
        >>> raise OtherPackageError("This run needs dlib 19. Received: 20. Install it: pip install dlib==19")
    """

    def __init__(self, message: str) -> None:
        GansmithError.__init__(self, message)


def at_least(value: object, minimum: float, *names: str, prefix: str = "method.") -> None:
    """Check that the named fields of ``value`` are ``minimum`` or more.

    Raises:
        SettingError: one is not, or is not a number.
    """
    for name in names:
        given = getattr(value, name)
        if not given >= minimum:
            raise SettingError(f"{prefix}{name} must be at least {minimum:g}. Received: {name}={given}.")


def nearest(name: str, known: Iterable[str]) -> str:
    """A suggestion for an unknown name, ready to be put behind a message.

    Returns: ``" Did you mean 'lr'?"``, or the list of what is known when nothing is near.
    """
    names = sorted(known)
    close = [known_name for known_name in names if known_name.endswith(f"={name}")]  # "gender=man" for "man".
    close = close or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if not close:  # "batch_size" is far from "batch" letter by letter, yet everyone means it.
        close = [known_name for known_name in names if len(known_name) > 2 and known_name in name][:1]
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Known names: {', '.join(names)}." if names else ""
