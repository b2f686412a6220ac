"""The page of an attack: pictures, accuracy over epsilon, what speaks for masked gradients."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gansmith.reporting import html
from gansmith.reporting.images import embed

_SIDE, _BYTES = 1400, 400_000

_ETHICS = (
    "An attack is a measurement of one's own models. Robust accuracy is a bound from above: a better attack "
    "may find more. Pictures on this page were altered to fool a network, and are marked so."
)


def build(tree: Mapping[str, Any], folder: Path) -> str:
    """The whole page.

    Args:
        tree: ``attack.json``.
        folder: where its pictures are.
    """
    body = [
        html.section("pictures", "Pictures", _pictures(tree, folder)),
        html.section(
            "table", "Robust accuracy", _drawn(folder / "accuracy.png", "Accuracy over epsilon"), _table(tree)
        ),
        html.section(
            "masking", "Masked gradients?", html.notes(tree["gradient_masking"], "Masked gradients")
        ),
        html.section("roc", "ROC", _drawn(folder / "roc.png", "ROC before and after the strongest attack")),
        html.section("parts", "By class", _parts(tree)),
    ]
    head = html.paragraph(_lead(tree), "lead") + html.notes(filter(None, [tree["note"], _ETHICS]))
    return html.page(f"Attack on {tree['name']}", head, body, {"charts": [], "most": 0, "frames": []})


def _lead(tree: Mapping[str, Any]) -> str:
    clean = tree["clean"]["accuracy"]["value"]
    least = min(tree["attacks"], key=lambda cell: cell["accuracy"]["value"])
    pictures = html.plural(tree["images"], "picture")
    return (
        f"A {tree['target']} that is right in {html.share(clean)} of {pictures} is right "
        f"in {html.share(least['accuracy']['value'])} after {least['attack']} at epsilon "
        f"{epsilon_words(least['epsilon'])} ({'L-inf' if tree['norm'] == 'linf' else 'L2'})."
    )


def _pictures(tree: Mapping[str, Any], folder: Path) -> str:
    made = tree["examples"]
    words = (
        f"Above: pictures as they are. Middle: the change by {made['attack']} at epsilon "
        f"{epsilon_words(made['epsilon'])}, magnified {made['magnified']:.0f} times around grey. Below: what "
        "the model was shown."
    )
    rows = [(place + 1, *row) for place, row in enumerate(made["rows"])]
    table = html.table(("picture", "true", "said before", "said after"), rows, "From left to right")
    return _drawn(folder / "pictures.png", "Pictures before an attack, its changes, and after") + (
        html.paragraph(words, "quiet after") + table
    )


def _drawn(file: Path, alt: str) -> str:
    picture = embed(file, _SIDE, _BYTES) if file.is_file() else None
    return "" if picture is None else f"<figure>{picture.tag(alt)}</figure>"


def _table(tree: Mapping[str, Any]) -> str:
    rows = list(_rows(tree))
    head = ["attack", "epsilon", "accuracy", "95 %", "after rounding to 8 bits", "loss"]
    if tree["clean"]["scores"]:
        head.append("AUC")
    return html.table(head, rows, "What is still told right")


def _rows(tree: Mapping[str, Any]) -> Iterator[list[str]]:
    for cell in (tree["clean"], *tree["attacks"], *tree["probes"]):
        told = cell["accuracy"]
        yield [
            cell["attack"],
            epsilon_words(cell["epsilon"]),
            html.share(told["value"]),
            "" if told["low"] is None else f"{html.share(told['low'])} to {html.share(told['high'])}",
            html.share(cell["as_file"]["value"]),
            html.short(cell["loss"]),
            *(html.short(value["value"]) for value in cell["scores"].values()),
        ]


def _parts(tree: Mapping[str, Any]) -> str:
    names = list(tree["clean"]["parts"])
    if not names:
        return ""
    rows = [
        [cell["attack"], epsilon_words(cell["epsilon"])]
        + [html.share(cell["parts"][name]["value"]) if name in cell["parts"] else "" for name in names]
        for cell in (tree["clean"], *tree["attacks"])
    ]
    return html.table(["attack", "epsilon", *names], rows, "What is still told right, by class or attribute")


def epsilon_words(epsilon: float) -> str:
    """``4/255`` where it is a whole number of levels, else ``0.3``; nothing for 0."""
    levels = epsilon * 255
    if epsilon == 0:
        return ""
    if epsilon < 1 and abs(levels - round(levels)) < 1e-6 and round(levels) < 64:
        return f"{round(levels)}/255"
    return f"{epsilon:.3g}"
