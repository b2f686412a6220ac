"""``gansmith new method``: what it writes trains, keeps the style of the house, and overwrites nothing."""

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gansmith.cli.main import cli
from gansmith.cli.new import files_of
from gansmith.errors import SettingError
from gansmith.models.user_code import recipe_of_code

ROOT = Path(__file__).parents[2]


def run(*words: object) -> str:
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_file_trains_resumes_and_makes_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("new", "method", "my_first")
    words = ("train", "demo-faces:40", "--recipe", "my_first.py", "--run", "run", "--device", "cpu",
             "--set", "method.width=4", "--set", "data.size=16", "--set", "train.batch=8")  # fmt: skip
    run(*words, "--set", "train.images=16")
    assert "Resuming" in run(*words, "--set", "train.images=32")
    run("generate", "run", "-o", "grid.png", "--seeds", "0-3", "--code", "my_first.py")
    run("walk", "run", "-o", "walk.gif", "--seeds", "0,1", "--frames", "2", "--code", "my_first.py")
    run("evaluate", "run", "demo-faces:40", "--metrics", "fid,ppl", "--features", "pixels", "--samples", "16",
        "--code", "my_first.py", "--no-cache")  # fmt: skip
    run("report", "run")
    run("plan", "demo-faces:40", "--recipe", "my_first.py", "--seconds", "0.1", "--set", "data.size=16")
    run("recipes", "my_first.py")
    with pytest.raises(SettingError, match="Nothing is overwritten"):
        run("new", "method", "my_first")


def test_in_a_checkout_there_are_four_files_that_parse(tmp_path: Path) -> None:
    (tmp_path / "src" / "gansmith" / "methods").mkdir(parents=True)
    files = files_of("my_second", tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in files] == [
        "src/gansmith/methods/my_second.py",
        "src/gansmith/recipes/my_second.py",
        "tests/methods/test_my_second.py",
        "docs/methods/my_second.md",
    ]
    for path, text in files.items():
        assert not re.search(r"\b(NAME|KIND|SHOWN)\b", text)
        if path.suffix == ".py":
            ast.parse(text)
            assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize(
    ("name", "kind"),
    [("hinge_pair", "HingePairGAN"), ("my_gan", "MyGAN"), ("wgan", "WGAN"), ("my_gans", "MyGansGAN")],
)
def test_a_class_is_called_a_gan_once(tmp_path: Path, name: str, kind: str) -> None:
    (text,) = files_of(name, tmp_path).values()
    assert f"class {kind}(PairMethod" in text


@pytest.mark.parametrize(
    ("name", "better"), [("My-GAN", "my_gan"), ("2fast", "my_2fast"), ("class", "my_class")]
)
def test_a_name_that_no_module_can_have_is_refused_with_one_that_it_can(name: str, better: str) -> None:
    with pytest.raises(SettingError, match=f"Try '{better}'"):
        files_of(name, Path())


def test_the_page_on_adding_a_method_is_followed_to_the_letter(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adding-a-method.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL))
    (tmp_path / "followed.py").write_text(code, encoding="utf-8")
    recipe = recipe_of_code(str(tmp_path / "followed.py"))
    assert recipe.method.tiny().turns()[0].name == "discriminator"
    run("train", "demo-faces:20", "--recipe", tmp_path / "followed.py", "--run", tmp_path / "run", "--device",
        "cpu", "--set", "train.images=8", "--set", "train.batch=4", "--set", "data.size=16",
        "--set", "method.width=4")  # fmt: skip
    assert (tmp_path / "run" / "pictures" / "000000008.png").is_file()
