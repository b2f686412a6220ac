"""Where images are read from."""
