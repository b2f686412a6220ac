"""Flat-design faces drawn on the fly: `draw(face(seed=0, index=7), 64, 64)` is one image.

Every face carries its ground truth: `landmarks`, `attributes`, one class (`label`), a sentence (`caption`).
"""
