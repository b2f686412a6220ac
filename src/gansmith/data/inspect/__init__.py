"""Looking at images before training."""
