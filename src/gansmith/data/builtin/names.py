"""The names of the built-in data sets, for those who must not wait for torch to know them."""

BUILTIN_NAMES = (
    *("demo-faces", "digits", "mnist", "fashion-mnist", "cifar10", "celeba", "lfw"),
    "stacked-mnist",
)


def is_builtin(data: str) -> bool:
    """Whether this is the name of a built-in set, with or without a count behind a colon."""
    return data.partition(":")[0] in BUILTIN_NAMES
