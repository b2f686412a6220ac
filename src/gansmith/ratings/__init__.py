"""What people like: their ratings, how far they agree, what to ask next, and what is learnt from it."""
