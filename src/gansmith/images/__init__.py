"""Images to look at: grids, animations, curves, and the mark of their origin."""
