"""What the documentation says is there: files, verbs, options, recipes, settings and public names."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import click
import pytest

from gansmith.cli.main import cli
from gansmith.config.overrides import override
from gansmith.recipes import CATALOGUE, named

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITHOUT_EXAMPLE: dict[str, str] = {}
"""Class, such as ``core/progress.py:Progress`` -> why it has no example; at most ten."""

every_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def commands(text: str) -> list[list[str]]:
    """The words of each gansmith command in code, continued lines joined, comments left out."""
    joined = text.replace("\\\n", " ")
    found = re.findall(r"(?:^|`)\s*gansmith ([a-z][^`\n]*)", joined, flags=re.MULTILINE)
    return [command.split("  ")[0].split(" #")[0].split() for command in found]


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@every_page
def test_commands_exist(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        command = cli.commands.get(words[0])
        assert command is not None, f"{page.name}: gansmith {words[0]}"
        inner = [command.commands[word] for word in words if word in getattr(command, "commands", {})]
        known = {
            option for each in (command, *inner) for parameter in each.params for option in parameter.opts
        }
        for word in words[1:]:
            if word.startswith("-"):
                assert word in known, f"{page.name}: gansmith {words[0]} {word}"
        for flag, name in pairwise(words):
            if flag == "--recipe" and not name.endswith(".py"):
                assert name in CATALOGUE, f"{page.name}: {name}"


@every_page
def test_settings_exist(page: Path) -> None:
    text = re.sub(r"\bedit [^`\n]*", "", page.read_text(encoding="utf-8"))  # Its --set names attributes.
    for assignment in re.findall(r"`?--set ([a-z_.]+=[^\s`]+)", text):
        if (
            any(mark in assignment for mark in ("...", "NAME", "borrow."))
            or "." not in assignment.partition("=")[0]
        ):
            continue
        takers = [name for name in CATALOGUE if _takes(name, assignment.strip("'\""))]
        assert takers, f"{page.name}: no recipe takes {assignment}"


def _takes(name: str, assignment: str) -> bool:
    from gansmith.errors import SettingError

    try:
        override(named(name), assignment)
    except SettingError:
        return False
    return True


def test_every_recipe_is_in_a_page_of_its_method() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "methods").glob("*.md"))
    assert [name for name in CATALOGUE if f"`{name}`" not in text] == []


def test_every_kind_of_recipe_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    kinds = {re.match(r"([a-z-]*?)(-attributes|-paper)?-?(\d|-x\d|$)", name)[1] for name in CATALOGUE}  # type: ignore[index]
    assert kinds and all(f"`{kind}" in text for kind in kinds), {k for k in kinds if f"`{k}" not in text}


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        links = re.findall(r"\]\(([^)#]+\.md)", page.read_text(encoding="utf-8"))
        waiting += [(page.parent / link).resolve() for link in links if not link.startswith("http")]
    assert set(PAGES) <= reached, [page.name for page in set(PAGES) - reached]


def test_every_verb_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "Makefile").read_text(encoding="utf-8")
    assert isinstance(cli, click.Group)
    assert [verb for verb in cli.commands if f"gansmith {verb}" not in text] == []


def _classes() -> dict[str, ast.ClassDef]:
    """The public classes at the top level of every module."""
    source = ROOT / "src" / "gansmith"
    return {
        f"{file.relative_to(source).as_posix()}:{node.name}": node
        for file in sorted(source.rglob("*.py"))
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    }


def test_every_public_class_has_an_example() -> None:
    classes = _classes()
    assert len(classes) > 300
    without = {name for name, node in classes.items() if ">>>" not in (ast.get_docstring(node) or "")}
    assert without == set(WITHOUT_EXAMPLE)
    assert all(WITHOUT_EXAMPLE.values()) and len(WITHOUT_EXAMPLE) <= 10
