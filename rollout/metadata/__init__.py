"""From lines to the metadata of a row; the session index; what Codex's picker sees."""
