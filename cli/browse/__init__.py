"""The picker in the terminal: find a thread, look at it, go on with it."""
