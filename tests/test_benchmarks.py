"""``make bench`` runs every benchmark that needs nothing given to it."""

import ast
from pathlib import Path

HERE = Path(__file__).parent.parent / "benchmarks"


def constants(script: Path, *names: str) -> set[str]:
    """The keys of dictionaries at the top of a script, without running it."""
    found = set()
    for node in ast.parse(script.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            if isinstance(node.targets[0], ast.Name) and node.targets[0].id in names:
                found |= {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
    return found


def runs_alone(script: Path) -> bool:
    """Whether it is a script, and no argument of it is wanted in any case."""
    calls = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Call)]
    added = [call for call in calls if getattr(call.func, "attr", "") == "add_argument"]
    for call in added:
        name, options = ast.literal_eval(call.args[0]), {one.arg: one.value for one in call.keywords}
        optional = "nargs" in options and ast.literal_eval(options["nargs"]) in ("?", "*")
        if (not name.startswith("-") and not optional) or "required" in options:
            return False
    return "__main__" in script.read_text()


def test_every_benchmark_that_runs_alone_is_run_or_left_out_with_a_reason() -> None:
    alone = {script.name for script in HERE.glob("*.py") if runs_alone(script)}
    listed, elsewhere = constants(HERE / "all.py", "SCRIPTS"), constants(HERE / "all.py", "ELSEWHERE")
    assert {"start.py", "app.py"} <= alone and "prepare.py" not in alone and "measuring.py" not in alone
    assert listed | elsewhere == alone and not listed & elsewhere
