"""``make bench`` runs every benchmark that needs nothing given to it."""

import ast
import subprocess
import sys
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


def script(name: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / name), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_run_that_is_not_there_is_one_message(tmp_path: Path) -> None:
    told = script("do_nothing.py", tmp_path / "none", "demo-faces:40")
    assert told.returncode == 2 and not told.stdout and "Traceback" not in told.stderr
    assert told.stderr.startswith("do_nothing.py: ") and str(tmp_path / "none") in told.stderr


def test_quality_takes_no_figures_of_other_data(tmp_path: Path) -> None:
    schedule = "optimizers.generator.schedule=Linear(start=0.5,end=0.1)"
    words = ("--recipes", f"faces8,method.networks.width=4,{schedule}", "--images", 64, "--seeds", 0)
    words = (*words, "--samples", 32, "--no-faces", "--out", tmp_path)
    first = script("quality.py", "demo-faces:400", *words)
    assert first.returncode == 0, first.stderr
    rows = [line.split(" | ") for line in first.stdout.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows] == ["| recipe", "| real", f"| {words[1]}"] and rows[2][7] == "64"
    other = script("quality.py", "demo-faces:300", *words)
    assert other.returncode != 0 and "Choose another --out" in other.stderr and words[1] not in other.stdout
