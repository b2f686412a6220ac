"""The verb attack on a classifier, a critic and a detector; the table, its files, and what it warns of."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_products import run
from torch import Tensor, nn

from gansmith.attacks.gradient import FGSM, PGD
from gansmith.core.noise import Noise
from gansmith.images.provenance import read_provenance
from gansmith.methods.classifier import Alone
from gansmith.metrics.math.intervals import Value
from gansmith.models.classifier import open_classifier
from gansmith.models.load import open_generator
from gansmith.robustness.cells import Cell, shown
from gansmith.robustness.latent import latent_attack
from gansmith.robustness.masking import findings
from gansmith.robustness.table import robustness, usual_attacks
from gansmith.robustness.targets import Part, Target, best_threshold

pytestmark = pytest.mark.usefixtures("catalogue")
FEW = ("--samples", "24", "--device", "cpu")


# ---- a table whose numbers are known --------------------------------------------------------------------


def by_brightness(levels: list[float], scale: float = 1.0) -> Target:
    """Class 1 is what is brighter than grey; images are flat, at these levels of [-1, 1]."""
    images = torch.tensor(levels)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    truth = (torch.tensor(levels) > 0).long()

    def model(x: Tensor) -> Tensor:
        mean = x.mean(dim=(1, 2, 3)) * scale
        return torch.stack([-mean, mean], dim=1)

    return Target(
        kind="classifier", name="brightness", names=("dark", "light"), count=len(levels),
        parts=lambda: iter([Part(model, images[:2], truth[:2]), Part(model, images[2:], truth[2:])]),
    )  # fmt: skip


def test_the_table_is_right_where_it_can_be_counted() -> None:
    """An image at level l is turned around exactly when 2 epsilon > |l|."""
    levels = [0.1, -0.3, 0.5, -0.7]
    found = robustness(by_brightness(levels), usual_attacks("linf", 2), [0.1, 0.2, 0.3])
    assert found.clean.accuracy.value == 1.0 and found.flat.value == 0.0
    counted = {epsilon: sum(abs(level) > 2 * epsilon for level in levels) / 4 for epsilon in (0.1, 0.2, 0.3)}
    for cell in found.cells:
        if cell.attack in ("FGSM", "PGD-10", "PGD-50 x2"):
            assert cell.accuracy.value == counted[cell.epsilon], cell
            assert cell.accuracy.low is not None and cell.accuracy.low <= cell.accuracy.value
    assert len(found.cells) == 12 and "No sign of masked gradients" in found.findings[0]
    l2 = robustness(by_brightness(levels), usual_attacks("l2", 2), [0.4])  # 0.1 a pixel.
    assert [cell.accuracy.value for cell in l2.cells] == [0.75, 0.75]
    tree = json.loads(json.dumps(found.as_json()))
    assert tree["attacks"][0]["parts"]["light"]["value"] == 0.5


def test_masked_gradients_are_found() -> None:
    """Logits of +-400 have a cross-entropy without slope: nothing moves, and that is said."""
    target = by_brightness([0.4, -0.4, 0.6, -0.6], scale=1000.0)
    found = robustness(target, [FGSM(), PGD(steps=3)], [0.3])
    assert found.flat.value == 1.0
    assert any("have no gradient at all" in line for line in found.findings)
    assert any("every image may become any other" in line for line in found.findings)


def cell(attack: str, epsilon: float, share: float) -> Cell:
    value = Value(share, max(0.0, share - 0.05), min(1.0, share + 0.05))
    return Cell(attack=attack, epsilon=epsilon, accuracy=value, as_file=value, loss=1.0)


@pytest.mark.parametrize(
    ("cells", "probes", "words"),
    [
        ([cell("FGSM", 0.1, 0.2), cell("PGD-10", 0.1, 0.5)], [], "PGD-10 leaves 50.0%"),
        ([cell("PGD-10", 0.1, 0.2), cell("PGD-50 x5", 0.1, 0.4)], [], "weaker PGD-10 only 20.0%"),
        ([cell("FGSM", 0.1, 0.6), cell("R-FGSM", 0.1, 0.2)], [], "no guide"),
        ([cell("FGSM", 0.1, 0.2), cell("FGSM", 0.3, 0.5)], [], "accuracy rises from 20.0% to 50.0%"),
        ([cell("FGSM", 0.1, 0.5)], [cell("noise", 0.1, 0.1)], "Noise alone"),
        ([cell("FGSM", 0.1, 0.5)], [cell("PGD-20", 1.0, 0.3)], "any other"),
        ([cell("FGSM", 0.1, 0.3), cell("R-FGSM", 0.1, 0.6), cell("PGD-10", 0.1, 0.32)], [], "No sign"),
    ],
)
def test_each_sign_is_a_sentence(cells: list[Cell], probes: list[Cell], words: str) -> None:
    found = findings(cell("clean", 0.0, 0.9), cells, probes, Value(0.0))
    assert any(words in line for line in found)
    assert ("No sign" in found[0]) == (words == "No sign")


def test_the_threshold_parts_both_kinds_best() -> None:
    scores, real = torch.tensor([-3.0, 1.0, 2.0, 2.5, 9.0]), torch.tensor([False, False, True, False, True])
    assert best_threshold(scores, real) == 1.5
    assert best_threshold(torch.zeros(4), torch.tensor([True, False, True, False])) in (-1.0, 1.0)
    assert [shown(each) for each in (4 / 255, 0.3, 1.0)] == ["4/255", "0.3", "1"]
    assert [shown(each) for each in (0.1, 0.2, 0.4, 51 / 255)] == ["0.1", "0.2", "0.4", "0.2"]


# ---- the verb -------------------------------------------------------------------------------------------


def test_a_classifier_is_attacked(judge: Path, pictures: Path) -> None:
    words = ("attack", judge, pictures, "--epsilon", "1/255,0.1,0.5", "--restarts", "2", *FEW)
    said = run(*words).output
    assert "PGD-50 x2" in said and "clean" in said
    tree = json.loads((judge / "attack" / "attack.json").read_text())
    told = {(c["attack"], c["epsilon"]): c["accuracy"]["value"] for c in tree["attacks"]}
    assert tree["clean"]["accuracy"]["value"] > 0.9 and tree["images"] == 24
    assert told["PGD-50 x2", 0.5] == 0.0 and told["FGSM", 1 / 255] > 0.8
    page = (judge / "attack" / "attack.html").read_text()
    assert "PGD-50 x2" in page and "magnified" in page and "own models" in page
    with Image.open(judge / "attack" / "pictures.png") as sheet:
        assert sheet.width > sheet.height > 300
    assert read_provenance(judge / "attack" / "pictures.png") is not None
    again = json.loads(run(*words, "--json").stdout)
    assert again == tree, "the same question has the same answer"
    single = json.loads(run("attack", judge, pictures, "--method", "pgd-l2", "--epsilon", "2", "--steps", "5",
                            *FEW, "--json").stdout)  # fmt: skip
    assert [c["attack"] for c in single["attacks"]] == ["PGD-L2-5"] and single["norm"] == "l2"


def test_a_critic_is_attacked_from_both_sides(gan: Path, pictures: Path) -> None:
    tree = json.loads(run("attack", gan, pictures, "--method", "pgd", "--epsilon", "0.1", "--steps", "5",
                          *FEW, "--json").stdout)  # fmt: skip
    assert tree["target"] == "critic" and tree["images"] == 24 and "above" in tree["note"]
    (after,) = tree["attacks"]
    assert set(after["parts"]) == {"generated", "real"}
    assert after["accuracy"]["value"] < tree["clean"]["accuracy"]["value"]
    assert after["scores"]["auc"]["value"] < tree["clean"]["scores"]["auc"]["value"]
    assert (gan / "attack" / "roc.png").is_file() and set(tree["roc"]) == {"clean", "PGD-5 0.1"}


def test_a_detector_is_attacked(detector: Path, gan: Path, pictures: Path) -> None:
    words = ("attack", detector, pictures, "--method", "fgsm", "--epsilon", "0.5", *FEW)
    tree = json.loads(run(*words, "--against", gan, "--json").stdout)
    assert tree["target"] == "detector" and tree["clean"]["scores"]["auc"]["value"] > 0.9
    assert tree["attacks"][0]["accuracy"]["value"] < tree["clean"]["accuracy"]["value"]
    assert "--against" in run(*words, code=2).output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epsilon", "0"], "epsilon is above 0"),
        (["--epsilon", "-4/255"], "epsilon is above 0"),
        (["--epsilon", "nan"], "epsilon is above 0"),
        (["--epsilon", "4"], "Did you mean 4/255"),
        (["--epsilon", "four"], "is a number or several"),
        (["--epsilon", "1/0"], "is a number or several"),
        (["--method", "fgsm", "--steps", "4"], "--steps is for --method pgd"),
        (["--method", "pgd", "--step", "-1"], "step is above 0"),
        (["--against", "runs/none"], "--against is for a detector"),
    ],
)
def test_what_means_nothing_is_refused(judge: Path, pictures: Path, words: list[str], message: str) -> None:
    said = " ".join(run("attack", judge, pictures, *words, *FEW, code=2).output.split())
    assert message in said and "Traceback" not in said


def test_one_picture_of_16_bits_and_pictures_without_labels(judge: Path, gan: Path, tmp_path: Path) -> None:
    for name in ("dark", "light"):
        (tmp_path / "deep" / name).mkdir(parents=True)
        level = np.full((16, 16), 60 * 257 + 40 * 257 * (name == "light"), np.uint16)
        Image.fromarray(level).save(tmp_path / "deep" / name / "a.png")
    words = ("--method", "fgsm", "--epsilon", "1/255", "--samples", "1", "--device", "cpu", "--json")
    tree = json.loads(run("attack", judge, tmp_path / "deep", *words, "-o", tmp_path / "out").stdout)
    assert tree["images"] == 1 and len(tree["examples"]["rows"]) == 1
    (tmp_path / "flat").mkdir()
    (tmp_path / "deep" / "dark" / "a.png").rename(tmp_path / "flat" / "a.png")
    said = run("attack", judge, tmp_path / "flat", *words, "-o", tmp_path / "out", code=2).output
    assert "no labels" in said
    said = run("attack", judge, gan, *words, "-o", tmp_path / "out", code=2).output
    assert "DATA are pictures" in said


def test_z_is_moved_as_little_as_turns_the_answer(judge: Path, gan: Path, tmp_path: Path) -> None:
    words = ("attack", judge, gan, "--method", "latent", "--samples", "18", "--device", "cpu")
    tree = json.loads(run(*words, "-o", tmp_path / "out", "--json").stdout)
    assert len(tree["distances"]) == 18 and 0 <= tree["turned"]["value"] <= 1
    assert all(value is None or value > 0 for value in tree["distances"])
    assert read_provenance(tmp_path / "out" / "latent.png") is not None
    said = run(*words, "-o", tmp_path / "out", "--attribute", "hat", code=2).output
    assert "--attribute is for a classifier of attributes" in said
    said = run("attack", judge, gan, "--attribute", "hat", *FEW, code=2).output
    assert "--attribute is for --method latent" in said


class Brighter(nn.Module):
    """Class 1 is what is brighter than a level."""

    def __init__(self, level: float) -> None:
        super().__init__()
        self.level = level

    def forward(self, images: Tensor) -> Tensor:
        far = 100.0 * (images.mean(dim=(1, 2, 3)) - self.level)
        return torch.stack([-far, far], dim=1)


def test_a_small_step_turns_what_a_random_one_does_not(
    judge: Path, gan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = open_generator(str(gan), "cpu").make(Noise.of(*range(32)))
    level = float(images.mean(dim=(1, 2, 3)).median())
    brighter = replace(open_classifier(str(judge), "cpu"), networks=Alone(Brighter(level)))
    monkeypatch.setattr("gansmith.robustness.latent.open_classifier", lambda *_: brighter)
    found = latent_attack(str(judge), str(gan), count=20, device="cpu")
    assert found.turned.value > 0.8 and found.distance is not None
    assert found.chance.value < 0.5, "no further than needed, and in the right direction"
    assert all(one.split()[0] != other.split()[0] for one, other in found.said if one != other)
    again = latent_attack(str(judge), str(gan), count=20, device="cpu")
    torch.testing.assert_close(again.distances, found.distances, equal_nan=True)
