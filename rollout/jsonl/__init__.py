"""Bytes to lines to objects: sources, compression and the one resume point."""
