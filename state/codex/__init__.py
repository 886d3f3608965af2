"""Codex's own database compared with the index, and fixed."""
