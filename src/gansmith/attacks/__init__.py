"""Attacks: small changes of images that raise a loss as far as a ball allows."""
