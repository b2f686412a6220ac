"""Streams that fail, escape sequences, Ctrl-C at any moment, names that are no UTF-8."""

import os
import random
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import lies
import pytest

from gansmith.core.streams import Messages, Unfailing, clean
from gansmith.runs.run import Run

TRAIN = ["train", "demo-faces:40", "--recipe", "rpgan8", "--device", "cpu"]
for setting in ("train.images=48", "train.batch=8", "train.log_every=8", "train.precision=float32"):
    TRAIN += ["--set", setting]
for width in ("generator_width", "discriminator_width"):
    TRAIN += ["--set", f"method.{width}=4"]


def shell(command: str) -> subprocess.CompletedProcess[bytes]:
    script = f'g() {{ "{sys.executable}" -m gansmith "$@"; }}; {command}'
    return subprocess.run(["bash", "-c", script], capture_output=True, timeout=120)


def words(run: Path) -> str:
    return f"{' '.join(TRAIN)} --run '{run}'"


HEAD = "| head -{}; exit ${{PIPESTATUS[0]}}"
MUTE = ["2>/dev/full", "2>&-", ">&- 2>&-", f"2>&1 >/dev/null {HEAD.format(1)}"]


@pytest.mark.slow
@pytest.mark.parametrize("end", MUTE)
def test_training_goes_on_where_its_messages_cannot_be_written(tmp_path: Path, end: str) -> None:
    done = shell(f"g {words(tmp_path / 'run')} {end}")
    assert done.returncode == 0, done
    assert b"Traceback" not in done.stdout + done.stderr
    assert (tmp_path / "run" / "checkpoints" / "000000048.safetensors").is_file()


@pytest.mark.parametrize(
    ("end", "code"),
    [(">&-", 0), (HEAD.format(0), 0), (">/dev/full", 2), ("2>/dev/full", 0)],
)
def test_output_that_is_not_wanted_is_no_fault_and_output_that_is_lost_is_one(end: str, code: int) -> None:
    done = shell(f"g recipes {end}")
    assert done.returncode == code, done
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr
    assert code == 0 or b"could not be written: No space left" in done.stderr


@pytest.mark.slow
def test_no_escape_reaches_the_terminal_from_a_recipe_or_a_file(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shell(f"g {words(run)}")
    path = Run.open(run).checkpoint_files()[-1]
    tensors, facts = lies.read(path)
    for evil in ("\x1b[31mred", "\u202eright", "\x07\x08\x9b2J", "\rover"):
        lies.write(path, tensors | {f"networks.{evil}": tensors["networks.generator.main.0.weight"]}, facts)
        done = shell(f"g generate '{path}' -o '{tmp_path / 'out'}'")
        assert done.returncode == 2 and b"Traceback" not in done.stderr
        lies.write(path, tensors, facts | {"recipe": facts["recipe"] | {evil: 1}})
        again = shell(f"g generate '{path}' -o '{tmp_path / 'out'}'")
        assert again.returncode == 2
        for said in (done.stderr.decode(), again.stderr.decode()):
            assert said.strip() and clean(said) == said, repr(said)


@pytest.mark.parametrize("seed", range(20))
def test_cleaned_text_has_nothing_left_to_clean_and_keeps_its_letters(seed: int) -> None:
    chance = random.Random(seed)
    blocks = [range(0x300), range(0x2000, 0x2100), range(0xD800, 0xE000)]
    text = "".join(chr(chance.choice(chance.choice(blocks))) for _ in range(500))
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert not any((ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0 for c in cleaned)
    assert not set(cleaned) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")
    plain = "Straße 日本 עברית\tand\nlines"
    assert clean(plain) == plain


def test_a_stream_that_is_closed_or_missing_takes_everything() -> None:
    closed = StringIO()
    closed.close()
    for stream in (Unfailing(None), Messages(None), Messages(closed)):
        assert stream.write("abc") == 3
        stream.flush()
        assert not stream.isatty()


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["generate", "prepare"])
@pytest.mark.parametrize("wait", [0.1, 0.6, 1.5])
def test_an_interruption_at_any_moment_is_no_traceback(tmp_path: Path, verb: str, wait: float) -> None:
    given = ["prepare", "demo-faces:3000"] if verb == "prepare" else ["generate", str(tmp_path), "-o"]
    with subprocess.Popen(
        [sys.executable, "-m", "gansmith", *given, str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    if wait > 0.3:  # Before that, Python itself may not be there yet.
        assert b"Traceback" not in said, said.decode()


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "locale"), [(b"caf\xe9", {}), ("größe".encode(), ASCII)])
def test_a_run_whose_name_the_system_cannot_read_is_trained_and_used(
    tmp_path: Path, ending: bytes, locale: dict[str, str]
) -> None:
    name, env = os.fsencode(tmp_path) + b"/" + ending, os.environ | locale
    call = [os.fsencode(sys.executable), b"-m", b"gansmith"]
    words = [*call, *map(os.fsencode, TRAIN), b"--run", name]
    train = subprocess.run(words, capture_output=True, timeout=120, env=env)
    assert train.returncode == 0 and b"Traceback" not in train.stderr, train.stderr
    for verb in ([b"generate", name, b"-o", name + b"-out", b"--seeds", b"0-3"], [b"report", name]):
        done = subprocess.run([*call, *verb], capture_output=True, timeout=120, env=env)
        assert done.returncode == 0, done.stderr
    assert os.path.isfile(name + b"-out/seed000003.png")
