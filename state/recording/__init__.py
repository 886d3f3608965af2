"""Threads that are open for writing."""
