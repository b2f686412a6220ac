"""How far raters agree: Krippendorff's alpha."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence


def krippendorff(units: Iterable[Sequence[Hashable]]) -> float | None:
    """Krippendorff's alpha for names: 1 - observed / expected disagreement.

    1 is full agreement, 0 what chance gives, below 0 worse than chance. Two raters or more, not all of whom
    need to have rated everything (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", part C).

    Args:
        units: the answers that each thing got, one of each rater; a thing with less than two says nothing.

    Returns: alpha; None where nothing was rated twice, or all answers are one and the same, so that chance
    would agree, too.

    Example:
        >>> krippendorff([(1, 1), (0, 0), (1, 0)])
        0.4444444444444445
    """
    totals: Counter[Hashable] = Counter()
    apart = 0.0
    for answers in units:
        counts, many = Counter(answers), len(answers)
        if many < 2:
            continue
        totals.update(counts)
        # Ordered pairs of answers that differ, each unit's weighing as much as its number of answers.
        apart += (many * many - sum(count * count for count in counts.values())) / (many - 1)
    number = sum(totals.values())
    expected = number * number - sum(count * count for count in totals.values())
    return 1 - (number - 1) * apart / expected if expected else None
