"""Rollouts cut into pieces, so that a copy elsewhere gets only what it lacks."""
