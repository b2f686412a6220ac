"""Prepared sets: pictures brought into one form, once."""
