"""Codex's own database: read, compared, fixed and told of changes."""
