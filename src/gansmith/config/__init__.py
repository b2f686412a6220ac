"""A recipe as a value: its parts, and how they are written, read and overridden."""
