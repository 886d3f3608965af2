"""The condition of an index and what to do about it, in words."""
