"""Settings of the whole test run."""

import os
import sys
from typing import Any

import jaxtyping
import pytest
import torch
import typechecker

# Tiny networks gain nothing from threads, and lose much where other work has the cores. Child processes
# get the same: the order of a sum, and with it the last bit, depends on the number of threads.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

jaxtyping.jaxtyped = typechecker.checked  # For the import hook, which looks it up at each function.


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command line in this process: words -> (exit code, stdout, stderr)."""

    from gansmith.cli.main import main

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gansmith", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call
