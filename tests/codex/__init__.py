"""What a new version of Codex does otherwise than the one that was recorded."""
