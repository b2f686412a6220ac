"""Looking at pictures before training."""
