"""What attacks do to trained networks: targets, tables of robust accuracy, signs of masked gradients."""
