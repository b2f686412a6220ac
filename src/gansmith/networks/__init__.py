"""Networks that methods build on."""
