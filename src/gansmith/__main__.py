"""``python -m gansmith``."""

from gansmith.cli.main import main

main()
