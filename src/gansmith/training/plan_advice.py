"""What there is to say of the number of pictures and of their labels, with no look at them."""

import torch

from gansmith.config.recipe import Recipe
from gansmith.data.dataset import DataSet
from gansmith.data.inspect.advice import HEALTHY, advise
from gansmith.data.inspect.findings import Counts, Findings, Goal, Sizes
from gansmith.training.setup import repeats


def about_data(recipe: Recipe, data: DataSet, training: int, labels: Counts) -> list[str]:
    """What is to be said of number and labels; ``gansmith inspect`` looks at the pictures themselves."""
    size = recipe.data.size
    goal = Goal(
        recipe.name,
        size.width,
        size.height,
        recipe.train.images,
        recipe.data.channels or 3,
        recipe.data.fit,
    )
    advice = [line for line in advise(_counted(data, goal, labels), goal) if line != HEALTHY]
    larger = repeats(recipe.train.batch, training)
    return [larger, *advice] if larger else advice


def _counted(data: DataSet, goal: Goal, labels: Counts) -> Findings:
    """What is known of a data set in the form it is trained in, without a look at its pictures."""
    size = (goal.width, goal.height)
    count = len(data)
    shape = goal.width / goal.height
    sizes = Sizes(
        smallest=size,
        median=size,
        largest=size,
        frequent=((*size, count),),
        different=1,
        narrowest=shape,
        widest=shape,
        tiny=0.0,
        cut=0.0,
        enlarged=0.0,
    )
    return Findings(
        name=data.name,
        count=count,
        looked_at=count,
        refused=(),
        bytes=0,
        sizes=sizes,
        formats=(),
        modes=(),
        exact=(),
        near=(),
        blurred=0.0,
        softest=(),
        faces=None,
        labels=labels,
        attributes=(),
        captions=None,
        landmarks=False,
        split=None,
    )


def label_counts(data: DataSet, recipe: Recipe) -> Counts:
    """Pictures of each label, where the method trains on labels and they lie ready."""
    if "labels" not in recipe.method.batch_type._fields or not data.in_arrays:
        return ()
    names = data.info.label_names
    labels = data.fetch(torch.arange(len(data)), ("labels",))["labels"].cpu()
    counts = torch.bincount(labels[labels >= 0], minlength=len(names)).tolist()
    return tuple(
        (names[number] if number < len(names) else str(number), count) for number, count in enumerate(counts)
    )
