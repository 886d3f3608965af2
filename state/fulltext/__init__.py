"""The full-text index and its search."""
