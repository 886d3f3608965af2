"""Lists, cursors, facets, references to threads and reads of one process."""
