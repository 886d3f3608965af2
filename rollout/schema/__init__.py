"""What Codex writes: kinds of lines, payloads, modes, permissions and times."""
