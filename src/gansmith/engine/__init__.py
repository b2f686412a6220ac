"""One step: turns are played, gradients taken, averages followed."""
