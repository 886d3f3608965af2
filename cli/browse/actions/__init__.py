"""What the picker does with threads: change them, move them, go on with them in Codex."""
