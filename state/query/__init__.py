"""Read the index: lists, cursors, facets, references to threads, one-shot reads."""
