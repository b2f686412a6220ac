"""Watching the numbers of a run for illness."""
