"""Real faces: finding them in photographs and bringing them all to the same place. Needs no torch."""
