"""What a Codex does: facts that are measured, recorded, and compared with what threadkeep does."""
