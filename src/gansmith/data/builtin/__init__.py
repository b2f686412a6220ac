"""Data sets with a name instead of a path."""
