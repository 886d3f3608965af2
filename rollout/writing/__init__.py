"""Appender, new threads, retention, forks and amendments."""
