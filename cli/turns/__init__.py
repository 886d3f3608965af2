"""The turns of one thread, read some at a time."""
