"""The turns of long threads, kept in the index."""
