"""Codex's app-server protocol: its schemas, and a dialogue that any server can be asked."""
