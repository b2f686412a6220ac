"""Losses: equations as small values and functions, tested against closed forms."""
