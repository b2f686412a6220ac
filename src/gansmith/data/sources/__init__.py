"""Where pictures are read from."""
