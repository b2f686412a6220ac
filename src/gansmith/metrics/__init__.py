"""Numbers about generators that can be believed and repeated."""
