"""Codex's own database: its tables, reading it, and notifying it of changes."""
