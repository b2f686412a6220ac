"""Prepared sets: images brought into one form, once."""
