"""``python -m gansmith``."""

from gansmith.cli import main

main()
