"""Threads for people to read: on a terminal, as text, Markdown and HTML."""
