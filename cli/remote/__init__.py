"""Commands that a running server carries out."""
