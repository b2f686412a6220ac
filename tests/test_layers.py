"""Folders build on each other in one order, and no module needs itself."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "gansmith"
ORDER = (
    "cli app reporting robustness training ratings explore metrics models runs engine recipes config methods "
    "networks losses attacks augment data images faces core errors"
).split()
"""From top to bottom: a folder imports from itself and from those after it."""

ALLOWED: set[tuple[str, str]] = set()
"""(module, module it imports): exceptions, each with its reason."""

FILES = {
    ".".join(("gansmith", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}


def imports_of(name: str) -> set[str]:
    """All modules of the package that a module imports anywhere: in functions and for types, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in FILES}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: a relative import"
            parts = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {part if part in FILES else str(node.module) for part in parts} & FILES.keys()
    return found


IMPORTS = {name: imports_of(name) for name in FILES}


def layer(name: str) -> str:
    return name.split(".")[1]


def test_every_folder_has_its_place() -> None:
    tops = {layer(name) for name in FILES if name not in ("gansmith", "gansmith.__main__")}
    assert tops <= set(ORDER), tops - set(ORDER)


def test_folders_import_from_those_below_them() -> None:
    upward = {
        (name, other)
        for name, others in IMPORTS.items()
        for other in others
        if "gansmith" not in (name, other) and name != "gansmith.__main__"
        if ORDER.index(layer(name)) > ORDER.index(layer(other))
    }
    assert upward == ALLOWED


def test_no_module_needs_itself() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(IMPORTS[name] - {"gansmith"}):  # It gives its version; the rest is lazy.
                visit(other, (*path, name))
            done.add(name)

    for name in FILES.keys() - {"gansmith"}:
        visit(name, ())
