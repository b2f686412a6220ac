"""Pages a person would rather look at than read: the report of a run, and several runs side by side."""
