"""A page for people who do not program: a server on this machine, and what it shows in a browser."""
