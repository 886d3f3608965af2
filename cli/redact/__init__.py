"""Finding and hiding secrets."""
