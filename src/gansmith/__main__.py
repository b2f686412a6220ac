"""``python -m gansmith``, and what the command ``gansmith`` starts."""

from gansmith.core import stopping


def start() -> None:
    """Run the command line; Ctrl-C ends it without a traceback from the first moment to the last."""
    stopping.quick()
    from gansmith.cli.main import main

    main()


if __name__ == "__main__":
    start()
