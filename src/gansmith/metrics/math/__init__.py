"""The mathematics that several scores share."""
