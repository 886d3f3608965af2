"""From lines to the facts of a row; the session index; the rules of Codex's picker."""
