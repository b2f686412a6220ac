"""What each number of an evaluation is called, which way is better, and what it means: the one list of them.

It imports no torch, so that a report can be made of plain JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Better = Literal["lower", "higher", ""]


@dataclass(frozen=True)
class Description:
    """A number in words.

    Example:
        >>> DESCRIPTIONS["fid"].better
        'lower'
    """

    title: str
    better: (
        Better  # Empty where neither direction is always better; such a number never picks the best weights.
    )
    meaning: str  # What it says and what its ends are, in one clause.


DESCRIPTIONS: Mapping[str, Description] = {
    "fid": Description(
        "FID", "lower", "distance of mean and spread of features from the real ones; 0 is equal"
    ),
    "fid_infinity": Description(
        "FID, infinitely many images",
        "lower",
        "the fid that infinitely many images would show; comparable between sample counts",
    ),
    "class_fid": Description("FID within classes", "lower", "mean of the fid within each class; 0 is equal"),
    "kid": Description("KID", "lower", "distance of features by a kernel, free of bias; around 0 is equal"),
    "kid_std": Description("KID, spread", "", "standard deviation of the kid over subsets"),
    "is": Description(
        "Inception score", "higher", "how surely and how variously the images are classified; from 1 up"
    ),
    "precision": Description(
        "Precision", "higher", "share of generated images that lie among real ones: quality; 1 is all"
    ),
    "recall": Description("Recall", "higher", "share of real images that lie among generated ones: variety"),
    "density": Description(
        "Density", "", "how densely real images lie around generated ones; around 1 is as among real ones"
    ),
    "coverage": Description(
        "Coverage", "higher", "share of real images that have a generated one as a neighbour; 1 is all"
    ),
    "prd_f_1_8": Description("PRD F 1/8", "higher", "quality, by the precision-recall curve; 1 is best"),
    "prd_f_8": Description("PRD F 8", "higher", "variety, by the precision-recall curve; 1 is best"),
    "copying_z": Description(
        "Copying, z", "", "below -3 images are nearer to training images than held-out ones are: copies"
    ),
    "copying_ratio": Description(
        "Copying, ratio",
        "",
        "median distance to training images, over that of held-out ones; near 1 is honest",
    ),
    "repeated": Description(
        "Repeated", "lower", "share of generated images that look like another generated one; 0 is best"
    ),
    "swd": Description(
        "Sliced Wasserstein distance", "lower", "distance of patches at all levels of detail, x 1000"
    ),
    "ms_ssim": Description(
        "MS-SSIM among images",
        "",
        "how alike images are to each other; compare with real ones: more is less varied",
    ),
    "ppl": Description(
        "Perceptual path length", "lower", "how far images move for a small step in the latent"
    ),
    "accuracy": Description(
        "Critic's accuracy", "", "how well the run's own critic tells real from generated; 0.5 is chance"
    ),
    "accuracy_real": Description("Critic's accuracy, real", "", "share of held-out images it takes for real"),
    "accuracy_fake": Description("Critic's accuracy, generated", "", "share of generated images it tells"),
    "auc": Description(
        "Critic's AUC", "", "chance that the critic puts a real image above a generated one; 0.5 is chance"
    ),
    "l1": Description("L1", "lower", "mean difference of pairs, of pictures from 0 to 1; 0 is equal"),
    "psnr_y": Description(
        "PSNR of Y", "higher", "likeness of the brightness of pairs in decibels, without a border of 4 pixels"
    ),
    "ssim_y": Description(
        "SSIM of Y", "higher", "likeness of structure of the brightness of pairs, without that border"
    ),
    "psnr": Description("PSNR", "higher", "likeness of pairs in decibels"),
    "ssim": Description("SSIM", "higher", "likeness of structure of pairs; 1 is equal"),
    "lpips": Description("LPIPS", "lower", "perceptual distance of pairs; 0 is equal"),
    "modes": Description("Modes", "higher", "of the 1,000 stacks of three digits, how many are made at all"),
    "modes_kl": Description("Modes, KL", "lower", "how unevenly they are made, in nats; 0 is evenly"),
    "obedience": Description(
        "Obedience",
        "higher",
        "share of generated images in which a classifier sees what was asked for; 1 is all",
    ),
    "obedience_copy": Description(
        "Obedience of a copy", "", "what the images to be changed, left as they are, reach in obedience"
    ),
    "pose_error": Description(
        "Pose error",
        "lower",
        "mean distance of key points read off generated images from those asked for, in widths; 0 is exact",
    ),
    "pose_error_copy": Description(
        "Pose error of a copy", "", "what the sources, left as they are, reach in pose_error"
    ),
}
"""Name of a number, as in JSON -> what it is."""


def describe(name: str) -> Description:
    """What is known of a number; of an unknown one its own name."""
    base, _, part = name.rpartition("_")
    if part == "bicubic" and base in DESCRIPTIONS:  # Measured of whole pictures, beside a model's.
        return Description(f"{DESCRIPTIONS[base].title}, bicubic", "", f"the {base} of bicubic enlargement")
    if part.isdigit() and base in DESCRIPTIONS:  # Such as swd_16: the distance at 16 pixels a side.
        return replace(DESCRIPTIONS[base], title=f"{DESCRIPTIONS[base].title} at {part} px")
    return DESCRIPTIONS.get(name, Description(name[:1].upper() + name[1:].replace("_", " "), "", ""))


def sentence(name: str) -> str:
    """The meaning and the direction: ``distance of ...; 0 is equal; lower is better``."""
    known = describe(name)
    return "; ".join(filter(None, [known.meaning, f"{known.better} is better" if known.better else ""]))
