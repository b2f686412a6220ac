"""How often a classifier is right, over all images, by class or by attribute."""

from collections.abc import Sequence

from gansmith.errors import DataError
from gansmith.losses.classification import Logits, Truth, told
from gansmith.metrics.math.intervals import Result, Value, mean_value, share

_FEW = 100


def accuracy(logits: Logits, truth: Truth, names: Sequence[str]) -> Result:
    """The share of images whose class is told right, and of each class; or of attributes, and of each.

    Args:
        logits: what was said, one row an image.
        truth: labels [n], or attributes [n, a].
        names: of the classes or the attributes.

    Returns: ``accuracy``, and ``accuracy NAME`` for each name there are images of. Intervals are Wilson's;
    of all attributes together a bootstrap of images, for the attributes of one image go together.

    Raises:
        DataError: no images.
    """
    if not len(logits):
        raise DataError(
            "Accuracy needs held-out pictures. Received: none. Train with a share held out, "
            "for example --set data.validation=0.05."
        )
    answers = told(logits, truth)
    note = f"Few pictures: {len(answers)}." if len(answers) < _FEW else ""
    found: dict[str, Value] = {}
    if truth.dim() == 1:
        found["accuracy"] = share(answers, note)
        parts = {name: answers[truth == number] for number, name in enumerate(names)}
    else:
        single = answers.shape[1] == 1
        found["accuracy"] = (
            share(answers[:, 0], note) if single else mean_value(answers.double().mean(dim=1), note=note)
        )
        parts = {name: answers[:, number] for number, name in enumerate(names)}
    for name, part in parts.items():
        if len(part):
            found[f"accuracy {name}"] = share(part)
    return found
