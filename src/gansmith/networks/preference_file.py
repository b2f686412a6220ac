"""``preference.safetensors`` and ``preference.json`` of a run: what its ratings have taught."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torch import nn

from gansmith.core.files import storage_error, whole_file, write_text
from gansmith.core.json_files import read_json
from gansmith.core.spec import DataSpec
from gansmith.core.tensor_file import read_tensors, write_tensors
from gansmith.errors import DataError, SettingError
from gansmith.networks.preference import Preference

WEIGHTS, FACTS = "preference.safetensors", "preference.json"
LEAST_AUC = 0.6  # That an AUC must be above, also at the lower end of its 95 % interval.
# Half of that interval over sqrt(AUC (1 - AUC) / ratings): 1.96 times the standard error of Hanley and McNeil
# (1982) for as many thumbs up as down, between 0.5 and 0.8. Of pairs it is a seventh less.
_HALF = 1.96 * 1.15
_FORMAT = "gansmith-preference-1"


@dataclass(frozen=True, kw_only=True)
class PreferenceFacts:
    """What is known of a fitted preference.

    Args:
        generator: fingerprint of the generator whose pictures were rated.
        ratings: how many it was fitted to.
        auc: of held-out ratings, cross-validated, in [0, 1]; 0.5 is a guess.
        digest: of all its weights, ``Preference.fingerprint``.
        members, components, hidden: its form.

    Example:
        >>> read_facts(Path("runs/one")).auc
        0.87
    """

    generator: str
    ratings: int
    auc: float
    digest: str
    members: int = 5
    components: int = 48
    hidden: int = 16

    @property
    def least(self) -> float:
        """The AUC whose 95 % interval begins at 0.6 after so many ratings: 0.67 after 200, 0.77 after 30."""
        spread = _HALF**2 / max(self.ratings, 1)  # (least - 0.6)^2 = spread least (1 - least), solved.
        middle = 2 * LEAST_AUC + spread
        return (middle + math.sqrt(middle**2 - 4 * (1 + spread) * LEAST_AUC**2)) / (2 * (1 + spread))

    @property
    def known(self) -> bool:
        """Whether the preference tells liked images from others."""
        return self.auc >= self.least

    def check_known(self, run: Path | str) -> None:
        """Raise unless ``known``.

        Args:
            run: that was rated.

        Raises:
            SettingError: it is not.
        """
        if not self.known:
            raise SettingError(
                f"A preference must tell liked images from others: after {self.ratings} ratings by an AUC of "
                f"{self.least:.2f} or more on ratings it has not seen, which is surely above {LEAST_AUC}. "
                f"Received: {self.auc:.2f}; 0.5 is a guess. Rate more images, or by a clearer rule: "
                f"gansmith rate {run}."
            )


def save_preference(preference: Preference, facts: PreferenceFacts, run: Path) -> None:
    """Write both files whole: first the weights, then what is said of them.

    Raises:
        StorageError: the disk refuses.
    """
    tensors = {
        name: value.detach().cpu().contiguous().clone() for name, value in preference.state_dict().items()
    }
    path = run / WEIGHTS
    try:
        with whole_file(path) as part:
            write_tensors(part, tensors, {"format": _FORMAT})
    except OSError as error:
        raise storage_error(path, error) from error
    write_text(run / FACTS, json.dumps(asdict(facts), indent=2) + "\n")


def read_facts(run: Path) -> PreferenceFacts | None:
    """What is known of a run's preference; None where none was fitted.

    Raises:
        DataError: the file is damaged or another one.
    """
    path = run / FACTS
    if not path.exists():
        return None
    try:
        tree = read_json(path)
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    kinds = {field.name: field.type for field in fields(PreferenceFacts)}
    if not isinstance(tree, Mapping) or not all(
        type(tree.get(name)) is kind or (kind is float and type(tree.get(name)) is int)
        for name, kind in kinds.items()
    ):
        raise _damaged(path, f"it must say {', '.join(kinds)}")
    found = PreferenceFacts(**{name: tree[name] for name in kinds})
    if min(found.members, found.components, found.hidden) < 1 or not 0 <= found.auc <= 1:
        raise _damaged(path, "its numbers are out of range")
    return found


def load_preference(run: Path, critic: nn.Module, spec: DataSpec) -> Preference:
    """The preference of a run, in eval mode.

    Args:
        run: where it was fitted.
        critic: built as the run builds it; its weights are replaced by those of the file.
        spec: of the run.

    Raises:
        DataError: it is missing, damaged, or of another critic.
    """
    facts, path = read_facts(run), run / WEIGHTS
    if facts is None:
        raise DataError(
            f"What people like is learnt of ratings first. Received: {run}, which has no {FACTS}. "
            f"Run: gansmith rate {run}, then gansmith rate {run} --fit."
        )
    made = Preference(critic, spec, facts.members, facts.components, facts.hidden)
    if made.basis.is_meta:  # Only its form was asked for.
        return made.eval()
    try:
        tensors, texts = read_tensors(path)
        if texts.get("format") != _FORMAT:
            raise ValueError("it is another kind of file")
        made.load_state_dict(tensors)
    except (OSError, ValueError, RuntimeError) as error:
        raise _damaged(path, str(error).strip().splitlines()[-1].strip()) from error
    if made.fingerprint() != facts.digest:
        raise _damaged(path, f"its weights are not those that {FACTS} speaks of")
    return made.eval()


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} must be what gansmith rate wrote. Received: a file that is not: {reason}. The ratings are "
        f"kept apart and are safe. Fit again: gansmith rate {path.parent} --fit."
    )
