"""The order of the folders: each imports from those below it alone, and there is no circle of modules."""

import ast
from collections.abc import Iterator
from pathlib import Path

import gansmith

HOME = Path(gansmith.__file__).parent

ORDER = (
    "cli", "reporting", "training", "metrics", "explore", "models", "runs", "engine", "recipes", "config",
    "methods", "networks", "losses", "augment", "data", "images", "faces", "core",
)  # fmt: skip


def modules() -> dict[str, Path]:
    found = {}
    for path in HOME.rglob("*.py"):
        parts = path.relative_to(HOME).with_suffix("").parts
        name = ".".join(("gansmith", *parts)).removesuffix(".__init__")
        found[name] = path
    return found


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """Modules of gansmith that a file imports, and whether it does so when it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    typing = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
    late |= {id(n) for block in typing for n in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gansmith"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole if whole in modules() else node.module), id(node) not in late


def folder(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or (len(parts) == 2 and parts[1] in ORDER) else ""


def test_every_folder_has_its_place() -> None:
    there = {path.name for path in HOME.iterdir() if (path / "__init__.py").is_file()}
    assert there <= set(ORDER), there - set(ORDER)


def test_a_folder_imports_from_those_below_it_alone() -> None:
    wrong = set()
    for name, path in modules().items():
        mine = folder(name)
        for other, _ in imported(path) if mine else ():
            theirs = folder(other)
            if theirs and ORDER.index(theirs) < ORDER.index(mine):
                wrong.add(f"{name} imports {other}")
    assert not wrong, "\n".join(sorted(wrong))


def test_there_is_no_circle() -> None:
    graph = {name: {other for other, now in imported(path) if now} for name, path in modules().items()}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in graph.get(name, ()):
                walk(other, (*trail, name))
            done.add(name)

    for name in graph:
        walk(name, ())
